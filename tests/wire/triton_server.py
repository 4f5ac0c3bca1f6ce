"""The real Triton on the CPU: the program inside nvidia-pytriton, started with the models of the tests.

`make .venv-triton/ready` sets up what it needs.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

MODELS = Path(__file__).parent / "triton_models"
PYTHON = Path(os.environ.get("TRITON", Path(__file__).parents[2] / ".venv-triton")) / "bin/python"
PATIENCE = 120
_WHERE = """
import json, sys, sysconfig
print(json.dumps([sysconfig.get_path("purelib"), sysconfig.get_config_var("LIBDIR"), sys.version_info[:2]]))
"""


@contextlib.contextmanager
def serving_triton(folder: Path, *, metrics: int | None = None) -> Iterator[str]:
    """The address of a Triton with the models of the tests, which keeps what it needs in a folder.

    It tells of itself at the port `metrics`, if it is given.
    """
    told = subprocess.run([PYTHON, "-c", _WHERE], capture_output=True, check=True).stdout
    packages, libraries, version = json.loads(told)
    program = Path(packages) / "pytriton/tritonserver"
    # The backend looks for the program that runs Python beside itself.
    backends = shutil.copytree(program / "backends", folder / "backends")
    stub = program / "python_backend_stubs" / ".".join(map(str, version)) / "triton_python_backend_stub"
    shutil.copy(stub, backends / "python")
    models = shutil.copytree(MODELS, folder / "models", ignore=shutil.ignore_patterns("__pycache__"))
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": f"{packages}/nvidia_pytriton.libs:{libraries}",
        "PYTHONPATH": packages,
        "PATH": f"{PYTHON.parent}:{os.environ['PATH']}",
        "VIRTUAL_ENV": str(PYTHON.parents[1]),
    }
    port = find_port()
    flags = {
        "model-repository": models,
        "backend-directory": backends,
        "http-address": "127.0.0.1",
        "http-port": port,
        "allow-grpc": "false",
        **({"allow-metrics": "false"} if metrics is None else {"metrics-port": metrics}),
    }
    log = folder / "triton.log"
    with log.open("wb") as said:
        server = subprocess.Popen(
            [program / "bin/tritonserver", *(f"--{name}={value}" for name, value in flags.items())],
            env=environment,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_until_well(f"{address}/v2/health/ready", server, log)
        yield address
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait(20)


def find_port() -> int:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _wait_until_well(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while server.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=20) as told:
            if told.status == 200:
                return
        time.sleep(0.2)
    pytest.fail(f"Triton is not well:\n{log.read_text(errors='replace')[-6000:]}")
