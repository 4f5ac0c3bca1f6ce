"""`steelyard eval` with pictures: a function looks at them, what fails is told, the page shows them."""

from __future__ import annotations

import csv
import json
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image

Ask = Callable[..., tuple[int, str, str]]
LOOK = '''
def look(prompt):
    """The colour of the middle of the first picture, and what was asked."""
    turn = prompt[-1]
    pictures = [part.data for part in turn["content"] if part.kind == "image"]
    asked = [part.data for part in turn["content"] if part.kind == "text"]
    picture = pictures[0].open()
    red, green, blue = picture.getpixel((picture.width // 2, picture.height // 2))
    return f"{'red' if red > blue else 'blue'}; of {len(pictures)}: {asked[-1]}"
'''
COMMAND = ("eval", "--model", "./see.py:look", "--data", "scans/docs.jsonl", "--metric", "contains")


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def scans(folder: Path) -> Path:
    """A folder with pictures, some of them bad, and the rows that name them."""
    (folder / "see.py").write_text(LOOK)
    home = folder / "scans"
    home.mkdir()
    rows = []
    for n in range(8):
        Image.new("RGB", (40 + n, 30), "red" if n % 2 else "blue").save(home / f"{n}.png")
        rows.append(
            {
                "question": f"q{n}",
                "image": f"{n}.png",
                "answer": "red" if n % 2 else "blue",
                "kind": "ab"[n % 2],
            }
        )
    for name, content in (
        ("text", b"no picture"),
        ("torn", (home / "1.png").read_bytes()[:60]),
        ("empty", b""),
    ):
        (home / f"{name}.png").write_bytes(content)
        rows.append({"question": name, "image": f"{name}.png", "answer": "red", "kind": "bad"})
    rows.append({"question": "missing", "image": "missing.png", "answer": "red", "kind": "bad"})
    (home / "docs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return home


def test_bad_pictures_cost_only_their_own_answers(ask: Ask, scans: Path) -> None:
    code, out, _ = ask(
        *COMMAND, "--out", "r", "--csv", "--quiet", "--json", "--by", "kind", "--html", "r.html"
    )
    (run,) = json.loads(out)["runs"]
    assert (code, run["answers"], run["failed"]) == (1, 12, 4)
    assert run["by"]["kind"]["a"][0]["value"] == run["by"]["kind"]["b"][0]["value"] == 1.0
    assert sorted(run["reasons"].values()) == [1, 1, 1, 1]
    told = " ".join(run["reasons"])
    for part in (
        "text.png is not a picture",
        "torn.png is cut off",
        "empty.png is empty",
        "no picture missing.png",
    ):
        assert part in told
    with Path("r/answers.csv").open(newline="") as file:
        answers = dict(list(csv.reader(file, delimiter=";"))[1:])
    assert answers["3"] == "red; of 1: q3" and answers["8"] == "" and len(answers) == 12
    page = Path("r.html").read_text()
    assert page.count("url(data:image/jpeg") == 8
    assert "[image 3.png 43×30]" in page


def test_a_run_with_pictures_goes_on_and_is_compared(ask: Ask, scans: Path) -> None:
    ask(*COMMAND, "--out", "r", "--quiet")
    log = Path("r/records.jsonl")
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:5]))
    code, out, _ = ask("eval", "--resume", "r", "--quiet", "--json")
    assert code == 1 and json.loads(out)["runs"][0]["answers"] == 12
    ask(*COMMAND, "--prompt", "Which colour? {input}", "--out", "s", "--quiet")
    assert "noise" in ask("compare", "r", "s")[1] or "no difference" in ask("compare", "r", "s")[1]
    Image.new("RGB", (40, 30), "red").save(scans / "0.png")
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:5]))
    code, _, err = ask("eval", "--resume", "r", "--quiet")
    assert code == 2 and "is not what it was when this run began" in err


def test_explain_names_pictures_with_their_size(ask: Ask, scans: Path) -> None:
    ask(*COMMAND, "--out", "r", "--quiet")
    assert "prompt, user\n  [image 3.png 43×30]\n  q3" in ask("explain", "r", "3")[1]
    (scans / "3.png").unlink()
    assert "[image 3.png, not found]" in ask("explain", "r", "3")[1]


def test_pictures_elsewhere_than_the_data(ask: Ask, scans: Path) -> None:
    (scans / "docs.jsonl").rename("docs.jsonl")
    data = ("--data", "docs.jsonl", "image_root=scans")
    code, out, _ = ask(
        *COMMAND[:3], *data, *COMMAND[5:], "--limit", "8", "--out", "r", "--quiet", "--html", "r.html"
    )
    assert code == 0, out
    assert Path("r.html").read_text().count("url(data:image/jpeg") == 8


@pytest.fixture
def address(scans: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(scans)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_pictures_are_fetched_only_when_that_is_allowed(ask: Ask, scans: Path, address: str) -> None:
    row = {"question": "q", "image": f"{address}/3.png", "answer": "red"}
    (scans / "docs.jsonl").write_text(json.dumps(row) + "\n")
    command = (*COMMAND[:5], "images=image", *COMMAND[5:])
    code, _, err = ask(*command, "--out", "no", "--quiet")
    assert code == 2 and "is on another machine" in err and "--allow-remote-images" in err
    code, out, _ = ask(*command, "--allow-remote-images", "--out", "r", "--quiet", "--html", "r.html")
    assert code == 0, out
    stored = json.loads(Path("r/run.json").read_text())
    assert stored["options"]["allow_remote_images"] is True
    assert stored["command"][-1] == "--allow-remote-images"
    # The page names what lies elsewhere; it is not fetched once more.
    assert "data:image" not in Path("r.html").read_text()
    log = Path("r/records.jsonl")
    log.write_text("")
    assert ask("eval", "--resume", "r", "--quiet")[0] == 0


def test_results_are_apart_by_what_the_task_wants_where_nobody_says(ask: Ask, scans: Path) -> None:
    Path("task.py").write_text(
        "from steelyard import Data, Task\nfrom steelyard.metrics.text import contains\n"
        "mine = Task(name='mine', data=Data('scans/docs.jsonl'), metrics=[contains], "
        "by=('kind', 'question_type'))\n"
    )
    command = ("eval", "--model", "./see.py:look", "--task", "./task.py:mine", "--quiet", "--out")
    _, out, _ = ask(*command, "r", "--json")
    assert list(json.loads(out)["runs"][0]["by"]) == ["kind"]
    assert "\nkind  metric" in ask("report", "r")[1]
    other = ask("report", "r", "--by", "question", "--json")[1]
    assert list(json.loads(other)["runs"][0]["by"]) == ["question"]
    code, _, err = ask("report", "r", "--by", "question_type")
    assert code == 2 and "has a column 'question_type'" in err
