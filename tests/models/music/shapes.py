"""The names and shapes of the tensors of a reward checkpoint, part by part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .reference.downsamplers import KINDS

Config = Mapping[str, Any]


class Shapes(dict[str, tuple[int, ...]]):
    """Names with shapes."""

    def add(self, prefix: str, other: Mapping[str, tuple[int, ...]]) -> None:
        self.update({f"{prefix}.{name}": shape for name, shape in other.items()})

    def linear(self, name: str, out: int, into: int, *, bias: bool = True) -> None:
        self[f"{name}.weight"] = (out, into)
        if bias:
            self[f"{name}.bias"] = (out,)

    def norm(self, name: str, size: int, *, stored: bool = False) -> None:
        """A layer norm, or a batch norm with its stored statistics."""
        self[f"{name}.weight"] = self[f"{name}.bias"] = (size,)
        if stored:
            self[f"{name}.running_mean"] = self[f"{name}.running_var"] = (size,)
            self[f"{name}.num_batches_tracked"] = ()


def attention_shapes(dim: int, *, heads: int, dim_head: int) -> Shapes:
    return Shapes(
        {
            "q_scale": (dim_head,),
            "k_scale": (dim_head,),
            "norm.learned_gamma": (dim,),
            "to_q.weight": (heads * dim_head, dim),
            "to_kv.weight": (2 * heads * dim_head, dim),
            "to_out.0.weight": (dim, heads * dim_head),
        }
    )


def feed_forward_shapes(dim: int, ff_mult: int) -> Shapes:
    inner = int(dim * ff_mult * 2 / 3)
    return Shapes({"0.learned_gamma": (dim,), "1.weight": (2 * inner, dim), "4.weight": (dim, inner)})


def own_shapes(dim: int, depth: int, *, heads: int, dim_head: int, ff_mult: int) -> Shapes:
    shapes = Shapes()
    for number in range(depth):
        shapes.add(f"layers.{number}.0", attention_shapes(dim, heads=heads, dim_head=dim_head))
        shapes.add(f"layers.{number}.1", feed_forward_shapes(dim, ff_mult))
    return shapes


def crossed_shapes(dim: int, depth: int, *, heads: int, dim_head: int, ff_mult: int) -> Shapes:
    shapes = Shapes()
    for number in range(depth):
        own = attention_shapes(dim, heads=heads, dim_head=dim_head)
        shapes.add(f"{number}.self_attn", own)
        cross = {name: own[name] for name in ("to_q.weight", "to_kv.weight", "to_out.0.weight")}
        norms = {"norm_q.learned_gamma": (dim,), "norm_kv.learned_gamma": (dim,)}
        shapes.add(f"{number}.cross_attn", cross | norms)
        shapes.add(f"{number}.ffn", feed_forward_shapes(dim, ff_mult))
    return shapes


def head_shapes(dim: int, inner: int, out: int) -> Shapes:
    shapes = Shapes()
    shapes.norm("0", dim)
    shapes.linear("1", inner, dim)
    shapes.linear("3", out, inner)
    return shapes


def conv_shapes(muq: Config) -> Shapes:
    shapes, size = Shapes(), muq.get("conv_dim", 512)
    for block, into in enumerate((1, size)):
        for number, channels in ((1, into), (2, size), (3, into)):
            shapes[f"conv.{block}.conv{number}.weight"] = (size, channels, 3, 3)
            shapes[f"conv.{block}.conv{number}.bias"] = (size,)
            shapes.norm(f"conv.{block}.bn{number}", size, stored=True)
    shapes.linear("linear", muq["encoder_dim"], 32 * size)
    return shapes


def conformer_layer_shapes(dim: int, config: Config) -> Shapes:
    shapes = Shapes()
    for name in ("ffn1", "ffn2"):
        shapes.norm(f"{name}_layer_norm", dim)
        shapes.linear(f"{name}.intermediate_dense", config["intermediate_size"], dim)
        shapes.linear(f"{name}.output_dense", dim, config["intermediate_size"])
    shapes.norm("self_attn_layer_norm", dim)
    for name in "qkv":
        shapes.linear(f"self_attn.linear_{name}", dim, dim)
    shapes.linear("self_attn.linear_out", dim, dim)
    if config["position_embeddings_type"] == "relative":
        heads = config["num_attention_heads"]
        shapes.linear("self_attn.linear_pos", dim, dim, bias=False)
        shapes["self_attn.pos_bias_u"] = shapes["self_attn.pos_bias_v"] = (heads, dim // heads)
    shapes.norm("conv_module.layer_norm", dim)
    shapes["conv_module.pointwise_conv1.weight"] = (2 * dim, dim, 1)
    shapes["conv_module.depthwise_conv.weight"] = (dim, 1, config["conv_depthwise_kernel_size"])
    shapes.norm("conv_module.batch_norm", dim, stored=True)
    shapes["conv_module.pointwise_conv2.weight"] = (dim, dim, 1)
    shapes.norm("final_layer_norm", dim)
    return shapes


def audio_shapes(dim: int, mulan: Config, muq: Config) -> Shapes:
    """The audio module: MuQ with its unused parts, projection, transformer."""
    shapes, size, config = Shapes(), muq["encoder_dim"], muq["w2v2_config"]
    inner = "model.model"
    shapes[f"{inner}.cls_token"] = (size,)
    shapes[f"{inner}.quantizer_melspec_2048.codebook"] = (64, 16)
    shapes.linear(f"{inner}.linear", 64, size)
    shapes.add(f"{inner}.conv", conv_shapes(muq))
    groups, reach = config["num_conv_pos_embedding_groups"], config["num_conv_pos_embeddings"]
    positions = f"{inner}.conformer.pos_conv_embed.conv"
    shapes[f"{positions}.bias"] = (size,)
    # The older names of a weight norm.
    shapes |= {f"{positions}.weight_g": (1, 1, reach), f"{positions}.weight_v": (size, size // groups, reach)}
    shapes.norm(f"{inner}.conformer.layer_norm", size)
    if config["position_embeddings_type"] == "rotary":
        shapes[f"{inner}.conformer.embed_positions.inv_freq"] = (size // config["num_attention_heads"] // 2,)
    for number in range(muq["encoder_depth"]):
        shapes.add(f"{inner}.conformer.layers.{number}", conformer_layer_shapes(size, config))
    shapes["aggregator.weight"] = (1, 25, 1)
    shapes.linear("proj", dim, size)
    own = {"tf_depth": 12, "heads": 8, "dim_head": 64, "ff_mult": 4, **mulan["audio_transformer"]}
    sizes = {key: own[key] for key in ("heads", "dim_head", "ff_mult")}
    shapes.add("transformer", own_shapes(dim, own["tf_depth"], **sizes))
    return shapes


def roberta_shapes(config: Config) -> Shapes:
    shapes, size = Shapes(), config["hidden_size"]
    shapes["embeddings.word_embeddings.weight"] = (config["vocab_size"], size)
    shapes["embeddings.position_embeddings.weight"] = (config["max_position_embeddings"], size)
    shapes["embeddings.token_type_embeddings.weight"] = (config["type_vocab_size"], size)
    shapes.norm("embeddings.LayerNorm", size)
    for number in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{number}"
        for name in ("query", "key", "value"):
            shapes.linear(f"{layer}.attention.self.{name}", size, size)
        shapes.linear(f"{layer}.attention.output.dense", size, size)
        shapes.norm(f"{layer}.attention.output.LayerNorm", size)
        shapes.linear(f"{layer}.intermediate.dense", config["intermediate_size"], size)
        shapes.linear(f"{layer}.output.dense", size, config["intermediate_size"])
        shapes.norm(f"{layer}.output.LayerNorm", size)
    shapes.linear("pooler.dense", size, size)
    return shapes


def lora_shapes(tower: Shapes, *, rank: int) -> Shapes:
    """A tower under PEFT's names, with adapters beside its queries and values."""
    shapes = Shapes()
    for name, shape in tower.items():
        module, _, leaf = f"base_model.model.{name}".rpartition(".")
        if not module.endswith((".query", ".value")):
            shapes[f"{module}.{leaf}"] = shape
            continue
        shapes[f"{module}.base_layer.{leaf}"] = shape
        if leaf == "weight":
            shapes[f"{module}.lora_A.default.weight"] = (rank, shape[1])
            shapes[f"{module}.lora_B.default.weight"] = (shape[0], rank)
    return shapes


def t5_shapes(config: Config) -> Shapes:
    shapes, size, inner = Shapes(), config["d_model"], config["num_heads"] * config["d_kv"]
    shapes["shared.weight"] = shapes["encoder.embed_tokens.weight"] = (config["vocab_size"], size)
    for number in range(config["num_layers"]):
        block = f"encoder.block.{number}.layer"
        for name in "qkv":
            shapes.linear(f"{block}.0.SelfAttention.{name}", inner, size, bias=False)
        shapes.linear(f"{block}.0.SelfAttention.o", size, inner, bias=False)
        shapes[f"{block}.0.layer_norm.weight"] = shapes[f"{block}.1.layer_norm.weight"] = (size,)
        opened = ("wi_0", "wi_1") if config["feed_forward_proj"].startswith("gated") else ("wi",)
        for name in opened:
            shapes.linear(f"{block}.1.DenseReluDense.{name}", config["d_ff"], size, bias=False)
        shapes.linear(f"{block}.1.DenseReluDense.wo", size, config["d_ff"], bias=False)
    buckets = (config["relative_attention_num_buckets"], config["num_heads"])
    shapes["encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"] = buckets
    shapes["encoder.final_layer_norm.weight"] = (size,)
    return shapes


def downsampler_shapes(dim: int, config: Config) -> Shapes:
    shapes, kind = Shapes(), KINDS[config["kind"]]
    if kind == "b1":
        inner = int(dim * config.get("mlp_ratio", 2.0))
        shapes.linear("mlp.0", inner, dim)
        shapes.linear("mlp.3", dim, inner)
    if kind in ("none", "mean", "b1"):
        return shapes
    stages = (
        [f"blocks.{n}" for n in range(config.get("stage", 1))] if kind == "conv" else ["block1", "block2"]
    )
    for name in stages:
        shapes[f"{name}.dw.weight"] = (dim, 1, config.get("kernel_size", 5))
        if kind == "b3":
            shapes[f"{name}.pw1.weight"] = (2 * dim, dim, 1)
        if config.get("use_layernorm", True):
            shapes.norm(f"{name}.ln", dim)
    if kind == "b3":
        shapes["final_pw.weight"] = (dim, dim, 1)
    return shapes
