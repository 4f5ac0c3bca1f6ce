"""Answers that were given before: an SQLite file of them, and a model that looks there first.

    cached = Cached(model, Cache("answers.sqlite"))
    answer(cached, requests)                # asked, and kept
    answer(cached, requests)                # not asked again: raw["cached"] is True, there is no timing

An answer is found again where all is equal that shapes it: the model with its wire, address and options,
the prompt down to the content of its pictures and sounds, choices, parameters, and which of several repeats
it is. Failures are never kept. Several processes may use one file at the same time.
"""

from __future__ import annotations

import contextlib
import math
import os
import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import msgspec

from steelyard.errors import DataError, StoreError
from steelyard.media.images import Image, as_image
from steelyard.media.pixels import is_picture
from steelyard.media.sounds import Sound, as_sound
from steelyard.models.base import Model
from steelyard.types import Part, Prompt, Request, Response

_OURS = 0x5374_796C  # an SQLite file that says so is one of these
_FORMAT = 1
_PATIENCE = 30.0
_PAUSE = 0.02
# Answers that come fast are written together: the lock of a file costs more than an answer.
_TOGETHER = 32
_SOON = 0.25


def default_path() -> Path:
    """Where answers are kept where nobody says where: the folder for caches of whoever runs this."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "steelyard" / "answers.sqlite"


class Cache:
    """A file of answers by their keys."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        self.broken = ""
        """Why nothing more is kept, once something could not be."""
        self._waiting: dict[bytes, bytes] = {}
        self._written = monotonic()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Answers are nobody else's business.
            self.path.touch(mode=0o600)
            # In a notebook it is asked on another thread than it is opened on; never on two at a time.
            self._file = sqlite3.connect(
                self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
            )
            with contextlib.ExitStack() as opened:
                opened.callback(self._file.close)
                self._begin()
                opened.pop_all()
        except (OSError, sqlite3.Error) as error:
            message = f"the cache {self.path} cannot be used: {error}"
            raise StoreError(message, hint="--cache FILE names another one") from error

    def find(self, key: bytes) -> Response | None:
        """The answer that was kept under a key; None where there is none."""
        if key in self._waiting:
            return _decoder.decode(self._waiting[key])
        try:
            row = self._file.execute("SELECT answer FROM answers WHERE key = ?", (key,)).fetchone()
            return None if row is None else _decoder.decode(row[0])
        except (sqlite3.Error, msgspec.DecodeError):
            # Whatever cannot be read is asked anew.
            return None

    def keep(self, key: bytes, response: Response) -> None:
        """Keep an answer; one that is no JSON is not, and a file that cannot be written costs no answer."""
        if self.broken:
            return
        try:
            answer = _encoder.encode(replace(response, timing=None, cost=None))
        except (TypeError, ValueError, msgspec.EncodeError):
            return
        self._waiting[key] = answer
        if len(self._waiting) >= _TOGETHER or monotonic() - self._written > _SOON:
            self.write()

    def close(self) -> None:
        """Write what waits, and close the file."""
        self.write()
        self._file.close()

    def write(self) -> None:
        """Write what waits to be written."""
        waiting, self._waiting, self._written = self._waiting, {}, monotonic()
        try:
            self._file.execute("BEGIN IMMEDIATE")
            self._file.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?)", waiting.items())
            self._file.execute("COMMIT")
        except sqlite3.Error as error:
            self.broken = f"the cache {self.path} cannot be written: {error}"
            if self._file.in_transaction:
                self._file.execute("ROLLBACK")

    def _begin(self) -> None:
        """Make the file ready; another process may be about it at the same time."""
        until = monotonic() + _PATIENCE
        while True:
            try:
                return self._make_ready()
            except sqlite3.OperationalError as error:
                # Who changes what kind of file it is does not wait for others by itself.
                if "locked" not in str(error) or monotonic() > until:
                    raise
                sleep(_PAUSE)

    def _make_ready(self) -> None:
        # In this order: whoever makes a new one ready says what it is before there is a table.
        (tables,) = self._file.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        (ours,) = self._file.execute("PRAGMA application_id").fetchone()
        if ours != _OURS and tables:
            raise sqlite3.DatabaseError("it is a database of something else")
        if ours == _OURS and self._file.execute("PRAGMA user_version").fetchone() > (_FORMAT,):
            raise sqlite3.DatabaseError("it was written by a newer version")
        # With a log beside the file readers and the one writer do not wait for each other.
        self._file.execute("PRAGMA journal_mode = WAL")
        self._file.execute("PRAGMA synchronous = NORMAL")
        if not tables:
            self._file.execute(f"PRAGMA application_id = {_OURS}")
            self._file.execute(f"PRAGMA user_version = {_FORMAT}")
            self._file.execute(
                "CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, answer BLOB) WITHOUT ROWID"
            )


class Cached(Model):
    """A model whose answers are looked for in a cache before it is asked; `repeat` as the run has it."""

    def __init__(self, model: Model, cache: Cache, *, repeat: int = 1) -> None:
        self.model, self.cache, self.repeat = model, cache, repeat
        self.hits = 0
        """How many answers were found."""
        self.chat, self.concurrency = model.chat, model.concurrency
        self.elsewhere, self.load_cost, self.likelihoods = model.elsewhere, model.load_cost, model.likelihoods
        self._began = blake2b(_encoder.encode(model.identity()), digest_size=16)

    @property
    def name(self) -> str:
        """The name of the model."""
        return self.model.name

    def identity(self) -> Mapping[str, Any]:
        """That of the model: where an answer came from does not shape it."""
        return self.model.identity()

    def spent(self) -> Mapping[str, float]:
        """What the model spent on what was not found."""
        return self.model.spent()

    def note(self) -> dict[str, Any]:
        """What a run notes of it, once all is written."""
        self.cache.write()
        return {"file": str(self.cache.path), "hits": self.hits, "broken": self.cache.broken}

    async def doubt(self, error: str) -> Any:
        """What the model says."""
        return await self.model.doubt(error)

    async def ask(self, request: Request) -> Response:
        """The answer that was kept, else the model's, which is kept if it is good."""
        try:
            key = self._key(request)
        except (TypeError, ValueError, DataError, msgspec.EncodeError):
            # What cannot be told apart from another question cannot be found again.
            return await self.model.ask(request)
        found = self.cache.find(key)
        if found is not None:
            self.hits += 1
            return found
        response = await self.model.ask(request)
        if _is_good(request, response):
            self.cache.keep(key, _marked(response))
        return response

    def close(self) -> None:
        """Close the cache; the model stays open for whoever opened it."""
        self.cache.close()

    def _key(self, request: Request) -> bytes:
        digest = self._began.copy()
        turn = request.id.rpartition("#")[2] if self.repeat > 1 else ""
        prompt = _look_at(request.prompt)
        digest.update(_encoder.encode((prompt, request.choices, request.params, turn)))
        return digest.digest()


def _marked(response: Response) -> Response:
    """The response as it is found again: what else it says, and that it was kept."""
    raw = response.raw
    said = raw if isinstance(raw, Mapping) else {} if raw is None else {"raw": raw}
    return replace(response, raw={**said, "cached": True})


def _is_good(request: Request, response: Response) -> bool:
    """Whether a response answers the request, as far as its form says."""
    if response.error is not None:
        return False
    scores = response.scores
    if scores is None:
        return request.choices is None
    if request.choices is not None and len(scores) != len(request.choices):
        return False
    values = scores.values() if isinstance(scores, Mapping) else scores
    # JSON has no word for the others.
    with contextlib.suppress(TypeError):
        return all(math.isfinite(value) for value in values)
    return False


def _look_at(prompt: Prompt) -> Any:
    """A prompt with its pictures and sounds as such, so that they are known by what they show."""
    if isinstance(prompt, str):
        return prompt
    if isinstance(prompt, Mapping):
        return {name: _shown(part) for name, part in prompt.items()}
    return [
        {**turn, "content": [_shown(part) for part in content]}
        if isinstance(turn, Mapping) and isinstance(content := turn.get("content"), (list, tuple))
        else turn
        for turn in prompt
    ]


def _shown(part: Any) -> Any:
    if not isinstance(part, Part) or part.kind == "text":
        return part
    return as_image(part.data) if part.kind == "image" else as_sound(part.data)


def _plain(value: Any) -> Any:
    """A picture or a sound by its content, where it is known, and whatever else JSON does not know."""
    if isinstance(value, Image) or is_picture(value):
        image = as_image(value)
        reference = image.reference()
        if "digest" in reference:
            reference = {**reference, "image": None}
        return [reference, image.page]
    if isinstance(value, Sound):
        reference = value.reference()
        return ["sound", {**reference, "audio": None} if "digest" in reference else reference]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} is no JSON")


_encoder = msgspec.json.Encoder(enc_hook=_plain, order="sorted")
_decoder = msgspec.json.Decoder(Response)
