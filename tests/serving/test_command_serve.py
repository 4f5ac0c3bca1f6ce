"""`steelyard serve` as people start and end it."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from http_calls import CHAT, begin, call, chat, connect, read_rest, read_until, wait_for

from steelyard.cli import main

HELD = """
import asyncio, pathlib
from steelyard import Chunk, Model

class Held(Model):
    async def stream(self, request):
        pathlib.Path(f"begun-{request.prompt}").touch()
        yield Chunk("one")
        while not pathlib.Path("go").exists():
            await asyncio.sleep(0.01)
        yield Chunk(" two")
"""


class Serving:
    """A server in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.said = process.stdout.readline()
        found = re.search(r"https?://\S+", self.said)
        assert found, self.said
        self.url = found[0]

    def end(self, sign: int = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(sign)
        _, told = self.process.communicate(timeout=20)
        return self.process.returncode, told


@contextlib.contextmanager
def serving(folder: Path, *flags: str) -> Iterator[Serving]:
    command = [sys.executable, "-m", "steelyard", "serve", "--port", "0", *flags]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield Serving(process)
    finally:
        process.kill()
        process.communicate()


def listens(url: str) -> bool:
    try:
        connect(url).close()
    except ConnectionError:
        return False
    return True


def test_models_by_name_on_the_wires_that_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "shout.py").write_text("def shout(prompt, mark='!'):\n    return prompt.upper() + mark\n")
    flags = ["--model", "embedded", "--model", "./shout.py:shout", "name=loud", "--wires", "openai,tgi"]
    with serving(tmp_path, *flags, "--access-log") as server:
        assert server.said == f"serving embedded, loud at {server.url} (openai, tgi)\n"
        assert call(server.url, CHAT, chat(model="loud")).json["choices"][0]["message"]["content"] == "HELLO!"
        assert call(server.url, "/loud/generate", {"inputs": "a"}).json["generated_text"] == "A!"
        assert call(server.url, "/v2/models/loud/generate", {"text_input": "a"}).status == 404
        code, told = server.end()
    assert code == 0
    assert [line.split(" ")[:3] for line in told.splitlines()] == [
        ["POST", CHAT, "200"],
        ["POST", "/loud/generate", "200"],
        ["POST", "/v2/models/loud/generate", "404"],
    ]


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_what_is_under_way_is_finished_before_it_ends(tmp_path: Path, sign: int) -> None:
    (tmp_path / "held.py").write_text(HELD)
    with serving(tmp_path, "--model", "./held.py:Held") as server:
        streamed = begin(server.url, chat("a", stream=True))
        read_until(streamed, b'"one"')
        whole = begin(server.url, chat("b"))
        wait_for((tmp_path / "begun-b").exists)
        server.process.send_signal(sign)
        (tmp_path / "go").touch()
        assert b"[DONE]" in read_rest(streamed)
        assert b'"one two"' in read_rest(whole)
        _, told = server.process.communicate(timeout=20)
    assert (server.process.returncode, told) == (0, "")


def test_a_second_signal_or_the_end_of_grace_cuts_off(tmp_path: Path) -> None:
    (tmp_path / "held.py").write_text(HELD)
    with serving(tmp_path, "--model", "./held.py:Held", "--grace", "60") as server:
        streamed = begin(server.url, chat("a", stream=True))
        read_until(streamed, b'"one"')
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: not listens(server.url))
        code, _ = server.end()
        assert b"[DONE]" not in read_rest(streamed)
    assert code == 0


def test_a_key_that_is_read_from_a_file_and_never_shown(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("very-secret\n")
    flags = ["--model", "embedded", "--api-key", "file:key", "--access-log", "--host", "0.0.0.0"]
    with serving(tmp_path, *flags) as server:
        url = server.url.replace("0.0.0.0", "127.0.0.1")
        headers = {"Authorization": "Bearer very-secret"}
        assert call(url, CHAT, chat(max_tokens=1), headers=headers).status == 200
        assert call(url, CHAT, chat()).status == 401
        _, told = server.end()
    assert "very-secret" not in server.said + told
    assert "warning" not in told


def test_a_server_that_anybody_reaches_says_so(tmp_path: Path) -> None:
    with serving(tmp_path, "--model", "embedded", "--host", "0.0.0.0") as server:
        _, told = server.end()
    assert told == "warning: whoever reaches 0.0.0.0 may ask, for there is no API key\n"


def test_https(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    (tmp_path / "key.pem").write_bytes(issued.private_key_pem.bytes())
    (tmp_path / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    flags = ["--model", "embedded", "--certificate", "cert.pem", "--private-key", "key.pem"]
    with serving(tmp_path, *flags, "--host", "localhost") as server:
        assert server.url.startswith("https://localhost:")
        command = ["curl", "-sS", "--cacert", str(tmp_path / "ca.pem"), f"{server.url}/health"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == '{"status":"ok"}'


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--model", "embedded", "--api-key", "very-secret"], "env:NAME or file:PATH"),
        (["--model", "embedded", "--api-key", "env:NO_SUCH_VARIABLE"], "NO_SUCH_VARIABLE"),
        (["--model", "embedded", "--wires", "openai,tgx"], "did you mean tgi?"),
        (["--model", "embedded", "--model", "embedded"], "two models are called embedded"),
        (["--model", "embeded"], "did you mean embedded?"),
        (["--model", "embedded", "--certificate", "none.pem"], "private key"),
        (["--model", "embedded", "--certificate", "a.pem", "--private-key", "b.pem"], "a.pem"),
        (["--model", "embedded", "--port", "99999"], "from 0 to 65535"),
        (["--model", "embedded", "--host", ""], "the host is empty"),
        ([], "--model"),
    ],
)
def test_commands_that_cannot_be(capsys: pytest.CaptureFixture[str], flags: list[str], said: str) -> None:
    assert main(["serve", "--port", "0", *flags]) == 2
    told = capsys.readouterr()
    assert said in told.err
    assert "very-secret" not in told.err
    assert "Traceback" not in told.err
