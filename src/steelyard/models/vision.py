"""Vision-language models: questions about pictures, many at once, for any family that transformers has.

    model = load_huggingface("./Qwen2-VL-2B-Instruct", max_pixels=1_000_000)
    content = [Part("image", "receipt.jpg"), Part("text", "What is the total?")]
    model.batch([Request("1", [{"role": "user", "content": content}])])

While one batch is answered, the pictures of the next are opened and laid out for the network.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, cast

import torch
from transformers import GenerationConfig, LogitsProcessor, StoppingCriteria

from steelyard.errors import UsageError
from steelyard.media.images import Image, as_image
from steelyard.models.answers import Answer, Decode, Question
from steelyard.models.decoding import OTHERS, generate_alike
from steelyard.models.parameters import Sampling, read_params
from steelyard.models.pictures import Gallery
from steelyard.models.pieces import find_bytes
from steelyard.models.pretrained import Loaded, Pretrained
from steelyard.models.processors import Seer, Turn, limit_pixels
from steelyard.models.sampling import Chooser, choose
from steelyard.models.sights import Eyes, Group, Shown, Sight
from steelyard.models.tokenized import EncodingModel
from steelyard.types import Prompt, Request, Response

# Pictures take more memory than words: as numbers, and in the layers of the vision tower.
_BATCH_SIZE = 16


class VisionModel(Pretrained, EncodingModel[Shown]):
    """Answers questions about pictures, or scores answers to them."""

    metered = True

    def __init__(
        self,
        loaded: Loaded,
        *,
        processor: Any,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
        max_images: int | None = None,
        chat: bool | None = None,
        batch_size: int | None = None,
        batch_tokens: int | None = None,
        params: Mapping[str, Any],
    ) -> None:
        Pretrained.__init__(self, loaded, batch_size=batch_size or _BATCH_SIZE, batch_tokens=batch_tokens)
        read_params(params, others=OTHERS)
        if max_images is not None and max_images < 0:
            raise UsageError(f"max_images={max_images} is less than none")
        self.params, self.max_images = dict(params), max_images
        limits = {"least": min_pixels, "most": max_pixels}
        gallery = Gallery() if limit_pixels(processor, **limits) else Gallery(**limits)
        seer = Seer(processor, self.network.config, name=self.name)
        self._eyes = Eyes(self.name, seer, gallery, loaded.positions)
        self._shaping = {**limits, "images": max_images, **seer.settings()}
        self._ends = loaded.ends
        # A checkpoint's own habits (a temperature, a penalty) would shape answers unasked.
        self.network.generation_config = GenerationConfig(eos_token_id=sorted(self._ends) or None)
        self._ready: tuple[list[Shown], Sight] | None = None
        EncodingModel.__init__(self)
        self.chat = seer.has_template if chat is None else chat

    @cached_property
    def _bytes_alone(self) -> frozenset[int]:
        return find_bytes(self.vocabulary())

    def identity(self) -> Mapping[str, Any]:
        """As every model's, with how pictures are shown to it."""
        return {**super().identity(), "params": self.params, "pictures": self._shaping}

    def encode(self, request: Request) -> Shown:
        """The request as text and pictures; raises what is wrong with it, as far as that shows unopened."""
        text, special, images = self._render(request.prompt)
        if self.max_images is not None and len(images) > self.max_images:
            raise UsageError(f"there are {len(images)} images, {self.name} takes at most {self.max_images}")
        # The mark of a picture is one of those that it becomes.
        size = len(self.tokens(text, special=special)) + sum(self._count(image) - 1 for image in images)
        if not size:
            raise UsageError("the prompt is empty")
        if request.choices is None:
            sampling = read_params({**self.params, **request.params}, others=OTHERS)
            return Shown(text, special, images, size + sampling.max_tokens, sampling)
        if self.network.config.is_encoder_decoder:
            raise UsageError(f"{self.name} is an encoder-decoder: it scores no choices behind images")
        text, choices = self._split(text, request.choices, special=special)
        return Shown(text, special, images, size + max(map(len, choices)), choices=choices)

    def prepare(self, requests: Sequence[Request]) -> None:
        """Open the pictures of the next batch and lay them out, while the batch before is answered."""
        kept = [self._kept.get(id(request)) for request in requests]
        shown = [one[1] for one in kept if one is not None and not isinstance(one[1], str)]
        self._ready = (shown, self._eyes.look(shown)) if shown else None

    def answer(self, encoded: Sequence[Shown]) -> list[Response]:
        """Continue what is open, score what has choices."""
        sight = self._see(encoded)
        responses = {place: Response(error=failure) for place, failure in sight.failures.items()}
        found: dict[tuple[int, int], tuple[float, bool]] = {}
        questions: dict[int, Question] = {}
        while sight.groups:
            # Let go of one by one: what a batch is fed is its largest part.
            group = sight.groups.pop(0)
            if encoded[group.places[0]].sampling is not None:
                responses.update(self._proceed(group, encoded))
                continue
            for place, prompt in zip(group.places, group.prompts):
                questions[place] = Question(prompt, encoded[place].choices)
            found.update(self._score(group, encoded))
        for place, question in questions.items():
            # Of a request with one choice too long, the others may have been scored.
            if place not in responses:
                for choice in range(len(question.choices)):
                    score, greedy = found[place, choice]
                    question.add(score, greedy=greedy)
                responses[place] = question.response()
        return [responses[place] for place in range(len(encoded))]

    def close(self) -> None:
        """End the threads, and let go of pictures."""
        super().close()
        self._eyes.gallery.close()
        self._ready = None

    def _see(self, encoded: Sequence[Shown]) -> Sight:
        """What was prepared for these requests, if it was for just these; else it is made."""
        ready, self._ready = self._ready, None
        if ready is not None and [one.identity for one in ready[0]] == [one.identity for one in encoded]:
            return ready[1]
        return self._eyes.look(encoded)

    def _render(self, prompt: Prompt) -> tuple[str, bool, tuple[Image, ...]]:
        """The prompt as one text, whether it lacks the tokenizer's special tokens, and its pictures."""
        seer = self._eyes.seer
        if isinstance(prompt, str):
            return seer.plain(prompt), True, ()
        if isinstance(prompt, Mapping):
            raise UsageError(f"{self.name} takes a text or the turns of a chat", hint="not a mapping")
        images: list[Image] = []
        turns: list[Turn] = []
        for turn in prompt:
            content = turn["content"]
            parts: list[dict[str, str]] = []
            told = [("text", content)] if isinstance(content, str) else [(p.kind, p.data) for p in content]
            for kind, data in told:
                if kind == "image":
                    images.append(as_image(data))
                    parts.append({"type": "image"})
                elif kind == "text":
                    parts.append({"type": "text", "text": seer.plain(str(data))})
                else:
                    raise UsageError(f"{self.name} takes no {kind}")
            turns.append({"role": turn["role"], "content": parts})
        return *seer.render(turns), tuple(images)

    def _count(self, image: Image) -> int:
        return self._eyes.seer.count(self._eyes.gallery.size(image))

    def _split(self, text: str, choices: Sequence[str], *, special: bool) -> tuple[str, list[list[int]]]:
        """The text and its choices in tokens, cut where tokens are."""
        if not choices or not all(choices):
            raise UsageError("a choice is empty" if choices else "there are no choices")
        # Tokens mostly begin with a space, not end with one: it goes with what follows.
        context = text.rstrip() or text
        space, length = text[len(context) :], len(self.tokens(context, special=special))
        tokens = []
        for choice in map(self._eyes.seer.plain, choices):
            whole = self.tokens(context + space + choice, special=special)
            # Whatever of the choice melts into the prompt's last token, its own tokens are never none.
            tokens.append(whole[length:] or self.tokens(choice, special=False))
        return context, tokens

    def _feed(self, value: Any) -> Any:
        """What the network is fed, where the network is, in its precision."""
        if isinstance(value, Mapping):
            return {name: self._feed(one) for name, one in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._feed(one) for one in value]
        if not isinstance(value, torch.Tensor):
            return value
        return value.to(self.network.device, self.network.dtype if value.is_floating_point() else None)

    def _proceed(self, group: Group, encoded: Sequence[Shown]) -> Iterator[tuple[int, Response]]:
        """Continue the prompts of a group."""
        answers = []
        for place, prompt in zip(group.places, group.prompts):
            sampling, listener = cast(Sampling, encoded[place].sampling), encoded[place].listener
            room = (self._eyes.positions or len(prompt) + sampling.max_tokens) - len(prompt)
            answer = Answer(prompt, sampling, min(sampling.max_tokens, room), listener=listener)
            answer.begun = self.batch_begun or answer.begun
            if listener is not None:
                answer.bytes_alone = self._bytes_alone
            answers.append(answer)
        ends, text_of = self._ends, self.text
        if answers[0].sampling.others:
            inputs, filler = self._feed(group.inputs), self.loaded.filler
            generate_alike(self.network, answers, inputs, ends=ends, text_of=text_of, filler=filler)
        else:
            pen = _Pen(answers, ends=ends, text_of=text_of)
            self._write(group, pen, limit=max(answer.limit for answer in answers))
        for place, answer in zip(group.places, answers):
            yield place, answer.response(ends=self._ends, text_of=self.text)

    def _score(
        self, group: Group, encoded: Sequence[Shown]
    ) -> Iterator[tuple[tuple[int, int], tuple[float, bool]]]:
        """Score the choices behind the prompts of a group, written as the model would write them."""
        told = [
            [encoded[place].choices[choice] for choice in choices]
            for place, choices in zip(group.places, group.choices)
        ]
        reader = _Reader(told)
        self._write(group, reader, limit=max(len(row[0]) for row in told))
        for row, place, choices in zip(reader.found, group.places, group.choices):
            for choice, (score, greedy) in zip(choices, row):
                yield (place, choice), (score, greedy)

    def _write(self, group: Group, writer: _Writer, *, limit: int) -> None:
        """Have `generate` write behind the prompts of a group what the writer says."""
        self.network.generate(
            **self._feed(group.inputs),
            max_new_tokens=limit,
            do_sample=False,
            pad_token_id=self.loaded.filler,
            logits_processor=[writer],
            stopping_criteria=[_Finished(writer)],
        )


class _Writer(LogitsProcessor):  # type: ignore[misc]
    """Says inside `generate` which token each row goes on with, and which rows are done."""

    @abstractmethod
    def choose(self, logits: Any) -> list[int]:
        """The next token of every row."""

    @abstractmethod
    def done(self) -> list[bool]:
        """Which rows need no other token."""

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        chosen = torch.tensor(self.choose(scores), device=scores.device)[:, None]
        # What `generate` then takes for the likeliest is the one that was chosen.
        return torch.full_like(scores, -torch.inf).scatter_(1, chosen, 0.0)


class _Pen(_Writer):
    """Writes answers: each row's token is chosen as its request says."""

    def __init__(self, answers: Sequence[Answer], *, ends: frozenset[int], text_of: Decode) -> None:
        self._answers, self._ends, self._text_of = answers, ends, text_of
        self._choosers = [Chooser(answer.sampling, answer.prompt) for answer in answers]

    def choose(self, logits: Any) -> list[int]:
        """The next token of every answer, which takes it."""
        tokens = choose(logits, self._choosers)
        for answer, token in zip(self._answers, tokens):
            if not answer.finish:
                answer.take(token, ends=self._ends, text_of=self._text_of)
        return tokens

    def done(self) -> list[bool]:
        """Which answers are finished."""
        return [bool(answer.finish) for answer in self._answers]


class _Reader(_Writer):
    """Scores choices: several of one token in a row, or one of several tokens that is written."""

    def __init__(self, rows: Sequence[Sequence[Sequence[int]]]) -> None:
        self._rows = rows
        self._written = 0
        self.found = [[(0.0, True)] * len(row) for row in rows]

    def choose(self, logits: Any) -> list[int]:
        """The next token of every choice; the log-probability of it is noted."""
        chances = logits.float().log_softmax(dim=-1)
        likeliest = chances.argmax(dim=-1).tolist()
        unread = [
            (place, number, choice[self._written])
            for place, row in enumerate(self._rows)
            for number, choice in enumerate(row)
            if self._written < len(choice)
        ]
        told = chances[[place for place, _, _ in unread], [token for _, _, token in unread]].tolist()
        for (place, number, token), chance in zip(unread, told):
            score, greedy = self.found[place][number]
            self.found[place][number] = (score + chance, greedy and likeliest[place] == token)
        self._written += 1
        # A row that has no other token to write goes on with anything.
        return [row[0][min(self._written, len(row[0])) - 1] for row in self._rows]

    def done(self) -> list[bool]:
        """Which choices are written."""
        return [self._written >= len(row[0]) for row in self._rows]


class _Finished(StoppingCriteria):  # type: ignore[misc]
    """Stops rows of `generate` that the writer is done with."""

    def __init__(self, writer: _Writer) -> None:
        self._writer = writer

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        return torch.tensor(self._writer.done(), device=input_ids.device)
