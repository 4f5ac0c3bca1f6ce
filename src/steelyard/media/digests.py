"""Digests of files: of small ones what is in them, of large ones their size and what is in some places."""

from __future__ import annotations

import io
import os
import threading
from collections import OrderedDict
from hashlib import blake2b
from pathlib import Path
from typing import IO

from steelyard.media.locations import open_file

_WHOLE = 4 << 20
_BLOCK = 1 << 14
_BLOCKS = 64
_REMEMBERED = 4096

_known: OrderedDict[tuple[object, ...], str] = OrderedDict()
_lock = threading.Lock()


def hash_file(file: Path | IO[bytes]) -> str:
    """A digest of a file; of one that was not changed since it is remembered."""
    if not isinstance(file, Path):
        return _hash(file)
    key = identify(file)
    with _lock:
        if key in _known:
            _known.move_to_end(key)
            return _known[key]
    with open_file(file, str(file), kind="sound") as content:
        digest = _hash(content)
    with _lock:
        _known[key] = digest
        if len(_known) > _REMEMBERED:
            _known.popitem(last=False)
    return digest


def identify(file: Path) -> tuple[object, ...]:
    """What is no longer the same once a file has changed."""
    stat = file.stat()
    return os.fspath(file.absolute()), stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


def _hash(file: IO[bytes]) -> str:
    size = file.seek(0, io.SEEK_END)
    digest = blake2b(digest_size=16)
    if size <= _WHOLE:
        file.seek(0)
        digest.update(file.read(_WHOLE))
        return digest.hexdigest()
    digest.update(f"{size}:".encode())
    for number in range(_BLOCKS):
        # The first begins where the file does, the last ends where it does.
        file.seek((size - _BLOCK) * number // (_BLOCKS - 1))
        digest.update(file.read(_BLOCK))
    return digest.hexdigest()
