"""The corpus of the embedded model: true sums, a clean split, demo data that is what it says."""

from __future__ import annotations

import json
import re
import sys
from itertools import islice
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "examples" / "embedded"))

import corpus  # noqa: E402

SUM = re.compile(r"(\d+) ([-+*/]) (\d+) = (\d+)")
DEMO = ROOT / "src" / "steelyard" / "data" / "demo"
NUMBER = 4000


def taken(make: object, seed: int, *, held_out: bool) -> list[corpus.Example]:
    return list(islice(corpus.examples(make, seed, held_out=held_out), NUMBER))


def test_every_step_of_a_problem_is_true_and_ends_in_the_result() -> None:
    for example in taken(corpus.problem, 1, held_out=False):
        working, result = example.answer.split("\n#### ")
        sums = SUM.findall(working)
        assert len(sums) == example.steps
        for a, sign, b, said in sums:
            x, y = int(a), int(b)
            true = {"+": x + y, "-": x - y, "*": x * y, "/": x // max(y, 1)}[sign]
            assert int(said) == true >= 0, example
            assert sign != "/" or x % y == 0
        assert sums[-1][3] == result
        assert "#### " not in example.question


def test_plain_sums_are_true() -> None:
    found = 0
    for example in taken(corpus.short, 2, held_out=False):
        match = re.fullmatch(r"What is (\d+) ([-+*/]) (\d+)\?", example.question)
        if match:
            a, sign, b = match.groups()
            x, y = int(a), int(b)
            true = {"+": x + y, "-": x - y, "*": x * y, "/": x / max(y, 1)}[sign]
            assert float(example.answer) == true
            found += 1
    assert found > 50


def test_options_hold_the_answer_once() -> None:
    with_options = [one for one in taken(corpus.short, 3, held_out=False) if one.options]
    assert len(with_options) > NUMBER / 2
    places = [0, 0, 0, 0]
    for example in with_options:
        assert len(set(example.options)) == 4, example
        places[example.options.index(example.answer)] += 1
        asked, letter = corpus.lettered(example)
        assert f"\n{letter}. {example.answer}\n" in asked
    # Each place is right about as often: the letter alone gives nothing away.
    assert max(places) < 1.2 * min(places)


@pytest.mark.parametrize("make", [corpus.problem, corpus.short])
def test_what_is_held_out_is_never_taught(make: object) -> None:
    taught, held = taken(make, 4, held_out=False), taken(make, 4, held_out=True)
    assert not {one.key for one in taught} & {one.key for one in held}
    assert not {one.question for one in taught} & {one.question for one in held}


def test_the_same_seed_gives_the_same_questions() -> None:
    first = taken(corpus.short, 5, held_out=False)
    assert first == taken(corpus.short, 5, held_out=False)
    assert first != taken(corpus.short, 6, held_out=False)


def test_the_demo_data_is_what_the_generator_writes() -> None:
    questions = []
    for name, rows in corpus.demo().items():
        stored = [json.loads(line) for line in (DEMO / f"{name}.jsonl").read_text().splitlines()]
        assert stored == json.loads(json.dumps(rows)), name
        questions += [row.get("question", row.get("input")) for row in stored]
    assert len(questions) == len(set(questions)) == 632
