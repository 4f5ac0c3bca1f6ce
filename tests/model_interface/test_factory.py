"""ModelFactory and ModelInterface by themselves, and a foreign package through all doors."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from foreign_packages import write_package

from model_interface.model_factory import ModelFactory
from model_interface.model_interface import ModelInterface
from model_interface.model_utils import measure, measure_inference_time
from steelyard import Part, Request, answer, open_model

PIL = pytest.importorskip("PIL.Image")

INIT = {"system_prompt": "You read invoices", "cache_dir": "weights"}


@pytest.fixture(autouse=True)
def _register(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ModelFactory, "_models", dict(ModelFactory._models))


@pytest.fixture
def readers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    write_package(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield "readers.module:InvoiceReader"
    for name in ("readers", "readers.module"):
        sys.modules.pop(name, None)


def test_a_foreign_package(readers: str) -> None:
    ModelFactory.register_model("mine", readers)
    model = ModelFactory.get_model("mine", INIT)
    assert isinstance(model, ModelInterface)
    assert (model.model_name, model.system_prompt, model.cache_dir) == (
        "mine",
        "You read invoices",
        "weights",
    )
    assert model.framework == "Hugging Face"
    red = PIL.new("RGB", (2, 2), "red")
    assert model.predict_on_image(red, "Which colour?") == "red"
    assert model.predict_on_images([red, red], "Which?") == "You read invoices: 2 Which?"


def test_names_as_the_document_spells_them(readers: str) -> None:
    ModelFactory.register_model(model_name="mine", model_path=readers)
    model = ModelFactory.get_model(model_name="mine", model_init_params={**INIT, "model_name": "other"})
    assert model.model_name == "other"
    assert list(inspect.signature(ModelInterface.__init__).parameters)[1:] == [
        "model_name", "system_prompt", "cache_dir",
    ]  # fmt: skip
    assert list(inspect.signature(ModelInterface.predict_on_image).parameters)[1:] == ["image", "question"]
    assert list(inspect.signature(ModelInterface.predict_on_images).parameters)[1:] == ["images", "question"]


def test_each_model_is_a_new_one_and_parameters_stay_as_they_were(readers: str) -> None:
    ModelFactory.register_model("mine", readers)
    given = dict(INIT)
    first, second = ModelFactory.get_model("mine", given), ModelFactory.get_model("mine", given)
    assert first is not second
    assert given == INIT


def test_the_name_goes_to_constructors_that_take_it(readers: str) -> None:
    ModelFactory.register_model("handing", "readers.module:Handing")
    ModelFactory.register_model("nameless", "readers.module:Nameless")
    assert ModelFactory.get_model("handing", {**INIT, "pixels": 3}).model_name == "handing"
    assert ModelFactory.get_model("nameless", INIT).words == ("You read invoices", "weights")


def test_a_class_will_do_and_the_last_of_a_name_counts(readers: str) -> None:
    class Other:
        """Takes nothing."""

    ModelFactory.register_model("mine", readers)
    ModelFactory.register_model("mine", Other)
    assert isinstance(ModelFactory.get_model("mine"), Other)


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("no_such_module:Thing", ModuleNotFoundError),
        ("readers.gone:Thing", ModuleNotFoundError),
        ("readers.module:Gone", AttributeError),
        ("readers.module.InvoiceReader", ValueError),
        ("readers:module:InvoiceReader", ValueError),
        ("readers.module:", ValueError),
        (":InvoiceReader", ValueError),
        ("", ValueError),
    ],
)
def test_paths_that_lead_nowhere(readers: str, path: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        ModelFactory.register_model("mine", path)
    with pytest.raises(ValueError, match=r"^Model 'mine' is not registered\. .*openai-vl"):
        ModelFactory.get_model("mine")


def test_the_names_that_are_there_from_the_start() -> None:
    with pytest.raises(ValueError, match="hf-vl, openai-vl, sglang-vl, vllm-vl"):
        ModelFactory.get_model("x")


def test_an_interface_wants_both_methods(readers: str) -> None:
    with pytest.raises(TypeError, match="abstract"):
        ModelInterface("m", "s", "c")  # type: ignore[abstract]
    ModelFactory.register_model("half", "readers.module:Half")
    with pytest.raises(TypeError, match="predict_on_images"):
        ModelFactory.get_model("half", INIT)
    base: Any = ModelFactory.get_model
    ModelFactory.register_model("whole", readers)
    assert base("whole", INIT).framework == "Hugging Face"


def test_the_engine_takes_what_the_factory_gives(readers: str) -> None:
    ModelFactory.register_model("mine", readers)
    mine = ModelFactory.get_model("mine", INIT)
    model = open_model(mine)
    turns: Any = [
        {"role": "user", "content": [Part("image", PIL.new("RGB", (2, 2), "blue")), Part("text", "?")]}
    ]
    (response,) = answer(model, [Request(id="0", prompt=turns)])
    model.close()
    assert (response.text, mine.asked) == ("blue", ["?"])


def test_a_foreign_package_is_evaluated_by_the_command(tmp_path: Path) -> None:
    write_package(tmp_path)
    rows = []
    for number, colour in enumerate(["red", "blue", "red", "green"]):
        PIL.new("RGB", (4, 4), colour).save(tmp_path / f"{number}.png")
        rows.append({"image": f"{number}.png", "question": "Which colour?", "answer": colour})
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ["eval", "--model", "./readers/module.py:InvoiceReader", "system_prompt=Short", "cache_dir=w"]
    command += ["--data", "rows.jsonl", "--metric", "exact", "--out", "run"]
    done = subprocess.run(
        [sys.executable, "-m", "steelyard", *command], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    about = json.loads((tmp_path / "run" / "run.json").read_text())
    assert [(result["metric"], result["value"]) for result in about["results"]] == [("exact", 0.75)]


def test_what_a_call_takes() -> None:
    def work(size: int, *, twice: bool = False) -> int:
        return len(bytearray(size)) * (2 if twice else 1)

    assert measure_inference_time(work, 10, twice=True) > 0
    found = measure(work, 50_000_000, twice=True)
    assert found.result == 100_000_000
    assert found.cost.rss_peak_bytes - found.cost.rss_idle_bytes > 30_000_000
    with pytest.raises(TypeError):
        measure_inference_time(work)
