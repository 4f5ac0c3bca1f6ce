"""Pictures that a program holds in memory, as PIL pictures: PIL itself, numpy, torch and their like."""

from __future__ import annotations

import sys
import threading
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from steelyard.errors import DataError, describe, need

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

_CHANNELS = (1, 3, 4)
_loading = threading.Lock()


def is_picture(value: Any) -> bool:
    """Whether this is a picture of PIL."""
    # While another thread imports it, the library has no class yet.
    kind = getattr(sys.modules.get("PIL.Image"), "Image", None)
    return kind is not None and isinstance(value, kind)


def is_pixels(value: Any) -> bool:
    """Whether this is a picture of PIL, or an array or tensor of any library."""
    if is_picture(value):
        return True
    if not (hasattr(value, "shape") and hasattr(value, "dtype") and hasattr(value, "__array__")):
        return False
    return isinstance(value.shape, tuple) and len(value.shape) >= 2


def to_picture(value: Any, name: str) -> Picture:
    """The PIL picture of what is_pixels."""
    if not is_picture(value):
        return _picture(_array(value), name)
    # PIL decodes a file when it is first looked at, and not for two threads at once.
    try:
        with _loading:
            value.load()
    except Exception as error:
        raise DataError(f"{name} cannot be decoded: {describe(error)}") from error
    return value  # type: ignore[no-any-return]


def shape(value: Any, name: str) -> tuple[int, int]:
    """Width and height of an array or tensor."""
    return _layout(tuple(value.shape), name)[:2]


def hash_picture(picture: Picture) -> blake2b:
    """A digest of a PIL picture's size, mode and pixels, begun."""
    digest = blake2b(f"{picture.mode} {picture.size}".encode(), digest_size=16)
    if picture.palette is not None:
        digest.update(picture.palette.tobytes())
    digest.update(picture.tobytes())
    return digest


def hash_array(value: Any) -> str:
    """A digest of the shape and the values of an array or tensor."""
    array = _array(value)
    digest = blake2b(f"{array.dtype} {array.shape}".encode(), digest_size=16)
    digest.update(array.tobytes())
    return digest.hexdigest()


def _array(value: Any) -> Any:
    import numpy as np

    if hasattr(value, "detach"):
        value = value.detach().cpu()
        # numpy does not know bfloat16.
        value = value.float() if value.is_floating_point() else value
        value = value.numpy()
    return np.asarray(value)


def _layout(shape: tuple[int, ...], name: str) -> tuple[int, int, bool]:
    """Width, height, and whether the channels come first."""
    first = len(shape) == 3 and shape[0] in _CHANNELS
    last = len(shape) == 3 and shape[2] in _CHANNELS
    if len(shape) == 2:
        return shape[1], shape[0], False
    if first and last:
        hint = "PIL.Image.fromarray says which it is"
        raise DataError(f"{name}: the channels of {shape} may be the first or the last", hint=hint)
    if first:
        return shape[2], shape[1], True
    if last:
        return shape[1], shape[0], False
    hint = "(height, width), (height, width, 1, 3 or 4) or (1, 3 or 4, height, width)"
    raise DataError(f"{name}: {shape} is no shape of a picture", hint=hint)


def _picture(array: Any, name: str) -> Picture:
    width, height, first = _layout(array.shape, name)
    if not width or not height:
        raise DataError(f"{name} has no pixel: it is {width}x{height}")
    need("PIL", extra="images")
    from PIL.Image import fromarray

    if first:
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    import numpy as np

    return fromarray(np.ascontiguousarray(_bytes(array, name)))


def _bytes(array: Any, name: str) -> Any:
    """The values of an array as bytes."""
    import numpy as np

    kind = array.dtype.kind
    if array.dtype == np.uint8:
        return array
    if kind == "b":
        return array.astype("uint8") * 255
    if kind not in "uif":
        raise DataError(f"{name}: values of the type {array.dtype} are no pixels")
    if kind == "f" and not np.isfinite(array).all():
        raise DataError(f"{name}: there are values that are no numbers (NaN or infinite)")
    low, high = array.min(), array.max()
    top = 65535 if array.dtype == np.uint16 else 1 if kind == "f" and high <= 1 else 255
    if low < 0 or high > top:
        hint = "0 to 1 or 0 to 255; undo a normalisation first"
        raise DataError(f"{name}: values go from {low:g} to {high:g}", hint=hint)
    return (array.astype("float32") * (255 / top)).round().astype("uint8")
