"""Ask a trained model held-out questions, and write what came of it into its model card.

python examples/embedded/card.py FOLDER
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from corpus import Example, examples, lettered, problem, short

from steelyard import Request, Response
from steelyard.models.embedded import Embedded

SEED = 30_000_001
PROBLEMS, SHORTS = 1000, 2000
FEWEST = 20

CARD = """\
# The embedded model

A language model of 1.1 million parameters (Llama architecture: {layers} layers of width {width},
{heads} heads, a vocabulary of {vocabulary}, {positions} positions), trained from nothing by
`examples/embedded/train.py`.
It is there so that everything here can be tried at once, offline, on any machine. It is no assistant: it
knows arithmetic word problems, short questions about short texts, and a few dozen facts. Ask it anything
else and it will make something up.

**Data**: nothing but what `examples/embedded/corpus.py` writes. A tenth of all questions (word problems by
plot and numbers, others by their words) is held out by a hash; training never sees it.
**Training**: seed 1, one CPU thread, Muon and AdamW; `train.py` holds every setting.
**Prompts**: `Question: …\\nAnswer:`, the bare question, with or without worked examples, or turns of a chat.

## How good it is

Greedy answers to {total:,} held-out questions (seed {seed}), by `examples/embedded/card.py`. An answer
is right if it is exactly the reference; of a word problem, the number after `####`.

| question | n | right | as a chat |
|---|--:|--:|--:|
{rows}

| four options | n | right | by chance |
|---|--:|--:|--:|
| the likeliest option | {options} | {likeliest:.1%} | 25 % |
| the letter, options shown | {options} | {letters:.1%} | 25 % |
"""


def ask(model: Embedded, prompts: Sequence[str], *, chat: bool) -> list[str]:
    """The model's answers."""
    requests = [
        Request(str(place), [{"role": "user", "content": prompt}] if chat else prompt)
        for place, prompt in enumerate(prompts)
    ]
    return [response.text.strip() for response in answer(model, requests)]


def answer(model: Embedded, requests: Sequence[Request]) -> list[Response]:
    """Responses, a hundred at a time."""
    return [
        said for place in range(0, len(requests), 100) for said in model.batch(requests[place : place + 100])
    ]


def is_right(example: Example, said: str) -> bool:
    """Whether an answer is right."""
    return said.rpartition("#### ")[2] == example.answer.rpartition("#### ")[2]


def write_card(folder: Path) -> str:
    """Measure a model folder and give its card."""
    model = Embedded(folder, max_tokens=96)
    asked = list(islice(examples(problem, SEED, held_out=True), PROBLEMS))
    asked += islice(examples(short, SEED, held_out=True), SHORTS)
    prompts = [f"Question: {example.question}\nAnswer:" for example in asked]
    right: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    for example, said, chatted in zip(asked, ask(model, prompts, chat=False), ask(model, prompts, chat=True)):
        steps = f"{example.steps} step{'s' if example.steps > 1 else ''}"
        kind = f"word problem, {steps}" if example.steps else example.kind.replace("_", " or ")
        right[kind].append((is_right(example, said), is_right(example, chatted)))
    rows = []
    for kind, found in sorted(right.items(), key=lambda pair: (not pair[0].startswith("word"), pair[0])):
        if len(found) >= FEWEST:
            shares = [f"{sum(column) / len(found):.1%}" for column in zip(*found)]
            rows.append(f"| {kind} | {len(found)} | {' | '.join(shares)} |")
    optional = [example for example in asked if example.options]
    scored = answer(
        model,
        [
            Request(
                "", f"Question: {one.question}\nAnswer:", choices=[f" {option}" for option in one.options]
            )
            for one in optional
        ],
    )
    likeliest = [
        one.options[max(range(4), key=list(said.scores or ()).__getitem__)] == one.answer
        for one, said in zip(optional, scored)
    ]
    letters = ask(model, [lettered(one)[0] for one in optional], chat=False)
    shape = model._network.shape
    return CARD.format(
        layers=shape.layers,
        width=shape.width,
        heads=shape.heads,
        vocabulary=shape.vocabulary,
        positions=shape.positions,
        total=len(asked),
        seed=SEED,
        rows="\n".join(rows),
        options=len(optional),
        likeliest=sum(likeliest) / len(optional),
        letters=sum(said == lettered(one)[1] for one, said in zip(optional, letters)) / len(optional),
    )


def main() -> None:
    """Write the card into the folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    card = write_card(folder)
    (folder / "README.md").write_text(card)
    print(card)


if __name__ == "__main__":
    main()
