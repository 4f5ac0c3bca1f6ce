"""Pages of PDF documents as pictures."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from steelyard.errors import DataError, describe, need
from steelyard.media.decoding import check_size

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

DPI = 144
"""How many pixels an inch of a page becomes; may be set."""

_POINTS = 72
# PDFium is not made for several threads.
_one_at_a_time = threading.Lock()


def render(file: IO[bytes], number: int | None, name: str) -> Picture:
    """A page of a document, counted from 1."""
    with _page(file, number, name) as page:
        check_size(_size(page), name)
        bitmap = page.render(scale=DPI / _POINTS)
        try:
            # A copy, because the pixels are freed with the bitmap.
            return bitmap.to_pil().convert("RGB").copy()  # type: ignore[no-any-return]
        finally:
            bitmap.close()


def measure(file: IO[bytes], number: int | None, name: str) -> tuple[int, int]:
    """Width and height that a page is rendered with."""
    with _page(file, number, name) as page:
        return _size(page)


def count(file: IO[bytes], name: str) -> int:
    """How many pages a document has."""
    with _document(file, name) as document:
        return len(document)


def _size(page: Any) -> tuple[int, int]:
    width, height = page.get_size()
    return math.ceil(width * DPI / _POINTS), math.ceil(height * DPI / _POINTS)


@contextmanager
def _page(file: IO[bytes], number: int | None, name: str) -> Iterator[Any]:
    with _document(file, name) as document:
        pages = len(document)
        if number is None and pages != 1:
            raise DataError(f"{name} has {pages} pages", hint=f"{name}#page=1 is the first of them")
        number = 1 if number is None else number
        if not 1 <= number <= pages:
            raise DataError(f"there is no picture {name}", hint=f"the document has {pages} pages")
        page = document[number - 1]
        try:
            yield page
        finally:
            page.close()


@contextmanager
def _document(file: IO[bytes], name: str) -> Iterator[Any]:
    need("pypdfium2", extra="pdf")
    import pypdfium2

    with _one_at_a_time:
        try:
            document = pypdfium2.PdfDocument(file)
            try:
                # What was filled into a form is drawn only so.
                document.init_forms()
                yield document
            finally:
                document.close()
        except pypdfium2.PdfiumError as error:
            if "password" in str(error).lower():
                raise DataError(f"{name} is encrypted", hint="save it without its password") from error
            raise DataError(f"{name} is damaged: {error}") from error
        except (OSError, OverflowError, ValueError) as error:
            raise DataError(f"{name} is damaged: {describe(error)}") from error
