"""One tiny Llama that every server in the tests can load: a folder, and the same weights as a GGUF file.

It writes only letters of ASCII: where a character is cut in two, servers differ in when they show it.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tiny import write_model

# Attention of vLLM on the CPU is made for heads of 64.
_SHAPE = {"hidden_size": 128, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 64}


def write_service_model(folder: Path, *, seed: int = 3) -> Path:
    """The folder of a network whose likeliest tokens are ASCII."""
    write_model(folder, seed=seed, max_position_embeddings=512, **_SHAPE)
    file = folder / "model.safetensors"
    tensors = load_file(file)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    ids = {**tokenizer["model"]["vocab"], **{one["content"]: one["id"] for one in tokenizer["added_tokens"]}}
    # "Ġ" is how a byte-level tokenizer writes a space.
    odd = [n for text, n in ids.items() if not text.replace("Ġ", " ").isascii() or text.startswith("<")]
    odd.remove(ids["</s>"])
    head = tensors["lm_head.weight"]
    head[odd] = 0
    # Nearly constant, so that whatever is asked it is worse than the best of the others.
    tensors["lm_head.weight"] = head.contiguous()
    save_file(tensors, file, metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    rope = config.get("rope_parameters") or {}
    (folder / "config.json").write_text(
        json.dumps({**config, "rope_theta": rope.get("rope_theta", 10000.0), "torch_dtype": "float32"})
    )
    assert torch.isfinite(head).all()
    return folder
