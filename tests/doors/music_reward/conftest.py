"""A folder with a small benchmark, made once, and the command called in this process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("soundfile")

from benchmark_calls import Call, Called
from music_rows import make_benchmark

from music_reward.benchmark.command import main


@pytest.fixture(scope="session")
def benchmark_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds `rows.jsonl` and `music`."""
    folder = tmp_path_factory.mktemp("benchmark")
    make_benchmark(folder)
    return folder


@pytest.fixture
def call(
    benchmark_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Call:
    """Calls the benchmark on the small data, from a folder of one's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def do(*words: str, rows: Path | None = None, out: str | None = "out") -> Called:
        capsys.readouterr()
        path = benchmark_folder / "rows.jsonl" if rows is None else rows
        given = ["--dataset_jsonl", str(path), "--dataset_root", str(benchmark_folder / "music")]
        code = main([*given, *(["--output_dir", out] if out else []), *words])
        shown = capsys.readouterr()
        return Called(code, shown.out, shown.err, tmp_path / (out or "results"))

    return do
