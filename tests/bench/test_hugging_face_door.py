"""Hugging Face models behind ModelRunner, on small random networks."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest

from bench.evaluation import HuggingFaceModel, ModelRunner
from bench.evaluation.wording import read_text

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("on_shelf")

SHORT = {"max_new_tokens": 4, "do_sample": False}


@pytest.fixture
def runner() -> ModelRunner[Any, Any, Any]:
    return ModelRunner()


def load(runner: ModelRunner[Any, Any, Any], path: str, task: str | None = None, **options: Any) -> Any:
    more = {} if task is None else {"hf_task": task}
    return runner.load_model("m", model_type="huggingface", model_path=path, **more, **options)


def summaries(runner: ModelRunner[Any, Any, Any], *documents: str, **options: Any) -> list[str]:
    return [
        a["summary"] for a in runner.run_model("m", [{"document": text} for text in documents], **options)
    ]


def test_summaries(runner: ModelRunner[Any, Any, Any]) -> None:
    load(runner, "sshleifer/tiny-t5", "summarization", generation_kwargs=SHORT)
    item = {"document": "Tom has 3 apples"}
    (answer,) = runner.run_model("m", [item])
    assert answer["input"] == item
    assert set(answer) == {"input", "summary", "prediction"}
    assert answer["summary"] == answer["prediction"] != ""


def test_text2text_generation_is_the_same(runner: ModelRunner[Any, Any, Any]) -> None:
    load(runner, "sshleifer/tiny-t5", "summarization", generation_kwargs=SHORT)
    first = summaries(runner, "the quick brown fox")
    runner.unload_model("m")
    runner.load_model(
        "m", "huggingface", "sshleifer/tiny-t5", task="text2text-generation", generation_kwargs=SHORT
    )
    assert summaries(runner, "the quick brown fox") == first


def test_batches_answer_as_one_by_one_and_in_order(runner: ModelRunner[Any, Any, Any]) -> None:
    load(runner, "sshleifer/tiny-t5", "summarization", generation_kwargs=SHORT)
    texts = ["a", "the quick brown fox jumps " * 3, "Mars", "Question: which of these is a planet?", "fox"]
    alone = [summaries(runner, text)[0] for text in texts]
    assert len(set(alone)) > 2
    assert summaries(runner, *texts, batch_size=2) == alone
    assert summaries(runner, *texts, batch_size=100) == alone


def test_stored_generation_kwargs_and_those_of_one_call(runner: ModelRunner[Any, Any, Any]) -> None:
    load(runner, "writer", "text-generation", generation_kwargs={"max_new_tokens": 2, "do_sample": False})
    inputs = [{"prompt": "Tom has 3 apples and"}]

    def said(**kwargs: Any) -> str:
        return str(runner.run_model("m", inputs, **kwargs)[0]["text"])

    stored = said()
    longer = said(max_new_tokens=8)
    assert longer.startswith(stored)
    assert len(longer) > len(stored)
    assert said() == stored
    sampled = {said(do_sample=True, temperature=5.0, seed=seed, max_new_tokens=8) for seed in range(4)}
    assert len(sampled) > 1
    assert said(do_sample=True, seed=1) == said(do_sample=True, seed=1)


def test_generated_texts(runner: ModelRunner[Any, Any, Any]) -> None:
    load(runner, "writer", "text-generation", generation_kwargs=SHORT)
    item = {"question": "Which of these is a planet?"}
    (answer,) = runner.run_model("m", [item])
    assert answer == {"input": item, "text": answer["prediction"], "prediction": answer["text"]}
    (failed,) = runner.run_model("m", [item], no_such_option=1)
    assert failed["input"] == item
    assert "no_such_option" in failed["error"]
    with pytest.raises(ValueError, match="return_full_text"):
        runner.run_model("m", [item], return_full_text=True)


def test_classification_is_the_default(runner: ModelRunner[Any, Any, Any]) -> None:
    load(runner, "classifier")
    item = {"text": "the lazy dog"}
    (answer,) = runner.run_model("m", [item], batch_size=4)
    assert set(answer) == {"input", "label", "score", "raw_label"}
    assert answer["label"] == answer["raw_label"] in {"LABEL_0", "LABEL_1"}
    assert 0.5 <= answer["score"] <= 1


@pytest.mark.parametrize("keys", [["LABEL_0", "LABEL_1"], [0, 1], ["0", "1"]])
def test_labels_go_through_the_map(runner: ModelRunner[Any, Any, Any], keys: list[Any]) -> None:
    load(runner, "classifier", label_map=dict(zip(keys, ["routine", "urgent"])))
    (answer,) = runner.run_model("m", [{"text": "the lazy dog"}])
    assert answer["label"] == {"LABEL_0": "routine", "LABEL_1": "urgent"}[answer["raw_label"]]


def test_a_map_may_join_labels(runner: ModelRunner[Any, Any, Any]) -> None:
    load(runner, "classifier", label_map={0: "ill", 1: "ill"})
    assert runner.run_model("m", [{"text": "x"}])[0]["label"] == "ill"


def test_masks_and_vectors(runner: ModelRunner[Any, Any, Any]) -> None:
    load(runner, "filler", "fill-mask")
    assert runner.run_model("m", [{"text": "the <mask> dog"}])[0]["text"] != ""
    runner.unload_model("m")
    load(runner, "embedder", "feature-extraction")
    assert len(runner.run_model("m", [{"text": "the dog"}])[0]["prediction"]) == 32


def test_an_input_that_is_too_long_fails_alone(runner: ModelRunner[Any, Any, Any]) -> None:
    load(runner, "classifier")
    inputs = [{"text": "dog"}, {"text": "dog " * 500}, {"text": "fox"}]
    out = runner.run_model("m", inputs)
    assert ["error" in answer for answer in out] == [False, True, False]
    assert out[1]["input"] == inputs[1]


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ({"document": "d", "text": "t"}, "d"),
        ({"document": "  ", "text": "t", "note": "n"}, "t"),
        ({"note": "n", "patient_message": "p"}, "n"),
        ({"patient_message": "p"}, "p"),
        ({"patient_message": "p", "context": "c"}, "p\n\nContext: c"),
        ({"document": 3, "text": "t"}, "t"),
    ],
)
def test_the_text_to_summarize(item: dict[str, Any], text: str) -> None:
    assert read_text(item, summarizing=True) == text


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ({"text": "t", "prompt": "p"}, "t"),
        ({"prompt": "p", "question": "q"}, "p"),
        ({"question": "q", "patient_message": "m", "context": "c"}, "q"),
        ({"patient_message": "m", "document": "d"}, "m"),
        ({"document": "d", "note": "n"}, "d"),
        ({"note": "n", "text": ""}, "n"),
    ],
)
def test_the_text_of_other_tasks(item: dict[str, Any], text: str) -> None:
    assert read_text(item, summarizing=False) == text


@pytest.mark.parametrize("item", [{"symptom": "fever"}, {}, {"text": " "}, {"text": None}])
def test_an_input_without_a_text(runner: ModelRunner[Any, Any, Any], item: dict[str, Any]) -> None:
    load(runner, "classifier")
    with pytest.raises(ValueError, match=r"text, prompt, question, patient_message, document, note"):
        runner.run_model("m", [{"text": "fine"}, item])


def test_metadata(runner: ModelRunner[Any, Any, Any]) -> None:
    load(runner, "classifier", torch_dtype="float32", num_labels=2, generation_kwargs={"max_new_tokens": 3})
    about = runner.model_metadata("m")
    network = runner.hung("m").model.network  # type: ignore[union-attr]
    assert about["type"] == "huggingface"
    assert about["path"] == "classifier"
    assert about["hf_task"] == "text-classification"
    assert about["generation_kwargs"] == {"max_new_tokens": 3}
    assert (about["device"], about["device_map"], about["dtype"]) == ("cpu", None, "float32")
    assert (about["revision"], about["trust_remote_code"]) == (None, False)
    assert about["model_type_name"] == "bert"
    assert (about["vocab_size"], about["hidden_size"], about["num_hidden_layers"]) == (400, 32, 1)
    assert about["max_position_embeddings"] == 64
    assert about["id2label"] == {0: "LABEL_0", 1: "LABEL_1"}
    assert about["label2id"] == {"LABEL_0": 0, "LABEL_1": 1}
    assert about["num_parameters"] == network.num_parameters()
    assert about["memory_bytes"] == 4 * network.num_parameters()


def test_the_name_is_the_path_unless_there_is_one(runner: ModelRunner[Any, Any, Any]) -> None:
    runner.load_model("classifier", model_type="huggingface")
    assert runner.model_metadata("classifier")["path"] == "classifier"


def test_loading_options(runner: ModelRunner[Any, Any, Any]) -> None:
    load(
        runner, "writer", "text-generation", device=-1, device_map="cpu", dtype=torch.bfloat16,
        low_cpu_mem_usage=True, model_kwargs={}, tokenizer_kwargs={"padding_side": "left"},
        pipeline_kwargs={"revision": "main"},
    )  # fmt: skip
    about = runner.model_metadata("m")
    assert (about["dtype"], about["device_map"], about["revision"]) == ("bfloat16", "cpu", "main")
    assert runner.hung("m").model.tokenizer.padding_side == "left"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("path", "options", "said"),
    [
        ("nobody/nothing", {}, "nobody/nothing"),
        ("classifier", {"hf_task": "object-detection"}, "object-detection"),
        ("classifier", {"device": "cuda:7"}, "cuda:7"),
        ("classifier", {"no_such_option": 1}, "no_such_option"),
        ("classifier", {"num_labels": 3}, "trained for 2 labels, not 3"),
        ("writer", {"hf_task": "summarization"}, "writer"),
    ],
)
def test_whatever_fails_in_loading_is_a_value_error(
    runner: ModelRunner[Any, Any, Any], path: str, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=f"Failed to load HuggingFace model '{path}': .*{said}") as caught:
        runner.load_model("m", model_type="huggingface", model_path=path, **options)
    assert caught.value.__cause__ is not None
    with pytest.raises(ValueError, match="not loaded"):
        runner.run_model("m", [])


def test_a_broken_folder(runner: ModelRunner[Any, Any, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Failed to load HuggingFace model .* config\.json"):
        load(runner, str(tmp_path))


def test_without_transformers_the_error_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['transformers'] = None\n"
        "from bench.evaluation.model_runner import ModelRunner\n"
        "try: ModelRunner().load_model('m', model_type='huggingface')\n"
        "except ImportError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install" in done.stdout
    assert "transformers" in done.stdout


def test_loading_changes_nothing_of_the_process(runner: ModelRunner[Any, Any, Any]) -> None:
    before = (
        torch.is_grad_enabled(),
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.initial_seed(),
    )
    load(runner, "classifier", dtype="bfloat16")
    runner.run_model("m", [{"text": "dog"}])
    assert before == (
        torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_num_threads(), torch.initial_seed(),
    )  # fmt: skip


def test_unloading_frees_the_network(runner: ModelRunner[Any, Any, Any]) -> None:
    load(runner, "classifier")
    network = weakref.ref(runner.hung("m").model.network)  # type: ignore[union-attr]
    runner.run_model("m", [{"text": "dog"}])
    runner.unload_model("m")
    gc.collect()
    assert network() is None


def test_the_interface_model_loads_when_it_is_first_asked(runner: ModelRunner[Any, Any, Any]) -> None:
    model = HuggingFaceModel("writer", hf_task="text-generation", generation_kwargs=SHORT)
    assert model.model_id == "writer"
    assert "num_parameters" not in model.metadata
    (answer,) = model.predict([{"text": "Tom"}])
    assert model.metadata["num_parameters"] > 0
    runner.register_interface_model(model)
    assert runner.run_model("writer", [{"text": "Tom"}]) == [answer] == model([{"text": "Tom"}])
    assert "writer" in repr(model)
