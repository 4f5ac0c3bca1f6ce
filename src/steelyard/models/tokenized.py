"""What text models of our own engines share: prompts to tokens, choices, limits, one failure at a time."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar, cast

from steelyard.errors import SteelyardError, UsageError, describe
from steelyard.models.answers import Answer
from steelyard.models.base import Listener, LocalModel, clock
from steelyard.models.parameters import Sampling, read_params
from steelyard.models.pieces import find_bytes
from steelyard.types import TOKENS, Message, Prompt, Request, Response, Tokens
from steelyard.wire.likelihoods import Odds

# Requests whose tokens are kept between being measured and being answered.
_MOST_KEPT = 8192
# A text is cut here to find out what it begins with; what stands this near behind is part of the cut.
_CUT, _NEAR = "\n\n", 2
# Less than so many letters are not worth it.
_SHORTEST_BEGINNING = 200
# How requests are batched does not shape their answers.
_BATCHING = {"batch_size", "batch_tokens"}


class Encoded(Protocol):
    """A request in tokens; `size` is what batches are cut by.

    One that has a field `listener` is given who listens to its answer.
    """

    @property
    def size(self) -> int:
        """How many tokens it takes."""


class Template(Protocol):
    """What makes one text of the turns of a chat."""

    def render(self, messages: Sequence[Message]) -> str:
        """The turns as one text, at the end of which the model answers."""


E = TypeVar("E", bound=Encoded)


class EncodingModel(LocalModel, Generic[E]):
    """A model whose requests become tokens once, are measured and then answered; one fails alone."""

    batch_begun: float = 0.0
    """When the batch under way was begun, which is when its answers were."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[Request, E | str]] = {}
        super().__init__()

    @abstractmethod
    def encode(self, request: Request) -> E:
        """The request in tokens; raises what is wrong with it."""

    @abstractmethod
    def answer(self, encoded: Sequence[E]) -> list[Response]:
        """Answer requests that nothing is wrong with, in their order."""

    def identity(self) -> Mapping[str, Any]:
        """All that shapes the answers: batching does not."""
        base = super().identity()
        options = {name: value for name, value in base["options"].items() if name not in _BATCHING}
        return {**base, "options": options, "chat": self.chat}

    def size(self, encoded: E) -> int:
        """What batches are cut by: how many tokens a request takes."""
        return encoded.size

    def length(self, request: Request) -> int:
        """How many tokens the request takes."""
        encoded = self._read(request)
        while len(self._kept) >= _MOST_KEPT:
            self._kept.pop(next(iter(self._kept)), None)
        self._kept[id(request)] = (request, encoded)
        return 0 if isinstance(encoded, str) else self.size(encoded)

    def batch(self, requests: Sequence[Request]) -> list[Response]:
        """Answer requests together; one that cannot be answered says why."""
        self.batch_begun = clock()
        encoded = []
        for request in requests:
            kept = self._kept.pop(id(request), None)
            one = self._read(request) if kept is None else kept[1]
            listener = self.listener(request)
            encoded.append(one if listener is None else _heard(one, listener))
        good = [one for one in encoded if not isinstance(one, str)]
        answers = iter(self.answer(good) if good else [])
        return [
            self.refuse(request, one) if isinstance(one, str) else next(answers)
            for request, one in zip(requests, encoded)
        ]

    def _read(self, request: Request) -> E | str:
        """The request in tokens, or what is wrong with it."""
        try:
            return self.encode(request)
        except SteelyardError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - a foreign template; the request fails, not the run
            return describe(error)


def _heard(encoded: E | str, listener: Listener) -> E | str:
    """The same with its listener, if it has a place for one."""
    return (
        cast(E, replace(cast(Any, encoded), listener=listener)) if hasattr(encoded, "listener") else encoded
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """A request in tokens: with `choices` to be scored, else with `sampling` to be continued.

    With `told` it is a text of its own, of which every token behind the first is to be told.
    """

    prompt: Sequence[int]
    choices: Sequence[Sequence[int]] = ()
    sampling: Sampling | None = None
    listener: Listener | None = None
    told: bool = False

    @property
    def size(self) -> int:
        """How many tokens are fed at the least."""
        return len(self.prompt) + sum(len(choice) - 1 for choice in self.choices)


class TokenModel(EncodingModel[Asked]):
    """A text model that is fed tokens. Its engines write `tokens`, `text`, `proceed` and `score`."""

    others: frozenset[str] = frozenset()
    """Names of parameters that it knows besides ours."""

    def __init__(
        self,
        *,
        template: Template | None,
        begin: int | None,
        positions: int | None,
        chat: bool | None,
        params: Mapping[str, Any],
    ) -> None:
        self.params = dict(params)
        read_params(self.params, others=self.others)
        self.positions = positions
        self.chat = template is not None if chat is None else chat
        self._template = template
        self._begin = begin
        self._last: tuple[str, str, bool] | None = None
        self._begun: list[int] | None = None
        self._bytes_alone: frozenset[int] | None = None
        self._fitted: Mapping[str, Any] = {}
        super().__init__()

    @abstractmethod
    def tokens(self, text: str, *, special: bool) -> list[int]:
        """A text in tokens, with the special ones that its beginning or end gets."""

    @abstractmethod
    def text(self, tokens: Sequence[int]) -> str:
        """Tokens as a text, without the special ones."""

    @abstractmethod
    def proceed(self, asked: Sequence[Asked]) -> list[Response]:
        """Continue prompts."""

    @abstractmethod
    def score(self, asked: Sequence[Asked]) -> list[Response]:
        """Score the choices behind prompts."""

    def identity(self) -> Mapping[str, Any]:
        """As every model's, with the default parameters of its answers."""
        return {**super().identity(), "params": self.params, **self._fitted}

    def fit(self, positions: int | None, *, middle: bool = False) -> None:
        """Take no more tokens than these, prompt and answer together.

        A prompt that leaves its answer too few loses its middle with `middle`; else it is refused.
        """
        limits = [limit for limit in (self.positions, positions) if limit is not None]
        self.positions = min(limits, default=None)
        self._fitted = {"positions": positions, "middle": middle}

    def answer(self, encoded: Sequence[Asked]) -> list[Response]:
        """Continue what is open, score what has choices."""
        # A text of one token has none to be told of.
        scored = [one for one in encoded if one.sampling is None and any(one.choices)]
        continued = [one for one in encoded if one.sampling is not None]
        scores = iter(self.score(scored) if scored else [])
        answers = iter(self.proceed(continued) if continued else [])
        bare = Response(tokens=Tokens(1, 0), raw={"looks": ()})
        return [
            next(answers)
            if one.sampling is not None
            else self._tell(one, next(scores) if any(one.choices) else bare)
            if one.told
            else next(scores)
            for one in encoded
        ]

    def vocabulary(self) -> Mapping[str, int]:
        """How its tokens are written; needed only of tokenizers with tokens for single bytes."""
        return {}

    def begin_answers(self, asked: Sequence[Asked]) -> list[Answer]:
        """The answers to prompts, still to be written, with who listens to them."""
        return [
            Answer(
                one.prompt,
                one.sampling,
                self.limit(one, one.sampling),
                listener=one.listener,
                begun=self.batch_begun or clock(),
                bytes_alone=frozenset() if one.listener is None else self._find_bytes(),
            )
            for one in asked
            if one.sampling
        ]

    def _find_bytes(self) -> frozenset[int]:
        if self._bytes_alone is None:
            self._bytes_alone = find_bytes(self.vocabulary())
        return self._bytes_alone

    def tokens_behind(self, text: str, *, special: bool) -> list[int]:
        """A text in tokens, those that it shares with the one before (worked examples) not made again."""
        cut = text.rfind(_CUT)
        if cut < _SHORTEST_BEGINNING:
            return self.tokens(text, special=special)
        begin, rest = text[:cut], text[cut:]
        key = (begin, rest[: len(_CUT) + _NEAR], special)
        if key != self._last:
            self._last, self._begun = key, None
            return self.tokens(text, special=special)
        if self._begun is None:
            whole = self.tokens(text, special=special)
            begun = self.tokens(begin, special=special)
            # Only where the tokenizer itself sees two parts; an empty list says that it does not.
            self._begun = begun if begun + self.tokens(rest, special=False) == whole else []
            return whole
        if not self._begun:
            return self.tokens(text, special=special)
        return self._begun + self.tokens(rest, special=False)

    def limit(self, asked: Asked, sampling: Sampling) -> int:
        """How long the answer may become."""
        if self.positions is None:
            return sampling.max_tokens
        return min(sampling.max_tokens, self.positions - len(asked.prompt))

    def encode(self, request: Request) -> Asked:
        """The request in tokens; raises what is wrong with it."""
        text, special, given = "", False, self._given_tokens(request.prompt)
        if given is None:
            text, special = self.render(request.prompt)
        if self.tells_tokens and request.choices is not None and request.params.get("echo"):
            return self._encode_alone(given or self.tokens(text, special=special) or self._start())
        if request.choices is not None:
            if given is not None:
                raise UsageError("choices stand behind a text, not behind tokens")
            return self._encode_choices(text, request.choices, special=special)
        sampling = read_params({**self.params, **request.params}, others=self.others)
        prompt = given or self.tokens_behind(text, special=special) or self._start()
        if self._fitted.get("middle") and self.positions is not None:
            prompt = leave_out_middle(prompt, max(self.positions - sampling.max_tokens, 1))
        self.check(len(prompt) + 1)
        return Asked(prompt, sampling=sampling)

    def _encode_choices(self, text: str, choices: Sequence[str], *, special: bool) -> Asked:
        if not choices or not all(choices):
            raise UsageError("a choice is empty" if choices else "there are no choices")
        # Tokens mostly begin with a space, not end with one: it goes with what follows.
        context = text.rstrip()
        space = text[len(context) :]
        prompt = self.tokens_behind(context, special=special) if context else []
        continuations = []
        for choice in choices:
            whole = self.tokens_behind(context + space + choice, special=special and bool(context))
            # Whatever of the choice melts into the prompt's last token, its own tokens are never none.
            continuations.append(whole[len(prompt) :] or self.tokens(choice, special=False))
        prompt = prompt or self._start()
        self.check(len(prompt) + max(map(len, continuations)) - 1)
        return Asked(prompt, choices=continuations)

    def _given_tokens(self, prompt: Prompt) -> list[int] | None:
        """The prompt, where it comes in tokens: nothing is put before them."""
        if not self.known_tokens or not isinstance(prompt, Mapping) or set(prompt) != {TOKENS}:
            return None
        given = prompt[TOKENS]
        if not isinstance(given, list) or not given:
            raise UsageError(f"{TOKENS}: a list of tokens was expected")
        for token in given:
            # One that is not there would be another one to numpy, and the end of a device to CUDA.
            if type(token) is not int or not 0 <= token < self.known_tokens:
                raise UsageError(f"{self.name} has no token {token!r}", hint=f"it has {self.known_tokens}")
        return given

    def _encode_alone(self, ids: list[int]) -> Asked:
        self.check(len(ids))
        return Asked(ids[:1], choices=[ids[1:]], told=True)

    def _tell(self, asked: Asked, response: Response) -> Response:
        """How likely each token of a text is, of what was found of them."""
        (behind,) = asked.choices
        odds = [Odds(self.text(asked.prompt), None, False)]
        for token, look in zip(behind, response.raw["looks"]):
            text, likeliest = self.text([token]), self.text([look.likeliest])
            # Two tokens may be written alike (parts of a letter); the likelier one is then told.
            top = {text: look.logprob, likeliest: look.highest}
            odds.append(Odds(text, look.logprob, look.likeliest == token, top))
        return Response(scores=(), tokens=response.tokens, raw={"odds": odds})

    def render(self, prompt: Prompt) -> tuple[str, bool]:
        """The prompt as one text, and whether the tokenizer's special tokens are still to be added."""
        if isinstance(prompt, str):
            return prompt, True
        if isinstance(prompt, Mapping):
            raise UsageError(f"{self.name} takes a text or the turns of a chat", hint="not a mapping")
        if self._template is None:
            raise UsageError(f"{self.name} has no chat template", hint="give a text, or chat=false")
        return self._template.render(prompt), False

    def check(self, length: int) -> None:
        """Raise unless the model has so many positions."""
        if self.positions is not None and length > self.positions:
            raise UsageError(f"the prompt needs {length} tokens, {self.name} has {self.positions} positions")

    def _start(self) -> list[int]:
        """What stands before a text when nothing does."""
        if self._begin is None:
            raise UsageError(f"the prompt is empty, and {self.name} has no token to begin with")
        return [self._begin]


def leave_out_middle(tokens: list[int], room: int) -> list[int]:
    """The first and the last tokens, as many as there is room for."""
    if len(tokens) <= room:
        return tokens
    return tokens[: room - room // 2] + tokens[len(tokens) - room // 2 :]
