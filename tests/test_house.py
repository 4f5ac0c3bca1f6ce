"""The house itself: names, sizes, public names, light imports, a project that speaks of itself alone."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import steelyard

ROOT = Path(__file__).parents[1]
SOURCES = sorted([*ROOT.glob("src/**/*.py"), *ROOT.glob("doors/**/*.py")])
BAGS = re.compile(r"(^|_)(utils?|common|helpers?|misc|tools?|stuff)(_|$)")


def functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def test_no_file_is_a_bag() -> None:
    found = [str(p.relative_to(ROOT)) for p in SOURCES if BAGS.search(p.stem) or BAGS.search(p.parent.name)]
    # A name that a document spells out is its own.
    documented = ["ais_bench/benchmark/utils/__init__.py", "ais_bench/benchmark/utils/prompt.py"]
    assert found == [f"doors/{name}" for name in [*documented, "model_interface/model_utils.py"]]


def test_files_and_functions_are_small() -> None:
    long_files = {
        str(path.relative_to(ROOT)): lines
        for path in SOURCES
        if (lines := len(path.read_text().splitlines())) > (200 if "doors" in path.parts else 400)
    }
    assert long_files == {}
    long_functions = [
        f"{path.relative_to(ROOT)}:{name} {lines}"
        for path in SOURCES
        for name, lines in functions(path)
        if lines > 60
    ]
    assert long_functions == []


def test_no_function_has_the_name_of_its_module() -> None:
    assert [
        str(path.relative_to(ROOT))
        for path in SOURCES
        for node in ast.parse(path.read_text()).body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == path.stem
    ] == []


def test_every_module_class_and_public_function_says_what_it_is() -> None:
    silent = []
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        if tree.body and not ast.get_docstring(tree):
            silent.append(str(path.relative_to(ROOT)))
        for node in ast.walk(tree):
            if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                inner = node.name.startswith("_") or _is_nested(tree, node)
                if not inner and not ast.get_docstring(node):
                    silent.append(f"{path.relative_to(ROOT)}:{node.name}")
    assert silent == []


def _is_nested(tree: ast.Module, wanted: ast.AST) -> bool:
    """Whether a function stands inside another one or a private class."""
    for node in ast.walk(tree):
        hides = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        hides = hides or (isinstance(node, ast.ClassDef) and node.name.startswith("_"))
        if hides and node is not wanted and any(child is wanted for child in ast.walk(node)):
            return True
    return False


def test_public_names() -> None:
    assert steelyard.__all__ == [
        "Chunk", "Corpus", "Cost", "Data", "Image", "LocalModel", "Meter", "Model", "Part", "Record",
        "Request", "Response", "Run", "Sample", "Server", "Session", "Sound", "Stage", "SteelyardError",
        "Task", "Timing", "Tokens", "Turn", "answer", "answer_async", "check_independence",
        "check_parity", "evaluate", "execute", "load", "measure", "open_model", "open_task", "rescore",
        "serve",
    ]  # fmt: skip
    for name in steelyard.__all__:
        assert getattr(steelyard, name) is not None
    with pytest.raises(AttributeError):
        _ = steelyard.nothing


HEAVY = ("torch", "transformers", "pandas", "numpy", "datasets", "pyarrow", "yaml", "jinja2", "asyncio")


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        ("import steelyard", ()),
        ("import steelyard.cli; steelyard.cli.main(['list', 'models'])", ("asyncio",)),
        ("from steelyard import evaluate, open_task, Data", ("asyncio",)),
        ("import steelyard.cli.evaluation", ("asyncio",)),
    ],
)
def test_imports_are_light(code: str, allowed: tuple[str, ...]) -> None:
    show = f"{code}\nimport sys; print('HEAVY', [m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True)
    loaded = ast.literal_eval(done.stdout.rsplit("HEAVY", 1)[1].strip())
    assert [name for name in loaded if name not in allowed] == []


def test_the_tree_has_no_merge_marks_or_private_paths() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    found = []
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.suffix in {".py", ".md", ".toml", ".yaml", ".yml", ""} and path.is_file():
            text = path.read_text(errors="replace")
            found += [name for mark in ("<" * 7 + " ", ">" * 7 + " ", "/" + "work/") if mark in text]
    assert found == []
