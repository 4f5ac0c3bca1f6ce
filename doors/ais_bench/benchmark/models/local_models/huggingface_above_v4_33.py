"""HuggingFacewithChatTemplate and HuggingFaceBaseModel: folders and names on the hub, by transformers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from ais_bench.benchmark.models.local_models.engine import EngineBackedModel
from ais_bench.benchmark.models.templates import APITemplateParser
from steelyard.errors import UsageError, need
from steelyard.models.base import LocalModel
from steelyard.models.huggingface import load_huggingface

_MODES = ("none", "mid")


class HuggingFaceBaseModel(EngineBackedModel):
    """A causal language model that is told a text.

    With the mode "mid" a prompt that leaves no room for its answer within `max_seq_len` loses its middle.
    """

    chat = False

    def __init__(  # noqa: PLR0917 - in the documented order
        self,
        path: str,
        model_kwargs: Mapping[str, Any] | None = None,
        tokenizer_path: str | None = None,
        tokenizer_kwargs: Mapping[str, Any] | None = None,
        peft_path: str | None = None,
        peft_kwargs: Mapping[str, Any] | None = None,
        *,
        max_seq_len: int | None = None,
        stop_words: Sequence[str] = (),
        mode: str = "none",
        **options: Any,
    ) -> None:
        super().__init__(path, max_seq_len, **options)
        if mode not in _MODES:
            raise UsageError(f"mode is {mode!r}", hint=" or ".join(_MODES))
        if peft_kwargs:
            raise UsageError("peft_kwargs are not offered", hint="peft_path names the adapter")
        self.model_kwargs, self.tokenizer_kwargs = dict(model_kwargs or {}), dict(tokenizer_kwargs or {})
        self.tokenizer_path, self.peft_path = tokenizer_path, peft_path
        self.stop_words, self.mode = list(stop_words), mode

    def load(self) -> LocalModel:
        """The network with its tokenizer, and its adapter on top."""
        engine: Any = load_huggingface(
            self.path,
            task="causal",
            chat=self.chat,
            adapter=self.peft_path or None,
            tokenizer=self.tokenizer_path or None,
            tokenizer_kwargs=self._words(),
            batch_size=self.batch_size,
            params=self.params(),
            **read_loading(self.model_kwargs, trusted=self.trusts()),
        )
        engine.fit(self.max_seq_len, middle=self.mode == "mid")
        return engine  # type: ignore[no-any-return]

    def params(self) -> dict[str, Any]:
        """What shapes every answer, with the words that it stops at."""
        found = super().params()
        stops = found.pop("stop", None) or []
        stops = [*([stops] if isinstance(stops, str) else stops), *self.stop_words]
        return {**found, "stop": stops} if stops else found

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer; alone, where no more was asked for."""
        if not self.tokenizer_only:
            return vars(self.engine)["tokenizer"]
        need("transformers", extra="hf")
        from steelyard.models.checkpoints import find_source, read_tokenizer

        source = find_source(self.tokenizer_path or self.path, trust_remote_code=self.trusts())
        return read_tokenizer(source, self._words())

    def encode(self, prompt: str) -> list[int]:
        """A text in tokens."""
        ids: list[int] = self.tokenizer(prompt, verbose=False)["input_ids"]
        return ids

    def decode(self, tokens: Sequence[int]) -> str:
        """Tokens as a text."""
        text: str = self.tokenizer.decode(tokens, skip_special_tokens=True)
        return text

    def trusts(self) -> bool:
        """Whether code that comes with the weights may run."""
        told = (vars(self), self.model_kwargs, self.tokenizer_kwargs)
        return any(bool(one.get("trust_remote_code")) for one in told)

    def _words(self) -> dict[str, Any]:
        return {name: value for name, value in self.tokenizer_kwargs.items() if name != "trust_remote_code"}


class HuggingFacewithChatTemplate(HuggingFaceBaseModel):
    """A causal language model that is told turns, by the chat template of its folder."""

    chat = True

    def __init__(self, path: str, *positional: Any, **options: Any) -> None:
        super().__init__(path, *positional, **options)
        # The turns go through the folder's own template; the roles only say whose they are.
        self.template_parser = APITemplateParser(self.meta_template)


def read_loading(model_kwargs: Mapping[str, Any], *, trusted: bool) -> dict[str, Any]:
    """Arguments of from_pretrained as options of loading, by the engine's names."""
    more = {name: value for name, value in model_kwargs.items() if name != "trust_remote_code"}
    old, dtype = more.pop("torch_dtype", None), more.pop("dtype", None)
    wanted = old if dtype is None else dtype
    return {
        "dtype": "auto" if wanted is None else str(wanted).removeprefix("torch."),
        "device_map": more.pop("device_map", None),
        "attn": more.pop("attn_implementation", None),
        "quantization": more.pop("quantization_config", None),
        "revision": more.pop("revision", None),
        "cache_dir": more.pop("cache_dir", None),
        "trust_remote_code": trusted,
        "model_kwargs": more,
    }
