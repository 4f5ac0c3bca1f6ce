"""Models of one's own: found beside the user, given what they take, refused by name for what they lack."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("soundfile")

from benchmark_calls import CHECKPOINT, Call
from own_models import PLAIN, write_own

from steelyard.errors import UsageError
from steelyard.plugins import resolve

TAKES = """\
import numpy as np


class {name}:
    sr = 24000

    def __init__(self, {parameters}):
        {body}
        self.seen = dict(locals())

    def score_batch(self, inputs, batch_size, max_dur, **kwargs):
        {asked}
        return {given}
"""


def write_class(folder: Path, module: str, parameters: str, *, body: str = "pass", **parts: str) -> list[str]:
    given = parts.get("given", "[[0.5, float(n)] for n, _ in enumerate(inputs)]")
    code = TAKES.format(
        name="Mine", parameters=parameters, body=body, asked=parts.get("asked", "pass"), given=given
    )
    write_own(folder, module, code)
    return ["--model_class_path", f"custom_models.{module}:Mine", "--subset", "PAM", "--device", "cpu"]


@pytest.mark.parametrize(
    ("parameters", "words", "expected"),
    [
        ("checkpoint, device", (), "dict(checkpoint='c.bin', device='cpu')"),
        ("checkpoint", (), "dict(checkpoint='c.bin')"),
        ("*, size=3", ("--model_init_kwargs_json", '{"size": 4}'), "dict(size=4)"),
        ("**given", ("--model_init_kwargs_json", '{"size": 4}'),
         "dict(given=dict(checkpoint='c.bin', device='cpu', size=4))"),
        ("checkpoint, device", ("--model_init_kwargs_json", '{"checkpoint": "mine", "device": "cpu:0"}'),
         "dict(checkpoint='mine', device='cpu:0')"),
        ("checkpoint, max_dur=7, batch_size=5", (), "dict(checkpoint='c.bin', max_dur=7, batch_size=5)"),
    ],
)  # fmt: skip
def test_a_class_is_given_what_it_takes(
    call: Call, tmp_path: Path, parameters: str, words: tuple[str, ...], expected: str
) -> None:
    module = f"takes_{abs(hash((parameters, words, expected)))}"
    body = f"given_here = dict(locals()); del given_here['self']; assert given_here == {expected}, given_here"
    found = call(*write_class(tmp_path, module, parameters, body=body), "-c", "c.bin", *words)
    assert found.code == 0, found.err
    assert [row["predicted_musicality"] for row in found.rows()] == [0.0, 1.0, 2.0, 3.0]


def test_how_it_is_asked_comes_from_the_flags(call: Call, tmp_path: Path) -> None:
    asked = "assert (batch_size, max_dur, kwargs) == (3, 20.0, dict(window=2)), (batch_size, max_dur, kwargs)"
    words = write_class(tmp_path, "asked_so", "", asked=asked)
    flags = ("--batch_size", "3", "--max_dur", "20", "--model_score_kwargs_json", '{"window": 2}')
    found = call(*words, *flags)
    assert found.code == 0, found.rows()


@pytest.mark.parametrize(
    ("module", "code", "says"),
    [
        ("no_score", "class Mine:\n    sr = 24000\n", "Mine has no score_batch"),
        ("no_rate", "class Mine:\n    def score_batch(self, *a, **k): ...\n", "Mine has no sr"),
        ("abstract", "from core.model_abc import BenchmarkModelABC\nclass Mine(BenchmarkModelABC): pass\n",
         "Mine has no score_batch and no sr"),
        ("breaks", "class Mine:\n    sr = 1\n    score_batch = print\n    def __init__(self): 1 / 0\n",
         "Mine could not be made: ZeroDivisionError"),
        ("other_name", "class Yours: pass\n", "there is no name in custom_models.other_name 'Mine'"),
        ("strange", "import no_such_library\n", "no_such_library"),
        ("torn", "class Mine(:\n", "Mine could not be made: SyntaxError"),
        ("leaves", "class Mine:\n  score_batch = print\n  def __init__(self): exit('no')\n", "Exit: no"),
        ("function", "def Mine(checkpoint): return 1\n", "Mine is a function and no class"),
    ],
)  # fmt: skip
def test_what_a_class_lacks_is_named(call: Call, tmp_path: Path, module: str, code: str, says: str) -> None:
    write_own(tmp_path, module, code)
    found = call("--model_class_path", f"custom_models.{module}:Mine", "--device", "cpu")
    assert found.code in (1, 2)
    assert says in found.err and "Traceback" not in found.err


def test_flags_of_built_in_models_alone_are_told(call: Call, tmp_path: Path) -> None:
    words = write_class(tmp_path, "unasked", "")
    found = call(*words, "--workers", "2", "--inference_mode", "standard")
    assert found.code == 0
    assert (
        "warning: for built-in models only, and not for Mine: --reward_model_backend, --workers" in found.err
    )
    assert "warning" not in call(*words, out="other").err


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("np.zeros(len(inputs))", "shape (4,)"),
        ("np.zeros((len(inputs), 3))", "shape (4, 3)"),
        ("np.full((len(inputs), 2), np.nan)", "gave nan"),
        ("[['a', 'b']] * len(inputs)", "no array of numbers"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_what_is_no_score_is_an_error_of_its_rows(call: Call, tmp_path: Path, given: str, says: str) -> None:
    module = f"gives_{abs(hash(given))}"
    found = call(*write_class(tmp_path, module, "", given=given))
    assert found.code == 1
    assert all(row["predicted_musicality"] is None for row in found.rows())
    assert says in found.rows()[0]["inference_error"]


def test_a_score_that_depends_on_its_company_is_told(call: Call, tmp_path: Path) -> None:
    given = "[[0.5 * len(inputs), float(n)] for n, _ in enumerate(inputs)]"
    found = call(*write_class(tmp_path, "in_company", "", given=given), "--check_independence", "3")
    assert found.code == 0
    assert found.document("metadata.json")["independence"]["holds"] is False
    assert "warning: independence: the batch: " in found.err
    honest = "[[len(one.text), len(str(one.audio))] for one in inputs]"
    found = call(*write_class(tmp_path, "honest", "", given=honest), "--check_independence", "3", out="b")
    assert found.document("metadata.json")["independence"]["holds"] is True


def test_a_key_is_not_stored(call: Call, tmp_path: Path) -> None:
    words = write_class(tmp_path, "with_key", "api_key, size=1")
    found = call(*words, "--model_init_kwargs_json", '{"api_key": "sk-abc", "size": 2}')
    assert found.code == 0, found.err
    assert [path for path in found.folder.iterdir() if "sk-abc" in path.read_text()] == []
    assert found.document("metadata.json")["flags"]["model_init_kwargs_json"] == {"size": 2}


def test_the_example_is_found_from_any_folder(tmp_path: Path) -> None:
    # In a process apart, whose folder has parts of its own with those names, one a package.
    write_own(tmp_path, "beside", PLAIN)
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "__init__.py").touch()
    code = """\
from steelyard.plugins import resolve
print(resolve("models", "custom_models.sample_model:CMIRewardModelBaseline").__name__)
print(resolve("models", "custom_models.beside:Plain").__mro__[1].__name__)
print(resolve("models", "./custom_models/beside.py:Plain").__name__)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split() == ["CMIRewardModelBaseline", "BenchmarkModelABC", "Plain"], done.stderr


def test_nothing_is_found_that_nobody_offers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(UsageError, match=r"no module 'custom_models\.nothing'"):
        resolve("models", "custom_models.nothing:Any")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--model_init_kwargs_json", "[1]"), 2, "--model_init_kwargs_json is no JSON object: [1]"),
        (("--model_score_kwargs_json", "{oops"), 2, "--model_score_kwargs_json is no JSON: {oops"),
        ((), 2, "no checkpoint is named"),
        (("-c", "nowhere/model.safetensors"), 1, "there is no checkpoint nowhere/model.safetensors"),
        (("-c", "model.pt"), 1, "model.pt is no safetensors file"),
        (("-c", str(CHECKPOINT), "--model_init_kwargs_json", '{"colour": 1}'), 2, "'colour'"),
        (("--model_class_path", "sample_model"), 2, "names no class"),
        (("--model_class_path", "./nothing.py:A"), 2, "there is no file"),
        (("--dataset_jsonl", "nothing.jsonl"), 2, "there is no file nothing.jsonl"),
        (("--dataset_jsonl", "torn.jsonl"), 2, "torn.jsonl"),
        (("--dataset_jsonl", "bare.jsonl"), 2, "audio-path"),
        (("--dataset_root", "nowhere"), 2, "there is no folder nowhere"),
        (("--split", "dev"), 2, "no row of the split dev"),
        (("--split", "train", "--subset", "PAM"), 2, "no row of PAM and the split train"),
        (("--eval_yaml", "nothing.yaml"), 2, "cannot read nothing.yaml"),
        (("--eval_yaml", "odd.yaml"), 2, "odd.yaml: metrics has no setting 'include_mse'"),
        (("--output_dir", "full"), 2, "the folder full is not empty"),
        (("--no_such_flag",), 2, "--no_such_flag"),
        (("--max_dur", "-1"), 2, "must be more than 0"),
        (("--max_dur", "inf"), 2, "must be more than 0, or none"),
        (("--max_dur", "long"), 2, "must be more than 0, or none"),
        (("--batch_size", "x"), 2, "must be a whole number of at least 1"),
        (("-c", str(CHECKPOINT), "--model_init_kwargs_json", '{"max_dur": "30"}'), 2, "max_dur='30'"),
        (
            ("-c", str(CHECKPOINT), "--model_init_kwargs_json", '{"config": 5}'),
            1,
            "could not be opened: TypeError",
        ),
    ],
)
def test_bad_input_is_named(call: Call, tmp_path: Path, words: tuple[str, ...], code: int, says: str) -> None:
    (tmp_path / "model.pt").write_bytes(b"PK")
    (tmp_path / "torn.jsonl").write_text('{"audio-path": "a.wav", "source": "PAM"}\n{"audio-path": \n')
    (tmp_path / "bare.jsonl").write_text('{"prompt": "jazz", "source": "PAM", "musicality": 3}\n')
    (tmp_path / "odd.yaml").write_text("metrics: {include_mse: true}\n")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    found = call(*words)
    assert found.code == code, found.err
    assert says in found.err and "Traceback" not in found.err and "this is a bug" not in found.err
    if words[-1:] in (("torn.jsonl",), ("bare.jsonl",)):
        line = {"torn.jsonl": 2, "bare.jsonl": 1}[words[-1]]
        assert str(line) in found.err.replace(words[-1], "")
    assert not (tmp_path / "out").exists()
