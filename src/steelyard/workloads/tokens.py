"""What counts the tokens of a prompt: a tokenizer's file or folder, a model here, a service that counts.

open_tokenizer("Qwen2.5-7B-Instruct")           a model's folder, with its chat template
open_tokenizer("tokenizer.json")
open_tokenizer("http://127.0.0.1:8000")         a service with /tokenize: vLLM, SGLang, llama.cpp, TGI
find_tokenizer(model)                           the one that a model has, if it can be had
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from steelyard.errors import SteelyardError, UsageError, describe, need
from steelyard.models.base import Model
from steelyard.models.chat import ChatTemplate, read_template
from steelyard.models.folders import fingerprint
from steelyard.models.http import HttpModel
from steelyard.models.tokenized import TokenModel
from steelyard.types import TOKENS, Request
from steelyard.workloads.counting import ask_service

_WRITTEN = ("tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "sentencepiece.bpe.model")


class Tokenizer(Protocol):
    """Turns texts into tokens; `slow` where each text is a call of a service."""

    name: str
    slow: bool

    def identity(self) -> Any:
        """What makes it this tokenizer."""
        ...

    def encode(self, text: str) -> Sequence[int]:
        """A text in tokens, without those that are put around it."""
        ...

    def count_special(self, text: str) -> int:
        """How many tokens a text has with those that are put around it where it is no chat."""
        ...

    def count_chat(self, text: str) -> int | None:
        """How many tokens a text has as the one turn of a chat; None where no template is known."""
        ...

    def vocabulary(self) -> Iterable[str]:
        """How its tokens are written, as far as it tells."""
        ...


class FileTokenizer:
    """A tokenizer.json, with the chat template that lies beside it."""

    slow = False

    def __init__(self, tokenizer: Any, *, name: str, identity: Any, template: ChatTemplate | None) -> None:
        self._tokenizer, self._identity, self._template = tokenizer, identity, template
        self.name = name

    def identity(self) -> Any:
        """What is in its file."""
        return self._identity

    def encode(self, text: str) -> Sequence[int]:
        """A text in tokens, without those that are put around it."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def count_special(self, text: str) -> int:
        """How many tokens it has with those that are put around it."""
        return len(self._tokenizer.encode(text).ids)

    def count_chat(self, text: str) -> int | None:
        """How many it has in the template."""
        if self._template is None:
            return None
        return len(self.encode(self._template.render([{"role": "user", "content": text}])))

    def vocabulary(self) -> Iterable[str]:
        """How its tokens are written, in the order of their numbers."""
        written: Mapping[str, int] = self._tokenizer.get_vocab(with_added_tokens=False)
        return sorted(written, key=written.__getitem__)


class FolderTokenizer:
    """A tokenizer that transformers reads, of a folder without tokenizer.json or of the hub."""

    slow = False

    def __init__(self, path: str) -> None:
        need("transformers", extra="hf")
        from transformers import AutoTokenizer

        try:
            self._tokenizer = AutoTokenizer.from_pretrained(path)
        except Exception as error:
            hint = "a folder with a tokenizer, a tokenizer.json, or the address of a service that counts"
            raise UsageError(
                f"the tokenizer {path!r} cannot be read: {describe(error)}", hint=hint
            ) from error
        self.name = Path(path).name

    def identity(self) -> Any:
        """Its name and how many tokens it knows."""
        return [self.name, len(self._tokenizer)]

    def encode(self, text: str) -> Sequence[int]:
        """A text in tokens, without those that are put around it."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return ids

    def count_special(self, text: str) -> int:
        """How many tokens it has with those that are put around it."""
        return len(self._tokenizer.encode(text))

    def count_chat(self, text: str) -> int | None:
        """How many it has in the template."""
        if not self._tokenizer.chat_template:
            return None
        turns = [{"role": "user", "content": text}]
        written = self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        return len(self.encode(str(written)))

    def vocabulary(self) -> Iterable[str]:
        """How its tokens are written, in the order of their numbers."""
        written: Mapping[str, int] = self._tokenizer.get_vocab()
        return sorted(written, key=written.__getitem__)


class ModelTokenizer:
    """The tokenizer of a model in this process."""

    slow = False

    def __init__(self, model: TokenModel) -> None:
        self._model = model
        self.name = model.name

    def identity(self) -> Any:
        """The model's name and how many tokens it knows."""
        return [self.name, self._model.known_tokens]

    def encode(self, text: str) -> Sequence[int]:
        """A text in tokens, without those that are put around it."""
        return self._model.tokens(text, special=False)

    def count_special(self, text: str) -> int:
        """How many tokens it has with those that are put around it."""
        return len(self._model.tokens(text, special=True))

    def count_chat(self, text: str) -> int | None:
        """How many it has in the model's template."""
        try:
            written, special = self._model.render([{"role": "user", "content": text}])
        except UsageError:
            return None
        return len(self._model.tokens(written, special=special))

    def vocabulary(self) -> Iterable[str]:
        """How its tokens are written, in the order of their numbers."""
        written = self._model.vocabulary()
        return sorted(written, key=written.__getitem__)


def open_tokenizer(given: Any) -> Tokenizer:
    """The tokenizer that a path, an address, a model or a name of the hub stands for."""
    if isinstance(given, Model):
        found = find_tokenizer(given)
        if found is None:
            raise UsageError(
                f"{given.name} does not count tokens", hint="tokenizer=FOLDER names one that does"
            )
        return found
    if not isinstance(given, (str, Path)):
        return given  # type: ignore[no-any-return]
    text = str(given)
    if text.startswith(("http://", "https://", "unix://")):
        service = HttpModel(text)
        try:
            counted = ask_service(service.client)
        finally:
            service.close()
        if counted is None:
            hint = "vLLM, SGLang, llama.cpp and TGI do; tokenizer=FOLDER names another"
            raise UsageError(f"{service.name} counts no tokens at /tokenize", hint=hint)
        return counted
    path = Path(text).expanduser()
    file = path / "tokenizer.json" if path.is_dir() else path
    if file.is_file():
        return _read_file(file)
    if path.is_dir():
        if any((path / name).is_file() for name in _WRITTEN):
            return FolderTokenizer(str(path))
        raise UsageError(f"the folder {path} has no tokenizer.json", hint="tokenizer=FOLDER of a model")
    if text.startswith((".", "/", "~")) or text.endswith(".json"):
        raise UsageError(f"there is no tokenizer {text}", hint="a model's folder, or its tokenizer.json")
    return FolderTokenizer(text)


def find_tokenizer(model: Model) -> Tokenizer | None:
    """The tokenizer that a model has, if it can be had: of one here, or of a service that counts."""
    if isinstance(model, TokenModel):
        return ModelTokenizer(model)
    if isinstance(model, HttpModel):
        return ask_service(model.client, name=model.name, model=getattr(model.wire, "model", None))
    return None


def check_takes_tokens(model: Model | None) -> None:
    """Raise if prompts in tokens cannot even be written down for the service that a model is."""
    if not isinstance(model, HttpModel):
        return
    try:
        model.wire.open([Request("tokens", {TOKENS: [1]})]).encode_request()
    except (SteelyardError, TypeError, ValueError) as error:
        hint = "wire=openai-completions takes them; form=text asks in texts"
        raise UsageError(
            f"form=tokens: {model.name} takes no prompts in tokens: {error}", hint=hint
        ) from error


def _read_file(file: Path) -> FileTokenizer:
    from tokenizers import Tokenizer as Reader

    try:
        read = Reader.from_file(str(file))
    except Exception as error:
        message = f"the tokenizer {file} cannot be read: {describe(error)}"
        raise UsageError(message, hint="is the download complete?") from error
    read.no_truncation()
    read.no_padding()
    folder = file.resolve().parent
    return FileTokenizer(read, name=folder.name, identity=fingerprint(file), template=read_template(folder))
