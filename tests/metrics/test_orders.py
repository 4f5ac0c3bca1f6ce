"""Orders of pages: found in texts, and compared as scipy compares them."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from steelyard.errors import DataError
from steelyard.metrics.extraction.orders import find_order
from steelyard.metrics.orders import kendall, pages_exact, spearman
from steelyard.types import Response, Sample


def ask(metric: Any, target: Any, text: str) -> Any:
    return metric(Sample("1", "", target=target), Response(text=text))


ORDERS = st.integers(2, 7).flatmap(
    lambda n: st.tuples(st.permutations(range(1, n + 1)), st.permutations(range(1, n + 1)))
)


@given(ORDERS)
def test_correlations_are_scipys(orders: tuple[list[int], list[int]]) -> None:
    right, given_ = orders
    places = [[order.index(page) for page in sorted(right)] for order in orders]
    text = ", ".join(map(str, given_))
    assert ask(kendall, right, text) == pytest.approx(stats.kendalltau(*places).statistic)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert ask(spearman, right, text) == pytest.approx(stats.spearmanr(*places).statistic)
    assert ask(pages_exact, right, text) is (right == given_)


@pytest.mark.parametrize(
    ("text", "tau", "rho"),
    [
        ("1, 2, 3, 4", 1, 1),
        ("4, 3, 2, 1", -1, -1),
        ("2, 1, 3, 4", 1 - 2 / 6, 1 - 6 * 2 / 60),
        ("1, 2, 3", 3 / 6, 3 / 6),  # one left out: three pairs of six, in order
        ("3, 2, 1", -3 / 6, -3 / 6),
        ("1, 2", 1 / 6, 1 / 6),
        ("1, 2, 3, 4, 4", 6 / 10, 6 / 10),  # one twice: as if there were five pages
        ("1, 2, 9, 3, 4", 6 / 10, 6 / 10),  # one that is not there
        ("8, 9", 0, 0),
        ("I cannot tell.", 0, 0),
    ],
)
def test_as_worked_out_by_hand(text: str, tau: float, rho: float) -> None:
    assert ask(kendall, [1, 2, 3, 4], text) == pytest.approx(tau)
    assert ask(spearman, "1, 2, 3, 4", text) == pytest.approx(rho)


@given(st.permutations(range(1, 6)), st.lists(st.integers(1, 7), max_size=8))
def test_only_the_whole_order_is_perfect(right: list[int], given_: list[int]) -> None:
    text = ", ".join(map(str, given_))
    for metric in (kendall, spearman):
        score = ask(metric, right, text)
        assert -1 <= score <= 1
        assert (score == 1) == (right == given_)


def test_targets_in_all_forms() -> None:
    for target in (
        "B, A, C",
        ["B", "A", "C"],
        "Page B → Page A → Page C",
        [["A", "B", "C"], ["B", "A", "C"]],
    ):
        assert ask(kendall, target, "B, A, C") == 1
        assert ask(pages_exact, target, "B, A, C") is True
    assert ask(pages_exact, ["1, 2", "2, 1"], "2, 1") is True
    assert ask(kendall, None, "1, 2") is None
    assert ask(pages_exact, None, "1, 2") is None
    assert ask(kendall, [1], "1") is None
    assert ask(pages_exact, [1], "Page 1") is True
    for wrong in ("none", [1, 1], ["x, y"], "1, 1, 2"):
        with pytest.raises(DataError, match="is no order"):
            ask(kendall, wrong, "1, 2")


@pytest.mark.parametrize(
    ("text", "value", "rule"),
    [
        ("3, 1, 2", "3, 1, 2", "last list"),
        ("[3,1,2]", "3, 1, 2", "last list"),
        ('{"order": [3,\n 1,\n 2]}', "3, 1, 2", "last list"),
        ('["B", "A"]', "B, A", "last list"),
        ("**Page 3** → **Page 1** → **Page 2**", "3, 1, 2", "last list"),
        ("3 > 1 > 2", "3, 1, 2", "last list"),
        ("3-1-2", "3, 1, 2", "last list"),
        ("03 01 02", "3, 1, 2", "last list"),
        ("First page 3, then page 1, and finally page 2.", "3, 1, 2", "last list"),
        ("Pages 1 and 2 follow the title, so the order is 3, 1, 2.", "3, 1, 2", "last list"),
        ("In 2024 there were 3 pages. The order is 2, 3, 1", "2, 3, 1", "last list"),
        ("Order 1: 3, 2, 1", "3, 2, 1", "last list"),
        ("<think>1, 2, 3</think>3, 2, 1", "3, 2, 1", "last list"),
        ("Answer: 3, 1, 2\n\nPage 3 comes first, pages 1, 2 after it.", "3, 1, 2", "answer:"),
        ("\\boxed{3, 1, 2}", "3, 1, 2", "boxed"),
        ("3\n1\n2", "3, 1, 2", "lines"),
        ("- Page 3\n- Page 1\n- Page 2", "3, 1, 2", "lines"),
        ("1. Page 3 (the title)\n2. Page 1: the middle\n3. Page 2\n\nThat is it.", "3, 1, 2", "lines"),
        ("1st: page 3\n2nd: page 1", "3, 1", "lines"),
        ("Page 2", "2", "label alone"),
        ("pages 1-3", None, "nothing"),
        ("The 3 pages cost $1,200.", None, "nothing"),
        ("I do not know", None, "nothing"),
        ('{"1": 3, "2": 1, "3": 2}', None, "ambiguous"),
    ],
)
def test_orders_are_found(text: str, value: str | None, rule: str) -> None:
    found = find_order(text)
    assert (found.value, found.rule) == (value, rule)
    assert 0 <= found.start <= found.end <= len(text)


@given(st.lists(st.integers(1, 99), min_size=2, max_size=6), st.sampled_from([", ", " → ", " > ", "\n"]))
def test_a_list_is_found_however_it_is_joined(pages: list[int], joint: str) -> None:
    assert find_order(joint.join(map(str, pages))).value == ", ".join(map(str, pages))
    assert find_order(joint.join(f"Page {page}" for page in pages)).value == ", ".join(map(str, pages))


@given(st.text(alphabet="123AB ,-:>\n.[]page ", max_size=60))
def test_any_jumble_is_survived(text: str) -> None:
    found = find_order(text)
    assert (found.value is None) == (found.rule in ("nothing", "ambiguous"))
    assert -1 <= ask(kendall, "1, 2, 3", text) <= 1
