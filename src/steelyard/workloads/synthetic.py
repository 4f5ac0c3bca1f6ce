"""Made prompts of exact length, seeded, endless unless there is a limit.

    Synthetic(input=512, output=128)
    Synthetic(input="normal:512:128", output="lognormal:200:150", tokenizer="./model")
    Synthetic(prefix=1024, groups=8, hit_rate=0.9)       what prefix caches are for
    Synthetic(turns="uniform:2:6", input=200)            conversations

`input` is what of a prompt is its own; a shared `prefix` comes before it. Session n is made of the
seed and of n alone, so that any of them can be made without those before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

from steelyard.errors import UsageError
from steelyard.models.base import Model
from steelyard.plugins import call_with
from steelyard.types import TOKENS, Prompt
from steelyard.workloads.base import Planned, Session, Turn
from steelyard.workloads.lengths import read_lengths
from steelyard.workloads.prefixes import Prefixes
from steelyard.workloads.sources import COUNT, draw, open_source
from steelyard.workloads.tokens import check_takes_tokens

TEXT, IDS = FORMS = ("text", "tokens")
_TRIED = 50


class Synthetic(Planned[int]):
    """Prompts that were made: so long, with beginnings that some of them share.

    With a `hit_rate` that share of the requests begins with a prefix that an earlier one began with, one
    of the last `groups` that were new; without it each begins with one of `groups` prefixes. `popularity`
    says how these are chosen, uniform or zipf:1.2. With template="count" the lengths are those of the
    prompt in the model's chat template. With form="tokens" prompts are tokens and no texts.
    """

    def __init__(
        self,
        *,
        input: Any = 512,  # noqa: A002
        output: Any = 128,
        prefix: Any = 0,
        groups: int = 1,
        hit_rate: float | None = None,
        popularity: str = "uniform",
        turns: Any = 1,
        template: str = "apart",
        form: str = TEXT,
        tokenizer: Any = None,
        model: Model | None = None,
        limit: int | None = None,
        seed: int = 0,
        name: str = "synthetic",
    ) -> None:
        if form not in FORMS:
            raise UsageError(f"form={form}", hint=" or ".join(FORMS))
        if form == IDS:
            check_takes_tokens(model)
        if limit is not None and limit < 1:
            raise UsageError(f"limit is {limit}", hint="at least 1, or none for no end")
        self.name, self._form, self._limit, self._seed = name, form, limit, seed
        self._input = read_lengths(input, name="input")
        self._output = None if output is None else read_lengths(output, name="output")
        self._prefix = read_lengths(prefix, name="prefix", least=0)
        self._turns = read_lengths(turns, name="turns")
        self._prefixes = Prefixes(groups, hit_rate=hit_rate, popularity=popularity, seed=seed)
        self._shared = self._prefix.spec != "0"
        if (groups > 1 or hit_rate is not None) and not self._shared:
            raise UsageError("there is no prefix to share", hint="prefix=1024 says how long they are")
        self._source = open_source(tokenizer, model=model, template=template)
        if form == IDS and self._source.tokenizer is None:
            raise UsageError("form=tokens needs a tokenizer", hint="tokenizer=FOLDER of the model")
        # Tokens are sent as they are, with nothing around them.
        self._template, self.remarks = template, self._source.remarks if form == TEXT else ()
        counted = template == COUNT and form == TEXT
        self._around = (self._source.around or 0) if counted else 0
        if self._around and all(self._input.draw(draw(seed, n)) <= self._around for n in range(_TRIED)):
            raise UsageError(f"{self._around} tokens stand around each prompt", hint="a longer input")

    def identity(self) -> Mapping[str, Any]:
        """All that shapes the sessions."""
        return {
            "workload": self.name,
            "input": self._input.identity(),
            "output": None if self._output is None else self._output.identity(),
            "turns": self._turns.identity(),
            **({"prefix": self._prefix.identity(), **self._prefixes.identity()} if self._shared else {}),
            "tokenizer": self._source.identity(),
            "template": self._template,
            "around": self._source.around,
            "form": self._form,
            "limit": self._limit,
            "seed": self._seed,
        }

    def size(self) -> int | None:
        """How many sessions there are; None where there is no end of them."""
        return self._limit

    def plans(self) -> Iterator[int]:
        """The numbers of the sessions."""
        return iter(range(self._limit)) if self._limit is not None else count()

    def share(self, first: int, every: int) -> Iterator[Session]:
        """Every so many-th session; those between cost nothing."""
        numbers = count(first, every) if self._limit is None else range(first, self._limit, every)
        return (self.session(number, number) for number in numbers)

    def session(self, number: int, plan: int) -> Session:
        """A session of one or more turns, the first of which may begin with a shared prefix."""
        # Each from a source of its own: other lengths of answers leave the questions as they are.
        lengths, outputs, texts = (draw(self._seed, what, number) for what in ("input", "output", "text"))
        meta: dict[str, Any] = {}
        before = b""
        if self._shared:
            known = self._prefixes.choose(number)
            meta = {"prefix": known.number, "hit": known.seen}
            shared = draw(self._seed, "prefix", known.number)
            before = shared.randbytes(self._prefix.draw(shared))
        turns = []
        for place in range(self._turns.draw(draw(self._seed, "turns", number))):
            length = self._input.draw(lengths)
            # Behind the first turn the model's own answers count as well: nobody knows how long those are.
            length = length if place else max(length - self._around, 1)
            output = None if self._output is None else self._output.draw(outputs)
            turns.append(self._turn(before + texts.randbytes(length), output, first=not place))
            before = b""
        return Session(str(number), turns, None, meta)

    def _turn(self, chosen: bytes, output: int | None, *, first: bool) -> Turn:
        writer = self._source.writer
        prompt: Prompt = writer.spell(chosen) if self._form == TEXT else {TOKENS: writer.number(chosen)}
        told = len(chosen) + self._around if writer.exact and first else None
        return Turn(prompt, output, tokens_in=told)


def make_prefixes(
    *, prefix: Any = 1024, groups: int = 8, output: Any = 128, model: Model | None = None, **options: Any
) -> Synthetic:
    """Prompts with a long beginning that others share: eight of 1024 tokens unless told otherwise."""
    shared = {"prefix": prefix, "groups": groups, "output": output, "model": model, "name": "prefixes"}
    made: Synthetic = call_with("the workload prefixes", Synthetic, {"input": 128, **shared, **options})
    return made
