"""Pages of PDF documents: counted from 1, rendered one at a time, damaged ones told."""

from __future__ import annotations

import importlib.util
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PILImage

from steelyard.errors import DataError, MissingExtra
from steelyard.media import decoding, pages
from steelyard.media.images import Image, as_image, as_images

pytest.importorskip("pypdfium2")

COLOURS = ("red", "lime", "blue")


def document(*colours: str, width: int = 100) -> bytes:
    """A PDF with one page a colour, 72 dots an inch, each 10 points wider than the one before."""
    sheets = [PILImage.new("RGB", (width + 10 * place, 50), colour) for place, colour in enumerate(colours)]
    file = io.BytesIO()
    sheets[0].save(file, "PDF", save_all=True, append_images=sheets[1:], resolution=72)
    return file.getvalue()


@pytest.fixture
def letter(tmp_path: Path) -> Path:
    path = tmp_path / "letter.pdf"
    path.write_bytes(document(*COLOURS))
    return path


def middle(image: Image) -> tuple[int, ...]:
    width, height = image.size()
    picture = image.open()
    assert (picture.mode, picture.size) == ("RGB", (width, height))
    return picture.getpixel((width // 2, height // 2))  # type: ignore[return-value]


def test_a_document_is_its_pages(letter: Path) -> None:
    for source in (letter, str(letter), letter.read_bytes(), {"bytes": letter.read_bytes(), "path": None}):
        images = as_images(source)
        assert [image.page for image in images] == [1, 2, 3]
        assert [image.size() for image in images] == [(200, 100), (220, 100), (240, 100)]
        colours = [middle(image) for image in images]
        assert [max(range(3), key=colour.__getitem__) for colour in colours] == [0, 1, 2]
        assert [as_image(image.url()).size() for image in images] == [image.size() for image in images]


def test_one_page_is_named_by_its_number(letter: Path) -> None:
    image = as_image("letter.pdf#page=2", home=letter.parent)
    assert [one.page for one in as_images("letter.pdf#page=2", home=letter.parent)] == [2]
    assert (image.page, image.size()) == (2, (220, 100))
    assert Image(letter, page=2).size() == image.size()
    assert Image(Path(f"{letter}#page=2")).size() == image.size()
    for wrong in (0, 4):
        with pytest.raises(DataError, match=rf"letter.pdf#page={wrong} \(the document has 3 pages\)"):
            as_image(f"letter.pdf#page={wrong}", home=letter.parent).open()
    with pytest.raises(DataError, match=r"has 3 pages \(.*letter.pdf#page=1 is the first"):
        as_image(letter).open()


def test_a_document_of_one_page_is_a_picture() -> None:
    assert as_image(document("red")).size() == as_image(document("red")).open().size == (200, 100)


def test_references_tell_pages_apart(letter: Path) -> None:
    stored = [image.reference() for image in as_images("letter.pdf", home=letter.parent)]
    assert [one["image"] for one in stored] == [f"letter.pdf#page={number}" for number in (1, 2, 3)]
    assert len({one["digest"] for one in stored}) == 1
    again = [as_image(one, home=letter.parent) for one in stored]
    assert [image.reference() for image in again] == stored
    held = [image.reference() for image in as_images(letter.read_bytes())]
    assert held == [{"page": number, "digest": stored[0]["digest"]} for number in (1, 2, 3)]


def test_what_is_wrong_with_a_document_is_told_when_it_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "cut.pdf").write_bytes(document("red")[:300])
    (tmp_path / "text.pdf").write_text("this is none")
    (tmp_path / "picture.pdf").write_bytes(_png())
    assert as_images("picture.pdf", home=tmp_path)[0].size() == (4, 4)
    for name, said in (("cut.pdf", "damaged"), ("text.pdf", "'this is none'"), ("missing.pdf", "no picture")):
        (image,) = as_images(name, home=tmp_path)
        for look in (image.open, image.size, image.url):
            with pytest.raises(DataError, match=said):
                look()
    with pytest.raises(DataError, match="has no pages"):
        Image(_png(), page=1).open()


@settings(max_examples=60, deadline=None)
@given(
    length=st.floats(0.01, 1),
    changes=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=9),
)
def test_damage_of_any_kind_gives_pages_or_a_clear_error(
    length: float, changes: list[tuple[float, int]]
) -> None:
    data = bytearray(document("red", "lime"))
    for place, value in changes:
        data[int(place * len(data))] = value
    for image in as_images(b"%PDF-" + data[5 : int(length * len(data))]):
        try:
            image.open()
        except DataError as error:
            assert image.name in str(error)


def test_an_encrypted_document_is_told() -> None:
    with pytest.raises(DataError, match="is encrypted"):
        as_image(ENCRYPTED).open()


def test_a_page_of_too_many_pixels_is_refused(letter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MOST_PIXELS", 210 * 100)
    small, large = as_images(letter)[:2]
    assert small.open().size == (200, 100)
    with pytest.raises(DataError, match="220x100 pixels, too many"):
        large.open()


def test_the_resolution_can_be_set(letter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "DPI", 50)
    image = as_images(letter)[0]
    assert image.size() == image.open().size == (70, 35)


def test_many_threads_look_at_pages(letter: Path) -> None:
    images = as_images(letter) * 10
    with ThreadPoolExecutor(8) as threads:
        assert [*threads.map(middle, images)] == [middle(image) for image in images[:3]] * 10


def test_a_missing_library_is_told_at_once(letter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"steelyard\[pdf\]"):
        as_images(letter)


def _png() -> bytes:
    file = io.BytesIO()
    PILImage.new("RGB", (4, 4)).save(file, "PNG")
    return file.getvalue()


# An empty page behind a password: what matters is the dictionary of the encryption.
ENCRYPTED = b"""%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 10 10]>>endobj
4 0 obj<</Filter/Standard/V 1/R 2/P -4/O<OWNER>/U<USER>>>endobj
trailer<</Root 1 0 R/Encrypt 4 0 R/ID[<00><00>]>>
""".replace(b"OWNER", b"0" * 64).replace(b"USER", b"1" * 64)
