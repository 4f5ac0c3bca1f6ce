"""The page: complete in itself, and nothing that came from outside is ever run by a browser."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from steelyard import Run, Sample, Task, evaluate
from steelyard.metrics.extraction import find_number
from steelyard.metrics.numbers import number
from steelyard.metrics.text import exact
from steelyard.report.comparison import compare_runs
from steelyard.report.contents import read_contents
from steelyard.report.pages import draw_comparison, draw_page

ATTACKS = [
    "<script>alert(1)</script>",
    "</script><script>alert(2)</script>",
    "<img src=x onerror=alert(3)>",
    "\"><svg onload='alert(4)'>",
    "' onmouseover='alert(5)",
    "javascript:alert(6)",
    "</style><body onload=alert(7)>",
    "{{ 7 * 7 }}{% for x in y %}",
    "<!-- --><iframe srcdoc='<script>alert(8)</script>'></iframe>",
    "</pre></details><a href='javascript:alert(9)'>click</a>",
]
VOID = {"meta", "input", "line", "circle", "br", "img"}


class Page(HTMLParser):
    """Counts what stands in a page and collects what could do something."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: dict[str, int] = {}
        self.attributes: list[tuple[str, str, str]] = []
        self.scripts: list[str] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        (self.scripts if self.open[-1:] == ["script"] else self.text).append(data)


def attacked(path: Path, attacks: list[str]) -> Run:
    samples = [
        Sample(
            id=f"{n}{attack}", input=f"say {attack}", target=attack, meta={"kind": attack, "group": attack}
        )
        for n, attack in enumerate(attacks)
    ]

    def answer(prompt: list[dict[str, str]]) -> str:
        said = prompt[-1]["content"].removeprefix("say ")
        if "onerror" in said:
            raise ValueError(said)
        return f"{said} The answer is 7. {said}"

    answer.__name__ = "<b>model</b>"
    task = Task(
        name="<i>task</i>", data=samples, metrics=[number, exact], extract=find_number, system="<u>be</u>"
    )
    return evaluate(answer, task, out=path, chat=True, about={"command": ["steelyard", *attacks]})


def check(text: str) -> Page:
    page = Page(text)
    assert page.open == []
    assert page.tags["script"] == 1
    (script,) = page.scripts
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = next(value for tag, name, value in page.attributes if tag == "meta" and "default-src" in value)
    assert "default-src 'none'" in policy and f"'sha256-{digest}'" in policy
    assert not {"img", "iframe", "a", "link", "object", "embed", "form", "b", "u"} & set(page.tags)
    for tag, name, value in page.attributes:
        assert not name.startswith("on"), (tag, name, value)
        assert name not in ("href", "src", "srcdoc", "action", "formaction", "xlink:href")
        if name == "style":
            assert re.fullmatch(r"width:[\d.]+%", value)
    return page


def test_nothing_from_outside_is_executable(tmp_path: Path) -> None:
    run = attacked(tmp_path / "r", ATTACKS)
    plain = attacked(tmp_path / "p", [f"word {'onerror' if n == 2 else n}" for n in range(len(ATTACKS))])
    page = check(draw_page([read_contents(run, by=["kind"], keep=500)]))
    same = check(draw_page([read_contents(plain, by=["kind"], keep=500)]))
    assert page.tags == same.tags
    shown = "".join(page.text)
    for attack in ATTACKS:
        assert shown.count(attack) >= 3


def test_a_comparison_page_is_as_safe(tmp_path: Path) -> None:
    base = attacked(tmp_path / "a", ATTACKS)
    other = attacked(tmp_path / "b", ATTACKS[:-1])
    page = check(draw_comparison(compare_runs(base, [other])))
    assert "only in" in "".join(page.text)


def test_the_page_needs_no_network_and_says_what_the_run_is(tmp_path: Path) -> None:
    run = attacked(tmp_path / "r", ["one", "two"])
    text = draw_page([read_contents(run, keep=500)])
    assert not re.search(r"(src|href)\s*=|@import|url\(", text)
    assert "prefers-color-scheme: dark" in text
    shown = " ".join("".join(check(text).text).split())
    for expected in ("Scores", "How answers were found", "answer is", "too few"):
        assert expected in shown
    assert "95 % interval" in shown and "How it was made" in shown and "median" in shown


def test_many_samples_are_cut_but_failed_ones_stay(tmp_path: Path) -> None:
    def answer(prompt: str) -> str:
        if prompt == "700":
            raise ValueError("late")
        return prompt * 3000 if prompt == "1" else prompt

    samples = [Sample(id=f"s{n}", input=str(n), target=str(n)) for n in range(800)]
    run = evaluate(answer, Task(name="t", data=samples, metrics=[exact]), out=tmp_path / "r")
    contents = read_contents(run, keep=500)
    assert [r.sample.id for r in contents.kept] == [*(f"s{n}" for n in range(500)), "s700"]
    page: Any = check(draw_page([contents]))
    assert page.tags["details"] == 501 + 1
    shown = "".join(page.text)
    assert "299 more are in the run folder" in shown


def test_long_texts_are_cut(tmp_path: Path) -> None:
    samples = [Sample(id="s", input="x" * 50_000, target="y")]
    run = evaluate(lambda prompt: prompt, Task(name="t", data=samples, metrics=[exact]), out=tmp_path / "r")
    text = draw_page([read_contents(run, keep=500)])
    assert "(44,000 characters more)" in text and "x" * 7000 not in text
