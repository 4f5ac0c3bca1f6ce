"""What a model folder is known by: a digest of its files, wherever the folder stands.

fingerprint(Path("Qwen2.5-0.5B"))      'b2-5f0c…', the same on any machine that has these files
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from steelyard.errors import ModelError, describe

_WHOLE = 64 * 2**20
_END = 2**20
_BLOCK = 64 * 2**10
_BLOCKS = 64
# What comes and goes without the model being another one.
_IGNORED_FOLDERS = {".git", ".cache", "__pycache__", ".ipynb_checkpoints"}
_IGNORED_FILES = {".DS_Store", ".gitattributes", ".gitignore"}


def fingerprint(path: Path) -> str:
    """The identity of a model folder, or of one file: equal files give equal fingerprints.

    Files of more than 64 MB are known by their size, their ends and 64 blocks between: weights
    that were trained on or quantised differ everywhere.
    """
    digest = hashlib.blake2b(digest_size=16)
    try:
        if path.is_file():
            _add(digest, path)
        else:
            for file in sorted(_files(path), key=lambda file: file.relative_to(path).as_posix()):
                digest.update(file.relative_to(path).as_posix().encode() + b"\0")
                _add(digest, file)
    except OSError as error:
        raise ModelError(f"the model {path} cannot be read: {describe(error)}") from error
    return f"b2-{digest.hexdigest()}"


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.is_dir():
            if path.name not in _IGNORED_FOLDERS:
                yield from _files(path)
        elif (
            path.name not in _IGNORED_FILES and path.suffix.lower() != ".md" and path.stem.upper() != "README"
        ):
            yield path


def _add(digest: hashlib.blake2b, file: Path) -> None:
    size = file.stat().st_size
    digest.update(f"{size}\0".encode())
    with file.open("rb") as content:
        if size <= _WHOLE:
            while block := content.read(_END):
                digest.update(block)
            return
        digest.update(content.read(_END))
        for place in range(_BLOCKS):
            content.seek(_END + place * (size - 2 * _END - _BLOCK) // (_BLOCKS - 1))
            digest.update(content.read(_BLOCK))
        content.seek(size - _END)
        digest.update(content.read(_END))
