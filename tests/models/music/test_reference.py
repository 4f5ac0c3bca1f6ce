"""The second network itself: against published scores, and its towers against those of transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from music.checkpoints import make_reward_checkpoint
from music.reference import Reference, hearing, reading
from music.reference.layers import below

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

PUBLISHED = Path(__file__).parents[2] / "data" / "reward-tiny"
ITEMS = json.loads((PUBLISHED / "expected.json").read_text())["items"]


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: f"{item['audio']}-{item['ref_audio']}")
def test_published_scores(item: dict[str, Any]) -> None:
    reference = Reference(PUBLISHED / "ckpt" / "model.safetensors")
    ref = PUBLISHED / item["ref_audio"] if item["ref_audio"] else None
    scores = reference.score(PUBLISHED / item["audio"], item["text"], item["lyrics"], ref)
    assert scores == pytest.approx(item["scores"], abs=1e-6)


def state(weights: dict[str, Any]) -> dict[str, Any]:
    return {name: torch.from_numpy(np.array(value)) for name, value in weights.items()}


@pytest.mark.parametrize("positions", ["rotary", "relative", None])
def test_the_conformer(tmp_path: Path, positions: str | None) -> None:
    changes = {"position_embeddings_type": positions, "hidden_act": "gelu"}
    reference = Reference(make_reward_checkpoint(tmp_path, conformer=changes))
    config = reference.muq["w2v2_config"]
    weights = below(reference.audio_weights, "model.model.conformer")
    sizes = {"hidden_size": 20, "num_hidden_layers": 2}
    own = {name: value for name, value in config.items() if name != "_attn_implementation"} | sizes
    network = transformers.Wav2Vec2ConformerModel(
        transformers.Wav2Vec2ConformerConfig(**own, attn_implementation="eager")
    ).encoder
    network.double().eval()
    missing, _ = network.load_state_dict(state(weights), strict=False)
    assert [name for name in missing if "pos_conv_embed" not in name] == []
    if positions == "rotary":  # Computed in single precision there.
        network.embed_positions.inv_freq = network.embed_positions.inv_freq.double()
    x = np.random.default_rng(0).standard_normal((23, 20))
    with torch.no_grad():
        theirs = network(torch.from_numpy(x)[None]).last_hidden_state[0].numpy()
    assert hearing.conformer(x, weights, config) == pytest.approx(theirs, abs=1e-5)


@pytest.mark.parametrize("text", ["", "A jazz song, la la", "la the thin air " * 40])
def test_the_text_tower(tmp_path: Path, text: str) -> None:
    reference = Reference(make_reward_checkpoint(tmp_path))
    tokens = reading.tokens_of(text, reference.text_folder, most=64)
    tokenizer = transformers.AutoTokenizer.from_pretrained(reference.text_folder)
    assert tokens == tokenizer(text, truncation=True, max_length=64)["input_ids"]
    config = transformers.AutoConfig.from_pretrained(reference.text_folder)
    network = transformers.XLMRobertaModel(config).double().eval()
    weights = below(reference.text_weights, "model")
    missing, _ = network.load_state_dict(state(weights), strict=False)
    assert [name for name in missing if "position_ids" not in name and "token_type_ids" not in name] == []
    with torch.no_grad():
        theirs = network(torch.tensor([tokens])).last_hidden_state[0].numpy()
    assert reading.roberta(tokens, weights, reference.text_config) == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("kind", ["relu", "gated-gelu"])
def test_t5(tmp_path: Path, kind: str) -> None:
    reference = Reference(make_reward_checkpoint(tmp_path, t5={"feed_forward_proj": kind}))
    tokens = reading.tokens_of("the jazz song of a longer line that goes on", reference.text_folder, most=40)
    tokenizer = transformers.AutoTokenizer.from_pretrained(reference.text_folder)
    text = "the jazz song of a longer line that goes on"
    assert tokens == tokenizer(text, truncation=True, max_length=40)["input_ids"]
    config = transformers.AutoConfig.from_pretrained(reference.text_folder)
    network = transformers.T5EncoderModel(config).double().eval()
    weights = below(reference.text_weights, "model")
    missing, unexpected = network.load_state_dict(state(weights), strict=False)
    assert (missing, unexpected) == ([], [])
    with torch.no_grad():
        theirs = network(torch.tensor([tokens])).last_hidden_state[0].numpy()
    # The softmax is taken in single precision there.
    assert reading.t5(tokens, weights, reference.text_config) == pytest.approx(theirs, abs=1e-5)


def test_a_checkpoint_is_the_same_wherever_it_is_made(tmp_path: Path) -> None:
    first = make_reward_checkpoint(tmp_path / "a", seed=5)
    second = make_reward_checkpoint(tmp_path / "b", seed=5, muq={"encoder_depth": 1})
    one, two = Reference(first).weights, Reference(second).weights
    assert set(two) < set(one)
    assert all(np.array_equal(one[name], two[name]) for name in two)
    other = Reference(make_reward_checkpoint(tmp_path / "c", seed=6)).weights
    assert not np.array_equal(one["audio_module.proj.weight"], other["audio_module.proj.weight"])
