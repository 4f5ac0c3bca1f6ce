"""Tensors of KServe's v2 protocol, as JSON or as bytes behind the JSON.

    {"name": "text_input", "datatype": "BYTES", "shape": [1, 1], "data": ["2 + 2 ="]}
    {"name": "text_input", "datatype": "BYTES", "shape": [1, 1], "parameters": {"binary_data_size": 11}}

As bytes numbers are little-endian, and each text has its length before it, in four bytes. How long the
JSON is, is then said by a header.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from steelyard.errors import DataError, UsageError
from steelyard.wire.openai_errors import decode_json

LENGTH = "Inference-Header-Content-Length"
SIZE = "binary_data_size"
_FORMATS = {
    "BOOL": "?", "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q", "UINT8": "B", "UINT16": "H",
    "UINT32": "I", "UINT64": "Q", "FP16": "e", "FP32": "f", "FP64": "d",
}  # fmt: skip


class Tensor(NamedTuple):
    """Values of one kind, in the order of their shape."""

    name: str
    datatype: str
    shape: Sequence[int]
    values: Sequence[Any]

    def rows(self, count: int) -> list[Sequence[Any]]:
        """The values of each of `count` rows; a DataError where there are not as many rows."""
        if len(self.values) % count or (self.shape and self.shape[0] != count and len(self.values) != count):
            raise DataError(
                f"the tensor {self.name} has the shape {list(self.shape)}, {count} rows were asked"
            )
        size = len(self.values) // count
        return [self.values[start : start + size] for start in range(0, size * count, size or 1)]


def tensor_of(name: str, values: Sequence[Any], *, shape: Sequence[int], datatype: str = "") -> Tensor:
    """A tensor of values, of the type that the first of them has where none is given."""
    kinds = ((str, "BYTES"), (bool, "BOOL"), (int, "INT64"), (float, "FP32"))
    found = next((kind for cls, kind in kinds if values and isinstance(values[0], cls)), "")
    if kind := datatype or found:
        return Tensor(name, kind, shape, values)
    raise UsageError(f"the input {name} is neither texts nor numbers")


def read_body(body: bytes, headers: Mapping[str, str]) -> tuple[dict[str, Any], bytes]:
    """The object in a body, and the bytes behind it."""
    said = headers.get(LENGTH.lower(), "")
    size = int(said) if said.isascii() and said.isdigit() else -1 if said else len(body)
    if not 0 <= size <= len(body):
        raise DataError(f"{LENGTH} is {said!r} of a body of {len(body)} bytes")
    found = decode_json(body[:size])
    if not isinstance(found, dict):
        raise DataError("an object was expected")
    return found, body[size:]


def read_tensors(entries: Any, blob: bytes) -> Iterator[Tensor]:
    """The tensors of a list, in JSON or in the bytes behind it."""
    place = 0
    for entry in entries if isinstance(entries, list) else ():
        name, kind, shape = _head(entry)
        own = entry.get("parameters")
        size = own.get(SIZE) if isinstance(own, dict) else None
        if size is None:
            values: Sequence[Any] = [*_flatten(entry.get("data"))]
        elif not isinstance(size, int) or not 0 <= size <= len(blob) - place:
            raise DataError(f"the tensor {name} has {len(blob) - place} bytes, not {size}")
        else:
            values = _unpack(name, kind, blob[place : place + size])
            place += size
        if len(values) != math.prod(shape):
            raise DataError(f"the tensor {name} has {len(values)} values, its shape is {shape}")
        yield Tensor(name, kind, shape, values)


def write_body(
    about: Mapping[str, Any], key: str, tensors: Sequence[tuple[Tensor, bool]]
) -> tuple[bytes, int]:
    """A body with tensors, each in JSON or (true) in bytes behind it; and how long its JSON is."""
    entries, blobs = [], []
    for tensor, binary in tensors:
        entry = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}
        if binary:
            blobs.append(_pack(tensor))
            entries.append({**entry, "parameters": {SIZE: len(blobs[-1])}})
        else:
            entries.append({**entry, "data": tensor.values})
    head = msgspec.json.encode({**about, key: entries})
    return b"".join([head, *blobs]), len(head)


def _unpack(name: str, kind: str, blob: bytes) -> Sequence[Any]:
    if kind == "BYTES":
        return [*_texts(name, blob)]
    form = _FORMATS.get(kind)
    if form is None:
        raise DataError(f"the tensor {name} is of the type {kind}", hint="BYTES, " + ", ".join(_FORMATS))
    size = struct.calcsize(f"<{form}")
    if len(blob) % size:
        raise DataError(f"the tensor {name} has {len(blob)} bytes, which are no {kind}")
    return struct.unpack(f"<{len(blob) // size}{form}", blob)


def _texts(name: str, blob: bytes) -> Iterator[str]:
    place = 0
    while place < len(blob):
        if place + 4 > len(blob):
            raise DataError(f"the tensor {name} ends within a length")
        (size,) = struct.unpack_from("<I", blob, place)
        text = blob[place + 4 : place + 4 + size]
        if len(text) < size:
            raise DataError(f"the tensor {name} ends within a text")
        try:
            yield text.decode()
        except UnicodeDecodeError as error:
            raise DataError(f"the tensor {name} has bytes that are no text: {error}") from error
        place += 4 + size


def _pack(tensor: Tensor) -> bytes:
    if tensor.datatype == "BYTES":
        texts = [str(value).encode() for value in tensor.values]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    form = _FORMATS.get(tensor.datatype)
    if form is None:
        raise UsageError(f"there is no type {tensor.datatype}", hint="BYTES, " + ", ".join(_FORMATS))
    try:
        return struct.pack(f"<{len(tensor.values)}{form}", *tensor.values)
    except struct.error as error:
        raise UsageError(f"the input {tensor.name} is no {tensor.datatype}: {error}") from error


def _flatten(data: Any) -> Iterator[Any]:
    if not isinstance(data, list):
        raise DataError("a tensor has neither data nor a size of bytes")
    for value in data:
        if isinstance(value, list):
            yield from _flatten(value)
        else:
            yield value


def _head(entry: Any) -> tuple[str, str, list[int]]:
    """The name, the datatype and the shape of a tensor."""
    if not isinstance(entry, dict):
        raise DataError("a tensor is an object")
    name, kind, shape = entry.get("name"), entry.get("datatype"), entry.get("shape")
    if not isinstance(name, str) or not isinstance(kind, str) or not isinstance(shape, list):
        raise DataError("a tensor has a name, a datatype and a shape")
    if not all(type(size) is int and size >= 0 for size in shape):
        raise DataError(f"the shape of the tensor {name} is {shape}")
    return name, kind, shape
