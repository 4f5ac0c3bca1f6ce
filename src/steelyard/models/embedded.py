"""The embedded engine: small Llama-family folders in numpy, by default a model that comes with the package.

Embedded()                                    a million parameters, a few MB, trained on arithmetic
Embedded("./SmolLM2-135M-Instruct")           any folder of Llama's family, up to a few hundred MB
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steelyard.errors import ModelError, describe
from steelyard.models.answers import Question
from steelyard.models.chat import read_json, read_template, special_tokens
from steelyard.models.folders import fingerprint
from steelyard.models.tokenized import Asked, TokenModel
from steelyard.plugins import source_digest
from steelyard.types import Response

if TYPE_CHECKING:
    from steelyard.models.llama.network import Network

DEFAULT = Path(__file__).parent / "embedded_default"

# Keys and values of one batch take this much at most, unless batch_tokens says otherwise.
_BATCH_BYTES = 256 * 2**20


class Embedded(TokenModel):
    """Continues prompts and scores continuations with a small model, on the CPU, without torch."""

    metered = True
    tells_tokens = True

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
        self._network = load_network(self.path)
        self._tokenizer = load_tokenizer(self.path)
        begin, self._ends = read_marks(self.path, self._tokenizer)
        self._fingerprint = fingerprint(self.path)
        shape = self._network.shape
        self.known_tokens = shape.vocabulary
        self.batch_size = batch_size
        token_bytes = 2 * 4 * shape.layers * shape.groups * shape.head
        self.batch_tokens = batch_tokens or max(4096, _BATCH_BYTES // token_bytes)
        super().__init__(
            template=read_template(self.path),
            begin=begin,
            positions=shape.positions,
            chat=chat,
            params={"max_tokens": max_tokens, **(params or {})},
        )

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self._name

    def identity(self) -> Mapping[str, Any]:
        """Weights and tokenizer, the code that computes with them, and the options that shape answers."""
        engine = source_digest(type(self._network))
        return {**super().identity(), "fingerprint": self._fingerprint, "engine": engine}

    def tokens(self, text: str, *, special: bool) -> list[int]:
        """A text in tokens, with those that the tokenizer adds."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=special).ids
        return ids

    def text(self, tokens: Sequence[int]) -> str:
        """Tokens as a text, without the special ones."""
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True)
        return text

    def vocabulary(self) -> Mapping[str, int]:
        """How its tokens are written."""
        written: dict[str, int] = self._tokenizer.get_vocab()
        return written

    def proceed(self, asked: Sequence[Asked]) -> list[Response]:
        """Continue prompts, all together."""
        from steelyard.models.llama.decoding import decode

        answers = self.begin_answers(asked)
        decode(self._network, answers, ends=self._ends, text_of=self.text)
        return [answer.response(ends=self._ends, text_of=self.text) for answer in answers]

    def score(self, asked: Sequence[Asked]) -> list[Response]:
        """Score the choices behind prompts, all together."""
        from steelyard.models.llama.likelihood import score

        questions = [Question(one.prompt, one.choices, told=one.told) for one in asked]
        score(self._network, questions)
        return [question.response() for question in questions]

    def free(self) -> None:
        """Give the shared prefix back."""
        self._network.forget()


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
