"""Opening Hugging Face models: what is found, what is told of them, and what goes wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_networks import CAUSAL, TEXTS, make_network, make_tokenizer, save

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")

from steelyard import errors, plugins  # noqa: E402
from steelyard.errors import MissingExtra, ModelError, SteelyardError, UnknownName, UsageError  # noqa: E402
from steelyard.models.huggingface import load_huggingface  # noqa: E402
from steelyard.models.references import open_model  # noqa: E402
from steelyard.types import Request  # noqa: E402

# peft asks transformers by an old name.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

Make = Callable[[str], Path]


def say(model: Any) -> list[str]:
    requests = [Request(str(place), text) for place, text in enumerate(TEXTS)]
    return [response.text for response in model.batch(requests)]


@pytest.fixture
def copy(folder_of: Make, tmp_path: Path) -> Path:
    """A llama's folder of one's own, to be broken."""
    return Path(shutil.copytree(folder_of("llama"), tmp_path / "llama"))


def make_adapter(folder: Path, base: Path) -> Path:
    """A LoRA folder whose adapter changes every answer."""
    network = load_huggingface(base, device="cpu").network  # type: ignore[attr-defined]
    settings = peft.LoraConfig(
        r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False, task_type="CAUSAL_LM"
    )
    with torch.random.fork_rng():
        torch.manual_seed(1)
        adapted = peft.get_peft_model(network, settings)
        with torch.no_grad():
            for name, weight in adapted.named_parameters():
                if "lora_B" in name:
                    weight.normal_(std=0.5)
    adapted.peft_config["default"].base_model_name_or_path = str(base)
    adapted.save_pretrained(folder)
    return folder


def test_a_folder_opens_as_what_it_was_made_for(folder_of: Make) -> None:
    for ref in (folder_of("qwen2"), str(folder_of("qwen2"))):
        model = open_model(ref, max_tokens=4, device="cpu")
        assert model.name == "qwen2"
        assert not model.chat
        assert all(say(model))
    assert plugins.resolve("models", "hf") is plugins.resolve("models", "huggingface") is load_huggingface


def test_the_identity_tells_what_shapes_answers(folder_of: Make) -> None:
    path = folder_of("llama")
    told = load_huggingface(path, device="cpu").identity()
    assert told["dtype"] == "float32"
    assert told["device"] == "cpu"
    assert told["params"] == {"max_tokens": 256}
    assert set(told["versions"]) == {"torch", "transformers", "tokenizers"}
    json.dumps(told)
    same = open_model(path, device="cpu", batch_size=3, batch_tokens=999).identity()
    assert same == told
    for changed in (
        {"params": {"temperature": 1.0}},
        {"max_tokens": 3},
        {"dtype": "bfloat16"},
        {"chat": True},
        {"attn": "eager"},
        {"tokenizer_kwargs": {"padding_side": "left"}},
    ):
        assert load_huggingface(path, device="cpu", **changed).identity() != told  # type: ignore[arg-type]
    assert load_huggingface(folder_of("qwen2"), device="cpu").identity()["weights"] != told["weights"]
    secret = load_huggingface(path, device="cpu", tokenizer_kwargs={"token": "hf_secret"})
    assert "hf_secret" not in repr(secret.identity())


def test_an_adapter_goes_on_top_of_its_base(copy: Path, tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path / "adapter", copy)
    plain = load_huggingface(copy, device="cpu", max_tokens=6)
    over = load_huggingface(copy, adapter=str(adapter), device="cpu", max_tokens=6)
    alone = load_huggingface(adapter, device="cpu", max_tokens=6)
    assert over.shares_prefix  # type: ignore[attr-defined]
    assert say(over) == say(alone) != say(plain)
    assert alone.name == "adapter"
    assert over.identity()["adapter"] == alone.identity()["adapter"] is not None
    assert over.identity()["weights"] == plain.identity()["weights"]
    reference = peft.PeftModel.from_pretrained(make_reference(copy), str(adapter))
    ids = torch.tensor([plain.tokens(TEXTS[0], special=True)])  # type: ignore[attr-defined]
    with torch.no_grad():
        logits = over.network(ids).logits  # type: ignore[attr-defined]
        assert torch.allclose(logits, reference(ids).logits, atol=1e-4)


def make_reference(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder)


def test_an_adapter_without_its_base_names_it(copy: Path, tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path / "adapter", copy)
    shutil.rmtree(copy)
    with pytest.raises(ModelError, match=str(copy)):
        load_huggingface(adapter, device="cpu")


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("config.json", "no config.json"),
        ("tokenizer.json tokenizer_config.json", "no tokenizer"),
        ("model.safetensors", "weights of .*llama cannot be read"),
    ],
)
def test_a_folder_that_lacks_a_file_is_named(copy: Path, broken: str, message: str) -> None:
    for name in broken.split():
        (copy / name).unlink()
    with pytest.raises(ModelError, match=message):
        load_huggingface(copy, device="cpu")


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_broken_file_is_named(copy: Path, name: str) -> None:
    file = copy / name
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(ModelError, match="model.safetensors is broken" if "model" in name else "llama"):
        load_huggingface(copy, device="cpu")


def test_missing_weights_are_named(copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(copy / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lack lm_head\.weight"):
        load_huggingface(copy, device="cpu")


def test_an_architecture_that_is_no_text_model_is_named(copy: Path) -> None:
    settings = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**settings, "architectures": ["LlamaForNothing"]}))
    with pytest.raises(ModelError, match=r"no model of text.*: its architecture is LlamaForNothing"):
        load_huggingface(copy, device="cpu")
    assert all(say(load_huggingface(copy, task="causal", device="cpu", max_tokens=2)))


def test_a_model_of_sounds_is_refused(tmp_path: Path) -> None:
    settings = {"model_type": "qwen2_audio", "architectures": ["Qwen2AudioForConditionalGeneration"]}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(ModelError, match="its architecture is Qwen2AudioForConditionalGeneration"):
        load_huggingface(tmp_path, device="cpu")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"task": "casual"}, UnknownName, "did you mean causal"),
        ({"dtype": "float31"}, UsageError, "no dtype 'float31'"),
        ({"device": "gpu"}, UsageError, "no kind of device 'gpu'"),
        ({"device": "cuda:77"}, ModelError, "device=cpu"),
        ({"quantization": {"load_in_3bit": True}}, ModelError, "quantization="),
        ({"params": {"tempature": 1}}, UnknownName, "did you mean temperature"),
        ({"attn": "fast"}, ModelError, "fast"),
        ({"adapter": "./nowhere"}, ModelError, "no folder ./nowhere"),
    ],
)
def test_options_that_will_not_do(
    folder_of: Make, options: dict[str, Any], error: type[SteelyardError], message: str
) -> None:
    with pytest.raises(error, match=message):
        load_huggingface(folder_of("llama"), **{"device": "cpu", **options})


def test_weights_of_the_hub_are_found_again_without_a_network(copy: Path, tmp_path: Path) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    cache = tmp_path / "cache"
    there = cache / "models--someone--tiny"
    shutil.copytree(copy, there / "snapshots" / commit)
    (there / "refs").mkdir()
    (there / "refs" / "main").write_text(commit)
    model = load_huggingface("someone/tiny", cache_dir=str(cache), device="cpu", max_tokens=4)
    assert model.name == "tiny"
    assert model.identity()["weights"] == commit
    assert say(model) == say(load_huggingface(copy, device="cpu", max_tokens=4))
    with pytest.raises(ModelError, match=rf"someone/other is neither on the hub nor in {cache}"):
        load_huggingface("someone/other", cache_dir=str(cache), device="cpu")


def test_without_the_library_the_mend_is_told(folder_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'steelyard\[hf\]'"):
        load_huggingface(folder_of("llama"))


def test_code_that_comes_with_a_model_is_not_run_unasked(copy: Path) -> None:
    settings = json.loads((copy / "config.json").read_text())
    settings |= {
        "model_type": "own",
        "auto_map": {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own"},
    }
    (copy / "config.json").write_text(json.dumps(settings))
    (copy / "own.py").write_text("raise SystemExit('it ran')")
    with pytest.raises(ModelError, match="trust_remote_code=true"):
        load_huggingface(copy, device="cpu")


def test_threads_and_random_numbers_stay_as_they_were(folder_of: Make) -> None:
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    say(
        load_huggingface(
            folder_of("llama"), device="cpu", max_tokens=2, params={"temperature": 1.0, "seed": 1}
        )
    )
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), state)


def test_an_adapter_of_a_quantised_base_stays_beside_it(copy: Path, tmp_path: Path) -> None:
    from steelyard.models.checkpoints import add_adapter, find_source

    adapter = make_adapter(tmp_path / "adapter", copy)
    merged = add_adapter(make_reference(copy), find_source(str(adapter)))
    quantised = make_reference(copy)
    quantised.is_quantized = True
    layered = add_adapter(quantised, find_source(str(adapter)))
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        assert torch.allclose(merged(ids).logits, layered(ids).logits, atol=1e-4)
    assert type(merged) is type(layered)


def test_a_model_too_new_for_its_tokenizer_is_no_riddle(tmp_path: Path) -> None:
    folder = save(tmp_path / "m", make_network("llama", **CAUSAL["llama"]), make_tokenizer())
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "NoSuchTokenizer"}')
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match=r"tokenizer of .*m cannot be read"):
        load_huggingface(folder, device="cpu")
