"""Encoded pictures: what they are, how large, and as they are to be seen.

Colours are taken as they stand: a colour profile in the file is not applied.
"""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from steelyard.errors import DataError, SteelyardError, describe, need
from steelyard.media.kinds import describe_bytes, is_picture_bytes

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

MOST_PIXELS = 89_478_485
"""Pictures with more pixels are refused by their header: 256 MiB as RGB. May be set."""

# Only what is a picture and is told by its first bytes: no PostScript, which is a program.
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "JPEG2000", "AVIF", "QOI", "HEIF")
_READABLE = "PNG, JPEG, GIF, WebP, TIFF, BMP, PPM, JPEG 2000, AVIF and QOI are"
_PORTABLE = {"PNG": "png", "JPEG": "jpeg", "MPO": "jpeg", "GIF": "gif", "WEBP": "webp"}
_ORIENTATION = 0x0112
_TURNS = "FLIP_LEFT_RIGHT ROTATE_180 FLIP_TOP_BOTTOM TRANSPOSE ROTATE_270 TRANSVERSE ROTATE_90".split()
_HEAD = 64
# How decoders say that there is nothing more to read.
_SHORT = re.compile(r"truncat|not enough|premature|end of file|EOF|buffer of|only got|incomplete", re.I)


def decode(file: IO[bytes], name: str) -> Picture:
    """The picture in a file: upright, RGB, the first frame."""
    with opened(file, name) as picture:
        return _straighten(picture, name)


def convert(picture: Picture, name: str) -> Picture:
    """A PIL picture that a program holds, as `decode` gives one."""
    if not all(picture.size):
        raise _no_pixel(picture.size, name)
    try:
        return _straighten(picture, name)
    except SteelyardError:
        raise
    except Exception as error:
        raise DataError(f"{name} cannot be shown: {describe(error)}") from error


def measure(file: IO[bytes], name: str) -> tuple[int, int]:
    """Width and height of the picture in a file, as it is upright, by its header."""
    with opened(file, name) as picture:
        return upright_size(picture)


def portable(file: IO[bytes], name: str) -> str | None:
    """The media type of a file that any program shows as `decode` does; None for any other."""
    head = file.read(_HEAD)
    file.seek(0)
    with opened(file, name) as picture:
        kind = _PORTABLE.get(picture.format or "")
        several = picture.format != "MPO" and getattr(picture, "is_animated", False)
        if kind is None or several or orientation(picture) != 1:
            return None
        if picture.mode not in ("RGB", "L", "P", "1") or _has_transparency(picture):
            return None
        if _lacks_end(file, head):
            # Some programs write more behind the end: only decoding tells those from what is cut off.
            picture.load()
        return f"image/{kind}"


def encode(picture: Picture) -> bytes:
    """A picture as PNG."""
    buffer = io.BytesIO()
    # The least effort: several times as fast for a few per cent more bytes.
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


@contextmanager
def opened(file: IO[bytes], name: str) -> Iterator[Picture]:
    """The picture in a file, its header read and its size within the limit."""
    head = file.read(_HEAD)
    if not head:
        raise DataError(f"{name} is empty", hint="was it written to its end?")
    try:
        picture = _identify(file, head)
        if picture is None:
            raise _stranger(head, name)
        check_size(picture.size, name)
        yield picture
    except SteelyardError:
        raise
    except Exception as error:
        # Decoders raise anything for a damaged file.
        raise _damage(error, file, head, name) from error


def check_size(size: tuple[int, int], name: str) -> None:
    """Raise a DataError for a picture that has no pixel or too many."""
    width, height = size
    if width < 1 or height < 1:
        raise _no_pixel(size, name)
    if width * height > MOST_PIXELS:
        hint = f"at most {MOST_PIXELS:,}: steelyard.media.decoding.MOST_PIXELS"
        raise DataError(f"{name} has {width:,}x{height:,} pixels, too many", hint=hint)


def orientation(picture: Picture) -> int:
    """How a picture is to be turned, as EXIF says it: 1 for not at all."""
    if picture.format == "PNG" and not {"exif", "Raw profile type exif"} & picture.info.keys():
        # Looking for it further would decode the pixels.
        return 1
    try:
        found = picture.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - a damaged note beside a picture is no damage to it
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def upright_size(picture: Picture) -> tuple[int, int]:
    """Width and height of a picture once it is turned."""
    width, height = picture.size
    tags = getattr(picture, "tag_v2", {})
    if _ORIENTATION in tags:
        # A TIFF that is not decoded yet may or may not say its size as if it were turned.
        width, height = tags.get(256, width), tags.get(257, height)
    return (height, width) if orientation(picture) >= 5 else (width, height)


def _straighten(picture: Picture, name: str) -> Picture:
    """A picture turned as its EXIF says, in RGB, what is transparent in white."""
    turn = orientation(picture)
    picture.load()
    if picture.format == "TIFF":
        # It was turned by being decoded.
        turn = orientation(picture)
    shown = _rgb(picture, name)
    if turn != 1:
        from PIL.Image import Transpose

        shown = shown.transpose(Transpose[_TURNS[turn - 2]])
    # What it says of the file is no longer so: a second one to obey it would turn it again.
    shown.info.clear()
    return shown


def _rgb(picture: Picture, name: str) -> Picture:
    from PIL.Image import new

    if picture.mode.startswith(("I", "F")):
        return _grey(picture, name).convert("RGB")
    if _has_transparency(picture):
        seen = picture.convert("RGBA")
        white = new("RGB", seen.size, "white")
        white.paste(seen, mask=seen.getchannel("A"))
        return white
    if picture.mode == "RGB":
        return picture.copy()
    return picture.convert("RGB")


def _has_transparency(picture: Picture) -> bool:
    if picture.mode in ("RGBA", "RGBa", "LA", "La", "PA"):
        return True
    return "transparency" in picture.info and picture.mode in ("P", "RGB", "L", "1")


def _grey(picture: Picture, name: str) -> Picture:
    """Grey of more than eight bits as grey of eight."""
    import numpy as np
    from PIL.Image import fromarray

    values = np.asarray(picture).astype("float32")
    finite = np.isfinite(values)
    if not finite.all():
        if not finite.any():
            raise DataError(f"{name} has no pixel that is a number")
        values = np.where(finite, values, values[finite].min())
    low, high = float(values.min()), float(values.max())
    if picture.mode.startswith("I;16") or (picture.format == "PNG" and high <= 65535):
        low, high = 0.0, 65535.0
    elif low >= 0:
        # The least range that holds the values is the one they were written for.
        low, high = 0.0, next((top for top in _TOPS[picture.mode[0]] if high <= top), high)
    scale = 255 / (high - low) if high > low else 0.0
    return fromarray(((values - low) * scale).round().astype("uint8"))


_TOPS = {"I": (255.0, 65535.0), "F": (1.0, 255.0, 65535.0)}

_ready = threading.Lock()


def _identify(file: IO[bytes], head: bytes) -> Any:
    """What decodes a file, its header read; None where nothing does."""
    need("PIL", extra="images")
    import PIL.Image

    with _ready:
        PIL.Image.init()
    # Not PIL.Image.open: it warns of sizes that are none of its business here.
    tried: Exception | None = None
    for kind in _FORMATS:
        make, accept = PIL.Image.OPEN.get(kind, (None, None))
        if make is None or accept is None or accept(head[:16]) is not True:
            continue
        file.seek(0)
        try:
            return make(file, "")
        except (SyntaxError, IndexError, TypeError) as error:
            tried = error
    if tried is not None:
        raise tried
    return None


def _no_pixel(size: tuple[int, int], name: str) -> DataError:
    return DataError(f"{name} has no pixel: it is {size[0]}x{size[1]}")


def _stranger(head: bytes, name: str) -> DataError:
    """The error that nothing decodes what begins so."""
    if is_picture_bytes(head) and len(head) < _HEAD:
        return _cut_off(name)
    return DataError(
        f"{name} is not a picture that can be read: it is {describe_bytes(head)}", hint=_READABLE
    )


def _cut_off(name: str, text: str = "") -> DataError:
    message = f"{name} is cut off: {text}" if text else f"{name} is cut off"
    return DataError(message, hint="was it written or downloaded to its end?")


def _damage(error: Exception, file: IO[bytes], head: bytes, name: str) -> DataError:
    """What a decoder raised, as an error that says whether the end is missing."""
    text = describe(error)
    if isinstance(error, MemoryError):
        return DataError(f"{name} does not fit into memory")
    if type(error).__name__.startswith("DecompressionBomb"):
        return DataError(f"{name} has too many pixels: {text}")
    if isinstance(error, EOFError) or _SHORT.search(text) or _lacks_end(file, head):
        return _cut_off(name, text)
    if "not identified by this driver" in text:
        # What PIL says of a width or height of 0.
        return DataError(f"{name} has no pixel, or a header that cannot be read")
    return DataError(f"{name} is damaged: {text}")


def _lacks_end(file: IO[bytes], head: bytes) -> bool:
    """Whether a file does not end as its format wants it to."""
    try:
        place = file.tell()
        size = file.seek(0, io.SEEK_END)
        file.seek(max(0, size - _HEAD))
        tail = file.read().rstrip(b"\0")
        file.seek(place)
    except OSError:
        return False
    if head.startswith(b"RIFF"):
        return size < int.from_bytes(head[4:8], "little") + 8
    if head.startswith(b"GIF8"):
        return not tail.endswith(b";")
    ends = {b"\x89PNG": b"IEND", b"\xff\xd8\xff": b"\xff\xd9"}
    return any(head.startswith(begin) and end not in tail for begin, end in ends.items())
