"""Tiny Hugging Face folders, made once."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "models"))

from tiny_networks import make_network, make_tokenizer, save

T5 = {
    "vocab_size": 400, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 1, "num_heads": 2,
    "decoder_start_token_id": 0, "initializer_factor": 3.0,
}  # fmt: skip
BERT = {
    "vocab_size": 400, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 64, "max_position_embeddings": 64,
}  # fmt: skip
GPT2 = {"vocab_size": 400, "n_embd": 32, "n_layer": 1, "n_head": 2, "n_positions": 128}
LOADERS: dict[str, tuple[str, str, dict[str, Any], bool]] = {
    "sshleifer/tiny-t5": ("t5", "AutoModelForSeq2SeqLM", T5, False),
    "writer": ("gpt2", "AutoModelForCausalLM", GPT2, False),
    "classifier": ("bert", "AutoModelForSequenceClassification", BERT, True),
    "filler": ("bert", "AutoModelForMaskedLM", BERT, True),
    "embedder": ("bert", "AutoModel", BERT, True),
}


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small model of each kind."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("shelf")
    for name, (family, loader, shape, framed) in LOADERS.items():
        network = make_network(family, loader=loader, **shape)
        save(folder / name, network, make_tokenizer(begin=framed, pair=framed))
    # What torch brought is here to stay: each unloading would else look through all of it.
    gc.freeze()
    return folder


@pytest.fixture
def on_shelf(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same as the working folder, so that a model's folder can be called by its name on the hub."""
    monkeypatch.chdir(shelf)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return shelf
