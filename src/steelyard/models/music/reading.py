"""The text encoder: texts become rows, one for each token, each text as if it were alone.

texts → tokens → XLM-RoBERTa or T5 → projection → transformer → (tokens, dim) for each text
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from steelyard.errors import ModelError, describe
from steelyard.models.checkpoints import knows_words
from steelyard.models.music.lengths import Rows, group_alike, pack, unpack
from steelyard.models.music.places import Place
from steelyard.models.music.sections import read_file

_TOKENS_AT_ONCE = 8192
_TOWERS = {
    "xlm-roberta": (
        transformers.XLMRobertaConfig,
        transformers.XLMRobertaModel,
        {"add_pooling_layer": False},
    ),
    "t5": (transformers.T5Config, transformers.T5EncoderModel, {}),
}


class Reader(nn.Module):  # type: ignore[misc]
    """What reads."""

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        *,
        dim: int,
        limit: int,
        projected: bool,
        transformer: nn.Module | None,
    ) -> None:
        super().__init__()
        self.model, self.tokenizer, self.limit = model, tokenizer, limit
        self.proj = nn.Linear(model.config.hidden_size, dim) if projected else nn.Identity()
        self.transformer = transformer

    def forward(self, texts: Sequence[str]) -> list[Tensor]:
        """The rows of each text."""
        if not texts:
            return []
        cut = self.tokenizer(list(texts), truncation=True, max_length=self.limit)
        tokens: list[list[int]] = cut["input_ids"]
        found: dict[int, Tensor] = {}
        for places in group_alike([len(one) for one in tokens], most=_TOKENS_AT_ONCE):
            rows = self._read([tokens[place] for place in places])
            found.update(zip(places, unpack(rows)))
        return [found[place] for place in range(len(tokens))]

    def _read(self, tokens: Sequence[Sequence[int]]) -> Rows:
        device = self.model.device
        ids = pack([torch.tensor(one, dtype=torch.long)[:, None] for one in tokens])
        mask = ids.mask()
        values = ids.values[..., 0].to(device)
        if values.shape[1]:
            seen = None if mask is None else mask.long().to(device)
            rows = self.model(input_ids=values, attention_mask=seen).last_hidden_state
        else:
            rows = torch.zeros(*values.shape, self.model.config.hidden_size, device=device)
        found = Rows(self.proj(rows.float()).float(), ids.lengths)
        return found if self.transformer is None else self.transformer(found)


def make_model(place: Place, kind: str) -> nn.Module:
    """The network that a folder's config.json describes, without its weights."""
    section = read_file(place.folder / "config.json")
    said = section.told.get("model_type", kind)
    if said != kind:
        raise ModelError(f"{place.folder} is a {said} network, and {kind} is what texts are read by")
    config_class, model_class, options = _TOWERS[kind]
    try:
        config = config_class.from_dict({**section.told, "_attn_implementation": None})
        return model_class(config, **options)
    except Exception as error:
        raise ModelError(f"{section.file} will not do: {describe(error)}") from error


def load_tokenizer(place: Place) -> Any:
    """The tokenizer beside a config.json."""
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(place.folder), trust_remote_code=False)
    except Exception as error:
        raise ModelError(f"the tokenizer of {place.folder} cannot be read: {describe(error)}") from error
    if not knows_words(tokenizer):
        raise ModelError(
            f"the tokenizer of {place.folder} knows no words", hint="is tokenizer.json beside config.json?"
        )
    return tokenizer


def count_positions(model: nn.Module) -> int | None:
    """How many tokens the network has places for; None where there is no limit."""
    config = model.config
    if config.model_type != "xlm-roberta":
        return None
    # Places are counted from behind the padding's on.
    return int(config.max_position_embeddings) - int(config.pad_token_id) - 1
