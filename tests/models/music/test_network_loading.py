"""How a reward checkpoint is opened: where its parts are, which weights win, what is said of bad ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

torch = pytest.importorskip("torch")

from huggingface_hub import constants  # noqa: E402
from music.checkpoints import make_reward_checkpoint  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from steelyard.errors import ModelError  # noqa: E402
from steelyard.models.music.network import Prompted, RewardNetwork, load_network  # noqa: E402
from steelyard.models.music.weights import Weights  # noqa: E402

TINY = Path(__file__).parents[2] / "data" / "reward-tiny"
CHECKPOINT = "ckpt/model.safetensors"
HEADS = ("score_projector.", "prompt_transformer.", "joint_transformer.", "eval_downsampler.")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the tiny checkpoint, without its sounds, that may be spoiled."""
    return Path(shutil.copytree(TINY, tmp_path / "copy", ignore=shutil.ignore_patterns("*.wav", "*.md")))


def change(file: Path, **values: Any) -> None:
    """Set keys of a configuration, at its top or below `model`."""
    read, write = (json.loads, json.dumps) if file.suffix == ".json" else (yaml.safe_load, yaml.safe_dump)
    told = read(file.read_text())
    told.get("model", told).update(values)
    file.write_text(write(told))


def reweigh(file: Path, how: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    save_file({name: value.contiguous() for name, value in how(load_file(file)).items()}, file)


def only(*beginnings: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda weights: {name: value for name, value in weights.items() if name.startswith(beginnings)}


def doubled(weights: dict[str, Any]) -> dict[str, Any]:
    return {name: value * 2 if value.is_floating_point() else value for name, value in weights.items()}


def score(network: RewardNetwork) -> list[float]:
    noise = torch.randn(1, 40_000, generator=torch.Generator().manual_seed(1))
    prompt = Prompted(*network.read(["jazz", "la la"]), ref=network.hear(noise[:, :9000])[0])
    scores: list[float] = network.score(list(network.hear(noise)), [prompt])[0].tolist()
    return scores


@pytest.fixture(scope="module")
def right() -> Any:
    return pytest.approx(score(load_network(TINY / CHECKPOINT)), abs=1e-6)


def names(files: Iterable[Path], folder: Path) -> list[str]:
    return [str(file.relative_to(folder)) for file in files]


def test_by_its_file_its_folder_and_with_a_configuration(folder: Path, right: Any) -> None:
    assert score(load_network(folder / "ckpt")) == right
    elsewhere = folder / "configuration.yaml"
    (folder / "ckpt" / "config.yaml").rename(elsewhere)
    assert score(load_network(str(folder / CHECKPOINT), config=str(elsewhere))) == right
    with pytest.raises(ModelError, match=r"has no config.yaml beside it, nor one folder above"):
        load_network(folder / CHECKPOINT)
    with pytest.raises(ModelError, match=r"there is no configuration .*nothing.yaml"):
        load_network(folder / CHECKPOINT, config=folder / "nothing.yaml")


def test_a_configuration_above_and_a_flat_one(folder: Path, right: Any) -> None:
    told = yaml.safe_load((folder / "ckpt" / "config.yaml").read_text())["model"]
    (folder / "ckpt" / "config.yaml").unlink()
    (folder / "config.yaml").write_text(yaml.safe_dump(told))
    assert score(load_network(folder / CHECKPOINT)) == right


def test_names_count_from_where_one_stands(folder: Path, right: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    away = folder.parent / "away"
    shutil.move(folder / "ckpt", away / "deep" / "ckpt")
    monkeypatch.chdir(folder)
    assert score(load_network(away / "deep" / CHECKPOINT)) == right


def test_a_name_of_the_hub_copied_by_hand(folder: Path, right: Any) -> None:
    change(folder / "ckpt" / "config.yaml", model_name="OpenMuQ/mulan-tiny")
    change(folder / "mulan-tiny" / "config.json", text_model={"name": "FacebookAI/xlm-roberta-tiny"})
    assert score(load_network(folder / CHECKPOINT)) == right


def test_what_an_earlier_download_left(folder: Path, right: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, commit = folder.parent / "hub", "0123456789abcdef0123456789abcdef01234567"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    change(folder / "ckpt" / "config.yaml", model_name="OpenMuQ/mulan-of-hub")
    stored = cache / "models--OpenMuQ--mulan-of-hub"
    (stored / "refs").mkdir(parents=True)
    (stored / "refs" / "main").write_text(commit)
    shutil.move(folder / "mulan-tiny", stored / "snapshots" / commit)
    assert score(load_network(folder / CHECKPOINT)) == right


def test_a_folder_that_is_nowhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    (folder / "muq-tiny").rename(folder / "muq-lost")
    with pytest.raises(ModelError) as raised:
        load_network(folder / CHECKPOINT)
    said = str(raised.value)
    assert "there is no folder muq-tiny with a config.json, from which the audio encoder" in said
    for place in (Path("muq-tiny").absolute(), folder / "ckpt" / "muq-tiny", folder / "muq-tiny"):
        assert str(place) in said
    assert str(folder / "hub") in said
    change(folder / "ckpt" / "config.yaml", model_name="no//name of the hub")
    with pytest.raises(ModelError, match="the hub knows no such names"):
        load_network(folder / CHECKPOINT)


def test_the_checkpoint_is_enough(folder: Path, right: Any) -> None:
    for encoder in ("mulan-tiny", "muq-tiny", "xlm-roberta-tiny"):
        (folder / encoder / "model.safetensors").unlink()
    network = load_network(folder / CHECKPOINT)
    assert score(network) == right
    assert names(network.files, folder) == [
        "ckpt/config.yaml", "mulan-tiny/config.json", "muq-tiny/config.json", "xlm-roberta-tiny/config.json",
        "xlm-roberta-tiny/tokenizer.json", "xlm-roberta-tiny/tokenizer_config.json", CHECKPOINT,
    ]  # fmt: skip


def test_the_checkpoint_wins(folder: Path, right: Any) -> None:
    for encoder in ("mulan-tiny", "muq-tiny", "xlm-roberta-tiny"):
        reweigh(folder / encoder / "model.safetensors", doubled)
    network = load_network(folder / CHECKPOINT)
    assert score(network) == right
    assert [file.parent.name for file in network.files if file.suffix == ".safetensors"] == ["ckpt"]


def whole(folder: Path, **beginnings: str) -> Any:
    """The scores of the checkpoint with the tensors of other files in it, as it calls them."""
    weights = load_file(folder / CHECKPOINT)
    for encoder, beginning in beginnings.items():
        for name, value in load_file(folder / f"{encoder}-tiny" / "model.safetensors").items():
            called = name.replace("mulan.audio.", "audio_module.").replace("mulan.text.", "text_module.")
            weights[beginning + called] = value
    (folder / "whole").mkdir()
    save_file(weights, folder / "whole" / "model.safetensors")
    shutil.copy(folder / "ckpt" / "config.yaml", folder / "whole")
    return pytest.approx(score(load_network(folder / "whole")), abs=1e-6)


def test_mulan_wins_over_the_folders_behind_it(folder: Path, right: Any) -> None:
    expected = whole(folder, mulan="")
    reweigh(folder / CHECKPOINT, only(*HEADS))
    reweigh(folder / "muq-tiny" / "model.safetensors", doubled)
    reweigh(folder / "xlm-roberta-tiny" / "model.safetensors", doubled)
    network = load_network(folder / CHECKPOINT)
    assert score(network) == expected
    assert score(network) != right
    used = [file.parent.name for file in network.files if file.suffix == ".safetensors"]
    assert sorted(used) == ["ckpt", "mulan-tiny"]


@pytest.mark.parametrize("prefix", ["", "roberta."])
def test_encoders_of_folders_of_their_own(folder: Path, right: Any, prefix: str) -> None:
    expected = whole(folder, muq="audio_module.model.", **{"xlm-roberta": "text_module.model."})
    reweigh(folder / CHECKPOINT, only(*HEADS, "audio_module.proj.", "text_module.transformer."))
    (folder / "mulan-tiny" / "model.safetensors").unlink()
    reweigh(
        folder / "xlm-roberta-tiny" / "model.safetensors",
        lambda weights: {prefix + name: value for name, value in weights.items()},
    )
    assert score(load_network(folder / CHECKPOINT)) == expected
    assert expected != right.expected


def test_weights_that_are_nowhere_are_named(folder: Path) -> None:
    reweigh(folder / CHECKPOINT, only(*HEADS[:3]))
    with pytest.raises(ModelError) as raised:
        load_network(folder / CHECKPOINT)
    said = str(raised.value)
    assert "eval_downsampler.mlp.0.bias, eval_downsampler.mlp.0.weight" in said
    assert "scores would be random" in said
    assert str(folder / CHECKPOINT) in said
    (folder / "mulan-tiny" / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"audio_module.proj.bias, .* and \d+ more can be found nowhere"):
        load_network(folder / CHECKPOINT)


def test_weights_of_another_shape(folder: Path) -> None:
    change(folder / "ckpt" / "config.yaml", mlp_dim=12)
    with pytest.raises(ModelError, match=r"score_projector.1.* is \(16.*by its configuration \(12"):
        load_network(folder / CHECKPOINT)


def test_weights_in_half_precision(folder: Path, right: Any) -> None:
    reweigh(
        folder / CHECKPOINT,
        lambda weights: {
            name: value.bfloat16() if value.is_floating_point() else value for name, value in weights.items()
        },
    )
    network = load_network(folder / CHECKPOINT)
    assert {one.dtype for one in network.parameters()} == {torch.float32}
    assert score(network) == pytest.approx(right.expected, abs=0.1)


@pytest.mark.parametrize("kept", ["shared", "encoder.embed_tokens"])
def test_a_table_of_words_that_was_kept_once(tmp_path: Path, kept: str) -> None:
    checkpoint = make_reward_checkpoint(tmp_path, t5={})
    network = load_network(checkpoint)
    (dropped,) = {"shared", "encoder.embed_tokens"} - {kept}
    reweigh(
        checkpoint, lambda weights: {name: one for name, one in weights.items() if f".{dropped}." not in name}
    )
    for found, expected in zip(load_network(checkpoint).read(["jazz", ""]), network.read(["jazz", ""])):
        assert torch.equal(found, expected)


def test_remarks(folder: Path, right: Any) -> None:
    assert load_network(folder / CHECKPOINT).remarks == ()
    downsample = {
        "configs": {"b1x4": {"kind": "b1", "factor": 4, "steps": 3}, "none": {"kind": "none"}},
        "eval": "b1x4",
        "ref": "none",
    }
    told = {"load_config": {"checkpoint_path": "older.pt"}, "joint_tf_depth": 1, "downsample": downsample}
    change(folder / "ckpt" / "config.yaml", **told)
    network = load_network(folder / CHECKPOINT)
    file = folder / "ckpt" / "config.yaml"
    assert network.remarks == (
        f"load_config.checkpoint_path of {file} is not followed: weights are read from safetensors",
        f"model.downsample.configs.b1x4.steps of {file} is not known and changes nothing",
        "the weights have more than the 1 of joint_transformer.layers that are configured",
    )
    assert score(network) != right


@pytest.mark.parametrize("name", ["model.pt", "model.bin", "model.ckpt"])
def test_a_file_that_might_run_code(folder: Path, name: str) -> None:
    (folder / CHECKPOINT).rename(folder / "ckpt" / name)
    with pytest.raises(ModelError, match=f"{name} is no safetensors file .*may run code"):
        load_network(folder / "ckpt" / name)
    with pytest.raises(ModelError, match=r"there is no checkpoint .*model.safetensors"):
        load_network(folder / "ckpt")


@pytest.mark.parametrize("file", [CHECKPOINT, "mulan-tiny/model.safetensors"])
def test_a_broken_file(folder: Path, file: str) -> None:
    whole = (folder / file).read_bytes()
    for broken in (whole[:-1000], b"", b"no weights at all"):
        (folder / file).write_bytes(broken)
        with pytest.raises(ModelError, match=f"{file} is broken"):
            load_network(folder / CHECKPOINT)


def reduced(kind: str, **options: Any) -> dict[str, Any]:
    return {"downsample": {"configs": {"a": {"kind": kind, **options}}}}


CHANGES: list[tuple[str, dict[str, Any], str]] = [
    ("ckpt/config.yaml", {"name": "other"}, "name of .*config.yaml is 'other' .*reward or sanity"),
    ("ckpt/config.yaml", {"mode": "late"}, "mode of .* is 'late'"),
    ("ckpt/config.yaml", {"attention_mode": "XA"}, "attention_mode of .* is 'XA' .*SA or CA"),
    ("ckpt/config.yaml", {"heads": "two"}, "heads of .* is 'two' .*a whole number of 1 or more"),
    ("ckpt/config.yaml", {"heads": 0}, "heads of .* is 0"),
    ("ckpt/config.yaml", {"dim": 64}, "dim of .*config.yaml is 64, that of .*mulan-tiny's encoders 32"),
    ("ckpt/config.yaml", {"text_encoder": {"name": "bert"}}, "text_encoder.name of .* is 'bert' .*t5"),
    ("ckpt/config.yaml", {"text_encoder": {"name": "t5"}}, "text_encoder.model_name of .* is missing"),
    ("ckpt/config.yaml", reduced("b9"), "configs.a.kind of .* is 'b9'"),
    ("ckpt/config.yaml", reduced("mean"), "downsample.eval of .* is 'none'"),
    ("ckpt/config.yaml", reduced("b2", kernel_size=4), "configs.a.kernel_size of .* is 4 .*an odd number"),
    ("ckpt/config.yaml", reduced("b1", factor=0.5), "configs.a.factor of .* is 0.5 .*1 or more"),
    ("mulan-tiny/config.json", {"audio_model": None}, "audio_model of .*config.json is missing .*a mapping"),
    ("mulan-tiny/config.json", {"text_model": {"name": "Qwen/Qwen3-0.6B"}}, "Qwen3-0.6B cannot be built"),
    ("muq-tiny/config.json", {"label_rate": 75}, "label_rate of .* is 75 .*25 or 50"),
    ("muq-tiny/config.json", {"stat": {}}, "stat.melspec_2048_mean of .* is missing"),
    ("muq-tiny/config.json", {"w2v2_config": {"hidden_act": "nothing"}}, "w2v2_config of the audio encoder"),
    ("muq-tiny/config.json", {"w2v2_config": {"position_embeddings_type": "x"}}, "_embeddings_type is 'x'"),
    ("muq-tiny/config.json", {"stat": {"melspec_2048_mean": 0, "melspec_2048_std": 0}}, "_std of .* is 0 "),
    ("ckpt/config.yaml", {"ff_mult": float("nan")}, "ff_mult of .* is nan .*a number"),
    ("xlm-roberta-tiny/config.json", {"model_type": "llama"}, "is a llama network, and xlm-roberta is"),
    ("xlm-roberta-tiny/config.json", {"vocab_size": 300}, r"word_embeddings.* is \(294, 32\).*\(300, 32\)"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "values", "said"), CHANGES, ids=[case[2][:40] for case in CHANGES])
def test_bad_configurations(folder: Path, file: str, values: dict[str, Any], said: str) -> None:
    change(folder / file, **values)
    with pytest.raises(ModelError, match=said):
        load_network(folder / CHECKPOINT)


@pytest.mark.parametrize("text", ["- a list", "a: [", "", "\x00", "[" * 20_000])
def test_a_file_that_is_no_configuration(folder: Path, text: str) -> None:
    (folder / "ckpt" / "config.yaml").write_text(text)
    with pytest.raises(ModelError, match=r"ckpt/config.yaml (cannot be read|is no mapping)"):
        load_network(folder / CHECKPOINT)


def test_a_value_of_any_size_is_told_in_few_words(folder: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    (folder / "ckpt" / "config.yaml").write_text("\n".join([*lines, "model_name: *a11"]))
    with pytest.raises(ModelError, match=r"model_name of .* is \[\[\[") as caught:
        load_network(folder / CHECKPOINT)
    assert len(str(caught.value)) < 1000


def test_a_tokenizer_without_words(folder: Path) -> None:
    for file in (folder / "xlm-roberta-tiny").glob("*token*"):
        file.unlink()
    with pytest.raises(ModelError, match=r"the tokenizer of .*xlm-roberta-tiny knows no words"):
        load_network(folder / CHECKPOINT)


def test_a_tokenizer_that_brings_code(folder: Path) -> None:
    tower = folder / "xlm-roberta-tiny"
    (tower / "foreign.py").write_text("raise SystemExit('it ran')\n")
    change(tower / "tokenizer_config.json", auto_map={"AutoTokenizer": ["foreign.Foreign", None]})
    (tower / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"the tokenizer of .*xlm-roberta-tiny cannot be read"):
        load_network(folder / CHECKPOINT)


def adapted(folder: Path, told: dict[str, Any], **tensors: Any) -> Any:
    """The tensor a.b.weight, 2 × 3 of zeros, as it is behind an adapter."""
    file = folder / "adapted.safetensors"
    weights = {"base_model.model.a.b.base_layer.weight": torch.zeros(2, 3), **tensors}
    save_file({f"text_module.model.{name}": value for name, value in weights.items()}, file)
    read = Weights(lora=told)
    read.add([file], str)
    (found,) = read.read(["text_module.model.a.b.weight"]).values()
    return found, read.remarks


A, B = "base_model.model.a.b.lora_A.default.weight", "base_model.model.a.b.lora_B.default.weight"


@pytest.mark.parametrize(
    ("told", "scale"),
    [({"lora_alpha": 8}, 2.0), ({"alpha": 2, "r": 4}, 0.5), ({"lora_alpha": 8, "use_rslora": True}, 4.0)],
)
def test_an_adapter_is_merged(tmp_path: Path, told: dict[str, Any], scale: float) -> None:
    inward, outward = torch.randn(4, 3), torch.randn(2, 4)
    found, remarks = adapted(tmp_path, told, **{A: inward, B: outward})
    assert torch.allclose(found, outward @ inward * scale)
    assert remarks == []


def test_an_adapter_that_says_too_little(tmp_path: Path) -> None:
    halves = {A: torch.ones(4, 3), B: torch.ones(2, 4)}
    found, remarks = adapted(tmp_path, {}, **halves)
    assert (found == 8.0).all()
    assert remarks == ["text_lora_config has no lora_alpha: 8 is taken, as PEFT does"]
    with pytest.raises(ModelError, match="one half is missing: there is only lora_A"):
        adapted(tmp_path, {}, **{A: halves[A]})
    with pytest.raises(ModelError, match=r"lora_magnitude_vector.* is no plain LoRA"):
        adapted(tmp_path, {}, **halves, **{"base_model.model.a.b.lora_magnitude_vector": torch.ones(2)})


def test_modules_that_were_trained_whole_beside_an_adapter(tmp_path: Path) -> None:
    file = tmp_path / "whole.safetensors"
    before = "text_module.model.base_model.model.a.b"
    kept = {f"{before}.modules_to_save.default.weight": torch.ones(2)}
    save_file({**kept, f"{before}.original_module.weight": torch.zeros(2)}, file)
    read = Weights(lora={})
    read.add([file], str)
    assert read.read(["text_module.model.a.b.weight"])["text_module.model.a.b.weight"].tolist() == [1.0, 1.0]
