"""What a file is, by its first bytes."""

from __future__ import annotations

_BEGINNINGS = (
    (b"\x89PNG", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF8", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"BM", "BMP"),
    (b"%PDF-", "a PDF"),
    (b"%!PS", "PostScript"),
    (b"8BPS", "a Photoshop file"),
    (b"\0\0\1\0", "an icon"),
    (b"PK\3\4", "a zip archive or an office document"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"\x1a\x45\xdf\xa3", "a video"),
    (b"OggS", "sound or a video"),
    (b"ID3", "sound"),
    (b"version https://git-lfs", "a pointer of Git LFS: 'git lfs pull' fetches the file itself"),
)


def describe_bytes(head: bytes) -> str:
    """What a file that begins so seems to be."""
    for beginning, kind in _BEGINNINGS:
        if head.startswith(beginning):
            return kind
    if head[:4] == b"RIFF":
        return {b"WEBP": "WebP", b"WAVE": "sound", b"AVI ": "a video"}.get(head[8:12], "a RIFF file")
    if head[4:8] == b"ftyp":
        kinds = {b"heic": "HEIF", b"heix": "HEIF", b"mif1": "HEIF", b"avif": "AVIF"}
        return kinds.get(head[8:12], "a video")
    try:
        text = head[:24].decode()
    except UnicodeDecodeError as error:
        if error.start < 20:
            return f"bytes that begin {head[:8].hex(' ')}"
        text = head[: error.start].decode()
    if not text.replace("\n", "").replace("\r", "").replace("\t", "").isprintable():
        return f"bytes that begin {head[:8].hex(' ')}"
    start = text.lstrip().lower()
    for mark, kind in (("<svg", "SVG"), ("<!doctype html", "an HTML page"), ("<html", "an HTML page")):
        if start.startswith(mark):
            return kind
    return f"a text that begins {text!r}"


def is_picture_bytes(head: bytes) -> bool:
    """Whether a file that begins so is a picture in one of the usual formats."""
    return describe_bytes(head) in ("PNG", "JPEG", "GIF", "TIFF", "WebP", "HEIF", "AVIF", "BMP")


def is_pdf(head: bytes) -> bool:
    """Whether a file that begins so is a PDF."""
    return head.startswith(b"%PDF-")
