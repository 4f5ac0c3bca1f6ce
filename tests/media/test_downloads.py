"""Pictures on other machines, from a real server: they come whole or are refused with a reason."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image as PILImage

from steelyard.errors import DataError
from steelyard.media import downloads
from steelyard.media.images import as_image


def png() -> bytes:
    file = io.BytesIO()
    PILImage.new("RGB", (40, 30), "red").save(file, "PNG")
    return file.getvalue()


class Gallery(BaseHTTPRequestHandler):
    """Answers each path in its own way, and counts what was asked for."""

    asked: list[str] = []  # noqa: RUF012 - one list for all of them
    signed: list[str | None] = []  # noqa: RUF012

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.signed.append(self.headers["Authorization"])
        name = self.path.partition("?")[0].strip("/")
        getattr(self, name.partition(".")[0].replace("%20", "_"), self.missing)()

    def send(self, body: bytes, *, length: int | None = None, code: int = 200, **headers: str) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for header, value in headers.items():
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(body)

    def picture(self) -> None:
        self.send(png())

    def a_picture(self) -> None:
        self.send(png())

    def moved(self) -> None:
        self.send(b"", code=302, Location="/picture.png")

    def local(self) -> None:
        self.send(b"", code=302, Location=f"file://{Path(__file__)}?key=word")

    def ftp(self) -> None:
        self.send(b"", code=302, Location="ftp://localhost/picture.png")

    def circle(self) -> None:
        self.send(b"", code=302, Location="/circle")

    def large(self) -> None:
        self.send(b"", length=10**12)

    def endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(bytes(100_000))
        except OSError:
            return

    def slow(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            for byte in png():
                self.wfile.write(bytes([byte]))
                time.sleep(0.05)
        except OSError:
            return

    def silent(self) -> None:
        time.sleep(1)

    def cut(self) -> None:
        self.send(png()[:50], length=len(png()))

    def page(self) -> None:
        self.send(b"<!DOCTYPE html><html>sign in</html>")

    def missing(self) -> None:
        self.send(b"", code=404)

    def log_message(self, *_: object) -> None:
        """Nothing: the tests say what happened."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Gallery)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_picture_is_fetched_once_when_it_is_looked_at(server: str) -> None:
    Gallery.asked.clear()
    image = as_image(f"{server}/picture.png?key=secret", remote=True)
    assert Gallery.asked == []
    assert image.size() == (40, 30)
    assert image.open().getpixel((3, 3)) == (255, 0, 0)
    assert as_image(image.url()).size() == (40, 30)
    assert Gallery.asked == ["/picture.png?key=secret"]
    assert image.reference() == {"image": f"{server}/picture.png?key=***"}


def test_addresses_of_other_shapes(server: str) -> None:
    assert as_image({"url": f"{server}/a picture.png"}, remote=True).size() == (40, 30)
    assert as_image(f"{server}/moved#part", remote=True).size() == (40, 30)
    signed = server.replace("//", "//me:p%40ss@")
    Gallery.signed.clear()
    assert as_image(f"{signed}/picture.png", remote=True).size() == (40, 30)
    assert Gallery.signed == ["Basic bWU6cEBzcw=="]


def test_a_key_is_not_passed_on_by_a_redirect(server: str) -> None:
    Gallery.signed.clear()
    assert as_image(f"{server.replace('//', '//me:pass@')}/moved", remote=True).size() == (40, 30)
    assert Gallery.signed == ["Basic bWU6cGFzcw==", None]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("missing.png", "answered 404"),
        ("local", "answered 302"),
        ("ftp", "cannot be fetched"),
        ("circle", "answered 302"),
        ("large", "is larger than 1,000,000 bytes"),
        ("endless", "is larger than 1,000,000 bytes"),
        ("slow", "did not come within 0.3 seconds"),
        ("silent", "did not come within 0.3 seconds"),
        ("cut", "is cut off"),
        ("page", "it is an HTML page"),
    ],
)
def test_what_does_not_come_is_told(
    server: str, path: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "TIMEOUT", 0.3)
    monkeypatch.setattr(downloads, "MOST_BYTES", 1_000_000)
    image = as_image(f"{server.replace('//', '//me:pass@')}/{path}?token=word", remote=True)
    with pytest.raises(DataError) as error:
        image.open()
    assert said in str(error.value)
    assert f"***@127.0.0.1:{server.rpartition(':')[2]}/{path}?token=***" in str(error.value)
    assert "pass" not in str(error.value)
    assert "word" not in str(error.value)
    assert error.value.__cause__ is None


def test_nobody_there(unused: str = "http://127.0.0.1:9/x.png") -> None:
    with pytest.raises(DataError, match="cannot be fetched: ConnectionRefusedError"):
        as_image(unused, remote=True).open()
    with pytest.raises(DataError, match="cannot be fetched"):
        as_image("http://host:port/x.png", remote=True).open()
