"""Vision-language models: questions about pictures, many at once, for any family that transformers has.

    model = load_huggingface("./Qwen2-VL-2B-Instruct", max_pixels=1_000_000)
    content = [Part("image", "receipt.jpg"), Part("text", "What is the total?")]
    model.batch([Request("1", [{"role": "user", "content": content}])])

While one batch is answered, the pictures of the next are opened and laid out for the network.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import torch
from transformers import GenerationConfig, LogitsProcessor, StoppingCriteria

from steelyard.errors import UsageError
from steelyard.media.images import Image, as_image
from steelyard.models.answers import Answer, Decode, Question
from steelyard.models.decoding import OTHERS, generate_alike
from steelyard.models.parameters import Sampling, read_params
from steelyard.models.pictures import Gallery
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
        known = inspect.signature(self.network.forward).parameters
        self._keeps_logits = "logits_to_keep" in known
        self._ready: tuple[list[Shown], Sight] | None = None
        EncodingModel.__init__(self)
        self.chat = seer.has_template if chat is None else chat

    def identity(self) -> Mapping[str, Any]:
        """As every model's, with how pictures are shown to it."""
        return {**super().identity(), "params": self.params, "pictures": self._shaping}

    def encode(self, request: Request) -> Shown:
        """The request as text and pictures; raises what is wrong with it, as far as that shows unopened."""
        text, special, images = self._render(request.prompt)
        if self.max_images is not None and len(images) > self.max_images:
            raise UsageError(f"there are {len(images)} images, {self.name} takes at most {self.max_images}")
        size = len(self.tokens(text, special=special)) + sum(map(self._count, images))
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
            answers.append(Answer(prompt, sampling, min(sampling.max_tokens, room), listener=listener))
        inputs, filler = self._feed(group.inputs), self.loaded.filler
        if answers[0].sampling.others:
            generate_alike(self.network, answers, inputs, ends=self._ends, text_of=self.text, filler=filler)
        else:
            self.network.generate(
                **inputs,
                max_new_tokens=max(answer.limit for answer in answers),
                do_sample=False,
                pad_token_id=filler,
                logits_processor=[_Pen(answers, ends=self._ends, text_of=self.text)],
                stopping_criteria=[_Finished(answers)],
            )
        for place, answer in zip(group.places, answers):
            yield place, answer.response(ends=self._ends, text_of=self.text)

    def _score(
        self, group: Group, encoded: Sequence[Shown]
    ) -> Iterator[tuple[tuple[int, int], tuple[float, bool]]]:
        """Score the choices behind the prompts of a group."""
        # The last token of a choice is never fed, only scored; choices in one row are of one token.
        fed = [encoded[place].choices[choices[0]][:-1] for place, choices in zip(group.places, group.choices)]
        keep = max(map(len, fed)) + 1
        inputs = _append(self._feed(group.inputs), fed)
        options = {"logits_to_keep": keep} if self._keeps_logits else {}
        logits = self.network(**inputs, use_cache=False, **options).logits[:, -keep:].float()
        for row, place, choices in zip(logits.log_softmax(dim=-1), group.places, group.choices):
            for choice in choices:
                tokens = torch.tensor(encoded[place].choices[choice], device=row.device)
                behind = row[: len(tokens)]
                score = float(behind.gather(1, tokens[:, None]).sum())
                yield (place, choice), (score, bool((behind.argmax(dim=-1) == tokens).all()))


def _append(inputs: dict[str, Any], rows: Sequence[Sequence[int]]) -> dict[str, Any]:
    """The inputs with tokens behind each row, filled up on the right."""
    width = max(map(len, rows))
    ids = inputs["input_ids"]
    behind = {
        "input_ids": torch.tensor([[*row, *[0] * (width - len(row))] for row in rows]).to(ids),
        "attention_mask": torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows]).to(ids),
    }
    grown = dict(inputs)
    for name, value in inputs.items():
        if isinstance(value, torch.Tensor) and value.shape[:2] == ids.shape:
            # Kinds of tokens: what stands behind is text. What has more dimensions is as for the last token.
            other = torch.zeros_like(ids[:, :1]) if value.ndim == 2 else value[:, -1:]
            more = behind.get(name, other.expand(-1, width, *value.shape[2:]))
            grown[name] = torch.cat([value, more.to(value)], dim=1)
    return grown


class _Pen(LogitsProcessor):  # type: ignore[misc]
    """Writes the answers of a batch inside `generate`: each row's token is chosen as its request says."""

    def __init__(self, answers: Sequence[Answer], *, ends: frozenset[int], text_of: Decode) -> None:
        self._answers, self._ends, self._text_of = answers, ends, text_of
        self._choosers = [Chooser(answer.sampling, answer.prompt) for answer in answers]

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        tokens = choose(scores, self._choosers)
        for answer, token in zip(self._answers, tokens):
            if not answer.finish:
                answer.take(token, ends=self._ends, text_of=self._text_of)
        # What `generate` then takes for the likeliest is the one that was chosen.
        chosen = torch.tensor(tokens, device=scores.device)[:, None]
        return torch.full_like(scores, -torch.inf).scatter_(1, chosen, 0.0)


class _Finished(StoppingCriteria):  # type: ignore[misc]
    """Stops rows of `generate` whose answers are finished."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self._answers = answers

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        return torch.tensor([bool(answer.finish) for answer in self._answers], device=input_ids.device)
