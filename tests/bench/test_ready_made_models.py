"""LocalModel and APIModel by themselves."""

from __future__ import annotations

import asyncio
import pickle
from pathlib import Path
from typing import Any

import pytest

from bench.evaluation import APIModel, LocalModel, ModelRunner
from faulty_service import echo, reply, serving

KEY = "sk-secret-161803"


class Doubler:
    """A model as it lies in a file."""

    def predict(self, inputs: list[dict[str, Any]]) -> list[int]:
        return [2 * item["x"] for item in inputs]


def test_a_function_is_enough() -> None:
    model = LocalModel(predict_fn=lambda inputs: [{"label": item["x"]} for item in inputs], model_id="f")
    assert model.model_id == "f"
    assert model.predict([{"x": "a"}, {"x": "b"}]) == [{"label": "a"}, {"label": "b"}]
    assert model.predict([]) == []


def test_something_is_needed() -> None:
    with pytest.raises(ValueError, match="model_path"):
        LocalModel()


def test_a_loader_is_called_once_and_at_first_use() -> None:
    loaded = []

    def loader(path: str) -> Any:
        loaded.append(path)
        return Doubler()

    model = LocalModel("weights.xyz", loader=loader)
    assert (model.model_id, loaded) == ("weights.xyz", [])
    assert [model.predict([{"x": 3}]) for _ in range(2)] == [[{"label": "6", "score": 1.0}]] * 2
    assert loaded == ["weights.xyz"]


def test_a_function_may_take_what_was_loaded() -> None:
    def predict(model: Doubler, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{"twice": value} for value in model.predict(inputs)]

    assert LocalModel("w", loader=lambda path: Doubler(), predict_fn=predict).predict([{"x": 1}]) == [
        {"twice": 2}
    ]


def test_joblib(tmp_path: Path) -> None:
    joblib = pytest.importorskip("joblib")
    joblib.dump(Doubler(), tmp_path / "m.joblib")
    assert LocalModel(tmp_path / "m.joblib").predict([{"x": 4}]) == [{"label": "8", "score": 1.0}]


def test_a_pickle_only_when_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "m.pkl"
    file.write_bytes(pickle.dumps(Doubler()))
    with pytest.raises(ValueError, match="allow_pickle=True"):
        LocalModel(file).predict([{"x": 4}])
    assert LocalModel(file, allow_pickle=True).predict([{"x": 4}])[0]["label"] == "8"


def test_torch_weights_scripts_and_pickles(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"w": torch.tensor([2.0, 3.0])}, tmp_path / "weights.pt")

    def dot(weights: Any, inputs: list[dict[str, Any]]) -> Any:
        return torch.tensor([item["x"] for item in inputs]) @ weights["w"]

    model = LocalModel(tmp_path / "weights.pt", predict_fn=dot)
    assert model.predict([{"x": [1.0, 1.0]}, {"x": [0.0, 2.0]}]) == [
        {"label": "5.0", "score": 1.0},
        {"label": "6.0", "score": 1.0},
    ]
    torch.save(Doubler(), tmp_path / "whole.pt")
    with pytest.raises(ValueError, match="allow_pickle=True"):
        LocalModel(tmp_path / "whole.pt").predict([{"x": 1}])
    assert LocalModel(tmp_path / "whole.pt", allow_pickle=True).predict([{"x": 1}])[0]["label"] == "2"
    with pytest.raises(ValueError, match="predict_fn"):
        LocalModel(tmp_path / "weights.pt").predict([{"x": 1}])


def test_files_that_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.joblib"):
        LocalModel(tmp_path / "gone.joblib").predict([{}])
    (tmp_path / "m.xyz").touch()
    with pytest.raises(ValueError, match="loader"):
        LocalModel(tmp_path / "m.xyz").predict([{}])


def test_a_local_model_in_the_runner() -> None:
    runner: ModelRunner[Any, Any, Any] = ModelRunner()
    runner.register_interface_model(
        LocalModel(predict_fn=lambda inputs: [1 / i["x"] for i in inputs], model_id="l")
    )
    out = runner.run_model("l", [{"x": 2}, {"x": 0}], batch_size=2)
    assert out[0] == {"label": "0.5", "score": 1.0}
    assert "ZeroDivisionError" in out[1]["error"]
    assert runner.model_metadata("l")["type"] == "local"


def test_a_service_by_itself() -> None:
    with serving(echo(lambda item: {"label": item["x"]})) as service:
        model = APIModel(service.url, api_key=KEY, model_id="s")
        inputs = [{"x": "a"}, {"x": "b"}]
        expected = [{"label": "a", "score": 1.0}, {"label": "b", "score": 1.0}]
        assert model.predict(inputs) == asyncio.run(model.async_predict(inputs)) == expected
        assert [asked.json for asked in service.asked] == [inputs, inputs]
        assert model.predict([]) == []
        assert model.model_id == "s"
        assert KEY not in repr(model) + str(model.metadata)


@pytest.mark.parametrize(
    ("mode", "header", "start"),
    [
        ("bearer", "authorization", "Bearer sk-"),
        ("header", "x-api-key", "sk-"),
        ("basic", "authorization", "Basic "),
        ("query", "authorization", None),
        ("none", "authorization", None),
    ],
)
def test_auth_modes(mode: Any, header: str, start: str | None) -> None:
    with serving(echo(str)) as service:
        APIModel(service.url, api_key=KEY, auth_mode=mode).predict([{"x": 1}])
        asked = service.asked[0]
        seen = asked.headers.get(header)
        assert seen is None if start is None else str(seen).startswith(start)
        assert (KEY in asked.target) == (mode == "query")


@pytest.mark.parametrize(
    ("status", "tries"), [(429, 4), (500, 4), (502, 4), (503, 4), (504, 4), (501, 1), (400, 1)]
)
def test_three_more_tries_of_what_may_pass(status: int, tries: int) -> None:
    with serving(reply(status=status)) as service:
        (answer,) = APIModel(service.url, backoff_factor=0.001).predict([{"x": 1}])
        assert f"HTTP {status}" in answer["error"]
        assert len(service.asked) == tries


def test_the_statuses_tried_again_can_be_named() -> None:
    with serving(reply(status=501), reply(["ok"])) as service:
        model = APIModel(service.url, backoff_factor=0.001, retry_statuses=(501,))
        assert model.predict([{"x": 1}])[0]["label"] == "ok"


def test_the_rate_is_limited() -> None:
    with serving(echo(str)) as service:
        model = APIModel(service.url, rate_limit_rps=40)
        for _ in range(5):
            model.predict([{"x": 1}])
        assert service.asked[-1].at - service.asked[0].at > 0.08


def test_a_service_registered_in_the_runner() -> None:
    with serving(echo(lambda item: item["x"])) as service:
        runner: ModelRunner[Any, Any, Any] = ModelRunner()
        runner.register_interface_model(APIModel(service.url, model_id="s", concurrency=3))
        out = runner.run_model("s", [{"x": str(n)} for n in range(10)], batch_size=2)
        assert [answer["label"] for answer in out] == [str(n) for n in range(10)]
        assert [len(asked.json) for asked in service.asked] == [2] * 5
