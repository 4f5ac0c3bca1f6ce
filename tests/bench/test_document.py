"""The code blocks of document 0 run as they stand there, with stand-ins for the hub and the service."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from faulty_service import echo, serving

pytest.importorskip("torch")

PAGE = Path(__file__).parents[1] / "documents" / "0-model-runner.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.M | re.S)
ENDPOINT = "https://api.example/v1/predict"


def test_the_blocks_are_those_we_know() -> None:
    assert len(BLOCKS) == 5
    assert [ENDPOINT in block for block in BLOCKS] == [False, False, True, False, False]


@pytest.mark.usefixtures("on_shelf")
def test_the_blocks_run_in_order() -> None:
    space: dict[str, Any] = {}
    loading, local, api, signature, running = BLOCKS
    with serving(echo(lambda item: {"label": item["text"]})) as service:
        for block in (loading, local, api.replace(ENDPOINT, service.url), running):
            exec(block, space)
        runner = space["mr"]
        (answer,) = space["out"]
        assert answer["input"] == {"document": "Patient note ..."}
        assert answer["summary"] == answer["prediction"]
        assert runner.model_metadata("hf-sum")["generation_kwargs"] == {
            "max_new_tokens": 64,
            "do_sample": False,
        }
        urgent = runner.run_model("local-demo", [{"text": "Chest pain"}, {"note": "All well"}])
        assert [answer["label"] for answer in urgent] == ["urgent", "routine"]
        assert space["model"]([{"text": "bleeding"}])[0]["label"] == "urgent"
        assert runner.run_model("api-demo", [{"text": "a"}]) == [{"label": "a", "score": 1.0}]
        assert service.asked[0].headers["authorization"] == "Bearer sk-..."
        assert space["cfg"].config["max_retries"] == 1
        assert space["pipe"]([{"document": "Patient note ..."}]) == [answer]
    _check_signature(signature, runner.run_model)


def _check_signature(block: str, method: Any) -> None:
    written: dict[str, Any] = {"Any": Any}
    exec(block, written)
    ours = inspect.signature(method)
    theirs = inspect.signature(written["run_model"])
    assert list(theirs.parameters)[1:] == list(ours.parameters)
    for name, parameter in ours.parameters.items():
        assert (parameter.kind, parameter.default) == (
            theirs.parameters[name].kind,
            theirs.parameters[name].default,
        )


def test_the_page_stands_where_it_says() -> None:
    assert "bench/evaluation/model_runner.py" in PAGE.read_text()
    assert (Path(__file__).parents[2] / "doors" / "bench" / "evaluation" / "model_runner.py").is_file()
