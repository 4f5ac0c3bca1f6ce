"""Chat services that are real: what they get is what our own engine gets, so they answer alike.

Each is skipped unless the variable that says where it is is set: MLX_SERVER, the mlx_lm.server of an
environment with mlx-lm.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from steelyard import Model, Part, Request, answer, open_model

pytestmark = pytest.mark.real
PROMPTS = [
    "Tom has 3 apples.",
    [{"role": "user", "content": [Part("text", "Which is a "), Part("text", "planet?")]}],
]


@contextlib.contextmanager
def running(*command: str, port: int, **environment: str) -> Iterator[str]:
    """A server for the time of a `with` block, once somebody listens."""
    server = subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert server.poll() is None, "the server has ended"
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(20)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def ask(model: Model, prompts: list[Any]) -> list[str]:
    params = {"max_tokens": 12, "temperature": 0}
    responses = answer(model, [Request(id=str(n), prompt=p, params=params) for n, p in enumerate(prompts)])
    assert [response.error for response in responses] == [None] * len(prompts)
    assert all(response.tokens is not None and response.tokens.output for response in responses)
    return [response.text for response in responses]


def test_mlx_answers_as_our_own_engine_does(tmp_path: Path) -> None:
    command = os.environ.get("MLX_SERVER")
    if not command:
        pytest.skip("MLX_SERVER is not set")
    from tiny_networks import CAUSAL, make_network, make_tokenizer, save

    folder = save(tmp_path / "tiny", make_network("llama", **CAUSAL["llama"]), make_tokenizer(chat=True))
    (tmp_path / "hub").mkdir()
    port = free_port()
    serve = (command, "--model", str(folder), "--host", "127.0.0.1", "--port", str(port))
    with running(*serve, port=port, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path), OMP_NUM_THREADS="1") as url:
        theirs = open_model(url)
        assert theirs.name == str(folder)
        ours = open_model(folder, engine="huggingface", device="cpu", dtype="float32")
        turns = [PROMPTS[0], PROMPTS[1]]
        asked = [[{"role": "user", "content": turns[0]}], turns[1]]
        try:
            # It shows the special tokens that a random network writes in between, and no first blank.
            shown = [text.replace("<|im_end|>", "").strip() for text in ask(theirs, turns)]
            assert shown == [text.strip() for text in ask(ours, asked)]
            (refused,) = answer(theirs, [Request(id="0", prompt="a", params={"temperature": -1})])
            assert (refused.error or "").startswith("HTTP 400: temperature must be")
        finally:
            theirs.close()
            ours.close()
