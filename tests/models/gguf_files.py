"""Writes a Llama folder with a byte-level tokenizer as a GGUF file, for tests."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
from safetensors.numpy import load_file

from steelyard.models.chat import read_template, special_tokens

NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def write_gguf(folder: Path, file: Path) -> Path:
    """The folder as one file of float32."""
    config = json.loads((folder / "config.json").read_text())
    heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_vocab_size(config["vocab_size"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(groups)
    writer.add_rope_dimension_count(config["hidden_size"] // heads)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(float(config["rope_theta"]))
    _add_tokenizer(writer, folder)
    for name, tensor in load_file(folder / "model.safetensors").items():
        part = name.removesuffix(".weight")
        if part not in NAMES:
            _, _, place, inner = part.split(".", 3)
            target = f"blk.{place}.{NAMES[inner]}.weight"
        else:
            target = f"{NAMES[part]}.weight"
        numbers = tensor.astype(np.float32)
        if part.endswith(("q_proj", "k_proj")):
            numbers = _interleave(numbers, heads if part.endswith("q_proj") else groups)
        writer.add_tensor(target, numbers)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _add_tokenizer(writer: gguf.GGUFWriter, folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    special = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    ids = {**tokenizer["model"]["vocab"], **special}
    tokens = sorted(ids, key=ids.__getitem__)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(
        [gguf.TokenType.CONTROL if token in special else gguf.TokenType.NORMAL for token in tokens]
    )
    merges = tokenizer["model"]["merges"]
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    marks = special_tokens(folder)
    writer.add_bos_token_id(special[marks["bos_token"]])
    writer.add_eos_token_id(special[marks["eos_token"]])
    writer.add_add_bos_token(True)
    if read_template(folder) is not None:
        writer.add_chat_template(json.loads((folder / "tokenizer_config.json").read_text())["chat_template"])


def _interleave(tensor: np.ndarray, heads: int) -> np.ndarray:
    """From the two halves of a head, as checkpoints pair dimensions, to neighbours, as llama.cpp does."""
    halves = tensor.reshape(heads, 2, -1, tensor.shape[-1])
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(tensor.shape)
