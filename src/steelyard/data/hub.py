"""Data sets of the Hugging Face hub, streamed; and folders that its library has saved.

hub:openai/gsm8k:main@e53f048     name, then the configuration and the revision if needed
hf://datasets/openai/gsm8k        the same, as others write it
hub:./saved                       what datasets.Dataset.save_to_disk wrote
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from steelyard.data.features import undecoded
from steelyard.data.files import fingerprint
from steelyard.data.rows import Origin, Row
from steelyard.errors import DataError, UsageError, describe, need

PREFIXES = ("hub:", "hf://datasets/")
_RECORDS = ("dataset_dict.json", "dataset_info.json", "state.json")
_NAME = re.compile(r"(?P<name>[^:@]+)(?::(?P<config>[^@]+))?(?:@(?P<revision>.+))?")


class Hub(Origin):
    """A data set that the `datasets` library finds, row by row."""

    def __init__(self, ref: str, *, split: str | None = None) -> None:
        need("datasets", extra="hub")
        rest = next((ref[len(prefix) :] for prefix in PREFIXES if ref.startswith(prefix)), ref)
        match = _NAME.fullmatch(rest)
        if match is None or (ref.startswith("hf:") and rest.count("/") != 1):
            raise UsageError(f"{ref!r} names no data set", hint="hub:NAME or hub:NAME:CONFIG@REVISION")
        self._path = match["name"]
        self._folder = Path(self._path) if Path(self._path).is_dir() else None
        self.name = self._folder.resolve().name if self._folder else self._path
        self._config, self._revision = match["config"], match["revision"]
        self._split = split
        self._opened: Any = None

    def rows(self) -> Iterator[Row]:
        """Every row, as it arrives."""
        where = f"{self.name}, row"
        for number, row in enumerate(undecoded(self._open())):
            yield where, number, dict(row)

    def size(self) -> int | None:
        """How many rows the data set says it has."""
        found = self._open()
        if hasattr(found, "__len__"):
            return len(found)
        splits = found.info.splits or {}
        known = splits.get(str(found.split))
        return None if known is None else known.num_examples or None

    def identity(self) -> Mapping[str, Any]:
        """Its name, configuration and revision; of a folder, what is in its files."""
        if self._folder is None:
            return {"hub": self.name, "config": self._config, "revision": self._revision}
        # Not what the library notes beside the rows, which differs each time it saves them.
        files = [file for file in sorted(self._folder.rglob("*")) if file.is_file()]
        digests = [[file.name, fingerprint(file).digest] for file in files if file.name not in _RECORDS]
        return {"hub": self.name, "config": self._config, "files": digests}

    def _open(self) -> Any:
        if self._opened is None:
            self._opened = self._choose_split(self._load())
        return self._opened

    def _load(self) -> Any:
        import datasets

        try:
            if is_saved(Path(self._path)):
                return datasets.load_from_disk(self._path)
            return datasets.load_dataset(
                self._path, self._config, split=self._split, revision=self._revision, streaming=True
            )
        except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
            raise DataError(f"the data set {self._path!r} cannot be opened: {describe(error)}") from error

    def _choose_split(self, found: Any) -> Any:
        if not isinstance(found, Mapping):
            if self._split is not None and str(found.split) != self._split:
                raise DataError(f"{self.name} has no split {self._split!r}", hint=f"it is {found.split}")
            return found
        return choose_split(found, self._split, name=self.name)


def choose_split(splits: Mapping[str, Any], split: str | None, *, name: str) -> Any:
    """The split that is asked for, or the only one."""
    if split is None and len(splits) == 1:
        return next(iter(splits.values()))
    if split is not None and split in splits:
        return splits[split]
    known = ", ".join(splits)
    wrong = "has several splits" if split is None else f"has no split {split!r}"
    raise DataError(f"{name} {wrong}", hint=f"split= one of {known}")


def is_saved(folder: Path) -> bool:
    """Whether the `datasets` library has saved this folder."""
    return any((folder / name).is_file() for name in ("state.json", "dataset_dict.json"))
