"""The parser, what is made of it, and the catalogue."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.builtin import BUILTINS
from steelyard.cli.completion import write_bash, write_fish, write_zsh
from steelyard.cli.pairs import masked, read_pairs, read_value
from steelyard.cli.parser import build_parser, parse_arguments
from steelyard.cli.reference import write_reference
from steelyard.cli.series import write_flags

ROOT = Path(__file__).parents[2]
Ask = Callable[..., tuple[int, str, str]]


def test_the_reference_is_up_to_date() -> None:
    assert (ROOT / "docs" / "cli.md").read_text() == write_reference(), "make docs"
    assert "%%" not in write_reference() + write_zsh() + write_fish()


def test_help_loads_nothing_heavy_and_names_every_verb() -> None:
    code = (
        "import sys; from steelyard.cli import main; main(['--help']);"
        "print([m for m in ('msgspec', 'numpy', 'asyncio', 'jinja2', 'yaml') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert all(f"\n    {verb}" in done.stdout for verb in build_parser()[1])


def test_every_verb_has_help(ask: Ask) -> None:
    for verb in build_parser()[1]:
        code, out, _ = ask(verb, "--help")
        assert code == 0 and out.startswith(f"usage: steelyard {verb}")
    assert ask()[1].startswith("usage: steelyard")
    assert ask("--version")[1].startswith("steelyard ")


@pytest.mark.parametrize(("shell", "write"), [("bash", write_bash), ("zsh", write_zsh), ("fish", write_fish)])
def test_completion_scripts_are_well_formed(tmp_path: Path, shell: str, write: Callable[[], str]) -> None:
    text = write()
    assert "retry-failed" in text and "embedded" in text
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    path = tmp_path / "script"
    path.write_text(text)
    done = subprocess.run([shell, "-n", path], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["steelyard", "ev"], ["eval"]),
        (["steelyard", "eval", "--retry"], ["--retry-failed"]),
        (["steelyard", "eval", "--chat", ""], ["auto", "yes", "no"]),
        (["steelyard", "eval", "--task", "arith"], ["arithmetic"]),
        (["steelyard", "list", "wir"], ["wires"]),
    ],
)
def test_bash_completes(words: list[str], expected: list[str]) -> None:
    quoted = " ".join(f"'{word}'" for word in words)
    typed = f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}"
    script = f'{write_bash()}\n{typed}; _steelyard; echo "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == expected


def test_list_names_everything_with_a_line(ask: Ask) -> None:
    _, out, _ = ask("list", "--json")
    listed = json.loads(out)
    assert set(listed) == set(BUILTINS)
    assert {row["name"] for row in listed["models"]} >= set(BUILTINS["models"])
    assert all(row["about"] for rows in listed.values() for row in rows)
    _, out, _ = ask("list", "extractors")
    assert "number" in out and "regex:PATTERN" in out


def test_doctor_says_what_is_here(ask: Ask) -> None:
    code, out, _ = ask("doctor", "--json")
    found = json.loads(out)
    assert code == (0 if found["embedded"]["works"] else 1)
    assert found["embedded"]["works"], found["embedded"]
    assert found["libraries"]["msgspec"]
    assert set(found["extras"]) >= {"hf", "gguf", "hub"}
    assert found["programs"]["run"] == (sys.platform == "linux")
    _, out, _ = ask("doctor")
    assert "programs   are " in out
    assert "pip install 'steelyard[" in out or "lacks" not in out


def test_values() -> None:
    pairs = [
        "n=8",
        "x=-1.5e3",
        "yes=true",
        "no=False",
        "none=null",
        "word=float32",
        "path=a=b",
        'list=["a", 1]',
    ]
    assert read_pairs(pairs) == {
        "n": 8, "x": -1500.0, "yes": True, "no": False, "none": None, "word": "float32", "path": "a=b",
        "list": ["a", 1],
    }  # fmt: skip
    assert read_value("NaN") == "NaN"
    assert [read_value(text) for text in (".5", "-.02", "+.5e1", "1.")] == [0.5, -0.02, 5.0, 1.0]
    assert [read_value(text) for text in ("007", "007.", ".", "1..2", ".e5")] == [
        "007",
        "007.",
        ".",
        "1..2",
        ".e5",
    ]
    assert read_value('"8"') == "8"
    assert read_value("") == ""


@given(
    st.one_of(
        st.booleans(), st.none(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()
    )
)
def test_any_json_value_is_read_back(value: object) -> None:
    assert read_value(json.dumps(value)) == value


@given(st.text(min_size=4, alphabet=st.characters(categories=["L", "N"])))
def test_secrets_are_masked_wherever_they_stand(secret: str) -> None:
    secret = f"<{secret}>"
    for text in (
        f"api_key={secret}", f"judge_api_key={secret}", f"auth_token={secret}", f"password={secret}",
        f"headers={{\"x\": \"{secret}\"}}", f"http://me:{secret}@host/v1", f"url=https://{secret}@host/",
        f"http://host/v1?api_key={secret}&x=1",
    ):  # fmt: skip
        assert secret not in masked(text)
    for text in (
        "api_key=env:NAME",
        "max_tokens=8",
        "./model.py:echo",
        "http://host/v1?x=1#frag",
        "tokenizer=a",
    ):
        assert masked(text) == text


def test_flags_can_be_written_back() -> None:
    line = [
        "eval",
        "--model",
        "./m.py:f",
        "n=1",
        "--model",
        "b",
        "--data",
        "d.csv",
        "input=q",
        "--metric",
        "a",
    ]
    line += [
        "--metric",
        "b",
        "--stop",
        "\n",
        "--max-tokens",
        "5",
        "--param",
        "top_k=3",
        "--temperature",
        "0.5",
    ]
    asked = {
        name: value for name, value in vars(parse_arguments(line)).items() if name not in ("verb", "home")
    }
    again = vars(parse_arguments(["eval", *write_flags(asked)]))
    assert {name: again[name] for name in asked} == asked
