"""The embedded engine: small Llama-family folders in numpy, by default a model that comes with the package.

Embedded()                                    a million parameters, a few MB, trained on arithmetic
Embedded("./SmolLM2-135M-Instruct")           any folder of Llama's family, up to a few hundred MB
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steelyard.errors import ModelError, SteelyardError, UsageError, describe
from steelyard.models.base import LocalModel
from steelyard.models.chat import read_json, read_template, special_tokens
from steelyard.models.folders import fingerprint
from steelyard.models.parameters import Sampling, cut, read_params
from steelyard.plugins import source_digest
from steelyard.types import Prompt, Request, Response, Tokens

if TYPE_CHECKING:
    from steelyard.models.llama.decoding import Answer
    from steelyard.models.llama.likelihood import Question
    from steelyard.models.llama.network import Network

DEFAULT = Path(__file__).parent / "embedded_default"

# Keys and values of one batch take this much at most, unless batch_tokens says otherwise.
_BATCH_BYTES = 256 * 2**20
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


class Embedded(LocalModel):
    """Continues prompts and scores continuations with a small model, on the CPU, without torch."""

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        chat: bool | None = None,
        batch_size: int = 128,
        batch_tokens: int | None = None,
        max_tokens: int = 256,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = DEFAULT if path is None else Path(path).expanduser()
        self._name = "embedded" if path is None else self.path.resolve().name
        self.params = {"max_tokens": max_tokens, **(params or {})}
        read_params(self.params)
        self._network = load_network(self.path)
        self._tokenizer = load_tokenizer(self.path)
        self._template = read_template(self.path)
        self._begin, self._ends = read_marks(self.path, self._tokenizer)
        self._fingerprint = fingerprint(self.path)
        self.chat = self._template is not None if chat is None else chat
        shape = self._network.shape
        self.batch_size = batch_size
        token_bytes = 2 * 4 * shape.layers * shape.groups * shape.head
        self.batch_tokens = batch_tokens or max(4096, _BATCH_BYTES // token_bytes)
        self._kept: dict[int, tuple[Request, Asked | str]] = {}
        super().__init__()

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self._name

    def identity(self) -> Mapping[str, Any]:
        """Weights and tokenizer, the code that computes with them, and the options that shape answers."""
        base = super().identity()
        return {
            **base,
            "options": {k: v for k, v in base["options"].items() if k not in _BATCHING},
            "fingerprint": self._fingerprint,
            "engine": source_digest(type(self._network)),
            "chat": self.chat,
            "params": self.params,
        }

    def length(self, request: Request) -> int:
        """How many tokens the request has."""
        asked = self._read(request)
        while len(self._kept) >= _MOST_KEPT:
            self._kept.pop(next(iter(self._kept)), None)
        self._kept[id(request)] = (request, asked)
        return 0 if isinstance(asked, str) else asked.size

    def batch(self, requests: Sequence[Request]) -> list[Response]:
        """Answer requests together; one that cannot be answered says why."""
        from steelyard.models.llama.decoding import Answer, decode
        from steelyard.models.llama.likelihood import Question, score

        responses: dict[int, Response] = {}
        questions: dict[int, Question] = {}
        answers: dict[int, Answer] = {}
        for place, request in enumerate(requests):
            kept = self._kept.pop(id(request), None)
            asked = self._read(request) if kept is None else kept[1]
            if isinstance(asked, str):
                responses[place] = Response(error=asked)
            elif asked.sampling is None:
                questions[place] = Question(asked.prompt, asked.choices)
            else:
                left = self._network.shape.positions - len(asked.prompt)
                limit = min(asked.sampling.max_tokens, left)
                answers[place] = Answer(asked.prompt, asked.sampling, limit)
        if questions:
            score(self._network, list(questions.values()))
            responses |= {place: _scored(question) for place, question in questions.items()}
        if answers:
            decode(self._network, list(answers.values()), ends=self._ends, text_of=self._text)
            responses |= {place: self._said(answer) for place, answer in answers.items()}
        return [responses[place] for place in range(len(requests))]

    def free(self) -> None:
        """Give the shared prefix back."""
        self._network.forget()

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
        prompt = self._tokens(text, special=special) or self._start()
        self._check(len(prompt) + 1)
        return Asked(prompt, sampling=sampling)

    def _encode_choices(self, text: str, choices: Sequence[str], *, special: bool) -> Asked:
        if not choices or not all(choices):
            raise UsageError("a choice is empty" if choices else "there are no choices")
        # Tokens mostly begin with a space, not end with one: it goes with what follows.
        context = text.rstrip()
        space = text[len(context) :]
        prompt = self._tokens(context, special=special) if context else []
        continuations = []
        for choice in choices:
            whole = self._tokens(context + space + choice, special=special and bool(context))
            # Whatever of the choice melts into the prompt's last token, its own tokens are never none.
            continuations.append(whole[len(prompt) :] or self._tokens(choice, special=False))
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
        positions = self._network.shape.positions
        if length > positions:
            raise UsageError(f"the prompt needs {length} tokens, {self.name} has {positions} positions")

    def _start(self) -> list[int]:
        """What stands before a text when nothing does."""
        if self._begin is None:
            raise UsageError(f"the prompt is empty, and {self.name} has no token to begin with")
        return [self._begin]

    def _tokens(self, text: str, *, special: bool) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=special).ids
        return ids

    def _text(self, tokens: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True)
        return text

    def _said(self, answer: Answer) -> Response:
        tokens = answer.tokens
        ended = tokens[-1] in self._ends
        return Response(
            text=cut(self._text(tokens[:-1] if ended else tokens), answer.sampling.stop),
            tokens=Tokens(len(answer.prompt), len(tokens)),
            raw={"finish": answer.finish},
        )


def load_network(folder: Path) -> Network:
    """The network of a model folder."""
    # Small matrices gain nothing from threads that wait for each other; whoever set it is obeyed.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from steelyard.models.llama.network import Network
    from steelyard.models.llama.shape import read_shape
    from steelyard.models.llama.weights import Weights

    if not folder.is_dir():
        raise ModelError(
            f"there is no model folder {folder}", hint="it needs config.json, tokenizer and weights"
        )
    if not (folder / "config.json").is_file():
        raise ModelError(f"the model folder {folder} has no config.json", hint="is it a whole model folder?")
    return Network(read_shape(read_json(folder / "config.json"), name=str(folder)), Weights(folder))


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a model folder, which neither cuts nor pads."""
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json"
    if not file.is_file():
        hint = "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER) writes it from older files"
        raise ModelError(f"the model folder {folder} has no tokenizer.json", hint=hint)
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:
        raise ModelError(
            f"{file} cannot be read: {describe(error)}", hint="is the download complete?"
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def read_marks(folder: Path, tokenizer: Any) -> tuple[int | None, frozenset[int]]:
    """The token that a text begins with, and those that end an answer."""
    config = {**read_json(folder / "config.json"), **read_json(folder / "generation_config.json")}
    named = special_tokens(folder)
    begin = config.get("bos_token_id")
    if begin is None and "bos_token" in named:
        begin = tokenizer.token_to_id(named["bos_token"])
    ends = config.get("eos_token_id")
    listed = set(ends) if isinstance(ends, list) else set() if ends is None else {ends}
    if "eos_token" in named:
        listed.add(tokenizer.token_to_id(named["eos_token"]))
    listed.discard(None)
    return begin if begin is not None else min(listed, default=None), frozenset(listed)


def _scored(question: Question) -> Response:
    counts = [len(choice) for choice in question.choices]
    return Response(
        scores=tuple(question.scores),
        tokens=Tokens(len(question.prompt) + sum(counts), 0),
        raw={"tokens": counts, "greedy": question.greedy},
    )
