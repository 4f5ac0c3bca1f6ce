"""The real Triton on the CPU: the program inside nvidia-pytriton, started with the models of the tests."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import site
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

MODELS = Path(__file__).parent / "triton_models"
PATIENCE = 120


@contextlib.contextmanager
def serving_triton(folder: Path) -> Iterator[str]:
    """The address of a Triton with the models of the tests, which keeps what it needs in a folder."""
    found = find_spec("pytriton")
    assert found is not None and found.origin is not None
    packages = Path(found.origin).parents[1]
    program = Path(found.origin).parent / "tritonserver"
    # The backend looks for the program that runs Python beside itself.
    backends = shutil.copytree(program / "backends", folder / "backends")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    shutil.copy(
        program / "python_backend_stubs" / version / "triton_python_backend_stub", backends / "python"
    )
    models = shutil.copytree(MODELS, folder / "models", ignore=shutil.ignore_patterns("__pycache__"))
    libraries = [packages / "nvidia_pytriton.libs", sysconfig.get_config_var("LIBDIR")]
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": ":".join(map(str, libraries)),
        "PYTHONPATH": ":".join(site.getsitepackages()),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "VIRTUAL_ENV": sys.prefix,
    }
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    log = folder / "triton.log"
    flags = {
        "model-repository": models,
        "backend-directory": backends,
        "http-address": "127.0.0.1",
        "http-port": port,
        "allow-grpc": "false",
        "allow-metrics": "false",
    }
    with log.open("wb") as said:
        server = subprocess.Popen(
            [program / "bin" / "tritonserver", *(f"--{name}={value}" for name, value in flags.items())],
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


def _wait_until_well(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while server.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=20) as told:
            if told.status == 200:
                return
        time.sleep(0.2)
    pytest.fail(f"Triton is not well:\n{log.read_text(errors='replace')[-6000:]}")
