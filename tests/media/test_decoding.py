"""Pictures of every format, mode and orientation; damaged ones; those with too many pixels."""

from __future__ import annotations

import io
import resource
import struct
import warnings
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as PILImage
from PIL.Image import Image as Picture
from PIL.Image import Transpose

from steelyard.errors import DataError
from steelyard.media import decoding
from steelyard.media.images import as_image

PILImage.init()
KNOWN = ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "JPEG2000", "AVIF", "QOI")
FORMATS = [kind for kind in KNOWN if kind in PILImage.SAVE]
MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F")
EXIF = ("PNG", "JPEG", "WEBP", "TIFF")
ORIENTATION = 0x0112
TURNED = (None, Transpose.FLIP_LEFT_RIGHT, Transpose.ROTATE_180, Transpose.FLIP_TOP_BOTTOM,
          Transpose.TRANSPOSE, Transpose.ROTATE_270, Transpose.TRANSVERSE, Transpose.ROTATE_90)  # fmt: skip


def quarters(mode: str = "RGB") -> Picture:
    """Black, white, light and dark grey: every turn of it is another picture, in every mode."""
    picture = PILImage.new("L", (24, 16), 0)
    picture.paste(255, (12, 0, 24, 8))
    picture.paste(170, (0, 8, 12, 16))
    picture.paste(85, (12, 8, 24, 16))
    if mode == "I;16":
        return PILImage.fromarray(np.asarray(picture).astype("uint16") * 257)
    if mode == "I":
        return PILImage.fromarray(np.asarray(picture).astype("int32") * 257)
    return picture.convert(mode)


def encoded(picture: Picture, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    best = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}, "AVIF": {"quality": 95}}
    with warnings.catch_warnings():
        # Some versions do not like the mode I in a PNG.
        warnings.simplefilter("ignore", DeprecationWarning)
        picture.save(file, kind, **{**best.get(kind, {}), **options})
    return file.getvalue()


def noise() -> Picture:
    return PILImage.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64, 3)).astype("uint8"))


def savable() -> Iterator[tuple[str, str]]:
    for kind in FORMATS:
        for mode in MODES:
            if mode in ("I", "I;16") and kind in ("WEBP", "AVIF", "GIF"):
                continue  # written with eight bits, and cut to white
            try:
                encoded(quarters(mode), kind)
            except (OSError, ValueError, KeyError, TypeError):
                continue
            yield kind, mode


def assert_same(picture: Picture, wanted: Picture, *, within: float) -> None:
    assert (picture.mode, picture.size) == ("RGB", wanted.size)
    shown, expected = (np.asarray(one.convert("L")).astype(float) for one in (picture, wanted))
    assert np.abs(shown - expected).mean() <= within


@pytest.mark.parametrize(("kind", "mode"), [*savable()])
def test_a_picture_of_any_format_and_mode_is_shown_as_it_is(kind: str, mode: str) -> None:
    image = as_image(encoded(quarters(mode), kind))
    wanted = quarters("1") if mode == "1" else quarters()
    assert_same(image.open(), wanted, within=6)
    assert image.size() == (24, 16)
    assert_same(as_image(image.url()).open(), image.open(), within=0)


@pytest.mark.parametrize("kind", EXIF)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_its_exif_says(kind: str, orientation: int) -> None:
    exif = PILImage.Exif()
    exif[ORIENTATION] = orientation
    image = as_image(encoded(quarters(), kind, exif=exif))
    turn = TURNED[orientation - 1]
    wanted = quarters() if turn is None else quarters().transpose(turn)
    shown = image.open()
    assert_same(shown, wanted, within=6)
    assert image.size() == wanted.size
    assert shown.getexif().get(ORIENTATION) is None
    assert_same(as_image(image.url()).open(), shown, within=0)
    assert image.url().startswith("data:image/png") or (orientation == 1 or kind == "PNG")


def test_a_given_pil_picture_is_turned_too() -> None:
    exif = PILImage.Exif()
    exif[ORIENTATION] = 6
    for kind in EXIF:
        with PILImage.open(io.BytesIO(encoded(quarters(), kind, exif=exif))) as given_one:
            image = as_image(given_one)
            assert image.size() == (16, 24)
            assert image.open().size == (16, 24)
            assert image.size() == (16, 24)


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_an_orientation_that_is_none_turns_nothing(orientation: int) -> None:
    exif = PILImage.Exif()
    exif[ORIENTATION] = orientation
    assert as_image(encoded(quarters(), "JPEG", exif=exif)).size() == (24, 16)


def test_damaged_exif_is_no_damage() -> None:
    image = as_image(encoded(quarters(), "PNG", exif=b"Exif\0\0MM\0*\0\0\xff\xff"))
    assert_same(image.open(), quarters(), within=0)


def see_through() -> Iterator[tuple[str, bytes]]:
    """Pictures whose left half is red and whose right half is transparent."""
    rgba = PILImage.new("RGBA", (20, 10), (255, 0, 0, 255))
    rgba.paste((0, 0, 255, 0), (10, 0, 20, 10))
    yield "RGBA PNG", encoded(rgba, "PNG")
    yield "RGBA WebP", encoded(rgba, "WEBP", exact=True)
    yield "RGBA TIFF", encoded(rgba, "TIFF")
    palette = PILImage.new("P", (20, 10), 0)
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.paste(1, (10, 0, 20, 10))
    yield "P PNG", encoded(palette, "PNG", transparency=1)
    yield "P PNG, many", encoded(palette, "PNG", transparency=bytes([255, 0]))
    yield "P GIF", encoded(palette, "GIF", transparency=1)
    rgb = PILImage.new("RGB", (20, 10), (255, 0, 0))
    rgb.paste((0, 0, 255), (10, 0, 20, 10))
    yield "RGB PNG", encoded(rgb, "PNG", transparency=(0, 0, 255))


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in see_through()])
def test_what_is_transparent_is_white(data: bytes) -> None:
    for shown in (as_image(data).open(), as_image(as_image(data).url()).open()):
        assert shown.getpixel((2, 5)) == (255, 0, 0)
        assert shown.getpixel((17, 5)) == (255, 255, 255)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_is_shown(kind: str) -> None:
    frames = [PILImage.new("RGB", (20, 10), colour) for colour in ("white", "black", "red")]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **_fast(kind))
    image = as_image(data)
    assert image.open().getpixel((3, 3)) == (255, 255, 255)
    assert image.url().startswith("data:image/png")
    assert getattr(PILImage.open(io.BytesIO(as_image(image.url()).read())), "n_frames", 1) == 1


def _fast(kind: str) -> dict[str, object]:
    return {} if kind == "TIFF" else {"duration": 50}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_what_services_can_show_goes_as_it_is(kind: str) -> None:
    data = encoded(quarters("L" if kind == "GIF" else "RGB"), kind)
    url = as_image(data).url()
    assert url.startswith(f"data:image/{kind.lower()};base64,")
    assert as_image(url).read() == data


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_what_is_cut_off_does_not_go_to_services(kind: str) -> None:
    picture = noise().convert("L") if kind == "GIF" else noise()
    data = encoded(picture, kind)
    for rest in (len(data) // 2, len(data) - 100):
        with pytest.raises(DataError, match="cut off"):
            as_image(data[:rest]).url()


def test_what_stands_behind_the_end_is_no_damage() -> None:
    data = encoded(quarters(), "JPEG") + b"what a camera adds" * 10
    assert as_image(as_image(data).url()).read() == data


@pytest.mark.parametrize(
    ("values", "seen"),
    [
        (np.linspace(0, 1, 256), 255),
        (np.linspace(0, 255, 256), 255),
        (np.linspace(0, 65535, 256), 255),
        (np.linspace(-3, 3, 256), 255),
        (np.r_[np.nan, np.linspace(0, 1, 254), np.inf], 255),
        (np.zeros(256), 0),
    ],
)
def test_float_tiffs_keep_their_greys(values: np.ndarray, seen: int) -> None:
    picture = PILImage.fromarray(values.astype("float32").reshape(16, 16))
    shown = np.asarray(as_image(encoded(picture, "TIFF")).open())
    assert shown.max() == seen
    assert seen == 0 or 100 < np.median(shown) < 155


def test_a_float_tiff_without_a_number_is_refused() -> None:
    picture = PILImage.fromarray(np.full((4, 4), np.nan, "float32"))
    with pytest.raises(DataError, match="no pixel that is a number"):
        as_image(encoded(picture, "TIFF")).open()


def test_a_dark_grey_of_16_bits_stays_dark() -> None:
    picture = PILImage.fromarray(np.full((4, 4), 200, "uint16"))
    assert as_image(encoded(picture, "PNG")).open().getpixel((0, 0)) == (1, 1, 1)


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        (b"%PDF-1.7\nnothing", None),
        (b"<!DOCTYPE html><html>", "an HTML page"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"PK\3\4 and so on", "a zip archive"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9", "PostScript"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a", "git lfs pull"),
        (b"hello", "a text that begins 'hello'"),
        ("grüße, überall".encode(), "a text that begins 'grüße, überall'"),
        (b"\x00\x01\x02\x03 rest", "bytes that begin 00 01 02 03"),
        (b"RIFF\0\0\0\0WAVEfmt ", "sound"),
        (b"\0\0\0\x18ftypheic\0\0\0\0" + bytes(99), "HEIF"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", "a video"),
    ],
)
def test_what_is_no_picture_is_named(data: bytes, seen: str | None) -> None:
    with pytest.raises(DataError) as error:
        as_image(data).open()
    assert (seen or "damaged") in str(error.value)
    assert "image of" in str(error.value)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_picture_that_is_cut_off_is_told(kind: str) -> None:
    data = encoded(noise(), kind)
    for rest in (len(data) // 2, len(data) // 4, len(data) - 100):
        with pytest.raises(
            DataError, match="cut off" if kind not in ("JPEG2000", "AVIF", "QOI") else "off|damaged"
        ):
            as_image(data[:rest]).open()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bombs() -> Iterator[tuple[str, bytes]]:
    """Small files whose headers say 30,000 x 30,000."""
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    yield "PNG", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")
    screen = b"GIF89a" + struct.pack("<HH", 30_000, 30_000) + b"\x80\0\0\0\0\0\xff\xff\xff"
    yield "GIF", screen + b"," + struct.pack("<HHHH", 0, 0, 30_000, 30_000) + b"\0\2\2\x44\1\0;"
    small = b"GIF89a" + struct.pack("<HH", 10, 10) + b"\x80\0\0\0\0\0\xff\xff\xff"
    yield "GIF frame", small + b"," + struct.pack("<HHHH", 0, 0, 30_000, 30_000) + b"\0\2\2\x44\1\0;"
    info = struct.pack("<IiiHHIIiiII", 40, 30_000, 30_000, 1, 24, 0, 0, 0, 0, 0, 0)
    yield "BMP", b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + info
    yield "PPM", b"P6 30000 30000 255\n" + bytes(99)


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in bombs()])
def test_a_bomb_is_refused_by_its_header(data: bytes) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for look in (lambda: as_image(data).open(), lambda: as_image(data).size(), lambda: as_image(data).url()):
        with pytest.raises(DataError, match="too many"):
            look()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


@pytest.mark.parametrize("size", [(0, 0), (0, 5), (5, 0)])
def test_what_has_no_pixel_is_told(size: tuple[int, int]) -> None:
    header = struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(9)))
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")
    for value in (data, PILImage.new("RGB", size), np.zeros((*size, 3), "uint8")):
        with pytest.raises(DataError, match="has no pixel"):
            as_image(value).open()


def test_a_given_picture_that_cannot_be_decoded_is_told() -> None:
    data = encoded(noise(), "JPEG")
    cut, closed = PILImage.open(io.BytesIO(data[:2000])), PILImage.open(io.BytesIO(data))
    closed.close()
    for given_one in (cut, closed):
        with pytest.raises(DataError, match="cannot be decoded"):
            as_image(given_one).open()


def test_the_limit_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MOST_PIXELS", 24 * 16 - 1)
    with pytest.raises(DataError, match=r"24x16 pixels, too many \(at most 383"):
        as_image(encoded(quarters(), "PNG")).open()
    assert as_image(quarters()).open().size == (24, 16)


def test_the_limit_of_the_library_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    # It would warn at one size and raise at twice that; warnings are errors here.
    monkeypatch.setattr(PILImage, "MAX_IMAGE_PIXELS", 24 * 16 - 1)
    assert as_image(encoded(quarters(), "PNG")).open().size == (24, 16)


WHOLE = [encoded(quarters("L" if kind == "GIF" else "RGB"), kind) for kind in FORMATS]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    whole=st.sampled_from(WHOLE),
    length=st.floats(0, 1),
    changes=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=6),
)
def test_damage_of_any_kind_gives_a_picture_or_a_clear_error(
    whole: bytes, length: float, changes: list[tuple[float, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "MOST_PIXELS", 1 << 20)
    data = bytearray(whole)
    for place, value in changes:
        # Headers are where it hurts.
        data[int(place**3 * len(data))] = value
    image = as_image(bytes(data[: max(1, int(length * 2 * len(data)))]))
    for look in (image.open, image.size, image.url):
        try:
            look()
        except DataError as error:
            assert image.name in str(error)
    assert image.reference()["digest"]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_give_a_clear_error(data: bytes) -> None:
    with pytest.raises(DataError):
        as_image(data).open()
