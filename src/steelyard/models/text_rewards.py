"""Reward models of text: classifiers that give an answer a number, the higher the better.

Request(question, choices=[answer, …])      scores: a number for each answer
Request(text or turns)                      scores: {"score": x}, of what is said as it stands

Question and answer are joined as the model was made for it: in the turns of its chat template, else as the
two texts of a pair, else one below the other. `join=` says which, or how: "Q: {prompt} A: {answer}".
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from steelyard.errors import ModelError, UsageError
from steelyard.models.chat import text_of
from steelyard.models.encoders import Read, Reader
from steelyard.models.pretrained import Loaded, cut_passes, pad
from steelyard.types import Message, Prompt, Request, Response, Tokens
from steelyard.wire.texts import as_text

CHAT, PAIR = "chat", "pair"
_BELOW = "{prompt}\n{answer}"
_PLACE = re.compile(r"\{(prompt|answer)\}")
_SIDES = {"yes": "", "true": "", "left": "left", "right": "right", "no": None, "false": None, "none": None}
# How far apart the same scores may be where rows of other lengths are read together, and of the same.
_FLOATS, _HALVES = (1e-4, 1e-6), (0.1, 0.1)


@dataclass(frozen=True, slots=True)
class Judged:
    """The texts of a request in tokens, one an answer, and how many tokens of each were cut off."""

    rows: Sequence[Read]
    cut: Sequence[int]
    several: bool

    @property
    def size(self) -> int:
        """How many tokens all of them have."""
        return sum(row.size for row in self.rows)


class Joined(NamedTuple):
    """What is read as one: a text or two, and whether special tokens are still to be added."""

    text: str
    pair: str | None = None
    special: bool = True


class RewardClassifier(Reader[Judged]):
    """Gives each answer to a question the number that its network gives the two together."""

    def __init__(
        self,
        loaded: Loaded,
        *,
        chat: bool | None = None,
        join: str | None = None,
        score: Any = None,
        truncate: bool | str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(loaded, **options)
        self.join = _find_join(loaded, join, chat=chat)
        self.chat = self.join == CHAT
        if str(truncate).lower() not in _SIDES:
            raise UsageError(f"truncate={truncate} is no way to cut a text", hint="yes, no, left or right")
        self._side = _SIDES[str(truncate).lower()]
        if self._side:
            self.tokenizer.truncation_side = self._side
        self._score = score
        self._head = Head(loaded.network.config, score, name=loaded.name)
        self._masked = "attention_mask" in inspect.signature(loaded.network.forward).parameters
        self._pads: bool | None = None

    def identity(self) -> Mapping[str, Any]:
        """As every model's, with how question and answer are joined and which number is the score."""
        return {**super().identity(), "join": self.join, "score": self._score, "truncate": self._side}

    def encode(self, request: Request) -> Judged:
        """Each answer behind the question, in tokens; raises what is wrong with one of them."""
        answers: Sequence[str | None] = [None] if request.choices is None else request.choices
        read = [self._read_joined(self._joined(request.prompt, answer)) for answer in answers]
        return Judged([row for row, _ in read], [cut for _, cut in read], request.choices is not None)

    def answer(self, encoded: Sequence[Judged]) -> list[Response]:
        """Score the answers of several requests together."""
        scores = iter(self._weigh([row for one in encoded for row in one.rows]))
        return [_response(one, [next(scores) for _ in one.rows]) for one in encoded]

    def _joined(self, prompt: Prompt, answer: str | None) -> Joined:
        if isinstance(prompt, Mapping):
            if answer is not None or "text" not in prompt or not set(prompt) <= {"text", "text_pair"}:
                raise UsageError(f"{self.name} takes a text, turns, or a mapping of text and text_pair")
            given: Mapping[str, str] = prompt
            prompt, answer = given["text"], given.get("text_pair")
        if answer is None and isinstance(prompt, str):
            return Joined(prompt)
        if self.join == CHAT:
            return Joined(self._render(prompt, answer), special=False)
        if answer is None:
            turns: Sequence[Message] = prompt  # type: ignore[assignment]
            if len(turns) < 2:
                return Joined(as_text(turns))
            prompt, answer = turns[:-1], as_text(turns[-1:])
        question = as_text(prompt)
        if self.join == PAIR:
            return Joined(question, answer)
        texts = {"prompt": question, "answer": answer}
        return Joined(_PLACE.sub(lambda found: texts[found[1]], self.join))

    def _render(self, prompt: Prompt, answer: str | None) -> str:
        """The turns by the chat template; the last one is whole, so that nothing is to be continued."""
        given: Any = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        turns = [{"role": turn["role"], "content": text_of(turn)} for turn in given]
        if answer is not None:
            turns.append({"role": "assistant", "content": answer})
        return str(self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=False))

    def _read_joined(self, joined: Joined) -> tuple[Read, int]:
        """What is joined in tokens, and how many were cut off where there were too many."""
        encoded = self._tokenize(joined)
        size = len(encoded["input_ids"])
        if size > self.positions and self._side is not None:
            encoded = self._tokenize(joined, truncation=True, max_length=self.positions)
        ids, kinds = encoded["input_ids"], encoded.get("token_type_ids", ())
        try:
            self.check(len(ids))
        except UsageError as error:
            if not ids:
                raise
            raise UsageError(f"{error.args[0]}", hint="truncate=yes cuts it") from error
        return Read(ids, kinds=kinds), size - len(ids)

    def _tokenize(self, joined: Joined, **options: Any) -> Any:
        given: Any = {"add_special_tokens": joined.special, "verbose": False, **options}
        return self.tokenizer(joined.text, joined.pair, **given)

    def _weigh(self, rows: Sequence[Read]) -> list[float]:
        """The score of each row, those of like length together."""
        order = sorted(range(len(rows)), key=lambda place: -rows[place].size)
        ordered = [rows[place] for place in order]
        scores = [0.0] * len(rows)
        for part in self._passes(ordered):
            for place, score in zip(order[part], self._pass(ordered[part])):
                scores[place] = score
        return scores

    def _passes(self, ordered: Sequence[Read]) -> Iterator[slice]:
        sizes = [(row.size, 1) for row in ordered]
        for part in cut_passes(sizes, budget=self.batch_tokens or 0, vocabulary=1):
            first, last = ordered[part.start], ordered[part.stop - 1]
            if first.size == last.size or self._bears_padding(first, last):
                yield part
                continue
            begin = part.start
            for place in range(part.start + 1, part.stop + 1):
                if place == part.stop or ordered[place].size != ordered[begin].size:
                    yield slice(begin, place)
                    begin = place

    def _bears_padding(self, long: Read, short: Read) -> bool:
        """Whether a short row scores beside a long one as alone, whatever it is filled up with.

        Not every network looks away from that. Tried with the first two rows, on all others' behalf.
        """
        if self._pads is None:
            rows = [long, short]
            beside, otherwise = self._pass(rows)[1], self._pass(rows, filler=self._unused(rows))[1]
            (alone,) = self._pass([short])
            halves = self.network.dtype in (torch.float16, torch.bfloat16)
            scale, (rounded, same) = max(1.0, abs(alone)), _HALVES if halves else _FLOATS
            self._pads = abs(alone - beside) <= rounded * scale and abs(beside - otherwise) <= same * scale
        return self._pads

    def _pass(self, rows: Sequence[Read], *, filler: int | None = None) -> list[float]:
        """The scores of rows that are read together."""
        device, config = self.network.device, self.network.config.get_text_config()
        told = config.pad_token_id
        filler = self._filler(rows) if filler is None else filler
        inputs = pad([row.ids for row in rows], value=filler, device=device)
        if any(row.kinds for row in rows):
            kinds = [row.kinds or [0] * row.size for row in rows]
            inputs["token_type_ids"] = pad(kinds, value=0, device=device)["input_ids"]
        if not self._masked:
            inputs.pop("attention_mask")
        # Decoders find the end of a row by what it is filled up with, and not by the mask.
        config.pad_token_id = filler
        try:
            logits = self.network(**inputs).logits
        finally:
            config.pad_token_id = told
        return self._head.read(logits.float())

    def _filler(self, rows: Sequence[Read]) -> int:
        """What rows are filled up with: as the network was trained, else what stands in none of them."""
        config = self.network.config.get_text_config()
        known = config.pad_token_id
        return int(known) if known is not None and 0 <= known < config.vocab_size else self._unused(rows)

    def _unused(self, rows: Sequence[Read]) -> int:
        """A token that stands in none of the rows, and fills none up."""
        config = self.network.config.get_text_config()
        used = {config.pad_token_id, *(token for row in rows for token in row.ids)}
        return next((token for token in range(config.vocab_size) if token not in used), 0)


class Head:
    """Which number of a network's the score is: the only one, that of a label, or several together.

    A label of several is worth its log-odds, so that the order is that of the probabilities; where the
    network was trained to give numbers, the number itself.
    """

    def __init__(self, config: Any, wanted: Any, *, name: str) -> None:
        labels = [str(config.id2label[place]) for place in sorted(config.id2label)]
        self._plain = len(labels) == 1 or config.problem_type in ("regression", "multi_label_classification")
        if wanted is None:
            if len(labels) > 1:
                hint = f'score=LABEL, or score={{"LABEL": weight, …}}; its labels are {", ".join(labels)}'
                raise ModelError(f"{name} gives {len(labels)} numbers, not one score", hint=hint)
            wanted = labels[0]
        weights = wanted if isinstance(wanted, Mapping) else {wanted: 1.0}
        self._weights = torch.zeros(len(labels))
        for label, weight in weights.items():
            place = _place_of(label, labels)
            if place is None or not isinstance(weight, (int, float)):
                hint = f"its labels are {', '.join(labels)}"
                raise UsageError(f"{name} has no score {label!r} of weight {weight}", hint=hint)
            self._weights[place] = float(weight)

    def read(self, logits: Tensor) -> list[float]:
        """The score of each row of logits."""
        if not self._plain:
            itself = torch.eye(logits.shape[-1], dtype=torch.bool, device=logits.device)
            others = logits[:, None, :].masked_fill(itself, -torch.inf)
            logits = logits - torch.logsumexp(others, dim=-1)
        scores: list[float] = (logits @ self._weights.to(logits.device)).tolist()
        return scores


def _find_join(loaded: Loaded, wanted: str | None, *, chat: bool | None) -> str:
    """How question and answer are joined: as is wanted, else as the tokenizer can."""
    wanted = CHAT if chat and wanted is None else wanted
    if wanted is None:
        if loaded.template is not None and chat is None:
            return CHAT
        return PAIR if _parts_pairs(loaded.tokenizer) else _BELOW
    if wanted == CHAT and loaded.template is None:
        hint = 'join=pair, or a text such as join="Q: {prompt} A: {answer}"'
        raise UsageError(f"{loaded.name} has no chat template", hint=hint)
    if wanted not in (CHAT, PAIR) and {"prompt", "answer"} != set(_PLACE.findall(wanted)):
        hint = "chat, pair, or a text with {prompt} and {answer} in it"
        raise UsageError(f"join={wanted} does not say how question and answer are joined", hint=hint)
    return wanted


def _parts_pairs(tokenizer: Any) -> bool:
    """Whether the tokenizer puts something between the two texts of a pair."""
    one, two = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("is it?", "it is."))
    pair, joined = tokenizer("is it?", "it is.")["input_ids"], [*one, *two]
    return all(pair[n : n + len(joined)] != joined for n in range(len(pair)))


def _place_of(label: Any, labels: Sequence[str]) -> int | None:
    """Where a label stands, by its name or its number."""
    if str(label) in labels:
        return labels.index(str(label))
    number = int(label) if str(label).isdecimal() else -1
    return number if 0 <= number < len(labels) else None


def _response(one: Judged, scores: list[float]) -> Response:
    sizes = [row.size for row in one.rows]
    raw: dict[str, Any] = {"tokens": sizes, **({"cut": list(one.cut)} if any(one.cut) else {})}
    counted = Tokens(sum(sizes), 0)
    if one.several:
        return Response(scores=scores, tokens=counted, raw=raw)
    return Response(f"{scores[0]:.6g}", {"score": scores[0]}, tokens=counted, raw=raw)
