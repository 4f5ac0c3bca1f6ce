"""BaseModel: a model in this process that a class of one's own knows how to ask.

class MyCustomModel(BaseModel):
    def generate(self, inputs, max_out_len, **kwargs): ...     a list of prompts in, a list of texts out
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ais_bench.benchmark.models.templates import APITemplateParser, LMTemplateParser

__all__ = ["BaseModel", "LMTemplateParser"]


class BaseModel:
    """What all local models share: a path, limits, generation parameters and a template of roles."""

    is_api: bool = False
    max_out_len: int = 512
    """How many tokens an answer may have."""
    batch_size: int = 1
    """How many prompts are given at a time."""

    def __init__(  # noqa: PLR0917 - in the documented order
        self,
        path: str,
        max_seq_len: int | None = 2048,
        tokenizer_only: bool = False,
        meta_template: Mapping[str, Any] | None = None,
        generation_kwargs: Mapping[str, Any] | None = None,
        sync_rank: bool = False,
        **kwargs: Any,
    ) -> None:
        """Other arguments are kept under their names."""
        vars(self).update(kwargs)
        self.path, self.max_seq_len, self.tokenizer_only = path, max_seq_len, tokenizer_only
        self.meta_template = meta_template
        self.template_parser: LMTemplateParser | APITemplateParser = LMTemplateParser(meta_template)
        self.generation_kwargs = dict(generation_kwargs or {})
        self.sync_rank = sync_rank

    def generate(self, inputs: list[Any], max_out_len: int, **kwargs: Any) -> list[str]:
        """The answers to prompts, one each, in their order."""
        raise NotImplementedError(f"{type(self).__name__} has no generate()")

    def encode(self, prompt: str) -> Any:
        """A text in tokens."""
        raise NotImplementedError(f"{type(self).__name__} has no encode()")

    def decode(self, tokens: Any) -> str:
        """Tokens as a text."""
        raise NotImplementedError(f"{type(self).__name__} has no decode()")

    def get_token_len(self, prompt: str) -> int:
        """How many tokens a text has."""
        return len(self.encode(prompt))

    def parse_template(self, prompt_template: Any, mode: str = "gen") -> Any:
        """A prompt as the model wants to be told it."""
        return self.template_parser.parse_template(prompt_template, mode)

    def close(self) -> None:
        """Give back what the model holds."""
