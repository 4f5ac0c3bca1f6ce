"""Random reward checkpoints in the official layout: every variant, statistics as after training.

A tensor is drawn from its name and a seed alone: a checkpoint is the same wherever and whenever it is made.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from .shapes import (
    Shapes,
    audio_shapes,
    crossed_shapes,
    downsampler_shapes,
    head_shapes,
    lora_shapes,
    own_shapes,
    roberta_shapes,
    t5_shapes,
)

Tensors = dict[str, NDArray[Any]]

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
PIECES = ["th", "he", "Ġa", "in", "er", "an", "Ġth", "Ġthe", "on", "la", "Ġla", "or", "song", "pop", "jazz"]

REWARD: dict[str, Any] = {
    "name": "reward",
    "dim": 24,
    "mode": "concat_text_late",
    "attention_mode": "SA",
    "mlp_dim": 14,
    "output_dim": 2,
    "prompt_tf_depth": 1,
    "joint_tf_depth": 2,
    "dim_head": 10,
    "heads": 3,
    "ff_mult": 3,
    "null_embedding": {name: {"length": 4, "dropout": 0.1} for name in ("text", "lyrics", "audio")},
}
MULAN: dict[str, Any] = {
    "audio_model": {"model_dim": 24},
    "audio_transformer": {"dim": 24, "tf_depth": 0, "heads": 2, "dim_head": 12, "ff_mult": 4},
    "text_model": {"model_dim": None},
    "text_transformer": {
        "dim": 24,
        "tf_depth": 1,
        "max_seq_len": 64,
        "heads": 2,
        "dim_head": 12,
        "ff_mult": 2,
    },
}
CONFORMER: dict[str, Any] = {
    "_attn_implementation": "eager",
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 2,
    "intermediate_size": 34,
    "hidden_act": "swish",
    "position_embeddings_type": "rotary",
    "rotary_embedding_base": 3000,
    "conv_depthwise_kernel_size": 7,
    "layer_norm_eps": 1e-2,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
MUQ: dict[str, Any] = {
    "label_rate": 25,
    "hop_length": 240,
    "n_mels": 128,
    "conv_dim": 5,
    "encoder_dim": 20,
    "encoder_depth": 2,
    "is_flash": False,
    "stat": {"melspec_2048_mean": 2.5, "melspec_2048_std": 15.0},
}
ROBERTA: dict[str, Any] = {
    "model_type": "xlm-roberta",
    "architectures": ["XLMRobertaModel"],
    "hidden_size": 24,
    "intermediate_size": 38,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-5,
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
}
T5: dict[str, Any] = {
    "model_type": "t5",
    "architectures": ["T5EncoderModel"],
    "d_model": 18,
    "d_kv": 7,
    "d_ff": 26,
    "num_layers": 2,
    "num_heads": 2,
    "relative_attention_num_buckets": 12,
    "relative_attention_max_distance": 20,
    "feed_forward_proj": "relu",
    "layer_norm_epsilon": 1e-6,
    "pad_token_id": 0,
    "eos_token_id": 1,
}


def tensor(name: str, shape: tuple[int, ...], *, seed: int) -> NDArray[Any]:
    """A tensor as one after training looks, drawn by its name."""
    draw = np.random.Generator(np.random.PCG64([seed, zlib.crc32(name.encode())]))
    leaf = name.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return np.array(1000)
    if leaf == "running_var":
        value = draw.uniform(0.4, 2.5, shape)
    elif leaf in ("q_scale", "k_scale"):
        value = 1.0 + 0.2 * draw.standard_normal(shape)
    elif len(shape) == 1 and leaf in ("weight", "learned_gamma"):
        value = 1.0 + 0.3 * draw.standard_normal(shape)
    elif len(shape) == 1:
        value = (0.5 if leaf == "running_mean" else 0.2) * draw.standard_normal(shape)
    elif "embedding" in name or "shared" in name or "attention_bias" in name:
        value = draw.standard_normal(shape)
    else:
        value = 1.1 * draw.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
    return value.astype(np.float32)


def tensors(shapes: Shapes, *, seed: int) -> Tensors:
    return {name: tensor(name, shape, seed=seed) for name, shape in shapes.items()}


def merged(base: Mapping[str, Any], changes: Mapping[str, Any] | None) -> dict[str, Any]:
    """A configuration with changes, mapping by mapping; a change to ... takes the key away."""
    out = deepcopy(dict(base))
    for key, value in (changes or {}).items():
        if value is ...:
            out.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(out.get(key), Mapping):
            out[key] = merged(out[key], value)
        else:
            out[key] = value
    return out


def write_byte_tokenizer(folder: Path) -> int:
    """A byte-level tokenizer with the special tokens of XLM-RoBERTa; gives the size of its vocabulary."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    letters = {piece: number for number, piece in enumerate([*SPECIAL, *alphabet, *PIECES])}
    merges = [(piece[:cut], piece[cut:]) for piece in PIECES for cut in range(len(piece) - 1, 0, -1)]
    merges = [pair for pair in merges if pair[0] in letters and pair[1] in letters]
    tokenizer = Tokenizer(models.BPE(vocab=letters, merges=merges, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    names = {"bos": "<s>", "cls": "<s>", "eos": "</s>", "sep": "</s>", "pad": "<pad>", "unk": "<unk>"}
    save_tokenizer(tokenizer, folder, {**names, "mask": "<mask>"})
    return len(letters)


def write_unigram_tokenizer(folder: Path) -> int:
    """A unigram tokenizer that ends a text with </s>, as T5's does; gives the size of its vocabulary."""
    letters = [*"abcdefghijklmnopqrstuvwxyz", "▁", "▁a", "▁la", "▁the", "an", "jazz", "song", "er"]
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces += [(piece, -5.0 / len(piece)) for piece in letters]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2, byte_fallback=False))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    save_tokenizer(tokenizer, folder, {"eos": "</s>", "pad": "<pad>", "unk": "<unk>"})
    return len(pieces)


def save_tokenizer(tokenizer: Tokenizer, folder: Path, names: Mapping[str, str]) -> None:
    tokenizer.add_special_tokens(sorted(set(names.values())))
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {f"{role}_token": token for role, token in names.items()}
    (folder / "special_tokens_map.json").write_text(json.dumps(settings))
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def save(found: Tensors, folder: Path) -> None:
    """The tensors as a folder's model.safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = {name: np.array(value, order="C") for name, value in found.items()}
    save_file(plain, folder / "model.safetensors")


def write_json(folder: Path, stated: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(stated, indent=1))


def text_tower(
    home: Path, roberta: Mapping[str, Any], t5: Mapping[str, Any] | None, reward: dict[str, Any]
) -> Shapes:
    """Writes the folders of the text towers; gives the shapes of the tower that is used."""
    folder = home / "xlm-roberta-small"
    folder.mkdir(parents=True)
    shapes = roberta_shapes({**roberta, "vocab_size": write_byte_tokenizer(folder)})
    write_json(folder, {**roberta, "vocab_size": shapes["embeddings.word_embeddings.weight"][0]})
    if t5 is None:
        return shapes
    folder = home / "t5-small"
    folder.mkdir(parents=True)
    size = write_unigram_tokenizer(folder)
    write_json(folder, {**t5, "vocab_size": size})
    tower = {"name": "t5", "model_name": str(folder), "max_seq_len": 48}
    reward["text_encoder"] = merged(tower, reward.get("text_encoder"))
    return t5_shapes({**t5, "vocab_size": size})


def reward_shapes(reward: Mapping[str, Any]) -> Shapes:
    """The shapes of what stands in a reward checkpoint beside the two encoders."""
    dim, shapes = reward["dim"], Shapes()
    for name, stated in reward["null_embedding"].items():
        shapes[f"null_{name}_embedding"] = (1, stated["length"], dim)
    sizes = {key: reward[key] for key in ("heads", "dim_head", "ff_mult")}
    if reward["name"] == "sanity":
        shapes.add("eval_transformer", own_shapes(dim, 2, heads=8, dim_head=64, ff_mult=4))
        shapes.add("scorelayer", head_shapes(dim, reward["mlp_dim"], 1))
        return shapes
    shapes.add("prompt_transformer", own_shapes(dim, reward["prompt_tf_depth"], **sizes))
    joint = crossed_shapes if reward["attention_mode"] == "CA" else own_shapes
    shapes.add("joint_transformer", joint(dim, reward["joint_tf_depth"], **sizes))
    shapes.add("score_projector", head_shapes(dim, reward["mlp_dim"], reward["output_dim"]))
    for name in ("single_score_projector", "alignment_head", "quality_head"):
        shapes.add(name, head_shapes(dim, reward["mlp_dim"], 1))
    section = reward.get("downsample") or {}
    configs = section.get("configs") or {}
    chosen = {"eval": section.get("eval", "none"), "ref": section.get("ref") or section.get("eval", "none")}
    chosen |= dict.fromkeys(("text", "lyrics"), section.get("text", "none"))
    for module, name in chosen.items() if configs else ():
        shapes.add(f"{module}_downsampler", downsampler_shapes(dim, configs[name]))
    return shapes


def copies_made_equal(found: Tensors) -> Tensors:
    """Stages of a downsampler that repeat, and T5's two tables of words, are copies of one."""
    out = {}
    for name, value in found.items():
        module, mark, rest = name.partition("_downsampler.blocks.")
        first = f"{module}{mark}0.{rest.partition('.')[2]}" if mark else name
        out[name] = found.get(first.replace("encoder.embed_tokens", "shared"), value)
    return out


def make_reward_checkpoint(
    home: Path,
    *,
    seed: int = 0,
    reward: Mapping[str, Any] | None = None,
    mulan: Mapping[str, Any] | None = None,
    muq: Mapping[str, Any] | None = None,
    conformer: Mapping[str, Any] | None = None,
    roberta: Mapping[str, Any] | None = None,
    t5: Mapping[str, Any] | None = None,
    lora: Mapping[str, Any] | None = None,
    encoders: tuple[str, ...] = ("checkpoint",),
    nested: bool = True,
    config_at: str = "checkpoint",
    names: str = "absolute",
) -> Path:
    """Writes a checkpoint and the folders of its encoders below a folder; gives the path of the checkpoint.

    The first mappings change what the configurations state (an ellipsis takes a key away). `encoders` says
    where the encoders' weights lie: "checkpoint", "mulan", "folders"; each place has values of its own.
    `config_at` is "checkpoint" or "parent", `names` "absolute" or "relative".
    """
    stated = merged(REWARD, reward)
    mulan_config = merged(MULAN, mulan)
    muq_config = merged(MUQ, muq) | {"w2v2_config": merged(CONFORMER, conformer)}
    tower = text_tower(home, merged(ROBERTA, roberta), None if t5 is None else merged(T5, t5), stated)
    prefix = "" if names == "relative" else f"{home}/"
    stated["model_name"] = f"{prefix}mulan"
    mulan_config["audio_model"]["name"] = f"{prefix}muq-small"
    mulan_config["text_model"]["name"] = f"{prefix}xlm-roberta-small"
    if lora is not None:
        stated["text_lora_config"] = {"use_lora": True, **lora}
        tower = lora_shapes(tower, rank=lora["r"])
        mulan_config["text_transformer"]["tf_depth"] = 12

    audio = audio_shapes(stated["dim"], mulan_config, muq_config)
    text = Shapes()
    text.add("model", tower)
    width = tower["shared.weight" if t5 is not None else _embedding(tower)][1]
    if width != stated["dim"]:
        text |= {"proj.weight": (stated["dim"], width), "proj.bias": (stated["dim"],)}
    if t5 is None:
        own = merged(
            {"tf_depth": 12, "heads": 8, "dim_head": 64, "ff_mult": 4}, mulan_config["text_transformer"]
        )
        sizes = {key: own[key] for key in ("heads", "dim_head", "ff_mult")}
        text.add("transformer", own_shapes(stated["dim"], own["tf_depth"], **sizes))

    whole = reward_shapes(stated)
    if "checkpoint" in encoders:
        whole.add("audio_module", audio)
        whole.add("text_module", text)
    base = muq_config["w2v2_config"].get("rotary_embedding_base", 10000)

    def drawn(shapes: Shapes, place: int) -> Tensors:
        found = copies_made_equal(tensors(shapes, seed=seed + place))
        speeds = {n: _speeds(base, len(v)) for n, v in found.items() if n.endswith(".inv_freq")}
        return found | speeds

    save(drawn(whole, 0), home / "ckpt")
    if "mulan" in encoders:
        parts = Shapes()
        parts.add("mulan.audio", audio)
        parts.add("mulan.text", text)
        parts |= {"mulan.text_to_latents.weight": (16, stated["dim"])}
        save(drawn(parts, 1000), home / "mulan")
    if "folders" in encoders:
        inner = {n.removeprefix("model."): s for n, s in audio.items() if n.startswith("model.")}
        save(drawn(Shapes(inner), 2000), home / "muq-small")
        save(drawn(tower, 3000), home / ("xlm-roberta-small" if t5 is None else "t5-small"))
    write_json(home / "mulan", mulan_config)
    write_json(home / "muq-small", muq_config)
    where = home / "ckpt" if config_at == "checkpoint" else home
    (where / "config.yaml").write_text(yaml.safe_dump({"model": stated} if nested else stated))
    return home / "ckpt" / "model.safetensors"


def _embedding(tower: Shapes) -> str:
    return next(name for name in tower if name.endswith("word_embeddings.weight"))


def _speeds(base: float, count: int) -> NDArray[Any]:
    return (base ** (-np.arange(count) / count)).astype(np.float32)
