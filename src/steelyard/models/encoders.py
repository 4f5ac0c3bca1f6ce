"""Models that read and do not write: classifiers, masked language models, embeddings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from steelyard.errors import ModelError, UsageError
from steelyard.models.pretrained import Loaded, Pretrained, cut_passes, pad
from steelyard.models.tokenized import E, EncodingModel
from steelyard.types import Prompt, Request, Response, Tokens

# As many guesses at a mask are told.
_TOP = 5


@dataclass(frozen=True, slots=True)
class Read:
    """A text in tokens, and (of a pair) which of the two each token belongs to."""

    ids: Sequence[int]
    kinds: Sequence[int] = ()

    @property
    def size(self) -> int:
        """How many tokens it has."""
        return len(self.ids)


class Reader(Pretrained, EncodingModel[E]):
    """A model that reads a text whole and writes none."""

    def __init__(
        self,
        loaded: Loaded,
        *,
        chat: bool | None = None,
        batch_size: int | None = None,
        batch_tokens: int | None = None,
    ) -> None:
        Pretrained.__init__(self, loaded, batch_size=batch_size, batch_tokens=batch_tokens)
        self.chat = bool(chat)
        # RoBERTa's kind counts two positions more than it can use; its tokenizer knows better.
        told = int(self.tokenizer.model_max_length)
        self.positions = told if loaded.positions is None else min(told, loaded.positions)
        EncodingModel.__init__(self)

    def read_text(self, prompt: Prompt) -> tuple[str, bool]:
        """The prompt as one text, and whether the tokenizer's special tokens are still to be added."""
        if isinstance(prompt, str):
            return prompt, True
        if isinstance(prompt, Mapping) or self.loaded.template is None:
            raise UsageError(f"{self.name} takes a text")
        return self.loaded.template.render(prompt), False

    def check(self, length: int) -> None:
        """Raise unless the model has so many positions."""
        if length == 0:
            raise UsageError("the text is empty")
        if length > self.positions:
            raise UsageError(f"the text needs {length} tokens, {self.name} has {self.positions} positions")


class TextReader(Reader[Read]):
    """A model that reads a text, or a pair given as {"text": …, "text_pair": …}."""

    def encode(self, request: Request) -> Read:
        """The request in tokens; raises what is wrong with it."""
        prompt = request.prompt
        if isinstance(prompt, Mapping):
            if not isinstance(prompt.get("text"), str) or not set(prompt) <= {"text", "text_pair"}:
                raise UsageError(f"{self.name} takes a text, or a mapping of text and text_pair")
            encoded = self.tokenizer(prompt["text"], prompt.get("text_pair"), verbose=False)
            ids, kinds = encoded["input_ids"], encoded.get("token_type_ids", ())
        else:
            text, special = self.read_text(prompt)
            ids, kinds = self.tokens(text, special=special), ()
        self.check(len(ids))
        return Read(ids, kinds=kinds)

    def _pass(self, encoded: Sequence[Read]) -> tuple[Any, Tensor]:
        """One pass over texts; what the network gives, and the mask of their tokens."""
        device = self.network.device
        inputs = pad([one.ids for one in encoded], value=self.loaded.filler, device=device)
        if any(one.kinds for one in encoded):
            kinds = [one.kinds or [0] * len(one.ids) for one in encoded]
            inputs["token_type_ids"] = pad(kinds, value=0, device=device)["input_ids"]
        return self.network(**inputs), inputs["attention_mask"]


class Classifier(TextReader):
    """Gives a text the likeliest label, and the probability of each."""

    def __init__(self, loaded: Loaded, *, label_map: Mapping[Any, str] | None = None, **options: Any) -> None:
        config = loaded.network.config
        named = {int(place): str(label) for place, label in config.id2label.items()}
        self._labels = [_label(named[place], place, label_map or {}) for place in sorted(named)]
        self._many = config.problem_type == "multi_label_classification"
        if config.problem_type == "regression" or len(self._labels) == 1:
            raise ModelError(
                f"{loaded.name} gives one number, not labels",
                hint="task=reward takes it for a score",
            )
        self._label_map = {str(key): value for key, value in (label_map or {}).items()}
        super().__init__(loaded, **options)

    def identity(self) -> Mapping[str, Any]:
        """As every model's, with what its labels are called."""
        return {**super().identity(), "label_map": self._label_map}

    def answer(self, encoded: Sequence[Read]) -> list[Response]:
        """Answer texts that fit."""
        logits = self._pass(encoded)[0].logits.float()
        odds = torch.sigmoid(logits) if self._many else torch.softmax(logits, dim=-1)
        responses = []
        for one, row in zip(encoded, odds.tolist()):
            scores = dict(zip(self._labels, row))
            responses.append(
                Response(text=max(scores, key=scores.__getitem__), scores=scores, tokens=Tokens(one.size, 0))
            )
        return responses


class Embedder(TextReader):
    """Gives a text as a vector: the mean of what its tokens became."""

    embeds = True

    def answer(self, encoded: Sequence[Read]) -> list[Response]:
        """Answer texts that fit; the vector is the response's `raw`."""
        output, mask = self._pass(encoded)
        weights = mask[:, :, None].float()
        means = (output.last_hidden_state.float() * weights).sum(dim=1) / weights.sum(dim=1)
        return [Response(tokens=Tokens(one.size, 0), raw=row) for one, row in zip(encoded, means.tolist())]

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """The vectors of texts, in their order."""
        requests = [Request(id=str(place), prompt=text) for place, text in enumerate(texts)]
        vectors: dict[str, list[float]] = {}
        ordered = sorted(requests, key=self.length)
        for begin in range(0, len(ordered), self.batch_size):
            part = ordered[begin : begin + self.batch_size]
            for request, response in zip(part, self.batch(part)):
                if response.error is not None:
                    raise ModelError(f"text {request.id} has no embedding: {response.error}")
                vectors[request.id] = response.raw
        return [vectors[request.id] for request in requests]


class Look(NamedTuple):
    """A masked place in a row, the token that is wanted there, and the choice it belongs to."""

    row: int
    place: int
    wanted: int = -1
    choice: int = -1


@dataclass(frozen=True, slots=True)
class Masked:
    """Rows with masks, and where to look: of choices, one row for each of their tokens."""

    rows: Sequence[Sequence[int]]
    looks: Sequence[Look]
    choices: int = 0

    @property
    def size(self) -> int:
        """How many tokens all its rows have."""
        return sum(map(len, self.rows))


class MaskedModel(Reader[Masked]):
    """Fills masks in; of choices it says how likely each is with all that stands around it.

    A choice stands in the place of the prompt's mask, or behind the prompt. Its score is its
    pseudo-log-likelihood: each of its tokens masked in turn, their log-probabilities added up.
    """

    def encode(self, request: Request) -> Masked:
        """The request in tokens; raises what is wrong with it."""
        text, _ = self.read_text(request.prompt)
        mask, mask_id = self.tokenizer.mask_token, self.tokenizer.mask_token_id
        if mask is None:
            raise UsageError(f"the tokenizer of {self.name} has no mask token")
        if request.choices is None:
            ids = self.tokens(text, special=True)
            looks = [Look(0, place) for place, token in enumerate(ids) if token == mask_id]
            if not looks:
                raise UsageError(f"the prompt has no {mask} to fill in")
            self.check(len(ids))
            return Masked([ids], looks)
        if not request.choices or not all(request.choices):
            raise UsageError("a choice is empty" if request.choices else "there are no choices")
        before, _, after = text.partition(mask)
        rows: list[list[int]] = []
        looks = []
        for number, choice in enumerate(request.choices):
            ids, places = self._place(before, choice, after=after)
            self.check(len(ids))
            for place in places:
                looks.append(Look(len(rows), place, ids[place], number))
                rows.append([*ids[:place], mask_id, *ids[place + 1 :]])
        return Masked(rows, looks, choices=len(request.choices))

    def answer(self, encoded: Sequence[Masked]) -> list[Response]:
        """Answer texts that fit."""
        rows: list[Sequence[int]] = []
        looks: list[Look] = []
        for one in encoded:
            looks.extend(look._replace(row=look.row + len(rows)) for look in one.looks)
            rows.extend(one.rows)
        odds = self._odds(rows, looks)
        return [
            (_scored if one.choices else self._filled)(one, [next(odds) for _ in one.looks])
            for one in encoded
        ]

    def _odds(self, rows: Sequence[Sequence[int]], looks: Sequence[Look]) -> Iterator[Tensor]:
        """The log-probabilities of all tokens at each place."""
        vocabulary = self.network.config.get_text_config().vocab_size
        sizes = [(len(row), len(row)) for row in rows]
        for part in cut_passes(sizes, budget=self.batch_tokens or 0, vocabulary=vocabulary):
            logits = self.network(
                **pad(rows[part], value=self.loaded.filler, device=self.network.device)
            ).logits
            for look in looks:
                if part.start <= look.row < part.stop:
                    yield torch.log_softmax(logits[look.row - part.start, look.place].float(), dim=-1)

    def _filled(self, one: Masked, odds: Sequence[Tensor]) -> Response:
        """The likeliest token of each mask; of a single mask the likeliest five with their probabilities."""
        top = [row.topk(min(_TOP, len(row))) for row in odds]
        words = [[self.text([token]) for token in row.indices.tolist()] for row in top]
        # The other way round, so that of two tokens with one text the likelier is told.
        guesses = list(zip(words[0], top[0].values.exp().tolist()))[::-1]
        likeliest = dict(guesses) if len(top) == 1 else None
        return Response(
            text=" ".join(row[0].strip() for row in words), scores=likeliest, tokens=Tokens(one.size, 0)
        )

    def _place(self, before: str, choice: str, *, after: str) -> tuple[list[int], list[int]]:
        """A text with the choice in its place, and which of its tokens are the choice's."""
        encoded = self.tokenizer(before + choice + after, return_offsets_mapping=True, verbose=False)
        begin, end = len(before), len(before) + len(choice)
        ids: list[int] = encoded["input_ids"]
        places = [
            place for place, (a, b) in enumerate(encoded["offset_mapping"]) if a < b and a < end and b > begin
        ]
        if not places:
            raise UsageError(f"no token of {self.name} stands for the choice {choice!r}")
        return ids, places


def _scored(one: Masked, odds: Sequence[Tensor]) -> Response:
    scores, greedy, counts = [0.0] * one.choices, [True] * one.choices, [0] * one.choices
    for look, row in zip(one.looks, odds):
        scores[look.choice] += float(row[look.wanted])
        greedy[look.choice] &= int(row.argmax()) == look.wanted
        counts[look.choice] += 1
    return Response(
        scores=tuple(scores),
        tokens=Tokens(one.size, 0),
        raw={"tokens": counts, "greedy": greedy},
    )


def _label(name: str, place: int, label_map: Mapping[Any, str]) -> str:
    """What a label is called: by its name, its number, or as the model calls it."""
    for key in (name, place, str(place)):
        if key in label_map:
            return str(label_map[key])
    return name
