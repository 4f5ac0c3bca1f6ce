"""Document 1's two examples, word for word, from a user's own folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ais_project import (
    API_BODIES,
    API_CLASS,
    API_COMMAND,
    API_CONFIG,
    BLOCKS,
    HOME,
    LOCAL_BODIES,
    LOCAL_CLASS,
    LOCAL_COMMAND,
    LOCAL_CONFIG,
    Project,
    fill,
)

from chat_service import chatting, refusal
from faulty_service import Asked

IMPORTS = """\
from typing import Dict, List, Optional
from ais_bench.benchmark.models import BaseModel
from ais_bench.benchmark.models import PromptType

"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def words(command: str) -> list[str]:
    name, *rest = command.split()
    assert name == "ais_bench"
    return rest


def service_of(project: Project, port: int, *, stream: bool = False) -> None:
    """The document's own files, where it says that they go, but for the port."""
    project.write(HOME / "models/api_models/my_custom_api.py", fill(API_CLASS, API_BODIES))
    config = API_CONFIG.replace("host_port=8080", f"host_port={port}")
    assert config != API_CONFIG
    project.write(
        HOME / "configs/models/my_custom_api.py", config.replace("stream=False", f"stream={stream}")
    )


def test_the_blocks_are_those_we_know() -> None:
    assert [language for language, _ in BLOCKS] == ["python", "python", "bash", "python", "python", "bash"]
    assert fill(API_CLASS, API_BODIES).count("...") == 0
    assert fill(LOCAL_CLASS, LOCAL_BODIES).count("...") == 0


@pytest.mark.parametrize("stream", [False, True])
def test_a_service_of_ones_own(project: Project, stream: bool) -> None:
    with chatting(lambda asked: "It is 9:30. The answer is $17.") as service:
        service_of(project, service.port, stream=stream)
        if stream:
            # The class that the document sketches says to its service whether it streams.
            path = project.folder / HOME / "models/api_models/my_custom_api.py"
            path.write_text(
                path.read_text().replace(
                    "max_tokens=max_out_len,", "max_tokens=max_out_len, stream=self.stream,"
                )
            )
        out, err = project.run(*words(API_COMMAND))
    head, row = out.splitlines()
    assert head.split() == ["dataset", "version", "metric", "mode", "my_custom_api", "stderr", "failed"]
    assert re.fullmatch(r"demo_gsm8k  [0-9a-f]{6}   accuracy  gen +12.50 +11.69 +0", row)
    assert len(service.asked) == 8
    asked = service.asked[0].json
    assert asked["max_tokens"] == 512
    (turn,) = asked["messages"]
    assert turn["content"].count("Let's think step by step\nAnswer:") == 5
    lines = project.lines("my_custom_api", "demo_gsm8k")
    assert sorted(lines[0]) == [
        "data_abbr", "gold", "id", "origin_prompt", "prediction", "success", "uuid",
    ]  # fmt: skip
    assert {line["id"] for line in lines} == set(range(8))
    assert len({line["uuid"] for line in lines}) == 8
    first = next(line for line in lines if line["id"] == 0)
    assert (first["gold"], first["prediction"]) == ("17", "It is 9:30. The answer is $17.")
    assert [turn["role"] for turn in first["origin_prompt"]] == ["HUMAN", "BOT"] * 4 + ["HUMAN"]
    assert "8/8" in err


def test_everything_lies_where_it_is_said_to(project: Project) -> None:
    with chatting(lambda asked: "#### 17") as service:
        service_of(project, service.port)
        project.run(*words(API_COMMAND), "--dump-eval-details")
    (home,) = project.outputs()
    assert re.fullmatch(r"\d{8}_\d{6}", home.name)
    found = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
    (config,) = home.glob("configs/*.py")
    assert found == {
        f"configs/{config.name}",
        "logs/my_custom_api/demo_gsm8k.log",
        "predictions/my_custom_api/demo_gsm8k.jsonl",
        "results/my_custom_api/demo_gsm8k.json",
        "runs/my_custom_api/demo_gsm8k/records.jsonl",
        "runs/my_custom_api/demo_gsm8k/run.json",
        *(f"summary/summary_{home.name}{suffix}" for suffix in (".txt", ".csv", ".md")),
    }
    results = project.results("my_custom_api", "demo_gsm8k")
    assert (results["accuracy"], results["n"], results["failed"]) == (12.5, 8, 0)
    assert {detail["id"] for detail in results["details"] if detail["correct"]} == {0}
    csv = (home / f"summary/summary_{home.name}.csv").read_text().splitlines()
    assert csv[1] == f"demo_gsm8k,{results['version']},accuracy,gen,12.50,11.69,0"
    config_text = config.read_text()
    assert "MyCustomAPI" in config_text
    compile(config_text, config.name, "exec")


def test_what_fails_is_kept_apart_and_said(project: Project) -> None:
    def answer(asked: Asked) -> bytes | str:
        if "Quinn has $80" in str(asked.json["messages"]):
            return refusal("too rude")
        return "#### 17"

    with chatting(answer) as service:
        service_of(project, service.port)
        out, err = project.run(*words(API_COMMAND), code=1)
    assert re.search(r"gen +0.00 +0.00 +1$", out)
    assert "1 of 8 requests failed and count as 0" in err
    assert "too rude" in err
    (home,) = project.outputs()
    (line,) = (home / "predictions/my_custom_api/demo_gsm8k_failed.jsonl").read_text().splitlines()
    assert '"success":false' in line
    assert "too rude" in line
    assert len(project.lines("my_custom_api", "demo_gsm8k")) == 7


def test_a_local_model_of_ones_own(project: Project) -> None:
    project.write(HOME / "models/local_models/my_custom_model.py", IMPORTS + fill(LOCAL_CLASS, LOCAL_BODIES))
    project.write(
        HOME / "models/__init__.py",
        "from ais_bench.benchmark.models.local_models.my_custom_model import MyCustomModel\n",
    )
    project.write(HOME / "configs/models/my_custom_model.py", LOCAL_CONFIG)
    out, _ = project.run(*words(LOCAL_COMMAND))
    assert re.search(r"demo_gsm8k +[0-9a-f]{6} +accuracy +gen +12.50 +11.69 +0$", out)
    assert {line["prediction"] for line in project.lines("my_custom_model", "demo_gsm8k")} == {
        "The answer is 17."
    }
