"""The text that the embedded model learns from, and the questions that are kept from it.

    python examples/embedded/corpus.py            # some of everything, to read
    python examples/embedded/corpus.py --demo DIR # the demo data, from questions the training never sees

A question is held out by what it is made of: a word problem by its plot and numbers, any other by its
words. A tenth of all are; training drops them, tests and demo data are drawn from them alone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from problems import PLOTS
from sentences import ASKERS

LETTERS = "ABCD"
DEMO_SEED = 20_000_001


@dataclass(frozen=True)
class Example:
    """A question and its answer; `options` are shown to be chosen from where there are four."""

    kind: str
    question: str
    answer: str
    key: str
    steps: int = 0
    options: tuple[str, ...] = ()


def problem(draw: Random) -> Example:
    """A word problem."""
    made = draw.choice(PLOTS)(draw)
    return Example("problem", made.question, made.answer, made.key, made.steps)


def short(draw: Random) -> Example:
    """A short question."""
    made = draw.choice(ASKERS)(draw)
    options = [made.answer, *made.others] if len(made.others) == 3 else []
    draw.shuffle(options)
    return Example(made.kind, made.question, made.answer, made.question, options=tuple(options))


def is_held_out(example: Example) -> bool:
    """Whether a question belongs to the tenth that training never sees."""
    return hashlib.blake2b(example.key.encode(), digest_size=4).digest()[0] % 10 == 0


def examples(make: Callable[[Random], Example], seed: int, *, held_out: bool) -> Iterator[Example]:
    """Endless questions of one side of the split."""
    draw = Random(seed)
    while True:
        example = make(draw)
        if is_held_out(example) == held_out:
            yield example


def lettered(example: Example) -> tuple[str, str]:
    """A question with its options on lettered lines, and the letter of the right one."""
    lines = [f"{letter}. {option}" for letter, option in zip(LETTERS, example.options)]
    asked = "\n".join([example.question, *lines, "Answer:"])
    return asked, LETTERS[example.options.index(example.answer)]


def words(example: Example, draw: Random) -> tuple[str, str]:
    """A question as somebody may put it, and its answer."""
    if example.options and draw.random() < 0.3:
        return lettered(example)
    plain = 0.15 if example.kind == "problem" else 0.5
    if draw.random() < plain:
        return example.question, example.answer
    return f"Question: {example.question}\nAnswer:", example.answer


def demo() -> dict[str, list[dict[str, Any]]]:
    """The demo data sets: all of them held out, and none of them twice."""
    problems = examples(problem, DEMO_SEED, held_out=True)
    shorts = examples(short, DEMO_SEED + 1, held_out=True)
    taught = examples(problem, DEMO_SEED + 2, held_out=True)
    with_options = (one for one in examples(short, DEMO_SEED + 3, held_out=True) if one.options)
    seen: set[str] = set()

    def take(source: Iterator[Example], number: int) -> Iterator[Example]:
        while number:
            example = next(source)
            if example.question not in seen:
                seen.add(example.question)
                number -= 1
                yield example

    def worked(source: Iterator[Example], number: int) -> list[dict[str, Any]]:
        return [{"question": e.question, "answer": e.answer, "steps": e.steps} for e in take(source, number)]

    return {
        "arithmetic": worked(problems, 200),
        "train": worked(taught, 32),
        "choice": [
            {
                "question": e.question,
                "choices": e.options,
                "answer": e.options.index(e.answer),
                "kind": e.kind,
            }
            for e in take(with_options, 200)
        ],
        "sentences": [{"input": e.question, "target": e.answer, "kind": e.kind} for e in take(shorts, 200)],
    }


def main() -> None:
    """Show some of the corpus, or write the demo data."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--demo", type=Path, metavar="DIR")
    options = parser.parse_args()
    if options.demo is None:
        draw = Random(0)
        for make in (problem, short):
            source = examples(make, 1, held_out=False)
            for _ in range(12):
                asked, answered = words(next(source), draw)
                print(f"{asked} {answered}\n")
        return
    options.demo.mkdir(parents=True, exist_ok=True)
    for name, rows in demo().items():
        lines = [json.dumps(row) for row in rows]
        (options.demo / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
        print(f"{name}.jsonl: {len(rows)} rows")


if __name__ == "__main__":
    main()
