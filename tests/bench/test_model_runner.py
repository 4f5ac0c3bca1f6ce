"""ModelRunner: loading, running, describing and unloading; local, api and interface models."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest

import bench.evaluation as bench
from bench.evaluation.model_runner import ModelRunner
from faulty_service import Service, echo, reply, serving

KEY = "sk-secret-271828"

MODULE = """
calls = []

def load_model(model_path, **options):
    def predict(batch, **kwargs):
        calls.append((len(batch), kwargs))
        return [{"label": str(item.get("x")), "path": model_path, **options} for item in batch]
    return predict

def load_other(model_path, **options):
    return lambda batch: [item["x"] for item in batch]

def load_single(model_path):
    return lambda batch: {"label": "one"}

def load_short(model_path):
    return lambda batch: [{"label": "x"}] * (len(batch) - 1)

def load_fragile(model_path):
    return lambda batch: [{"label": 1 / item["x"]} for item in batch]

def load_picky(model_path):
    def predict(batch, *, threshold):
        return [{"label": threshold} for _ in batch]
    return predict

def load_object(model_path):
    class Model:
        def predict(self, inputs):
            return [{"label": "object"} for _ in inputs]
    return Model()

def load_callable(model_path):
    class Model:
        def __call__(self, batch, **kwargs):
            return [{"label": "called", **kwargs} for _ in batch]
    return Model()

def load_number(model_path):
    return 3

def load_failing(model_path):
    raise OSError("the disk is on fire")

not_callable = 1
"""


class Interface(bench.ModelInterface):
    def __init__(self, model_id: str = "if-1") -> None:
        self._id = model_id

    @property
    def model_id(self) -> str:
        return self._id

    def predict(self, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{"label": item["x"], "score": 0.5} for item in inputs]


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelRunner[Any, Any, Any]:
    (tmp_path / "clinic.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "clinic", raising=False)
    return ModelRunner[Any, Any, Any]()


def load(runner: ModelRunner[Any, Any, Any], load_func: str = "load_model", **options: Any) -> Any:
    return runner.load_model("m", model_type="local", module_path="clinic", load_func=load_func, **options)


def items(*values: Any) -> list[dict[str, Any]]:
    return [{"x": value} for value in values]


def test_names_to_import() -> None:
    for name in (
        "ModelRunner",
        "ModelInterface",
        "LocalModel",
        "HuggingFaceModel",
        "APIModel",
        "EvaluationHarness",
    ):
        assert hasattr(bench, name)
    assert bench.ModelRunner is ModelRunner


# What goes wrong.


def test_not_loaded(runner: ModelRunner[Any, Any, Any]) -> None:
    said = re.escape("Model nobody not loaded. Call load_model() first.")
    with pytest.raises(ValueError, match=said):
        runner.run_model("nobody", [{}])
    with pytest.raises(ValueError, match=said):
        asyncio.run(runner.run_model_async("nobody", [{}]))
    with pytest.raises(ValueError, match=said):
        runner.model_metadata("nobody")


@pytest.mark.parametrize("inputs", [{"x": 1}, "text", ["text"], [{"x": 1}, None], None, ({"x": 1},)])
def test_inputs_that_are_no_list_of_dictionaries(runner: ModelRunner[Any, Any, Any], inputs: Any) -> None:
    load(runner)
    with pytest.raises(ValueError, match=re.escape("Inputs must be a list of dictionaries.")):
        runner.run_model("m", inputs)


@pytest.mark.parametrize("size", [0, -1, 2.5, True])
def test_batch_sizes_that_are_none(runner: ModelRunner[Any, Any, Any], size: Any) -> None:
    load(runner)
    with pytest.raises(ValueError, match="batch_size"):
        runner.run_model("m", items(1), batch_size=size)


def test_no_inputs_no_answers(runner: ModelRunner[Any, Any, Any]) -> None:
    load(runner)
    assert runner.run_model("m", []) == []
    assert asyncio.run(runner.run_model_async("m", [])) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model_type": "onnx"}, "Unsupported model type: onnx"),
        ({"model_type": "interface"}, "'model'"),
        ({"model_type": "local"}, "'module_path'"),
        ({"model_type": "api"}, "'endpoint'"),
        ({"model_type": "interface", "model": object()}, "no ModelInterface"),
    ],
)
def test_what_cannot_be_loaded(
    runner: ModelRunner[Any, Any, Any], options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        runner.load_model("m", **options)
    with pytest.raises(ValueError, match="not loaded"):
        runner.run_model("m", [])


def test_a_module_that_cannot_be_imported(runner: ModelRunner[Any, Any, Any]) -> None:
    with pytest.raises(ImportError, match=r"no_such\.module"):
        runner.load_model("m", module_path="no_such.module")


@pytest.mark.parametrize("load_func", ["absent", "not_callable"])
def test_a_module_without_the_function(runner: ModelRunner[Any, Any, Any], load_func: str) -> None:
    with pytest.raises(ValueError, match=f"Module clinic has no callable '{load_func}' function"):
        load(runner, load_func)


def test_what_a_load_function_raises_or_returns(runner: ModelRunner[Any, Any, Any]) -> None:
    with pytest.raises(OSError, match="on fire"):
        load(runner, "load_failing")
    with pytest.raises(ValueError, match="returned a int"):
        load(runner, "load_number")


def test_a_name_that_is_loaded_keeps_its_model(
    runner: ModelRunner[Any, Any, Any], caplog: pytest.LogCaptureFixture
) -> None:
    first = load(runner)
    with caplog.at_level(logging.WARNING):
        assert load(runner, "load_other") is first
    assert "m is already loaded" in caplog.text


# Local models.


def test_the_loaded_function_gets_path_options_batches_and_keywords(
    runner: ModelRunner[Any, Any, Any],
) -> None:
    model = load(runner, model_path="/weights", temperature=3)
    out = runner.run_model("m", items(*range(5)), batch_size=2, threshold=0.5)
    assert out[4] == {"label": "4", "path": "/weights", "temperature": 3}
    assert [answer["label"] for answer in out] == list("01234")
    import clinic  # type: ignore[import-not-found]

    assert clinic.calls == [(2, {"threshold": 0.5}), (2, {"threshold": 0.5}), (1, {"threshold": 0.5})]
    assert model(items(7))[0]["label"] == "7"


def test_batches_are_eight_unless_said_otherwise(runner: ModelRunner[Any, Any, Any]) -> None:
    load(runner)
    runner.run_model("m", items(*range(20)))
    import clinic

    assert [size for size, _ in clinic.calls] == [8, 8, 4]


def test_many_more_inputs_than_wait_at_a_time_stay_in_order(runner: ModelRunner[Any, Any, Any]) -> None:
    load(runner)
    out = runner.run_model("m", items(*range(3000)), batch_size=7)
    assert [answer["label"] for answer in out] == [str(n) for n in range(3000)]


def test_scalars_become_labels(runner: ModelRunner[Any, Any, Any]) -> None:
    load(runner, "load_other")
    out = runner.run_model("m", items("pos", 3, 0.25, True))
    assert out == [{"label": text, "score": 1.0} for text in ("pos", "3", "0.25", "True")]


def test_one_answer_that_is_no_list_is_wrapped(runner: ModelRunner[Any, Any, Any]) -> None:
    load(runner, "load_single")
    assert runner.run_model("m", items(1)) == [{"label": "one"}]


def test_a_batch_with_too_few_answers_is_an_error_said_so(runner: ModelRunner[Any, Any, Any]) -> None:
    load(runner, "load_short")
    out = runner.run_model("m", items(1, 2, 3), batch_size=3)
    assert [answer["input"] for answer in out] == items(1, 2, 3)
    assert all("2 answers to 3 inputs" in answer["error"] for answer in out)


def test_a_failed_item_costs_only_itself(runner: ModelRunner[Any, Any, Any]) -> None:
    load(runner, "load_fragile")
    out = runner.run_model("m", items(1, 0, 4), batch_size=3)
    assert [answer.get("label") for answer in out] == [1.0, None, 0.25]
    assert out[1] == {"input": {"x": 0}, "error": "ZeroDivisionError: division by zero"}


def test_a_keyword_that_the_model_does_not_take_is_an_error_not_silence(
    runner: ModelRunner[Any, Any, Any],
) -> None:
    load(runner, "load_picky")
    assert runner.run_model("m", items(1), threshold="t")[0]["label"] == "t"
    assert "typo" in runner.run_model("m", items(1), threshold=1, typo=2)[0]["error"]


@pytest.mark.parametrize(("load_func", "label"), [("load_object", "object"), ("load_callable", "called")])
def test_objects_are_models_too(runner: ModelRunner[Any, Any, Any], load_func: str, label: str) -> None:
    load(runner, load_func)
    assert runner.run_model("m", items(1, 2)) == [{"label": label}] * 2


def test_awaited_runs_at_the_same_time(runner: ModelRunner[Any, Any, Any]) -> None:
    load(runner)

    async def go() -> list[Any]:
        return await asyncio.gather(*(runner.run_model_async("m", items(n, n + 1)) for n in range(5)))

    assert [[a["label"] for a in out] for out in asyncio.run(go())] == [
        [str(n), str(n + 1)] for n in range(5)
    ]


def test_a_plain_run_inside_a_running_loop(runner: ModelRunner[Any, Any, Any]) -> None:
    load(runner)

    async def go() -> Any:
        return runner.run_model("m", items(1))

    assert asyncio.run(go())[0]["label"] == "1"


def test_unloading(runner: ModelRunner[Any, Any, Any]) -> None:
    load(runner)
    runner.unload_model("m")
    runner.unload_model("never loaded")
    with pytest.raises(ValueError, match="not loaded"):
        runner.run_model("m", items(1))
    load(runner, "load_other")
    assert runner.run_model("m", items("new"))[0]["label"] == "new"


def test_metadata_of_a_local_model(runner: ModelRunner[Any, Any, Any]) -> None:
    load(runner, model_path="/weights", api_key=KEY, size=2)
    about = runner.model_metadata("m")
    assert about["type"] == "local"
    assert about["path"] == "/weights"
    assert about["module_path"] == "clinic"
    assert KEY not in str(about)


# Interface models.


def test_an_interface_model_has_two_names(runner: ModelRunner[Any, Any, Any]) -> None:
    model = Interface()
    assert runner.load_model("mine", model_type="interface", model=model) is model
    for name in ("mine", "if-1"):
        assert runner.run_model(name, items("a")) == [{"label": "a", "score": 0.5}]
    runner.unload_model("if-1")
    with pytest.raises(ValueError, match="not loaded"):
        runner.run_model("mine", items("a"))


def test_registering_by_its_own_id(runner: ModelRunner[Any, Any, Any]) -> None:
    runner.register_interface_model(Interface("ward"))
    assert runner.run_model("ward", items("a", "b"))[1]["label"] == "b"
    assert runner.model_metadata("ward")["type"] == "interface"


def test_a_second_name_takes_no_other_models_id(runner: ModelRunner[Any, Any, Any]) -> None:
    other = Interface("if-2")
    runner.load_model("if-1", model_type="interface", model=other)
    runner.load_model("mine", model_type="interface", model=Interface())
    runner.unload_model("mine")
    assert runner.run_model("if-1", items("a"))[0]["label"] == "a"


def test_interface_failures(runner: ModelRunner[Any, Any, Any]) -> None:
    runner.register_interface_model(Interface())
    out = runner.run_model("if-1", [{"x": "a"}, {"y": "b"}])
    assert out == [{"label": "a", "score": 0.5}, {"input": {"y": "b"}, "error": "KeyError: 'x'"}]


def test_an_interface_needs_its_methods() -> None:
    with pytest.raises(TypeError, match="abstract"):
        bench.ModelInterface()  # type: ignore[abstract]
    assert Interface().metadata == {}


# Services.


def api(runner: ModelRunner[Any, Any, Any], service: Service, **options: Any) -> Any:
    return runner.load_model("s", model_type="api", endpoint=service.url, backoff_factor=0.001, **options)


def test_the_bare_list_is_posted_in_batches(runner: ModelRunner[Any, Any, Any]) -> None:
    with serving(echo(lambda item: {"label": str(item["x"])})) as service:
        model = api(runner, service, api_key=KEY, headers={"X-Ward": "7"})
        out = runner.run_model("s", items(*range(5)), batch_size=2, ignored=1)
        assert out == [{"label": str(n), "score": 1.0} for n in range(5)]
        assert [asked.json for asked in service.asked] == [items(0, 1), items(2, 3), items(4)]
        seen = service.asked[0].headers
        assert seen["content-type"] == "application/json"
        assert seen["authorization"] == f"Bearer {KEY}"
        assert seen["x-ward"] == "7"
        assert model(items(9)) == [{"label": "9", "score": 1.0}]


def test_without_a_key_there_is_no_authorization(runner: ModelRunner[Any, Any, Any]) -> None:
    with serving(echo(str)) as service:
        api(runner, service)
        runner.run_model("s", items(1))
        assert "authorization" not in service.asked[0].headers


def test_the_configuration_of_a_service(runner: ModelRunner[Any, Any, Any]) -> None:
    model = runner.load_model("s", model_type="api", endpoint="https://api.example/v1/predict", api_key=KEY)
    config = model.config
    assert config["type"] == "api"
    assert config["endpoint"] == "https://api.example/v1/predict"
    assert (config["timeout"], config["max_retries"], config["backoff_factor"]) == (30.0, 0, 0.5)
    assert config["headers"]["Content-Type"] == "application/json"
    assert runner.model_metadata("s")["type"] == "api"
    for shown in (repr(model), str(config), str(runner.model_metadata("s"))):
        assert KEY not in shown


@pytest.mark.parametrize(
    "answer", [["a", "b"], {"outputs": ["a", "b"]}, {"predictions": ["a", "b"]}, {"results": ["a", "b"]}]
)
def test_lists_of_scalars(runner: ModelRunner[Any, Any, Any], answer: Any) -> None:
    with serving(reply(answer)) as service:
        api(runner, service)
        out = runner.run_model("s", items(1, 2))
        assert out == [{"label": "a", "score": 1.0}, {"label": "b", "score": 1.0}]


def test_dictionaries_keep_their_keys(runner: ModelRunner[Any, Any, Any]) -> None:
    given = [{"label": "a", "why": "x"}, {"label": "b", "score": 0.3}, {"summary": "s"}, 4]
    with serving(reply(given)) as service:
        api(runner, service)
        assert runner.run_model("s", items(1, 2, 3, 4)) == [
            {"label": "a", "why": "x", "score": 1.0},
            {"label": "b", "score": 0.3},
            {"summary": "s"},
            {"label": "4", "score": 1.0},
        ]


def test_failed_batches_drop_no_rows_and_hide_no_reason(
    runner: ModelRunner[Any, Any, Any], caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(asked: Any) -> bytes:
        return reply(status=400, body=f"no: {asked.headers['authorization']}".encode())

    with serving(echo(lambda item: item["x"]), refuse, reply(["too few"])) as service:
        api(runner, service, api_key=KEY)
        out = runner.run_model("s", items(1, 2, 3, 4, 5, 6), batch_size=2)
        assert [answer["input"] for answer in out[2:]] == items(3, 4, 5, 6)
        assert out[0] == {"label": "1", "score": 1.0}
        assert out[2]["error"] == "HTTP 400: no: ***"
        assert "1 answers to 2 inputs" in out[4]["error"]
        assert KEY not in str(out) + caplog.text


@pytest.mark.parametrize(("fault", "tries"), [(503, 2), (429, 2), (500, 2), (400, 1), (404, 1)])
def test_what_is_tried_again(runner: ModelRunner[Any, Any, Any], fault: int, tries: int) -> None:
    with serving(reply(status=fault), reply(["ok"])) as service:
        api(runner, service, max_retries=1)
        out = runner.run_model("s", items(1))
        assert len(service.asked) == tries
        assert out[0].get("label") == ("ok" if tries == 2 else None)


def test_nothing_is_tried_again_unless_asked_for(runner: ModelRunner[Any, Any, Any]) -> None:
    with serving(Service.CLOSE, reply(["ok"])) as service:
        api(runner, service)
        assert "error" in runner.run_model("s", items(1))[0]
        assert len(service.asked) == 1


def test_a_timeout(runner: ModelRunner[Any, Any, Any]) -> None:
    with serving(Service.HANG) as service:
        api(runner, service, timeout=0.05)
        assert "within 0.05 s" in runner.run_model("s", items(1))[0]["error"]


def test_an_option_that_there_is_not(runner: ModelRunner[Any, Any, Any]) -> None:
    with pytest.raises(TypeError, match="retries"):
        runner.load_model("s", model_type="api", endpoint="http://h/", retries=1)


def test_answers_are_json(runner: ModelRunner[Any, Any, Any]) -> None:
    with serving(echo(lambda item: None if item["x"] == 2 else "ok")) as service:
        api(runner, service)
        out = runner.run_model("s", items(1, 2))
        assert json.loads(json.dumps(out))[1] == {"input": {"x": 2}, "error": out[1]["error"]}
