"""When two values of a document are the same."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.metrics.values import Quantity, read_date, read_quantity, same_value


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Acme  GmbH", "ACME gmbh", True),
        ("Café", "Cafe\u0301", True),
        ("1,250.00", 1250, True),
        ("EUR 1.250,00", "1250 €", True),
        ("$12", "12.00", True),
        ("$12", "€12", False),
        ("25 %", "25", True),
        ("25 %", "0.25", False),
        ("0012", "0012", True),
        ("0012", 12, False),
        ("(12.50)", -12.5, True),
        ("1.250", "1250", False),
        ("1,250", "1250", True),
        ("12 kg", "12", False),
        ("2024-03-01", "01.03.2024", True),
        ("2024-03-01", "1 March 2024", True),
        ("2024-03-01", "Friday, Mar. 1st, 2024", True),
        ("2024-03-13", "13/03/2024", True),
        ("2024-03-13", "03/13/2024", True),
        ("2024-03-01", "01/03/2024", False),  # may be the third of January
        ("2024-03-01", "03/01/2024", False),
        ("03/01/2024", "03/01/2024", True),
        ("2024-03-01", "01.03.24", False),
        (True, "yes", True),
        (True, "true", True),
        (False, True, False),
        (True, 1, False),
        (10**400, 10**400, True),
        ("", "0", False),
    ],
)
def test_same(one: Any, other: Any, same: bool) -> None:
    assert same_value(one, other) is same
    assert same_value(other, one) is same


@given(st.integers(-(10**12), 10**12))
def test_a_number_is_read_however_it_is_grouped(number: int) -> None:
    assert read_quantity(f"{number:,}") == Quantity(number)
    assert read_quantity(f"{number:,}.00 €") == Quantity(number, "eur")
    assert read_quantity(f"{number:,}.50".replace(",", " ").replace(".", ",")) is not None
    assert same_value(f"${number:,}.00", number)


@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)))
def test_a_day_is_read_however_it_is_written(day: date) -> None:
    for form in ("%Y-%m-%d", "%d.%m.%Y", "%Y/%m/%d"):
        assert read_date(day.strftime(form)) == day
    name = "January February March April May June July August September October November December".split()[
        day.month - 1
    ]
    for text in (f"{day.day} {name} {day.year}", f"{name[:3]} {day.day}, {day.year}"):
        assert read_date(text) == day
    slashed = read_date(day.strftime("%d/%m/%Y"))
    assert slashed == (day if day.day > 12 or day.day == day.month else None)


ANY = st.one_of(st.text(max_size=20), st.integers(), st.floats(), st.booleans(), st.none())


@given(ANY, ANY)
def test_any_values_are_compared(one: Any, other: Any) -> None:
    assert same_value(one, other) is same_value(other, one)


@given(st.one_of(st.text(max_size=20), st.integers(), st.floats(allow_nan=False)))
def test_a_value_is_the_same_as_itself(value: Any) -> None:
    assert same_value(value, value)
    assert same_value(value, str(value))
