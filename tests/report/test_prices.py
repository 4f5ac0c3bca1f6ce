"""What the tokens of a run cost, by a table that the user gives."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from steelyard import Record, Request, Response, Run, Sample, Tokens
from steelyard.errors import DataError, UsageError
from steelyard.report.contents import Contents, read_contents
from steelyard.report.overview import Overview
from steelyard.report.pages import draw_page
from steelyard.report.prices import Price, describe_price, read_prices
from steelyard.report.samples import chosen_of
from steelyard.report.spending import spending_of, tell_cost, tell_times

TABLE = """
currency: EUR
models:
  gpt-mini: {input: 0.15, cached: 0.05, output: 0.60}
  "Qwen/*": {input: 2, output: 8, reasoning: 4}
  "*": {input: 1, output: 1}
"""


def usage(cached: Any = None, reasoning: Any = None) -> dict[str, Any]:
    return {
        "usage": {
            "prompt_tokens_details": {"cached_tokens": cached},
            "completion_tokens_details": {"reasoning_tokens": reasoning},
        }
    }


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    path = tmp_path / "prices.yaml"
    path.write_text(TABLE)
    return path


@pytest.fixture
def stored(tmp_path: Path) -> Callable[..., Contents]:
    """Reads a run of these answers."""
    numbers: Iterator[int] = iter(range(99))

    def store(*responses: Response, **about: Any) -> Contents:
        made = Run.create(
            tmp_path / str(next(numbers)), {"task": "t", "model": "m", "state": "done", **about}
        )
        for n, response in enumerate(responses):
            made.add(Record(n, Sample(str(n), "?"), Request(str(n), "?"), response, {}))
        made.close()
        return read_contents(Run.open(made.path))

    return store


def test_prices_are_found_by_name_and_by_pattern(prices: Path) -> None:
    table = read_prices(prices)
    assert table.find("gpt-mini") == Price("EUR", 0.15, 0.6, 0.05, 0.6)
    assert table.find("Qwen/Qwen3-8B") == Price("EUR", 2.0, 8.0, 2.0, 4.0)
    assert table.find("other") == Price("EUR", 1.0, 1.0, 1.0, 1.0)


def test_json_will_do_and_a_model_may_have_no_price(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(json.dumps({"models": {"a": {"input": 1, "output": 2}}}))
    table = read_prices(tmp_path / "p.json")
    assert table.find("b") is None
    found = table.find("a")
    assert found is not None and found.currency == "USD"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("models: [", "neither YAML nor JSON"),
        ("- 1", "name no models"),
        ("models: {}", "name no models"),
        ("models: {a: 3}", "the price of a in .* says not what input and output cost"),
        ("models: {a: {input: 1}}", "says not what"),
        ("models: {a: {input: 1, output: 2, thinking: 3}}", "kind of tokens called 'thinking'"),
        ("models: {a: {input: free, output: 2}}", "input is 'free'"),
        ("models: {a: {input: 1, output: -2}}", "output is -2"),
        ("models: {a: {input: true, output: 2}}", "input is True"),
    ],
)
def test_tables_that_are_none_are_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(DataError, match=said):
        read_prices(tmp_path / "p.yaml")
    with pytest.raises(UsageError, match="cannot be read"):
        read_prices(tmp_path / "none.yaml")


def test_what_a_service_had_cached_and_what_it_thought_have_prices_of_their_own(
    stored: Callable[..., Contents],
) -> None:
    contents = stored(
        Response("a", tokens=Tokens(1000, 100), raw=usage(400, 60)),
        Response("b", tokens=Tokens(500, None), raw=usage()),
        Response("c", tokens=Tokens(10, 10), raw=usage("many", 11)),
    )
    contents.price = Price("EUR", 100.0, 1000.0, 10.0, 500.0)
    spent = spending_of(contents)
    assert spent.tokens == {"input": 1510, "output": 110, "cached": 400, "reasoning": 60}
    assert spent.price == pytest.approx((1110 * 100 + 400 * 10 + 50 * 1000 + 60 * 500) / 1e6)
    told = {**dict(tell_times(contents)), **dict(tell_cost(contents))}
    assert told["tokens in"] == "1,510 (503.3 an answer, of which 400 the service had cached)"
    assert told["tokens out"] == "110 (36.7 an answer, of which 60 were reasoning)"
    assert told["price"] == "0.195 EUR"
    assert "0.195 EUR" in draw_page([contents])


def test_what_nobody_counted_is_said_and_not_guessed(stored: Callable[..., Contents]) -> None:
    price = Price("USD", 1.0, 1.0, 1.0, 1.0)
    contents = stored(Response("a", tokens=Tokens(1_000_000, 0)), Response("b"), Response(error="HTTP 500"))
    contents.price = price
    told = {**dict(tell_times(contents)), **dict(tell_cost(contents))}
    assert told["tokens unknown"] == "of 2 answers"
    assert told["price"] == "1.00 USD, without 2 answers of unknown length"
    nothing = stored(Response("a"))
    nothing.price = price
    assert dict(tell_cost(nothing))["price"] == "unknown: the model counts no tokens"
    assert "tokens unknown" not in dict(tell_times(nothing))


def test_what_a_cache_knew_costs_nothing_again(stored: Callable[..., Contents]) -> None:
    known = Response("a", tokens=Tokens(7, 7), raw={"cached": True})
    contents = stored(known, Response("b", tokens=Tokens(1_000_000, 0)))
    contents.price = Price("USD", 1.0, 1.0, 1.0, 1.0)
    assert (contents.known, spending_of(contents).price, spending_of(contents).uncounted) == (1, 1.0, 0)
    every = stored(known)
    every.price = contents.price
    assert dict(tell_cost(every))["price"] == "0 USD"


def test_a_run_keeps_the_price_it_was_stored_with(prices: Path, stored: Callable[..., Contents]) -> None:
    price = read_prices(prices).find("gpt-mini")
    assert price is not None
    contents = stored(Response("a", tokens=Tokens(1_000_000, 0)), price=describe_price(price))
    assert spending_of(contents).price == pytest.approx(0.15)
    assert stored(Response("a"), price={"of": "another version"}).price is None


def test_side_by_side_a_column_is_of_one_currency(stored: Callable[..., Contents]) -> None:
    runs = [stored(Response("a", tokens=Tokens(1_000_000, 500)), model=name) for name in ("one", "other")]
    for contents in runs:
        contents.price = Price("EUR", 2.0, 2.0, 2.0, 2.0)
    columns, first, _ = Overview(runs).spending().shown()
    shown = dict(zip(columns, first))
    assert (shown["tokens in"], shown["tokens out"], shown["EUR"]) == ("1,000,000", "500", "2.0010")
    runs[1].price = Price("USD", 3.0, 3.0, 3.0, 3.0)
    columns, first, second = Overview(runs).spending().shown()
    assert (dict(zip(columns, first))["price"], dict(zip(columns, second))["price"]) == (
        "2.00 EUR",
        "3.00 USD",
    )
    runs[1].price = None
    assert dict(zip(*Overview(runs).spending().shown()[::2]))["EUR"] == "–"


def test_ways_of_picking_options_stand_beside_each_other_where_they_differ(
    stored: Callable[..., Contents],
) -> None:
    letter = {"asked": "auto", "by": "letter", "likelihood": None, "tried": {}}
    told = {**letter, "by": "letter-likelihood", "likelihood": "echo"}
    runs = [stored(Response("a"), model=name, choices=way) for name, way in (("x", letter), ("y", told))]
    assert Overview(runs).columns == ["task", "model", "choices"]
    assert [names[2] for names in Overview(runs).names] == [
        "written",
        "echoed odds",
    ]
    assert Overview(runs[:1] * 2).columns == ["task", "model", "run"]


def test_a_page_shows_which_choice_was_the_likeliest() -> None:
    request = Request("1", "?", choices=(" A", " B"))
    record = Record(0, Sample("1", "?"), request, Response(scores=[-2.0, -1.0]), {})
    assert chosen_of(record) == "B (73 %)"
    other = Record(0, Sample("1", "?"), Request("1", "?"), Response(scores={"good": 0.5}), {})
    assert chosen_of(other) == "good 0.5"
