"""The command `ais_bench`: modes, going on, names and overrides, exit codes."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path

import pytest
from ais_project import DEMO, Project, toy_model

ROWS = [{"question": f"{n} + 1?", "answer": f"So it is #### {n + 1}"} for n in range(40)]
ADDS = "'#### %d' % (int(prompt.split()[-4]) + 1)"
RIGHT = "str(int(prompt.split()[1]) + 1)"


@pytest.fixture
def project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Project:
    return Project(tmp_path, capsys)


def with_data(project: Project, answers: str = RIGHT, *, extra: str = "") -> list[str]:
    """A configuration folder with a local model, and forty sums; the words that ask them."""
    project.write("conf/models/toy.py", toy_model(answers, extra=extra))
    project.write("sums.jsonl", "".join(json.dumps(row) + "\n" for row in ROWS))
    sums = ["demo_gsm8k_gen_0_shot_cot_str", "abbr=sums", "limit=null", "options.data=sums.jsonl"]
    return ["--config-dir", "conf", "--models", "toy", "--datasets", *sums, "template=Sum: {input}"]


def test_infer_only_asks_and_eval_only_scores(project: Project) -> None:
    words = with_data(project)
    out, _ = project.call(*words, "--mode", "infer")
    assert out == ""
    (home,) = project.outputs()
    assert len(project.lines("toy", "sums")) == 40
    assert not (home / "results").exists()
    # With another model in the file, whatever is scored is what was asked then.
    project.write("conf/models/toy.py", toy_model("'nothing'"))
    out, _ = project.call(*words, "--mode", "eval", "--dump-eval-details")
    assert re.search(r"sums +\w{6} +accuracy +gen +100.00 +0.00 +0$", out)
    assert project.outputs() == [home]
    assert project.results("toy", "sums")["details"][0]["correct"] is True
    # Nothing named: what was asked is known.
    assert project.call("--mode", "eval", "--reuse", home.name)[0] == out
    assert project.call("--mode", "viz")[0] == out
    page = (home / f"summary/summary_{home.name}.html").read_text()
    assert "Sum: 39 + 1?" in page
    # What is stored is no answer to what the file says by then.
    project.write("sums.jsonl", json.dumps({"question": "9 + 1?", "answer": "#### 10"}) + "\n")
    _, err = project.call(*words, "--mode", "eval", code=2)
    assert "toy/sums was asked of other data" in err
    assert "sums.jsonl" in err


def test_reuse_after_a_kill_asks_nothing_twice(project: Project) -> None:
    slow = f"[{RIGHT}, time.sleep(0.02), open('asked', 'a').write(prompt + chr(10))][0]"
    words = with_data(project, slow)
    process = project.start(*words)
    asked = project.folder / "asked"
    while not asked.exists() or asked.read_text().count("\n") < 8:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = asked.read_text().splitlines()
    assert 8 <= len(before) < 40
    out, _ = project.run(*words, "--reuse")
    (home,) = project.outputs()
    assert re.search(r"100.00 +0.00 +0$", out)
    assert sorted(line["id"] for line in project.lines("toy", "sums")) == list(range(40))
    # One was in the model and may not have been stored.
    assert 40 <= len(asked.read_text().splitlines()) <= 41
    assert len(set(asked.read_text().splitlines())) == 40
    assert project.run("--reuse", home.name)[0] == out
    assert len(asked.read_text().splitlines()) <= 41


@pytest.mark.parametrize("workers", [1, 2])
def test_interrupted_it_says_how_to_go_on(project: Project, workers: int) -> None:
    words = with_data(project, f"[{RIGHT}, time.sleep(0.05)][0]")
    words[words.index("toy") + 1 : words.index("toy") + 1] = ["toy", "abbr=other"]
    # As a shell begins what it runs in the background: deaf to Ctrl-C.
    deaf = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"] if workers == 2 else []
    process = project.start(*words, "--max-num-workers", str(workers), before=deaf)
    while not any(
        path.stat().st_size for path in project.folder.glob("outputs/*/*/runs/toy/sums/records.jsonl")
    ):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, out + err
    (home,) = project.outputs()
    assert f"--reuse {home.name}" in err
    assert len(project.lines("toy", "sums")) < 40


def test_reuse_asks_again_what_failed(project: Project) -> None:
    words = with_data(project, f"{RIGHT} if '7' not in prompt or os.stat('mended') else ''")
    out, err = project.call(*words, code=1)
    failed = json.loads(out.split()[-1])
    assert failed > 0
    assert f"{failed} of 40 requests failed" in err
    (home,) = project.outputs()
    apart = home / "predictions/toy/sums_failed.jsonl"
    assert all("mended" in json.loads(line)["error_info"] for line in apart.read_text().splitlines())
    assert apart.read_text().count("\n") == failed
    project.write("mended", "")
    out, _ = project.call(*words, "--reuse")
    assert re.search(r"100.00 +0.00 +0$", out)
    assert not apart.exists()
    assert len(project.lines("toy", "sums")) == 40


@pytest.mark.parametrize(
    ("behind", "change", "named"),
    [
        ("options.data=sums.jsonl", "max_out_len=7", "max_tokens"),
        ("options.data=sums.jsonl", "shots=1", "shots"),
        ("toy", "max_out_len=50", "max_out_len"),
        ("toy", "generation_kwargs.temperature=0.5", "temperature"),
    ],
)
def test_reuse_refuses_another_question(project: Project, behind: str, change: str, named: str) -> None:
    words = with_data(project)
    project.call(*words)
    words.insert(words.index(behind) + 1, change)
    out, err = project.call(*words, "--reuse", code=2)
    assert "is a run of something else" in err
    assert named in err
    assert out == ""
    # What was refused is not what the sitting asks: with no names it goes on with what it asked.
    out, _ = project.call("--reuse")
    assert len(project.lines("toy", "sums")) == 40
    assert len(project.outputs()) == 1


def test_a_sitting_that_asked_nothing_is_not_gone_on_with(project: Project) -> None:
    words = with_data(project)
    project.call(*words)
    (home,) = project.outputs()
    refused = [*words]
    refused.insert(words.index("toy") + 1, "max_out_len=0")
    assert "max_out_len is 0" in project.call(*refused, code=2)[1]
    assert len(project.outputs()) == 2
    assert str(home.name) in project.call(*words, "--reuse")[1]


def test_fields_behind_a_name_take_the_place_of_its_own(project: Project) -> None:
    words = with_data(
        project, "'%d' % (len(prompt) if self.more else int(prompt.split()[1]) + 1)", extra=", more=True"
    )
    assert re.search(r" 2.50 ", project.call(*words, "--num-prompts", "40")[0])
    words.insert(words.index("toy") + 1, "more=false")
    words.insert(words.index("toy") + 1, "abbr=plain")
    out, _ = project.call(*words, "--num-prompts", "3")
    assert out.split()[4] == "plain"
    assert re.search(r"100.00 +0.00 +0$", out)
    assert len(project.lines("plain", "sums")) == 3


def test_one_that_fails_stops_no_other(project: Project) -> None:
    words = with_data(project)
    broken = toy_model().replace(
        "class Toy(BaseModel):", "class Toy(BaseModel):\n    def __init__(self, *a, **k): 1 / 0\n"
    )
    project.write("conf/models/broken.py", broken.replace('abbr="toy"', 'abbr="broken"'))
    words.insert(words.index("toy"), "broken")
    out, err = project.call(*words, code=1)
    head, row = out.splitlines()
    assert head.split()[4:] == [
        "broken",
        "toy",
        "broken",
        "stderr",
        "broken",
        "failed",
        "toy",
        "stderr",
        "toy",
        "failed",
    ]
    assert row.split()[4:] == ["–", "100.00", "–", "–", "0.00", "0"]
    assert "broken/sums: ZeroDivisionError" in err
    (home,) = project.outputs()
    assert "Traceback" in (home / "logs/broken/sums.log").read_text()
    assert project.run(*words, "--max-num-workers", "2", code=1)[0] == out


def test_a_key_is_not_stored(project: Project) -> None:
    words = with_data(project, extra=", api_key='sk-verysecret', generation_kwargs=dict(token='sk-other')")
    out, err = project.call(*words)
    said = out + err + "".join(path.read_text() for path in project.outputs()[0].rglob("*") if path.is_file())
    assert "sk-verysecret" not in said
    assert "sk-other" not in said
    _, err = project.call("--reuse", code=2)
    assert "the key of toy is not stored" in err
    project.call("--mode", "viz")


def test_names_are_searched_and_nothing_is_asked(project: Project) -> None:
    words = with_data(project)
    out, _ = project.call("--config-dir", "conf", "--models", "to*", "--datasets", "math500", "--search")
    assert ["models", "toy", "conf/models/toy.py"] in [line.split() for line in out.splitlines()]
    assert "math500_gen_0_shot_cot_str" in out
    out, _ = project.call(*words, "--dry-run")
    assert re.search(r"toy +Toy +sums +\w{6} +gen +40\n", out)
    assert "Sum: 0 + 1?" in out
    assert project.outputs() == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--models", "vllm_api_general_chats", "--datasets", DEMO], "did you mean vllm_api_general_chat"),
        (["--models", "vllm_api_general_chat", "--datasets", "gsm8k_gn"], "did you mean gsm8k_gen"),
        (["--models", "vllm_api_general_chat", "--datasets", "gsm8k_gen"], "into ais_bench/datasets/gsm8k"),
        (["--models", "vllm_api_general_chat"], "no datasets are named"),
        (["--models", "a=1", "vllm_api_general_chat", "--datasets", DEMO], "stands before any name"),
        (["--models", "vllm_api_general_chat", "vllm_api_general_chat", "--datasets", DEMO], "abbr=NAME"),
        (["--models", "hf_chat_model", "--datasets", DEMO], "path=FOLDER"),
        (["--models", "vllm_api_general", "hostport=1", "--datasets", DEMO], "did you mean host_port"),
        (["--models", "hf_chat_model", "pathh=/x", "--datasets", DEMO], "did you mean path"),
        (["--models", "vllm_api_general", "stream=no", "--datasets", DEMO], "true or false"),
        (["--models", "vllm_api_general", "batch_size=0", "--datasets", DEMO], "a whole number, at least 1"),
        (["--models", "vllm_api_general", "retry=often", "--datasets", DEMO], "a whole number, at least 0"),
        (["--models", "tgi_api_general", "abbr=a-b", "tgi_api_general", "abbr=a/b", "--datasets", DEMO],
         "2 models have the abbr"),
        (["--models", "vllm_api_general_chat", "--datasets", DEMO, "shotz=3"], "did you mean shots"),
        (["--mode", "perf", "--models", "vllm_api_general_chat"], "no datasets are named"),
        (["--mode", "perf", "--models", "vllm_api_general_chat", "--datasets", DEMO, "--num-warmups", "-1"],
         "--num-warmups is -1"),
        (["--mode", "fast"], "invalid choice"),
        (["--reuse", "--models", "vllm_api_general_chat", "--datasets", DEMO], "nothing to go on with"),
        (["missing.py"], "there is no configuration file"),
        (["--config-dir", "nowhere", "--search"], "there is no folder"),
        (["--summarizer", "examples", "--models", "vllm_api_general_chat", "--datasets", DEMO], "example"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line_and_a_hint(project: Project, words: list[str], said: str) -> None:
    out, err = project.call(*words, code=2)
    assert out == ""
    assert said in err


def test_help_is_light() -> None:
    import subprocess
    import sys

    show = "import sys, ais_bench.benchmark.cli.command as m; m.main(['--help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert not loaded & {"numpy", "torch", "asyncio", "msgspec", "jinja2", "yaml"}
