"""What can be an Image, what it says of itself, and that many can look at it at once."""

from __future__ import annotations

import base64
import importlib.util
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image as PILImage
from PIL.Image import Image as Picture

from steelyard import Image, Part
from steelyard.errors import DataError, MissingExtra
from steelyard.media.images import as_image, as_images
from steelyard.media.shapes import looks_like_picture


def noise(width: int = 40, height: int = 30, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype("uint8")


def encoded(picture: Picture | np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    picture = PILImage.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    picture.save(file, kind)
    return file.getvalue()


DATA = encoded(noise())
TEXT = base64.b64encode(DATA).decode()
URL = f"data:image/png;base64,{TEXT}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a picture.png"
    path.write_bytes(DATA)
    return path


def forms(file: Path) -> Iterator[Any]:
    yield from (Image(str(file)), Image(DATA))
    yield from (str(file), file, file.as_uri(), URL, URL.upper().replace(TEXT.upper(), TEXT), TEXT)
    yield from (DATA, bytearray(DATA), memoryview(DATA), PILImage.fromarray(noise()), noise())
    yield from ({"bytes": DATA, "path": None}, {"bytes": None, "path": str(file)}, {"bytes": TEXT})
    yield from ({"url": URL}, {"path": str(file)}, {"image": str(file), "digest": "0"})
    yield from (
        {"type": "image_url", "image_url": {"url": URL}},
        {"type": "image_url", "image_url": URL},
        {"type": "input_image", "image_url": URL},
        {"type": "image", "image": noise()},
        {"type": "image", "url": URL},
        {"type": "image", "base64": TEXT},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": TEXT}},
        Part("image", DATA),
        Part("image", Image(DATA)),
    )


def test_every_form_of_one_picture_is_the_same_picture(file: Path) -> None:
    for form in forms(file):
        image = as_image(form)
        assert isinstance(image, Image)
        assert image.size() == (40, 30), form
        assert np.array_equal(np.asarray(image.open()), noise()), form
        assert np.array_equal(np.asarray(as_image(image.url()).open()), noise()), form
        assert np.array_equal(np.asarray(as_image(image.read()).open()), noise()), form
        assert as_images(form)[0].size() == (40, 30)


def test_an_image_stays_itself() -> None:
    image = Image(DATA)
    assert as_image(image) is image
    assert as_images([image, [image, None]]) == [image, image]
    assert len({image, Image(DATA)}) == 2


def test_paths_are_relative_to_their_home(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert as_image(file.name, home=file.parent).size() == (40, 30)
    assert as_image({"bytes": None, "path": file.name}, home=file.parent).reference()["image"] == file.name
    assert as_image(str(file), home=Path("/elsewhere")).size() == (40, 30)
    monkeypatch.chdir(file.parent)
    assert as_image(file.name).size() == (40, 30)


def as_arrays() -> Iterator[tuple[str, Any, tuple[int, ...]]]:
    """Arrays of a picture 12 wide and 10 high, and what colour it has."""
    for shape in ((10, 12), (10, 12, 1), (1, 10, 12)):
        yield f"bool {shape}", np.ones(shape, bool), (255,)
        yield f"uint16 {shape}", np.full(shape, 65535 // 5, "uint16"), (51,)
    for shape in ((10, 12, 3), (3, 10, 12)):
        yield f"uint8 {shape}", np.full(shape, 51, "uint8"), (51,)
        yield f"int64 {shape}", np.full(shape, 51), (51,)
        yield f"float16 {shape}", np.full(shape, 0.2, "float16"), (51,)
        yield f"float32 {shape}", np.full(shape, 51, "float32"), (51,)
        yield f"reversed {shape}", np.full(shape, 51, "uint8")[::-1, ::-1], (51,)
    yield "transparent", np.concatenate([np.zeros((10, 12, 3)), np.full((10, 12, 1), 0.8)], axis=2), (51,)
    yield "transparent, first", np.zeros((4, 10, 12)), (255,)


@pytest.mark.parametrize(("array", "colour"), [pytest.param(a, c, id=name) for name, a, c in as_arrays()])
def test_arrays_of_any_kind(array: np.ndarray, colour: tuple[int, ...]) -> None:
    image = as_image(array)
    assert image.size() == image.open().size == (12, 10)
    assert image.open().getpixel((3, 3)) == colour * 3


def test_tensors_of_any_kind() -> None:
    torch = pytest.importorskip("torch")
    for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float64):
        for shape in ((3, 10, 12), (10, 12, 3)):
            image = as_image(torch.full(shape, 0.2, dtype=dtype, requires_grad=True))
            assert image.size() == (12, 10)
            assert image.open().getpixel((0, 0)) == (51, 51, 51)
    assert as_image(torch.full((1, 10, 12), 7, dtype=torch.uint8)).open().getpixel((0, 0)) == (7, 7, 7)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((3, 9, 3)), "may be the first or the last"),
        (np.zeros(9), "type ndarray is no picture"),
        (np.zeros((5, 6, 7)), "is no shape"),
        (np.zeros((9, 9, 2)), "is no shape"),
        (np.zeros((2, 9, 9, 3)), "is no shape"),
        (np.float64(3), "type float64 is no picture"),
        (np.full((9, 9), np.nan), "no numbers"),
        (np.full((9, 9), np.inf), "no numbers"),
        (np.full((9, 9), -0.5), "go from -0.5 to -0.5"),
        (np.full((9, 9), 256.0), "go from 256 to 256"),
        (np.full((9, 9), 70_000), "go from 70000 to 70000"),
        (np.zeros((0, 9)), "no pixel"),
        (np.array([["a"]]), "no pixels"),
        (np.zeros((9, 9), complex), "no pixels"),
    ],
)
def test_arrays_that_are_no_picture_are_refused(array: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        as_image(array).open()


def test_a_stack_of_arrays_is_several_pictures() -> None:
    assert [image.size() for image in as_images(np.zeros((3, 10, 12, 3)))] == [(12, 10)] * 3


def test_an_array_of_objects_is_a_list_of_pictures() -> None:
    cells = np.array([{"bytes": DATA}, None, "x.png"], dtype=object)
    assert [image.name for image in as_images(cells)] == [f"image of {len(DATA):,} bytes", "x.png"]
    assert looks_like_picture(cells)
    assert not looks_like_picture(np.array(["a cat", None], dtype=object))
    assert not looks_like_picture(np.int64(3))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (3, "type int is no picture"),
        (None, "type NoneType"),
        ({}, "no picture in an object with nothing"),
        ({"bytes": None, "path": None, "name": "x"}, "no picture in an object with bytes, path, name"),
        ("", "0 characters"),
        ("x" * 5000, "5,000 characters"),
        ("a\0b.png", "cannot be read: embedded null byte"),
        ("s3://bucket/x.png", "cannot be had by s3"),
        ("ftp://user:word@host/x.png", r"ftp://\*\*\*@host"),
        ("data:image/png;base64", "no comma"),
        ("data:image/png;base64,####", "not base64"),
        ("data:image/png,", "is empty"),
        (b"", "is empty"),
        ("file://host/x.png", "another machine"),
        ("http://host/x.png", "another machine (--allow-remote-images fetches it)"),
        ("https://me:pass@host/x.png?key=abc&w=3&sig=def", r"https://***@host/x.png?key=***&w=3&sig=***"),
    ],
)
def test_what_is_no_picture_is_refused(value: Any, said: str) -> None:
    with pytest.raises(DataError) as error:
        as_image(value).open()
    assert said.replace("\\", "") in str(error.value)
    assert "pass" not in str(error.value)
    assert "word" not in str(error.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "closed.png").write_bytes(DATA)
    (tmp_path / "closed.png").chmod(0)
    said = {"missing.png": "there is no picture missing.png", "": "is a folder", "empty.png": "is empty",
            "pipe.png": "is no file", "n" * 300: "cannot be read"}  # fmt: skip
    if os.geteuid() != 0:
        said["closed.png"] = "may not be read"
    for name, why in said.items():
        image = as_image(name or ".", home=tmp_path)
        for look in (image.open, image.size, image.url):
            with pytest.raises(DataError, match=why):
                look()
        assert image.reference().get("image") == (name or ".")


def test_a_reference_is_what_was_given_and_a_digest(file: Path) -> None:
    reference = as_image(file.name, home=file.parent).reference()
    assert reference.keys() == {"image", "digest"}
    assert reference["image"] == file.name
    held = as_image(DATA).reference()
    assert held == {"digest": reference["digest"]} == as_image(URL).reference()
    assert as_image("missing.png").reference() == {"image": "missing.png"}
    remote = as_image("https://me:pass@host/x.png?key=abc", remote=True)
    assert remote.reference() == {"image": "https://***@host/x.png?key=***"}
    assert "pass" not in repr(remote)
    assert as_image(np.full((9, 9), np.nan)).reference() == {}


def test_a_digest_is_of_the_content(file: Path) -> None:
    first = as_image(file).reference()
    file.write_bytes(encoded(noise(seed=1)))
    assert as_image(file).reference()["digest"] != first["digest"]
    assert as_image(noise()).reference() == as_image(PILImage.fromarray(noise())).reference()
    assert as_image(noise()).reference() != as_image(noise(seed=1)).reference()
    assert as_image(np.zeros((4, 6))).reference() != as_image(np.zeros((6, 4))).reference()
    one, other = (PILImage.new("P", (4, 4)) for _ in range(2))
    one.putpalette([255, 0, 0])
    other.putpalette([0, 255, 0])
    assert as_image(one).reference() != as_image(other).reference()


def test_a_digest_is_the_same_in_another_process(file: Path) -> None:
    code = (
        "import sys, numpy as np; from steelyard.media.images import as_image;"
        "array = np.random.default_rng(0).integers(0, 256, (30, 40, 3)).astype('uint8');"
        "print(as_image(array).reference()['digest'], as_image(sys.argv[1]).reference()['digest'])"
    )
    done = subprocess.run([sys.executable, "-c", code, file], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [as_image(one).reference()["digest"] for one in (noise(), file)]


def test_a_repr_is_short() -> None:
    assert repr(Image(DATA)) == f"<Image image of {len(DATA):,} bytes>"
    assert repr(Image(noise())) == "<Image image 30x40x3 in memory>"
    assert len(repr(Image("folder/" * 100 + "x.png"))) < 120
    assert TEXT[:50] not in repr(Image(URL))


def test_many_threads_look_at_the_same_images(file: Path) -> None:
    lazy = PILImage.open(file)
    images = [as_image(form) for form in (file, DATA, noise(), lazy)] * 8
    with ThreadPoolExecutor(8) as threads:
        opened = list(threads.map(lambda image: np.asarray(image.open()), images * 4))
        urls = set(threads.map(lambda image: image.url(), images[:2] * 20))
    assert all(np.array_equal(array, noise()) for array in opened)
    assert len(urls) == 1
    lazy.close()


def test_memory_does_not_grow_with_what_is_looked_at(file: Path) -> None:
    file.write_bytes(encoded(noise(400, 300), "JPEG"))
    images = [Image(file) for _ in range(2000)]

    def look(some: list[Image]) -> int:
        for image in some:
            image.open()
            image.size()
        return int(psutil.Process().memory_info().rss)

    before = look(images[:200])
    # Decoded they would take 650 MB.
    assert look(images[200:]) - before < 50_000_000


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for value in (DATA, noise()):
        with pytest.raises(MissingExtra, match=r"steelyard\[images\]"):
            as_image(value).open()


def test_nothing_heavy_is_imported_for_an_image_that_is_not_looked_at() -> None:
    code = (
        "import sys; from steelyard import Image; Image('x.png').reference();"
        "print([name for name in ('PIL', 'numpy', 'torch', 'pypdfium2') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "value",
    ["a.png", "b/C.JPEG", Path("x.webp"), "doc.pdf", "doc.pdf#page=3", "data:image/png;base64,AA", TEXT, DATA,
     {"bytes": DATA}, {"path": "x.png", "bytes": None}, {"image_url": {"url": "x.jpg"}}, noise(), Image(DATA),
     ["a.png", None], [None, {"bytes": DATA}], '["a.png", "b.png"]', PILImage.new("L", (2, 2))],
)  # fmt: skip
def test_what_looks_like_a_picture(value: Any) -> None:
    assert looks_like_picture(value)


@pytest.mark.parametrize(
    "value",
    ["a cat", "see a.png for it", "", "3", 3, 2.5, None, [], [None], ["a cat"], {}, {"a": 1}, "notes.txt",
     {"path": "x.wav", "bytes": b"RIFF\0\0\0\0WAVE"}, b"some text", "http://host/x.png",
     "a.png\nb", "[a.png", "["],
)  # fmt: skip
def test_what_does_not_look_like_one(value: Any) -> None:
    assert not looks_like_picture(value)
    assert looks_like_picture("http://host/x.png", remote=True)
