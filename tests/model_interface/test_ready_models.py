"""hf-vl, vllm-vl, sglang-vl and openai-vl: what they translate, keep and raise."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chat_service import chatting, pictures
from faulty_service import reply, serving
from model_interface.model_factory import ModelFactory
from model_interface.model_interface import ModelInterface
from steelyard.errors import DataError, MissingExtra, ModelError, SteelyardError, UsageError

PIL = pytest.importorskip("PIL.Image")
sys.path.append(str(Path(__file__).parents[1] / "models"))

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def red(tmp_path: Path) -> Path:
    PIL.new("RGB", (60, 40), "red").save(tmp_path / "red.png")
    return tmp_path / "red.png"


def test_a_service(red: Path) -> None:
    shapes: list[Any] = []

    def answered(asked: Any) -> str:
        shapes.append([picture.size for picture in pictures(asked)])
        return f"{len(asked.json['messages'][1]['content'])} parts"

    with chatting(answered) as service:
        init = {"url": service.url, "model_name": "m", "system_prompt": "Short.", "max_tokens": 7}
        with ModelFactory.get_model("openai-vl", init) as model:
            assert isinstance(model, ModelInterface)
            assert (model.framework, model.model_name, model.cache_dir) == ("OpenAI", "m", "")
            assert model.predict_on_image(str(red), "What?") == "2 parts"
            assert model.predict_on_image(image=PIL.open(red), prompt="What?") == "2 parts"
            assert model.predict_on_images([red, red.read_bytes()], question="Which?") == "3 parts"
        body = service.asked[0].json
    assert shapes == [[(60, 40)], [(60, 40)], [(60, 40), (60, 40)]]
    assert (body["model"], body["max_tokens"]) == ("m", 7)
    assert body["messages"][0] == {"role": "system", "content": "Short."}
    assert body["messages"][1]["content"][1] == {"type": "text", "text": "What?"}
    assert [response.text for response in model.responses] == ["2 parts", "2 parts", "3 parts"]
    measured = model.measurements[-1]
    assert (measured["tokens_in"], measured["tokens_out"]) == (7, 3)
    assert measured["tokens_per_second"] == pytest.approx(3 / measured["seconds"])
    assert 0 < measured["ttft"] < measured["ttft"] + 2 * measured["tpot"] <= measured["seconds"]


def test_the_name_of_a_service_that_has_one_model_need_not_be_said(red: Path) -> None:
    with chatting() as service:
        for name in ("openai-vl", "sglang-vl"):
            with ModelFactory.get_model(name, {"url": service.url, "params": {"regex": "yes|no"}}) as model:
                assert model.predict_on_image(red, "?") == "yes"
                assert model.framework == {"openai-vl": "OpenAI", "sglang-vl": "SGLang"}[name]
            asked = service.asked[-1].json
            assert (asked["model"], asked["regex"]) == ("served", "yes|no")
            assert len(asked["messages"]) == 1


def test_pictures_from_elsewhere_when_asked_for(red: Path) -> None:
    with (
        chatting(lambda asked: str(pictures(asked)[0].size)) as service,
        serving(reply(body=red.read_bytes())) as shelf,
    ):
        init = {"url": service.url, "allow_remote_images": True}
        with ModelFactory.get_model("openai-vl", init) as model:
            assert model.predict_on_image(f"http://127.0.0.1:{shelf.port}/red.png", "?") == "(60, 40)"
            assert model.predict_on_images([f"http://127.0.0.1:{shelf.port}/red.png"], "?") == "(60, 40)"
        assert {asked.method for asked in shelf.asked} == {"GET"}


def test_what_fails_is_raised(red: Path, tmp_path: Path) -> None:
    (tmp_path / "no.png").write_text("no picture")
    with chatting() as service, ModelFactory.get_model("openai-vl", {"url": service.url}) as model:
        with pytest.raises(ModelError, match=r"no\.png"):
            model.predict_on_image(tmp_path / "no.png", "?")
        with pytest.raises(DataError, match=r"host/a\.png"):
            model.predict_on_image("https://host/a.png", "?")
        with pytest.raises(TypeError, match="question"):
            model.predict_on_image(red)
        assert model.predict_on_image(red, "?") == "yes"
        assert [response.error is None for response in model.responses] == [False, True]
        assert model.measurements[0]["tokens_per_second"] is None
        with pytest.raises(UsageError, match="colour"):
            ModelFactory.get_model("openai-vl", {"url": service.url, "colour": "red"})


@pytest.mark.parametrize("name", ["hf-vl", "vllm-vl", "sglang-vl"])
def test_a_model_in_this_process_has_to_be_named(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} needs 'model_name'"):
        ModelFactory.get_model(name)


@pytest.mark.parametrize(("name", "library"), [("vllm-vl", "vllm"), ("sglang-vl", "sglang")])
def test_without_its_library_the_mend_is_told(name: str, library: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(library) is not None:
        pytest.skip(f"{library} is installed")
    with pytest.raises(MissingExtra, match=library):
        ModelFactory.get_model(name, {"model_name": str(tmp_path)})


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    torch.set_num_threads(1)
    from vision_checkpoints import make_checkpoint

    yield make_checkpoint("qwen2_vl", tmp_path_factory.mktemp("vision") / "tiny")


def test_a_hugging_face_folder(checkpoint: Path, red: Path) -> None:
    init = {"model_name": str(checkpoint), "device": "cpu", "max_tokens": 6}
    with ModelFactory.get_model("hf-vl", init) as model:
        said = model.predict_on_image(red, "What colour?")
        assert said == model.predict_on_image(PIL.open(red), prompt="What colour?")
        assert said == model.predict_on_images([red], "What colour?")
        assert isinstance(model.predict_on_images([red, red], "What colour?"), str)
        assert model.framework == "Hugging Face"
        measured = model.measurements[0]
    assert measured["tokens_out"] > 0
    assert 0 < measured["ttft"] <= measured["seconds"]
    rest = (measured["tokens_out"] - 1) * (measured["tpot"] or 0)
    assert measured["ttft"] + rest <= measured["seconds"] + 1e-6
    assert measured["cost"].cpu >= 0
    with ModelFactory.get_model(
        "hf-vl", {**init, "system_prompt": "Answer in capital letters only."}
    ) as other:
        assert other.predict_on_image(red, "What colour?") != said


def test_weights_are_found_again_without_a_network(checkpoint: Path, red: Path, tmp_path: Path) -> None:
    there = tmp_path / "cache" / "models--someone--tiny"
    shutil.copytree(checkpoint, there / "snapshots" / COMMIT)
    (there / "refs").mkdir()
    (there / "refs" / "main").write_text(COMMIT)
    init = {"cache_dir": str(tmp_path / "cache"), "device": "cpu", "max_tokens": 6}
    with ModelFactory.get_model("hf-vl", {**init, "model_name": "someone/tiny"}) as cached:
        said = cached.predict_on_image(red, "What colour?")
    with ModelFactory.get_model("hf-vl", {**init, "model_name": str(checkpoint)}) as model:
        assert model.predict_on_image(red, "What colour?") == said
    with pytest.raises(SteelyardError, match="someone/other"):
        ModelFactory.get_model("hf-vl", {**init, "model_name": "someone/other"})
