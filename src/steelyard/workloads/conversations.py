"""Conversations, asked turn by turn: the model's own answers, or the recorded ones, stand before each.

    Conversations("ShareGPT.json", layout="sharegpt", model=model)
    Conversations("mt_bench/question.jsonl", layout="mtbench", think="exponential:3")

An answer may be as long as the one that was recorded, unless `output` says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from steelyard.data.source import Data
from steelyard.errors import UsageError
from steelyard.models.base import Model
from steelyard.plugins import call_with
from steelyard.types import Sample
from steelyard.workloads.base import Planned, Session, Turn
from steelyard.workloads.lengths import read_lengths
from steelyard.workloads.sources import choose_tokenizer, draw
from steelyard.workloads.tokens import Tokenizer

OWN, RECORDED = HISTORIES = ("own", "recorded")
# A service is asked how long so many recorded answers are, not during the load.
_COUNTED = 8


class Conversations(Planned[Sample]):
    """The conversations of a data set, each a session with a turn for everything the user says.

    `history` says whose answers stand before a turn: the model's own, or those recorded. `turns` is the
    most that are asked of one conversation. `output` are the lengths of answers, where not those
    recorded; what is recorded is counted by the tokenizer, else in words.
    """

    def __init__(
        self,
        data: Any,
        *,
        layout: str = "sharegpt",
        output: Any = None,
        history: str = OWN,
        turns: int | None = None,
        tokenizer: Any = None,
        model: Model | None = None,
        seed: int = 0,
        **options: Any,
    ) -> None:
        if history not in HISTORIES:
            raise UsageError(f"history={history}", hint=" or ".join(HISTORIES))
        if turns is not None and turns < 1:
            raise UsageError(f"turns is {turns}", hint="at least 1")
        if not isinstance(data, Data):
            data = call_with("the data", Data, {"layout": layout, "seed": seed, **options}, data)
        self.data: Data = data
        self.name = self.data.name
        self._history, self._turns, self._seed = history, turns, seed
        self._output = None if output is None else read_lengths(output, name="output")
        self._tokenizer: Any = None
        self._count: Callable[[str], int] = _count_words
        if output is None:
            self._tokenizer = choose_tokenizer(tokenizer, model=model)
            self._count, remark = _find_counter(self._tokenizer, self.data)
            self.remarks = (remark,) if remark else ()

    def identity(self) -> Mapping[str, Any]:
        """The data, and how it is asked."""
        return {
            "workload": self.name,
            "data": self.data.identity(),
            "output": None if self._output is None else self._output.identity(),
            "tokenizer": None if self._tokenizer is None else self._tokenizer.identity(),
            "history": self._history,
            "turns": self._turns,
            "seed": self._seed,
        }

    def size(self) -> int | None:
        """How many conversations there are, where that is cheap to know."""
        return self.data.size()

    @property
    def skipped(self) -> int:
        """How many rows were passed over."""
        return self.data.skipped

    def plans(self) -> Iterator[Sample]:
        """The samples."""
        return iter(self.data)

    def session(self, number: int, plan: Sample) -> Session:
        """A turn for each thing that the user says."""
        said = split_turns(plan)
        lengths = draw(self._seed, "output", number)
        turns: list[Turn] = []
        before: list[Any] = []
        for opening, answer in said[: self._turns]:
            before += opening
            if self._output is not None:
                most: int | None = int(self._output.draw(lengths))
            else:
                most = max(self._count(answer), 1) if isinstance(answer, str) and answer.strip() else None
            alone = turns and self._history == OWN
            prompt = opening[0]["content"] if alone or len(before) == 1 else list(before)
            turns.append(Turn(prompt, most, target=answer))
            if self._history == RECORDED:
                before.append({"role": "assistant", "content": answer or ""})
        return Session(plan.id, turns)


def _count_words(text: str) -> int:
    return len(text.split())


def _find_counter(tokenizer: Tokenizer | None, data: Iterable[Sample]) -> tuple[Callable[[str], int], str]:
    """What counts the tokens of recorded answers, and what is to be said of it."""
    if tokenizer is None:
        return _count_words, "recorded answers are counted in words: no tokenizer is known"
    if not tokenizer.slow:
        return lambda text: len(tokenizer.encode(text)), ""
    said = (answer for sample in data for _, answer in split_turns(sample) if isinstance(answer, str))
    texts = list(islice((text for text in said if text.strip()), _COUNTED))
    if not texts:
        return _count_words, ""
    letters = sum(map(len, texts)) / sum(len(tokenizer.encode(text)) for text in texts)
    remark = (
        f"recorded answers are counted by their letters, {letters:.1f} a token as in the first {len(texts)}"
    )
    return lambda text: round(len(text) / letters), remark


def split_turns(sample: Sample) -> Sequence[tuple[Sequence[Any], Any]]:
    """What the user says, turn by turn, each with what was answered; the system's words before the first."""
    if "turns" in sample.meta:
        # Those of a set of questions: what the model answers is not known before.
        return [([{"role": "user", "content": text}], None) for text in sample.meta["turns"]]
    given = [{"role": "user", "content": sample.input}] if isinstance(sample.input, str) else sample.input
    found: list[tuple[list[Any], Any]] = []
    before: list[Any] = []
    for turn in given:
        if turn["role"] == "assistant":
            if found and not before:
                found[-1] = (found[-1][0], turn["content"])
            else:
                # It spoke first.
                before.append(turn)
        elif turn["role"] == "user":
            found.append(([*before, turn], None))
            before = []
        else:
            before.append(turn)
    if found and found[-1][1] is None:
        found[-1] = (found[-1][0], sample.target)
    return found


def make_sharegpt(
    data: Any, *, output: Any = None, model: Model | None = None, **options: Any
) -> Conversations:
    """Conversations in the layout of ShareGPT."""
    own = {"layout": "sharegpt", "output": output, "model": model, **options}
    return Conversations(data, **own)


def make_mtbench(
    data: Any, *, output: Any = 1024, model: Model | None = None, **options: Any
) -> Conversations:
    """Questions of two turns in the layout of MT-Bench; an answer may have 1024 tokens."""
    own = {"layout": "mtbench", "output": output, "model": model, **options}
    return Conversations(data, **own)
