"""GGUF files through llama.cpp (extra `gguf`): quantised models on the CPU or a GPU.

    Gguf("qwen2.5-0.5b-instruct-q8_0.gguf", threads=4)

Requests are answered one after another; what a prompt begins with like the one before is not read again.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from steelyard.errors import ModelError, describe, need
from steelyard.models.answers import Answer, Look
from steelyard.models.base import clock
from steelyard.models.chat import ChatTemplate
from steelyard.models.folders import fingerprint
from steelyard.models.tokenized import Asked, TokenModel
from steelyard.types import Response, Tokens

# More threads than this wait for each other more than they compute.
_MOST_THREADS = 4


class Gguf(TokenModel):
    """A model in a GGUF file, computed by llama.cpp."""

    metered = True
    tells_tokens = True
    # Answered singly, so a batch is only how many are taken at a time.
    batch_size = 8

    def __init__(
        self,
        path: str | Path,
        *,
        chat: bool | None = None,
        positions: int = 4096,
        threads: int | None = None,
        gpu_layers: int = 0,
        max_tokens: int = 256,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        need("llama_cpp", extra="gguf")
        self.path = Path(path).expanduser()
        if not self.path.is_file():
            raise ModelError(f"there is no GGUF file {self.path}")
        self._fingerprint = fingerprint(self.path)
        trained = int(_context_length(_load(self.path, vocab_only=True).metadata) or positions)
        # llama.cpp may set more aside than it is asked for, and then fails beyond what it was asked for.
        positions = min(positions, trained)
        self._llama = _load(
            self.path,
            n_ctx=positions,
            n_threads=threads or _MOST_THREADS,
            n_gpu_layers=gpu_layers,
        )
        begin, end = self._llama.token_bos(), self._llama.token_eos()
        self._ends, self.known_tokens = self._find_ends(), self._llama.n_vocab()
        source = self._llama.metadata.get("tokenizer.chat_template")
        marks = {"bos_token": self._mark(begin), "eos_token": self._mark(end)}
        super().__init__(
            template=ChatTemplate(source, tokens=marks) if source else None,
            begin=next((token for token in (begin, end) if token >= 0), None),
            positions=positions,
            chat=chat,
            params={"max_tokens": max_tokens, **(params or {})},
        )

    @property
    def name(self) -> str:
        """The name of its file."""
        return self.path.stem

    def identity(self) -> Mapping[str, Any]:
        """The file's contents, the version of llama.cpp, and the options that shape answers."""
        import llama_cpp

        return {**super().identity(), "fingerprint": self._fingerprint, "llama_cpp": llama_cpp.__version__}

    def tokens(self, text: str, *, special: bool) -> list[int]:
        """A text in tokens, with those that the model wants before a text."""
        ids: list[int] = self._llama.tokenize(text.encode(), add_bos=special, special=True)
        return ids

    def text(self, tokens: Sequence[int]) -> str:
        """Tokens as a text, without the special ones."""
        content: bytes = self._llama.detokenize(list(tokens))
        return content.decode(errors="replace")

    def proceed(self, asked: Sequence[Asked]) -> list[Response]:
        """Continue prompts, one after another."""
        return [self._continue(answer) for answer in self.begin_answers(asked)]

    def score(self, asked: Sequence[Asked]) -> list[Response]:
        """Score the choices behind prompts, each prompt read once."""
        return [self._score(one) for one in asked]

    def close(self) -> None:
        """End the thread and give the memory back."""
        super().close()
        self._llama.close()

    def _continue(self, answer: Answer) -> Response:
        answer.begun, sampling = clock(), answer.sampling
        # Left out, llama.cpp would take the same seed every time.
        self._llama.set_seed(random.getrandbits(31) if sampling.seed is None else sampling.seed % 2**32)
        said = self._llama.generate(
            list(answer.prompt),
            temp=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            min_p=sampling.min_p,
            repeat_penalty=sampling.repetition_penalty,
        )
        for token in said:
            answer.take(token, ends=self._ends, text_of=self.text)
            if answer.finish:
                break
        return answer.response(ends=self._ends, text_of=self.text)

    def _score(self, asked: Asked) -> Response:
        scores, greedy, looks = [], [], []
        first = self._read_prompt(asked.prompt)
        for choice in asked.choices:
            odds, total, likeliest = first, 0.0, True
            for place, token in enumerate(choice):
                if place:
                    if place == 1:
                        self._read_prompt(asked.prompt)
                    self._llama.eval([choice[place - 1]])
                    odds = self._odds()
                total += float(odds[token])
                likeliest &= int(odds.argmax()) == token
                if asked.told:
                    looks.append(Look(float(odds[token]), int(odds.argmax()), float(odds.max())))
            scores.append(total)
            greedy.append(likeliest)
        counts = [len(choice) for choice in asked.choices]
        return Response(
            scores=tuple(scores),
            tokens=Tokens(len(asked.prompt) + sum(counts), 0),
            raw={"tokens": counts, "greedy": greedy, **({"looks": looks} if asked.told else {})},
        )

    def _read_prompt(self, prompt: Sequence[int]) -> Any:
        """Read a prompt behind what of it was read last; the log-probabilities of what follows."""
        import llama_cpp

        known = self._llama.longest_token_prefix(list(self._llama.eval_tokens), list(prompt[:-1]))
        memory = llama_cpp.llama_get_memory(self._llama.ctx)
        if llama_cpp.llama_memory_seq_rm(memory, -1, known, -1):
            self._llama.n_tokens = known
        else:
            # The memory of some architectures cannot be cut.
            self._llama.reset()
        self._llama.eval(prompt[self._llama.n_tokens :])
        return self._odds()

    def _odds(self) -> Any:
        """The log-probabilities of the next token."""
        import llama_cpp
        import numpy as np

        pointer = llama_cpp.llama_get_logits_ith(self._llama.ctx, -1)
        logits = np.ctypeslib.as_array(pointer, shape=(self._llama.n_vocab(),)).astype(np.float64)
        logits -= logits.max()
        return logits - np.log(np.exp(logits).sum())

    def _find_ends(self) -> frozenset[int]:
        """The tokens that end an answer."""
        import llama_cpp

        words = llama_cpp.llama_model_get_vocab(self._llama.model)
        every = range(self._llama.n_vocab())
        return frozenset(token for token in every if llama_cpp.llama_vocab_is_eog(words, token))

    def _mark(self, token: int) -> str:
        """How a special token is written."""
        return (
            "" if token < 0 else str(self._llama.detokenize([token], special=True).decode(errors="replace"))
        )


def _load(path: Path, **options: Any) -> Any:
    from llama_cpp import Llama

    try:
        return Llama(str(path), verbose=False, **options)
    except Exception as error:
        hint = "is the download complete, and llama-cpp-python new enough for its architecture?"
        raise ModelError(f"llama.cpp cannot load {path}: {describe(error)}", hint=hint) from error


def _context_length(metadata: Mapping[str, str]) -> str | None:
    return metadata.get(f"{metadata.get('general.architecture')}.context_length")
