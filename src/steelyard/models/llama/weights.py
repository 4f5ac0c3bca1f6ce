"""The tensors of a model folder, read from its safetensors files, one at a time.

A file is eight bytes with the length of a header, the header (JSON: name, dtype, shape and place of each
tensor), and the numbers. It is mapped, not read: only what is asked for comes into memory.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import ModelError
from steelyard.models.chat import read_json

_DTYPES = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16, "F64": np.float64}
_WHOLE = "model.safetensors"
_LONGEST_HEADER = 100_000_000


class Weights:
    """The tensors of a folder by their names, each as float32 when it is asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tensors: dict[str, tuple[Path, int, Mapping[str, Any]]] = {}
        for file in _files(folder):
            self._read_header(file)

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        if name not in self._tensors:
            raise ModelError(f"the weights in {self._folder} have no {name}", hint="do they fit config.json?")
        file, begin, entry = self._tensors[name]
        dtype, shape = entry["dtype"], tuple(entry["shape"])
        if dtype not in _DTYPES:
            hint = "pip install 'steelyard[hf]' runs it through transformers"
            raise ModelError(
                f"{name} in {file} is {dtype}, which the embedded engine does not know", hint=hint
            )
        numbers: NDArray[Any] = np.memmap(
            file, dtype=_DTYPES[dtype], mode="r", offset=begin + entry["data_offsets"][0], shape=shape
        )
        if dtype == "BF16":
            # The upper half of a float32.
            return (numbers.astype(np.uint32) << 16).view(np.float32)
        return np.array(numbers, dtype=np.float32)

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def _read_header(self, file: Path) -> None:
        size = file.stat().st_size
        with file.open("rb") as content:
            length = int.from_bytes(content.read(8), "little")
            if not 2 <= length <= min(size - 8, _LONGEST_HEADER):
                raise ModelError(f"{file} is not a safetensors file", hint="is the download complete?")
            try:
                header = json.loads(content.read(length))
            except ValueError as error:
                raise ModelError(f"{file} is not a safetensors file: {error}") from error
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            if 8 + length + entry["data_offsets"][1] > size:
                raise ModelError(f"{file} ends in the middle of {name}", hint="is the download complete?")
            self._tensors[name] = (file, 8 + length, entry)


def _files(folder: Path) -> list[Path]:
    index = read_json(folder / f"{_WHOLE}.index.json")
    files = [folder / name for name in sorted(set(index.get("weight_map", {_WHOLE: _WHOLE}).values()))]
    for file in files:
        if not file.is_file():
            other = next(folder.glob("*.bin"), None)
            hint = "the embedded engine reads safetensors only" if other else "is the download complete?"
            raise ModelError(f"the model folder {folder} has no {file.name}", hint=hint)
    return files
