"""Pictures opened for a model: several at a time, those just seen kept, and within limits of size."""

from __future__ import annotations

import math
import os
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TYPE_CHECKING, Any

from steelyard.errors import SteelyardError, describe
from steelyard.media.images import Image

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

# Pages are mostly asked about several times in a row: so much of what was opened is kept.
_MOST_KEPT_BYTES = 2**26
_MOST_WORKERS = 8


class Gallery:
    """Opens pictures; with `least` or `most` they are made so small or large in pixels."""

    def __init__(self, *, least: int | None = None, most: int | None = None) -> None:
        self._least, self._most = least, most
        self._kept: OrderedDict[Any, Picture] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()
        # Threads begin with the first picture.
        self._pool = ThreadPoolExecutor(min(_MOST_WORKERS, os.cpu_count() or 1), "pictures")

    def size(self, image: Image) -> tuple[int, int]:
        """Width and height of a picture as it will be shown, for which it is not opened."""
        return self._fit(*image.size())

    def open(self, images: Sequence[Image]) -> list[Picture | str]:
        """The pictures in their order; in place of one that cannot be had what is wrong with it."""
        keys = [self._key(image) for image in images]
        with self._lock:
            opened: dict[Any, Picture | str] = {key: self._kept[key] for key in keys if key in self._kept}
        wanted = {key: image for key, image in zip(keys, images) if key not in opened}
        opened.update(zip(wanted, self._pool.map(self._open, wanted.values())))
        with self._lock:
            for key, picture in opened.items():
                self._keep(key, picture)
        return [opened[key] for key in keys]

    def close(self) -> None:
        """End the threads, and let go of what is kept."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            self._kept.clear()
            self._bytes = 0

    def _key(self, image: Image) -> Any:
        reference = image.reference()
        # What has no digest may change between two looks, and is opened each time.
        return (reference["digest"], image.page) if "digest" in reference else id(image)

    def _keep(self, key: Any, picture: Picture | str) -> None:
        if isinstance(picture, str) or isinstance(key, int):
            return
        if key not in self._kept:
            self._bytes += _bytes_of(picture)
        self._kept[key] = picture
        self._kept.move_to_end(key)
        while self._bytes > _MOST_KEPT_BYTES:
            _, last = self._kept.popitem(last=False)
            self._bytes -= _bytes_of(last)

    def _open(self, image: Image) -> Picture | str:
        try:
            picture = image.open()
            size = self._fit(*picture.size)
            return picture if size == picture.size else picture.resize(size)
        except SteelyardError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - foreign decoders; the question fails, not the run
            return f"{image.name}: {describe(error)}"

    def _fit(self, width: int, height: int) -> tuple[int, int]:
        """The size within the limits, of the same shape as nearly as whole pixels allow."""
        area = width * height
        if self._most is not None and area > self._most:
            scale = math.sqrt(self._most / area)
            width, height = max(1, math.floor(width * scale)), max(1, math.floor(height * scale))
            # Of a line nothing is left to shorten but its length.
            return min(width, self._most), min(height, self._most)
        if self._least is not None and area < self._least:
            scale = math.sqrt(self._least / area)
            return math.ceil(width * scale), math.ceil(height * scale)
        return width, height


def _bytes_of(picture: Picture) -> int:
    return picture.width * picture.height * 3
