"""The drawn pages: the same each time, and what is asked of them can be answered by who sees them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pictures

from steelyard import Request, evaluate, open_task
from steelyard.data.source import Data

SCRIPT = Path(__file__).parents[2] / "examples" / "vision" / "pages.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("pages"))


def draw(folder: Path, *more: str) -> Path:
    command = [sys.executable, str(SCRIPT), str(folder), "--count", "8", *more]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "vqa.jsonl: " in done.stdout
    return folder


def test_pages_are_the_same_for_the_same_seed(folder: Path, tmp_path: Path) -> None:
    again, other = draw(tmp_path / "again"), draw(tmp_path / "other", "--seed", "1")
    names = sorted(path.relative_to(folder) for path in folder.rglob("*.*"))
    assert [name for name in names if (folder / name).read_bytes() != (again / name).read_bytes()] == []
    assert (folder / "fields.jsonl").read_bytes() != (other / "fields.jsonl").read_bytes()


def test_something_is_drawn(folder: Path) -> None:
    for path in folder.glob("scans/*.png"):
        with Pictures.open(path) as picture:
            dark = sum(picture.convert("L").histogram()[:128])
            assert picture.size == (620, 800) and dark > 300, path


def drawn(request: Request) -> list[dict[str, Any]]:
    """What the pictures of a prompt say of themselves: a stand-in for seeing them."""
    parts: Any = request.prompt[-1]["content"]  # type: ignore[index,call-overload]
    files = [part.data.path for part in parts if part.kind == "image"]
    return [json.loads(Pictures.open(file).text["drawn"]) for file in files]  # type: ignore[attr-defined]


def see(request: Request) -> str:
    """Answer as one who sees all would."""
    pages = drawn(request)
    words = str(request.prompt[-1]["content"][-1].data)  # type: ignore[index,call-overload]
    if "JSON" in words:
        return f"```json\n{json.dumps(pages[0]['fields'], indent=1)}\n```"
    if "Which of these" in words:
        return f"It is a {pages[0]['kind']}."
    if "out of order" in words:
        return " → ".join(f"Page {n + 1}" for n in sorted(range(len(pages)), key=lambda n: pages[n]["page"]))
    if "Write down" in words:
        return str(pages[0]["text"])
    return str(pages[0]["answers"][words.partition("\n")[0]])


TASKS = {
    "vqa": ("anls", 1), "charts": ("relaxed", 1), "fields": ("fields.f1", 1), "pages": ("f1_macro", 1),
    "page_order": ("kendall", 1), "transcribe": ("cer", 0),
}  # fmt: skip


@pytest.mark.parametrize("name", TASKS)
def test_who_sees_everything_has_everything_right(folder: Path, tmp_path: Path, name: str) -> None:
    options = {"labels": "invoice,receipt,letter,chart"} if name == "pages" else {}
    task = open_task(name, data=folder / f"{name}.jsonl", **options)
    run = evaluate(see, task, out=tmp_path / "run")
    results = {result["metric"]: result for result in run.about["results"]}
    metric, value = TASKS[name]
    assert results[metric]["value"] == value, next(iter(run.records()))
    assert results[metric]["failed"] == 0
    again = evaluate(see, task, out=tmp_path / "run", resume=True)
    assert again.about["answers"] == run.about["answers"]


def test_who_sees_nothing_has_little_right(folder: Path, tmp_path: Path) -> None:
    def guess(request: Request) -> str:
        drawn(request)
        return "1, 2, 3, 4"

    for name, most in (("vqa", 0.4), ("charts", 0.2), ("fields", 0.0)):
        run = evaluate(guess, open_task(name, data=folder / f"{name}.jsonl"), out=tmp_path / name)
        metric = TASKS[name][0]
        (value,) = [r["value"] for r in run.about["results"] if r["metric"] == metric]
        assert value <= most


def test_a_page_that_is_gone_costs_its_own_answers_alone(folder: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (folder / "pages.jsonl").read_text().splitlines()[:3]]
    rows[1]["image"] = "scans/gone.png"
    data = Data(rows, image_root=folder)

    def look(request: Request) -> str:
        parts: Any = request.prompt[-1]["content"]  # type: ignore[index,call-overload]
        parts[0].data.open()
        return str(rows[int(request.id[0])]["label"])

    task = open_task("pages", data=data, labels="invoice,receipt,letter")
    run = evaluate(look, task, out=tmp_path / "run")
    errors = [record.response.error for record in run.records()]
    assert [error is None for error in errors] == [True, False, True]
    assert "gone.png" in str(errors[1])
