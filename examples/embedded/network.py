"""A Llama in torch, its parameters named as in a Hugging Face checkpoint."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention, silu

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 128,
    "intermediate_size": 352,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "vocab_size": 1280,
    "max_position_embeddings": 1024,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": True,
    "attention_bias": False,
    "mlp_bias": False,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
    "torch_dtype": "float16",
}
WIDTH, HEADS, GROUPS, HEAD = 128, 4, 2, 32


class Attention(nn.Module):
    """Causal attention with rotary positions; two heads share their keys and values."""

    def __init__(self) -> None:
        super().__init__()
        self.q_proj = nn.Linear(WIDTH, HEADS * HEAD, bias=False)
        self.k_proj = nn.Linear(WIDTH, GROUPS * HEAD, bias=False)
        self.v_proj = nn.Linear(WIDTH, GROUPS * HEAD, bias=False)
        self.o_proj = nn.Linear(HEADS * HEAD, WIDTH, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        rows, length, _ = x.shape

        def split(y: Tensor) -> Tensor:
            return y.view(rows, length, -1, HEAD).transpose(1, 2)

        def turn(y: Tensor) -> Tensor:
            a, b = y.chunk(2, dim=-1)
            return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)

        q, k, v = turn(split(self.q_proj(x))), turn(split(self.k_proj(x))), split(self.v_proj(x))
        y = scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return self.o_proj(y.transpose(1, 2).reshape(rows, length, -1))


class Gated(nn.Module):
    """The gated two-layer network between attentions."""

    def __init__(self) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(WIDTH, CONFIG["intermediate_size"], bias=False)
        self.up_proj = nn.Linear(WIDTH, CONFIG["intermediate_size"], bias=False)
        self.down_proj = nn.Linear(CONFIG["intermediate_size"], WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """Attention and gated network, each behind a norm and beside a residual."""

    def __init__(self) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(WIDTH, eps=CONFIG["rms_norm_eps"])
        self.self_attn = Attention()
        self.post_attention_layernorm = nn.RMSNorm(WIDTH, eps=CONFIG["rms_norm_eps"])
        self.mlp = Gated()

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    """Embeddings, layers, norm."""

    def __init__(self) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(CONFIG["vocab_size"], WIDTH)
        self.layers = nn.ModuleList(Layer() for _ in range(CONFIG["num_hidden_layers"]))
        self.norm = nn.RMSNorm(WIDTH, eps=CONFIG["rms_norm_eps"])
        self.register_buffer("angles", rotary_angles(), persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed_tokens(ids)
        angles = self.angles[: ids.shape[1]]
        cos, sin = angles.cos(), angles.sin()
        for layer in self.layers:
            x = layer(x, cos, sin)
        return self.norm(x)


class Llama(nn.Module):
    """The decoder, its embeddings used once more to give logits."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Decoder()
        deep = CONFIG["num_hidden_layers"]
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                scale = 0.09 if "embed" in name else WIDTH**-0.5
                # What adds to the residual begins small, so that the sum over layers does not grow.
                last = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(weight, std=scale / (2 * deep) ** 0.5 if last else scale)

    def forward(self, ids: Tensor, keep: Tensor | None = None) -> Tensor:
        x = self.model(ids)
        if keep is not None:
            x = x[keep]
        return x @ self.model.embed_tokens.weight.T


def rotary_angles() -> Tensor:
    """The angle of each position and pair of dimensions."""
    speeds = CONFIG["rope_theta"] ** -(torch.arange(0, HEAD, 2) / HEAD)
    return torch.outer(torch.arange(CONFIG["max_position_embeddings"]).float(), speeds)
