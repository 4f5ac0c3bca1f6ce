"""What text models of our own engines share: prompts to tokens, choices, limits, one failure at a time."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from steelyard.errors import SteelyardError, UsageError, describe
from steelyard.models.base import LocalModel
from steelyard.models.chat import ChatTemplate
from steelyard.models.parameters import Sampling, read_params
from steelyard.types import Prompt, Request, Response

# Requests whose tokens are kept between being measured and being answered.
_MOST_KEPT = 8192
# How requests are batched does not shape their answers.
_BATCHING = {"batch_size", "batch_tokens"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request in tokens: with `choices` to be scored, else with `sampling` to be continued."""

    prompt: Sequence[int]
    choices: Sequence[Sequence[int]] = ()
    sampling: Sampling | None = None

    @property
    def size(self) -> int:
        """How many tokens are fed at the least."""
        return len(self.prompt) + sum(len(choice) - 1 for choice in self.choices)


class TokenModel(LocalModel):
    """A text model that is fed tokens. Its engines write `tokens`, `text`, `proceed` and `score`."""

    def __init__(
        self,
        *,
        template: ChatTemplate | None,
        begin: int | None,
        positions: int,
        chat: bool | None,
        params: Mapping[str, Any],
    ) -> None:
        self.params = dict(params)
        read_params(self.params)
        self.positions = positions
        self.chat = template is not None if chat is None else chat
        self._template = template
        self._begin = begin
        self._kept: dict[int, tuple[Request, Asked | str]] = {}
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
        """All that shapes the answers: batching does not."""
        base = super().identity()
        options = {name: value for name, value in base["options"].items() if name not in _BATCHING}
        return {**base, "options": options, "chat": self.chat, "params": self.params}

    def length(self, request: Request) -> int:
        """How many tokens the request has."""
        asked = self._read(request)
        while len(self._kept) >= _MOST_KEPT:
            self._kept.pop(next(iter(self._kept)), None)
        self._kept[id(request)] = (request, asked)
        return 0 if isinstance(asked, str) else asked.size

    def batch(self, requests: Sequence[Request]) -> list[Response]:
        """Answer requests together; one that cannot be answered says why."""
        responses: dict[int, Response] = {}
        open_: dict[int, Asked] = {}
        scored: dict[int, Asked] = {}
        for place, request in enumerate(requests):
            kept = self._kept.pop(id(request), None)
            asked = self._read(request) if kept is None else kept[1]
            if isinstance(asked, str):
                responses[place] = Response(error=asked)
            else:
                (scored if asked.sampling is None else open_)[place] = asked
        if scored:
            responses |= zip(scored, self.score(list(scored.values())))
        if open_:
            responses |= zip(open_, self.proceed(list(open_.values())))
        return [responses[place] for place in range(len(requests))]

    def limit(self, asked: Asked, sampling: Sampling) -> int:
        """How long the answer may become."""
        return min(sampling.max_tokens, self.positions - len(asked.prompt))

    def _read(self, request: Request) -> Asked | str:
        """The request in tokens, or what is wrong with it."""
        try:
            return self._encode(request)
        except SteelyardError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - a foreign template; the request fails, not the run
            return describe(error)

    def _encode(self, request: Request) -> Asked:
        text, special = self._render(request.prompt)
        if request.choices is not None:
            return self._encode_choices(text, request.choices, special=special)
        sampling = read_params({**self.params, **request.params})
        prompt = self.tokens(text, special=special) or self._start()
        self._check(len(prompt) + 1)
        return Asked(prompt, sampling=sampling)

    def _encode_choices(self, text: str, choices: Sequence[str], *, special: bool) -> Asked:
        if not choices or not all(choices):
            raise UsageError("a choice is empty" if choices else "there are no choices")
        # Tokens mostly begin with a space, not end with one: it goes with what follows.
        context = text.rstrip()
        space = text[len(context) :]
        prompt = self.tokens(context, special=special) if context else []
        continuations = []
        for choice in choices:
            whole = self.tokens(context + space + choice, special=special and bool(context))
            # Whatever of the choice melts into the prompt's last token, its own tokens are never none.
            continuations.append(whole[len(prompt) :] or self.tokens(choice, special=False))
        prompt = prompt or self._start()
        self._check(len(prompt) + max(map(len, continuations)) - 1)
        return Asked(prompt, choices=continuations)

    def _render(self, prompt: Prompt) -> tuple[str, bool]:
        """The prompt as one text, and whether the tokenizer's special tokens are still to be added."""
        if isinstance(prompt, str):
            return prompt, True
        if isinstance(prompt, Mapping):
            raise UsageError(f"{self.name} takes a text or the turns of a chat", hint="not a mapping")
        if self._template is None:
            raise UsageError(f"{self.name} has no chat template", hint="give a text, or chat=false")
        return self._template.render(prompt), False

    def _check(self, length: int) -> None:
        if length > self.positions:
            raise UsageError(f"the prompt needs {length} tokens, {self.name} has {self.positions} positions")

    def _start(self) -> list[int]:
        """What stands before a text when nothing does."""
        if self._begin is None:
            raise UsageError(f"the prompt is empty, and {self.name} has no token to begin with")
        return [self._begin]
