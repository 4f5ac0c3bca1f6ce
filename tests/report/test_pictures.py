"""Pictures of a run: found again by what they were, drawn anew, named where they cannot be shown."""

from __future__ import annotations

import base64
import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow
from test_pages import ATTACKS, Page, check

from steelyard import Part, Run, Sample, Task, evaluate
from steelyard.media.images import Image
from steelyard.metrics.text import exact
from steelyard.report import pictures
from steelyard.report.contents import read_contents
from steelyard.report.pages import draw_page
from steelyard.report.pictures import Finder
from steelyard.report.samples import turns_of

SECRET = b"a comment that only the file holds"


def picture(width: int = 640, height: int = 480, colour: str = "teal") -> Pillow.Image:
    return Pillow.new("RGB", (width, height), colour)


def asked(sample_id: str, *sources: Any, text: str = "what?", **meta: Any) -> Sample:
    parts = [Part("image", source) for source in sources]
    turns = [{"role": "user", "content": [*parts, Part("text", text)]}]
    return Sample(sample_id, turns, "seen", meta=meta)


def look(prompt: Any) -> str:
    for part in prompt[-1]["content"]:
        if isinstance(part.data, Image):
            part.data.open()
    return "seen"


def run_of(path: Path, *samples: Sample) -> Run:
    return evaluate(look, Task(name="t", data=samples, metrics=[exact]), out=path, chat=True)


def shown(run: Run) -> str:
    return draw_page([read_contents(run, keep=500)])


def drawn(page: str) -> list[Pillow.Image]:
    found = re.findall(r"url\(data:image/jpeg;base64,([A-Za-z0-9+/=]+)\)", page)
    return [Pillow.open(io.BytesIO(base64.b64decode(one))) for one in found]


def named(run: Run) -> list[str]:
    finder = Finder(run)
    records = sorted(run.records(), key=lambda record: record.index)
    return [turns_of(record.request.prompt, finder)[-1].text for record in records]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scans").mkdir()
    return tmp_path


def test_a_picture_is_shown_small_and_drawn_anew(folder: Path) -> None:
    from PIL.PngImagePlugin import PngInfo

    note = PngInfo()
    note.add_text("Comment", SECRET.decode())
    picture().save("scans/7.png", pnginfo=note)
    assert SECRET in Path("scans/7.png").read_bytes()
    run = run_of(folder / "r", asked("a", Image("7.png", home=Path("scans"))))
    assert named(run) == ["[image 7.png 640×480]\nwhat?"]
    text = shown(run)
    (small,) = drawn(text)
    assert small.size == (256, 192) and small.format == "JPEG"
    assert small.getpixel((9, 9)) == pytest.approx((0, 128, 128), abs=4)
    assert base64.b64encode(SECRET[:30]).decode() not in text and SECRET.decode() not in text
    page = check(text)
    policy = next(value for _, name, value in page.attributes if name == "content" and "default-src" in value)
    assert "img-src data:;" in policy
    assert ("i", "aria-label", "7.png 640×480") in page.attributes
    assert not (run.path / "images").exists()


def test_without_pictures_the_policy_allows_none(folder: Path) -> None:
    run = evaluate(
        lambda prompt: prompt, Task(name="t", data=[Sample("a", "b")], metrics=[exact]), out=folder / "r"
    )
    assert "img-src" not in shown(run) and "image_folders" not in run.about


def test_each_picture_is_in_a_page_once(folder: Path) -> None:
    picture().save("one.png")
    picture(colour="red").save("two.png")
    samples = [asked(str(n), Image("one.png"), Image("two.png")) for n in range(20)]
    runs = [run_of(folder / name, *samples) for name in "ab"]
    text = draw_page([read_contents(run, keep=500) for run in runs])
    assert len(drawn(text)) == 2
    assert text.count('class="picture p0"') == 40


def test_what_changed_or_went_is_named_and_not_shown(folder: Path) -> None:
    for name in ("stays", "changes", "goes"):
        picture().save(f"{name}.png")
    torn = Path("torn.png")
    torn.write_bytes(Path("stays.png").read_bytes()[:200])
    names = ("stays", "changes", "goes", "torn", "never")
    run = run_of(folder / "r", *(asked(name, Image(f"{name}.png")) for name in names))
    picture(colour="red").save("changes.png")
    Path("goes.png").unlink()
    first = [text.splitlines()[0] for text in named(run)]
    assert first[:3] == [
        "[image stays.png 640×480]",
        "[image changes.png, changed since]",
        "[image goes.png, not found]",
    ]
    assert first[3].startswith("[image torn.png") and first[4] == "[image never.png, could not be read]"
    text = shown(run)
    assert len(drawn(text)) == 1
    assert "changes.png, changed since" in text


def test_pictures_that_lie_in_no_file_are_kept_once(folder: Path) -> None:
    held = picture(100, 50)
    encoded = io.BytesIO()
    picture(30, 60, "red").save(encoded, "JPEG", exif=b"Exif\x00\x00")
    content = encoded.getvalue()
    samples = [asked(str(n), Image(held), Image(content)) for n in range(5)]
    run = run_of(folder / "r", *samples, asked("raw", held), asked("bad", Image(b"no picture at all")))
    kept = sorted(path.suffix for path in (run.path / "images").iterdir())
    assert kept == [".image", ".jpg", ".png"]
    assert next((run.path / "images").glob("*.jpg")).read_bytes() == content
    assert sorted(small.size for small in drawn(shown(run))) == [(30, 60), (100, 50)]
    assert re.fullmatch(
        r"\[image picture [0-9a-f]{8} 100×50\]\n\[image picture [0-9a-f]{8} 30×60\]\nwhat\?", named(run)[0]
    )
    # From wherever it is looked at, they come with the run.
    moved = Run.open(run.path.rename(folder / "elsewhere"))
    assert len(drawn(shown(moved))) == 2


def test_only_as_many_are_kept_as_a_page_shows(folder: Path) -> None:
    def content(n: int) -> bytes:
        buffer = io.BytesIO()
        Pillow.new("RGB", (8, 8), (n % 256, n // 256, 0)).save(buffer, "PNG")
        return buffer.getvalue()

    samples = (asked(str(n), Image(content(n))) for n in range(520))
    run = run_of(folder / "r", *samples)
    assert len(list((run.path / "images").iterdir())) == 500


def test_a_resumed_run_keeps_what_was_not_kept(folder: Path) -> None:
    samples = tuple(asked(str(n), Image(picture(10 + n, 10))) for n in range(4))
    run = run_of(folder / "r", *samples)
    run.log.write_text("".join(run.log.read_text().splitlines(keepends=True)[:2]))
    kept = list((run.path / "images").iterdir())
    for path in kept:
        if path.stem not in run.log.read_text():
            path.unlink()
    assert len(list((run.path / "images").iterdir())) == 2
    task = Task(name="t", data=samples, metrics=[exact])
    evaluate(look, task, out=run.path, chat=True, resume=True)
    assert sorted((run.path / "images").iterdir()) == sorted(kept)


def test_pages_of_a_document_are_pictures(folder: Path) -> None:
    picture(300, 400).save("doc.pdf", save_all=True, append_images=[picture(200, 100)])
    content = Path("doc.pdf").read_bytes()
    run = run_of(folder / "r", asked("file", Image("doc.pdf#page=2")), asked("bytes", Image(content, page=1)))
    text = shown(run)
    wide, tall = sorted((small.size for small in drawn(text)), key=lambda size: size[1])
    assert wide[0] == 2 * wide[1] and tall[0] * 4 == tall[1] * 3
    assert "doc.pdf#page=2" in text
    assert [path.suffix for path in (run.path / "images").iterdir()] == [".png"]


def test_the_page_stays_small(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setattr(pictures, "_MOST_BYTES", 60_000)
    for n in range(8):
        Pillow.frombytes("RGB", (200, 200), os.urandom(120_000)).save(f"{n}.png")
    run = run_of(folder / "r", *(asked(str(n), Image(f"{n}.png")) for n in range(8)))
    text = shown(run)
    count = len(drawn(text))
    assert 0 < count < 8 and len(text) < 120_000
    assert f"{8 - count} pictures are named only, so that this page stays small" in text
    assert "[image 7.png 200×200]" in text


def test_without_pillow_pictures_are_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture().save("one.png")
    run = run_of(folder / "r", asked("a", Image("one.png")))
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert named(run) == ["[image one.png]\nwhat?"]
    text = shown(run)
    assert drawn(text) == [] and "[image one.png]" in text and "img-src" not in text


def test_names_of_pictures_do_nothing(folder: Path) -> None:
    samples = []
    for n, attack in enumerate([*ATTACKS, "url(x);}*{display:none", "../../../etc/passwd", "\x1b[31m"]):
        name = attack.replace("/", "∕") + ".png"
        picture(20 + n, 20).save(name)
        samples.append(asked(str(n), Image(name)))
    page = check(shown(run_of(folder / "r", *samples)))
    labels = [value for tag, name, value in page.attributes if (tag, name) == ("i", "aria-label")]
    assert len(labels) == len(samples) and any("onerror" in label for label in labels)
    (style,) = re.findall(r"(?s)<style>(.*?)</style>", shown(Run.open(folder / "r")))
    rules = style[style.index(".p0{") :].splitlines()
    assert all(
        re.fullmatch(
            r"\.p\d+\{--w:\d+px;--h:\d+px;background-image:url\(data:image/jpeg;base64,[\w+/=]+\)\}", rule
        )
        for rule in rules
    )


@pytest.mark.parametrize(
    "stored",
    [
        {"image": "http://127.0.0.1:9/x.png", "digest": "00"},
        {"image": "file:///etc/passwd", "digest": "00"},
        {"image": "/dev/zero", "digest": "00"},
        {"image": "/etc/passwd", "digest": "00"},
        {"image": "a\0b", "digest": "00"},
        {"image": "x" * 5000, "digest": "00"},
        {"digest": "../../etc/passwd"},
        {"digest": "*"},
        {"digest": "ab", "page": 3},
        {"image": 7, "digest": 7},
        {},
        "a text",
        7,
        None,
        ["list"],
    ],
)
def test_records_from_elsewhere_open_nothing(folder: Path, stored: Any) -> None:
    picture().save("one.png")
    run = run_of(folder / "r", asked("a", Image("one.png")))
    record = json.loads(run.log.read_text())
    record["request"]["prompt"][0]["content"][0]["data"] = stored
    run.log.write_text(json.dumps(record) + "\n")
    text = shown(Run.open(run.path))
    assert drawn(text) == []
    Page(text)
    assert named(run)[0].startswith("[image ")


def test_failures_are_counted_by_reason_whatever_the_picture(folder: Path) -> None:
    names = ["alpha", "beta", "gamma"]
    for name in names:
        Path(f"{name}.png").write_bytes(b"not a picture")
    samples = [asked(name, Image(f"{name}.png")) for name in names]
    picture().save("good.png")
    run = run_of(
        folder / "r",
        *samples,
        *(asked(f"no{n}", Image(f"no-{name}.png")) for n, name in enumerate(names)),
        asked("good", Image("good.png")),
    )
    contents = read_contents(run)
    assert (contents.answers, contents.failed) == (7, 6)
    assert sorted(contents.reasons.values()) == [3, 3]
    first = next(reason for reason in contents.reasons if "not a picture" in reason)
    # Whichever was answered first is the example.
    assert any(f"{name}.png is not a picture" in first for name in names)
