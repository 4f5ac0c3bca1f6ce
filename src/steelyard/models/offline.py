"""Engines that take a whole batch, texts and pictures: all that vLLM and SGLang have in common.

Requests become tokens here, by the model's own tokenizer and chat template, as for every other
Hugging Face model. An engine writes `run`: Jobs in, an Outcome for each out; one may fail alone.
"""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steelyard.errors import UsageError
from steelyard.media.images import Image, as_image
from steelyard.models.answers import Question
from steelyard.models.credentials import show_options
from steelyard.models.parameters import Sampling, cut
from steelyard.models.pictures import Gallery
from steelyard.models.tokenized import Asked, TokenModel
from steelyard.types import Message, Part, Prompt, Request, Response, Timing, Tokens

if TYPE_CHECKING:
    from steelyard.models.processors import Seer

# Engines batch by themselves, token for token: the more there is to choose from, the better. What
# is prepared of pictures waits in memory, so fewer of them are taken at a time.
_TEXTS, _PICTURED = 256, 64
# Parameters that say how an answer is written: then it is taken as the engine wrote it.
_WRITING = {
    *("skip_special_tokens", "spaces_between_special_tokens"),
    *("include_stop_str_in_output", "no_stop_trim"),
}
# More choices of one token than this are scored one by one: engines have limits.
_MOST_NEXT = 100


@dataclass(frozen=True, slots=True)
class Job:
    """What an engine is to do with one prompt.

    With `sampling` it is continued by at most `limit` tokens. With `following` it is asked how
    likely each of these tokens is as the next. Else its own last `scored` tokens are scored.
    """

    prompt: Sequence[int]
    pictures: Sequence[Any] = ()
    sampling: Sampling | None = None
    limit: int = 1
    following: Sequence[int] = ()
    scored: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a Job: the tokens of its answer, or what was found of the tokens to be scored.

    `ended` says that the last token only ends the answer, `read` how many tokens the prompt had,
    `scores` holds a log-probability and whether the token is the likeliest, for each in its order.
    """

    tokens: Sequence[int] = ()
    text: str = ""
    finish: str = ""
    ended: bool = False
    read: int = 0
    scores: Sequence[tuple[float, bool]] = ()
    timing: Timing | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Shown(Asked):
    """A request with pictures, and (once it is prepared) what they show."""

    images: Sequence[Image] = ()
    opened: list[Any] = field(default_factory=list)


class OfflineModel(TokenModel):
    """A model in an engine of its own. Engines write `run` and `others`, and set `positions`."""

    metered = True
    limits_pictures = False
    """Whether the engine itself makes pictures as large as `pixels` says."""

    def __init__(
        self,
        path: str | Path,
        *,
        revision: str | None = None,
        cache_dir: str | None = None,
        trust_remote_code: bool = False,
        tokenizer_kwargs: Mapping[str, Any] | None = None,
        processor_kwargs: Mapping[str, Any] | None = None,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
        chat: bool | None = None,
        batch_size: int | None = None,
        max_tokens: int = 256,
        params: Mapping[str, Any] | None = None,
        **engine: Any,
    ) -> None:
        """Open all but the engine, which takes the options that are none of these."""
        from steelyard.models import checkpoints, pretrained

        self.source = checkpoints.find_source(
            str(path), revision=revision, cache_dir=cache_dir, trust_remote_code=trust_remote_code
        )
        config = checkpoints.read_config(self.source)
        self.tokenizer = checkpoints.read_tokenizer(self.source, tokenizer_kwargs or {})
        self.engine = {"trust_remote_code": trust_remote_code, **engine}
        limits = {"min_pixels": min_pixels, "max_pixels": max_pixels}
        self.pixels = {name: value for name, value in limits.items() if value is not None}
        self._seer, known = None, False
        if getattr(config, "vision_config", None) is not None:
            self._seer, known = self._open_eyes(config, processor_kwargs or {})
        self.shaping = {**(processor_kwargs or {}), **(self.pixels if known else {})}
        self._gallery = Gallery() if known else Gallery(least=min_pixels, most=max_pixels)
        self.batch_size = batch_size or (_TEXTS if self._seer is None else _PICTURED)
        # Tokenizers and what they keep are not for two threads at once.
        self._lock = threading.Lock()
        self._ahead: tuple[Sequence[Request], Sequence[Request]] = ((), ())
        speaks = bool(getattr(self.tokenizer, "chat_template", None))
        begins = (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id)
        super().__init__(
            template=pretrained.ChatOfTokenizer(self.tokenizer) if speaks else None,
            begin=next((int(token) for token in begins if token is not None), None),
            positions=_count_positions(config),
            chat=self._seer.has_template if chat is None and self._seer is not None else chat,
            params={"max_tokens": max_tokens, **(params or {})},
        )

    @abstractmethod
    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Do all jobs together; one that fails is an Outcome with `error`."""

    @abstractmethod
    def versions(self) -> Mapping[str, str]:
        """The engine and the libraries under it, with the versions that compute here."""

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.source.name

    def identity(self) -> Mapping[str, Any]:
        """The weights, the engine with its options and versions, and the default parameters."""
        told = {**super().identity(), "weights": self.source.fingerprint(), "versions": self.versions()}
        told.pop("options")
        seen = {} if self._seer is None else {"pictures": self._seer.settings(), **self.pixels}
        return {**told, "engine": show_options(self.engine), **seen}

    def length(self, request: Request) -> int:
        """Nothing: engines that batch token for token need no prompts of like length."""
        return 0

    def prepare(self, requests: Sequence[Request]) -> None:
        """Make the tokens of the next batch, and open its pictures."""
        given_up, self._ahead = self._ahead[0], (self._ahead[1], requests)
        for request in given_up:
            self._kept.pop(id(request), None)
        for request, encoded in zip(requests, self._read_all(requests)):
            self._kept[id(request)] = (request, encoded)

    def batch(self, requests: Sequence[Request]) -> list[Response]:
        """Answer requests together; one that cannot be answered says why."""
        known = {id(request): self._kept.pop(id(request), None) for request in requests}
        missing = [request for request in requests if known[id(request)] is None]
        read = {key: kept[1] for key, kept in known.items() if kept is not None}
        read.update(zip(map(id, missing), self._read_all(missing)))
        encoded = [read[id(request)] for request in requests]
        answers = iter(self.answer([one for one in encoded if not isinstance(one, str)]))
        return [
            self.refuse(request, one) if isinstance(one, str) else next(answers)
            for request, one in zip(requests, encoded)
        ]

    def encode(self, request: Request) -> Asked:
        """The request in tokens, with its pictures; raises what is wrong with it."""
        images = find_images(request.prompt)
        if self._seer is None:
            if images:
                raise UsageError(f"{self.name} takes no pictures")
            return super().encode(request)
        if request.choices is not None:
            request = replace(request, choices=[self._seer.plain(choice) for choice in request.choices])
        asked = super().encode(request)
        return Shown(asked.prompt, asked.choices, asked.sampling, images=images) if images else asked

    def render(self, prompt: Prompt) -> tuple[str, bool]:
        """The prompt as one text, and whether the tokenizer's special tokens are still to be added."""
        if self._seer is None or isinstance(prompt, Mapping):
            return super().render(prompt)
        if isinstance(prompt, str):
            return self._seer.plain(prompt), True
        return self._seer.render([_show(turn, self._seer, name=self.name) for turn in prompt])

    def tokens(self, text: str, *, special: bool) -> list[int]:
        """A text in tokens, with the special ones that the tokenizer adds."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"]
        return ids

    def text(self, tokens: Sequence[int]) -> str:
        """Tokens as a text, without the special ones."""
        text: str = self.tokenizer.decode(
            list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

    def answer(self, encoded: Sequence[Asked]) -> list[Response]:
        """Answer all together: engines mix what is continued and what is scored."""
        jobs = [list(self._jobs(one)) for one in encoded]
        outcomes = iter(self.run([job for several in jobs for job in several]))
        return [self._respond(one, list(islice(outcomes, len(n)))) for one, n in zip(encoded, jobs)]

    def proceed(self, asked: Sequence[Asked]) -> list[Response]:
        """Continue prompts."""
        return self.answer(asked)

    def score(self, asked: Sequence[Asked]) -> list[Response]:
        """Score the choices behind prompts."""
        return self.answer(asked)

    def close(self) -> None:
        """End the threads; engines give their memory back as well."""
        super().close()
        self._gallery.close()

    def _open_eyes(self, config: Any, options: Mapping[str, Any]) -> tuple[Seer, bool]:
        """What shows pictures as the model's family wants them, and whether it knows limits of size."""
        from steelyard.models import processors

        processor = processors.read_processor(self.source, config, options=options)
        known = self.limits_pictures and processors.limit_pixels(
            processor, least=self.pixels.get("min_pixels"), most=self.pixels.get("max_pixels")
        )
        return processors.Seer(processor, config, name=self.name), known

    def _read_all(self, requests: Sequence[Request]) -> list[Asked | str]:
        """Requests in tokens, their pictures opened; in place of a bad one what is wrong with it."""
        with self._lock:
            encoded = [self._read(request) for request in requests]
        images = [image for one in encoded if isinstance(one, Shown) for image in one.images]
        opened = iter(self._gallery.open(images) if images else ())
        read: list[Asked | str] = []
        for one in encoded:
            if isinstance(one, Shown):
                pictures = list(islice(opened, len(one.images)))
                one.opened.extend(pictures)
                wrong = next((picture for picture in pictures if isinstance(picture, str)), None)
                read.append(one if wrong is None else wrong)
            else:
                read.append(one)
        return read

    def _jobs(self, one: Asked) -> Iterator[Job]:
        """What the engine has to do for a request."""
        job = Job(one.prompt, pictures=one.opened if isinstance(one, Shown) else ())
        firsts = [choice[0] for choice in one.choices]
        if one.sampling is not None:
            yield replace(job, sampling=one.sampling, limit=self.limit(one, one.sampling))
        elif len(firsts) <= _MOST_NEXT and all(len(choice) == 1 for choice in one.choices):
            yield replace(job, following=firsts)
        else:
            for choice in one.choices:
                yield replace(job, prompt=[*one.prompt, *choice], scored=len(choice))

    def _respond(self, one: Asked, outcomes: Sequence[Outcome]) -> Response:
        """The answer to a request, of what became of its jobs."""
        error = next((outcome.error for outcome in outcomes if outcome.error is not None), None)
        if error is not None:
            return Response(error=error)
        if one.sampling is not None:
            return self._write(one.sampling, outcomes[0])
        question = Question(one.prompt, one.choices)
        together = len(outcomes) == 1 and len(outcomes[0].scores) == len(one.choices)
        rows = [[score] for score in outcomes[0].scores] if together else [done.scores for done in outcomes]
        for row in rows:
            question.add(sum(score for score, _ in row), greedy=all(own for _, own in row))
        # The engine opens out the marks of pictures: it knows how many tokens a prompt has.
        more = outcomes[0].read - len(one.prompt) - (0 if together else len(one.choices[0]))
        told = question.response()
        fed = told.tokens.input or 0 if told.tokens is not None else 0
        return replace(told, tokens=Tokens(fed + more, 0))

    def _write(self, sampling: Sampling, outcome: Outcome) -> Response:
        said = outcome.tokens[:-1] if outcome.ended else outcome.tokens
        # Written here as for any other model: engines keep back half a character at the end.
        own = bool(_WRITING & sampling.others.keys())
        return Response(
            text=outcome.text if own else cut(self.text(said), sampling.stop),
            tokens=Tokens(outcome.read, len(outcome.tokens)),
            timing=outcome.timing,
            raw={"finish": outcome.finish},
        )


def find_images(prompt: Prompt) -> list[Image]:
    """The pictures of a prompt, in the order in which they are shown."""
    if isinstance(prompt, (str, Mapping)):
        return []
    parts = [part for turn in prompt if not isinstance(turn["content"], str) for part in turn["content"]]
    return [as_image(part.data) for part in parts if part.kind == "image"]


def _show(turn: Message, seer: Seer, *, name: str) -> dict[str, Any]:
    """A turn as templates for pictures want it; what a text says is no mark of a picture."""
    content = turn["content"]
    parts = []
    for part in [Part("text", content)] if isinstance(content, str) else content:
        if part.kind == "audio":
            raise UsageError(f"{name} takes no audio")
        text = {"type": "text", "text": seer.plain(str(part.data))}
        parts.append({"type": "image"} if part.kind == "image" else text)
    return {"role": turn["role"], "content": parts}


def _count_positions(config: Any) -> int | None:
    limit = getattr(config.get_text_config(), "max_position_embeddings", None)
    return limit if isinstance(limit, int) and limit > 0 else None
