"""What the real Triton and its client say to each other: recorded by `python triton_traffic.py FILE`.

Needs the environment of `make test-triton`.
"""

from __future__ import annotations

import json
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from triton_server import serving_triton

SHOUT, PIECES = "/v2/models/shout", "/v2/models/pieces"
ONE = {"name": "text_input", "datatype": "BYTES", "shape": [1, 1], "data": ["one two"]}
TWO = {"name": "text_input", "datatype": "BYTES", "shape": [2, 1], "data": [["one two"], ["drei vier"]]}
LIMITS = {"name": "max_tokens", "datatype": "INT32", "shape": [2, 1], "data": [1, 2]}
QUESTIONS: dict[str, tuple[str, Any]] = {
    "generate": (f"{SHOUT}/generate", {"id": "7", "text_input": "one zwö", "parameters": {"max_tokens": 2}}),
    "generate-flat": (f"{SHOUT}/generate", {"text_input": "one two", "max_tokens": 1, "temperature": 0.5}),
    "generate-several": (f"{SHOUT}/generate", {"text_input": ["one two", "three"]}),
    "generate-version": (f"{SHOUT}/versions/1/generate", {"text_input": "a"}),
    "generate-list-of-stops": (f"{SHOUT}/generate", {"text_input": "a", "parameters": {"stop": ["b", "c"]}}),
    "generate-no-input": (f"{PIECES}/generate", {"max_tokens": 2}),
    "generate-no-model": ("/v2/models/none/generate", {"text_input": "a"}),
    "generate-several-responses": (f"{PIECES}/generate", {"text_input": "one two"}),
    "stream": (f"{PIECES}/generate_stream", {"id": "7", "text_input": "one zwö ✓", "stream": True}),
    "stream-fails": (f"{PIECES}/generate_stream", {"text_input": "one fail three", "stream": True}),
    "stream-no-input": (f"{PIECES}/generate_stream", {}),
    "infer": (f"{SHOUT}/infer", {"id": "7", "inputs": [ONE]}),
    "infer-several": (
        f"{SHOUT}/infer",
        {"inputs": [TWO, LIMITS], "outputs": [{"name": "text_output"}], "parameters": {"temperature": 0.5}},
    ),
    "infer-binary-output": (
        f"{SHOUT}/infer",
        {"inputs": [ONE], "parameters": {"binary_data_output": True}},
    ),
    "infer-shape": (f"{SHOUT}/infer", {"inputs": [{**ONE, "shape": [1]}]}),
    "infer-no-output": (f"{SHOUT}/infer", {"inputs": [ONE], "outputs": [{"name": "nope"}]}),
    "infer-decoupled": (f"{PIECES}/infer", {"inputs": [{**ONE, "shape": [1]}]}),
}


def ask(address: str, path: str, question: Any) -> dict[str, Any]:
    """A question and what came back, as it is kept."""
    parts = urlsplit(address)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    body = json.dumps(question)
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    said = answer.read().decode()
    connection.close()
    headers = {name.lower(): value for name, value in answer.getheaders()}
    kept = {
        name: headers[name] for name in ("content-type", "inference-header-content-length") if name in headers
    }
    return {"path": path, "request": body, "status": answer.status, "headers": kept, "body": said}


def ask_as_client(address: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """What Triton's own client sends, and what Triton answers it."""
    import numpy as np
    import tritonclient.http as client

    texts = np.array([[b"one two"], [b"drei vier"]], dtype=object)
    for name, binary, named in (
        ("client-binary", True, False),
        ("client-binary-named", True, True),
        ("client-json", False, True),
    ):
        with listening(address) as (where, heard):
            asking = client.InferenceServerClient(where)
            tensor = client.InferInput("text_input", [2, 1], "BYTES")
            tensor.set_data_from_numpy(texts, binary_data=binary)
            limits = client.InferInput("max_tokens", [2, 1], "INT32")
            limits.set_data_from_numpy(np.array([[1], [2]], dtype=np.int32), binary_data=binary)
            outputs = [client.InferRequestedOutput("text_output", binary_data=binary)] if named else None
            found = asking.infer("shout", [tensor, limits], outputs=outputs, request_id="7")
            assert found.as_numpy("text_output").shape == (2, 1)
            asking.close()
        head, _, body = heard[0].partition(b"\r\n\r\n")
        yield name, {"head": head.decode().replace(where, "HOST"), "body": body.decode()}


@contextmanager
def listening(address: str) -> Iterator[tuple[str, list[bytes]]]:
    """An address that passes one connection on, and what came over it."""
    heard: list[bytes] = [b""]
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def carry() -> None:
            near, _ = listener.accept()
            parts = urlsplit(address)
            with near, socket.create_connection((parts.hostname, parts.port)) as far:
                back = threading.Thread(target=pass_on, args=(far, near))
                back.start()
                while block := near.recv(65536):
                    heard[0] += block
                    far.sendall(block)
                far.shutdown(socket.SHUT_WR)
                back.join()

        thread = threading.Thread(target=carry)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}", heard
        thread.join()


def pass_on(source: socket.socket, target: socket.socket) -> None:
    while block := source.recv(65536):
        target.sendall(block)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, serving_triton(Path(folder)) as triton:
        cases = {name: ask(triton, *question) for name, question in QUESTIONS.items()}
        cases.update(ask_as_client(triton))
    Path(sys.argv[1]).write_text(
        json.dumps({"server": "Triton 2.51.0", "cases": cases}, indent=1, ensure_ascii=False) + "\n"
    )
