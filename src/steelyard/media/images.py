"""Pictures from anywhere: nothing of one is read until it is looked at.

    as_image("scans/7.jpg").open()          upright and RGB, however it was stored
    as_image("scans/7.jpg").url()           the same as data: URL, as services take it
    as_images("letter.pdf")                 one picture a page

How a file becomes a picture stands in `decoding`, how an array does in `pixels`.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from hashlib import blake2b
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from steelyard.errors import DataError
from steelyard.masking import mask_url
from steelyard.media import decoding, pages, pixels
from steelyard.media.downloads import download
from steelyard.media.kinds import is_pdf
from steelyard.media.locations import (
    LONGEST_PATH,
    begins_as_base64,
    decode_base64,
    decode_data_url,
    open_file,
    path_of_url,
    scheme,
)

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

_BLOCK = 1 << 20
_PAGE = re.compile(r"(.+\.pdf)#page=(\d+)", re.I | re.S)
_BYTES = (bytes, bytearray, memoryview)
# Where pictures stand in rows of data sets and in parts of messages, the likeliest first.
_FIELDS = ("bytes", "path", "image_url", "input_image", "image", "url", "base64", "data", "source")


class Image:
    """A picture somewhere: a file, a page of a document, encoded bytes, an address, or pixels.

    `source` is a path, a file:, data: or (with `remote`) http(s): URL, bytes, or a picture of
    PIL, numpy or torch. A relative path is relative to `home`. An Image holds no decoded pixels
    but those it was made of, and many threads may look at it at once. `detail` says how closely a
    service is to look at it, where it was said beside an address.
    """

    __slots__ = (
        *("__weakref__", "_fetched", "_given", "_reference", "_source", "_whole"),
        *("detail", "name", "page"),
    )

    def __init__(
        self, source: Any, *, page: int | None = None, remote: bool = False, home: Path | None = None
    ) -> None:
        self._given: str | None = None
        self._fetched: bytes | None = None
        self._whole: Image | None = None
        self._reference: dict[str, Any] | None = None
        self._source: Any = source
        if isinstance(source, (str, Path)) and page is None and (found := _PAGE.fullmatch(str(source))):
            source, page = type(source)(found[1]), int(found[2])
        self.page = page
        self.detail: str | None = None
        if isinstance(source, Path):
            self._given, self._source = str(source), (home or Path()) / source
        elif isinstance(source, str):
            self._locate(source, home or Path(), remote)
        elif isinstance(source, _BYTES):
            self._source = bytes(source)
        elif not pixels.is_pixels(source):
            hint = "a path, a URL, bytes, a PIL picture or an array of pixels is one"
            raise DataError(f"something of the type {type(source).__name__} is no picture", hint=hint)
        self.name = self._name()
        if not isinstance(self._source, (str, Path, bytes)):
            self.size()

    def _locate(self, text: str, home: Path, remote: bool) -> None:
        kind = scheme(text)
        if kind == "data":
            self._source = decode_data_url(text)
        elif kind == "file":
            path = path_of_url(text)
            self._given, self._source = str(path), home / path
        elif kind in ("http", "https"):
            self._given = mask_url(text)
            if not remote:
                hint = "--allow-remote-images fetches it"
                raise DataError(f"the picture {self._given} is on another machine", hint=hint)
        elif kind:
            raise DataError(
                f"{mask_url(text)}: pictures cannot be had by {kind}", hint="fetch it into a file"
            )
        elif begins_as_base64(text):
            self._source = decode_base64(text)
        elif not text.strip() or len(text) > LONGEST_PATH:
            raise DataError(f"a text of {len(text):,} characters names no picture")
        else:
            self._given, self._source = text, home / text

    def _name(self) -> str:
        name = self._given
        if name is None and isinstance(self._source, bytes):
            name = f"image of {len(self._source):,} bytes"
        elif name is None:
            size = self._source.size if pixels.is_picture(self._source) else self._source.shape
            name = f"image {'x'.join(map(str, size))} in memory"
        return name if self.page is None else f"{name}#page={self.page}"

    def __repr__(self) -> str:
        return f"<Image {self.name if len(self.name) <= 100 else self.name[:99] + '…'}>"

    @property
    def path(self) -> Path | None:
        """The file that it lies in, if it lies in one."""
        return self._source if isinstance(self._source, Path) else None

    def read(self) -> bytes:
        """The encoded file; of pixels and pages a PNG."""
        if not pixels.is_pixels(self._source):
            with self._file() as (file, document):
                if not document:
                    return _read(file, self.name)
        return decoding.encode(self.open())

    def open(self) -> Picture:
        """The picture, upright, RGB, the first frame; raises a DataError that names it."""
        if pixels.is_pixels(self._source):
            return decoding.convert(pixels.to_picture(self._source, self.name), self.name)
        with self._file() as (file, document):
            if document:
                return pages.render(file, self.page, self.name)
            return decoding.decode(file, self.name)

    def size(self) -> tuple[int, int]:
        """Width and height of it upright, for which nothing is decoded."""
        if pixels.is_picture(self._source):
            return decoding.upright_size(self._source)
        if pixels.is_pixels(self._source):
            return pixels.shape(self._source, self.name)
        with self._file() as (file, document):
            measure = pages.measure(file, self.page, self.name) if document else None
            return measure or decoding.measure(file, self.name)

    def url(self) -> str:
        """A data: URL that shows any service what `open` shows: the file itself where that is so."""
        kind, encoded = "image/png", None
        if not pixels.is_pixels(self._source):
            with self._file() as (file, document):
                portable = None if document else decoding.portable(file, self.name)
                if portable is not None:
                    kind = portable
                    file.seek(0)
                    encoded = _read(file, self.name)
        if encoded is None:
            encoded = decoding.encode(self.open())
        return f"data:{kind};base64,{base64.b64encode(encoded).decode()}"

    def reference(self) -> dict[str, Any]:
        """What is stored of it: its path as it was given, and a digest of its content."""
        if self._reference is None:
            reference: dict[str, Any] = {}
            if self._given is not None:
                reference["image"] = self.name
            elif self.page is not None:
                reference["page"] = self.page
            if self.detail is not None:
                reference["detail"] = self.detail
            digest = self._digest()
            if digest is not None:
                reference["digest"] = digest
            self._reference = reference
        return dict(self._reference)

    def _at(self, page: int) -> Image:
        """A page of the document that this is."""
        image = copy(self)
        image.page, image._reference, image._whole = page, None, self
        image.name = image._name()
        return image

    def _digest(self) -> str | None:
        if self._whole is not None:
            return self._whole.reference().get("digest")
        if isinstance(self._source, str):
            # What lies at an address is not known before it is fetched.
            return None
        try:
            if pixels.is_pixels(self._source):
                return pixels.hash_picture(pixels.to_picture(self._source, self.name)).hexdigest()
            with self._file() as (file, _):
                digest = blake2b(digest_size=16)
                while block := file.read(_BLOCK):
                    digest.update(block)
                return digest.hexdigest()
        except Exception:  # noqa: BLE001 - whoever looks at it is told what is wrong with it
            return None

    @contextmanager
    def _file(self) -> Iterator[tuple[IO[bytes], bool]]:
        """The encoded file, at its beginning, and whether it is a document."""
        if isinstance(self._source, Path):
            file: IO[bytes] = open_file(self._source, self.name)
        elif isinstance(self._source, bytes):
            file = io.BytesIO(self._source)
        else:
            # Kept, so that every look at it sees the same.
            self._fetched = self._fetched or download(self._source)
            file = io.BytesIO(self._fetched)
        with file:
            try:
                document = is_pdf(file.read(8))
                file.seek(0)
            except OSError as error:
                raise DataError(f"{self.name} cannot be read: {error.strerror or error}") from error
            if self.page is not None and not document:
                raise DataError(f"{self.name} has no pages", hint="only a PDF has")
            yield file, document


def as_image(value: Any, *, home: Path | None = None, remote: bool = False) -> Image:
    """The Image that anything is which holds one picture; raises a DataError for anything else."""
    if isinstance(value, Image):
        return value
    if isinstance(value, Mapping):
        return _image_of(value, home, remote)
    if getattr(value, "kind", None) == "image":
        return as_image(value.data, home=home, remote=remote)
    return Image(value, remote=remote, home=home)


def as_images(value: Any, *, home: Path | None = None, remote: bool = False) -> list[Image]:
    """The Images of one picture or several: a list of any of them, a document by its pages."""
    if value is None:
        return []
    if getattr(getattr(value, "dtype", None), "kind", "") == "O":
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [image for item in value for image in as_images(item, home=home, remote=remote)]
    if getattr(value, "ndim", 0) == 4 and pixels.is_pixels(value):
        return [Image(item) for item in value]
    return _pages(as_image(value, home=home, remote=remote))


def _pages(image: Image) -> list[Image]:
    source = image._source
    head = source[:8] if isinstance(source, bytes) else b""
    named = isinstance(source, Path) and source.suffix.lower() == ".pdf"
    if image.page is not None or not (named or is_pdf(head)):
        return [image]
    try:
        with image._file() as (file, document):
            count = pages.count(file, image.name) if document else 0
    except DataError:
        # Whoever looks at it is told what is wrong with it.
        return [image]
    return [image._at(number) for number in range(1, count + 1)] or [image]


def _image_of(value: Mapping[str, Any], home: Path | None, remote: bool) -> Image:
    """The Image of a part of a message, of a cell of a data set, or of what was stored of one."""
    for field in _FIELDS:
        found = value.get(field)
        if found is None:
            continue
        if isinstance(found, str) and field in ("bytes", "base64", "data"):
            found = decode_base64(found)
        image, detail = as_image(found, home=home, remote=remote), value.get("detail")
        if not isinstance(detail, str):
            return image
        # A copy, for the picture may be asked about elsewhere too.
        image = copy(image)
        image.detail, image._reference = detail, None
        return image
    hint = "bytes, path, url, image_url or image holds one"
    raise DataError(
        f"there is no picture in an object with {', '.join(map(str, value)) or 'nothing'}", hint=hint
    )


def _read(file: IO[bytes], name: str) -> bytes:
    try:
        return file.read()
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror or error}") from error
