"""Every kind of reward checkpoint, as what `make_reward_checkpoint` is told."""

from __future__ import annotations

from typing import Any


def reduced(eval_by: Any, ref_by: Any = None, text_by: Any = None, **others: Any) -> dict[str, Any]:
    """A reward configuration with downsamplers; None is none for texts and the eval's for references."""
    configs: dict[str, Any] = {"none": {"kind": "none"}, "e": eval_by}
    section: dict[str, Any] = {"eval": "e", "text": "none", "configs": configs}
    for part, stated in (("ref", ref_by), ("text", text_by)):
        if stated is not None:
            section[part], configs[part] = part, stated
    return {"downsample": section, **others}


def kind(name: str, factor: int, **options: Any) -> dict[str, Any]:
    return {"kind": name, "factor": factor, **options}


DOWNSAMPLED: dict[str, dict[str, Any]] = {
    "means": reduced(kind("mean", 3), kind("meanpool", 2), kind("mean", 5)),
    "perceptrons": reduced(
        kind("b1", 4), kind("mean+mlp", 1, mlp_ratio=1.3), kind("baseline1", 2, pre_mlp=True)
    ),
    "stages": reduced(kind("conv", 2, stage=2), kind("b2s", 3, kernel_size=3), kind("baseline2simple", 1)),
    "bare stages": reduced(
        kind("conv", 3, use_layernorm=False, kernel_size=7),
        kind("conv*2", 4, use_layernorm=False),
        kind("b3", 2, use_layernorm=False),
    ),
    "two stages": reduced(kind("conv*2", 6), kind("baseline2", 5), kind("b2", 3, kernel_size=3)),
    "two more stages": reduced(kind("b2", 12), kind("b2", 8), kind("b2", 1)),
    "gated stages": reduced(kind("b3", 6), kind("gluconv*2+pw", 4, kernel_size=3), kind("baseline3", 1)),
    "one configuration for all": reduced(kind("b3", 3)),
    "texts of many rows": reduced(kind("none", 1), kind("meanpool+mlp", 2), kind("mean", 40)),
    "text only": reduced(kind("b1", 2), text_by=kind("conv", 2), mode="text_only"),
    "early": reduced(kind("mean", 2), mode="concat_text_early"),
}

T5_DOWNSAMPLED = reduced(kind("b1", 3), kind("mean", 2), kind("mean", 2))

VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    **{name: {"reward": stated} for name, stated in DOWNSAMPLED.items()},
    "deep": {
        "reward": {"prompt_tf_depth": 3, "joint_tf_depth": 3, "output_dim": 4, "ff_mult": 2, "heads": 1},
        "mulan": {"audio_transformer": {"tf_depth": 2}, "text_transformer": {"tf_depth": 3, "heads": 5}},
        "muq": {"encoder_depth": 3, "conv_dim": 3},
        "conformer": {"num_attention_heads": 5},
        "roberta": {"num_hidden_layers": 3, "num_attention_heads": 2, "hidden_act": "relu"},
    },
    "no depth": {
        "reward": {"prompt_tf_depth": 0, "joint_tf_depth": 0},
        "mulan": {"text_transformer": {"tf_depth": 0}},
    },
    "projected texts": {"roberta": {"hidden_size": 30}, "mulan": {"text_model": {"model_dim": 30}}},
    "usual sizes where none are stated": {
        "reward": {"dim_head": 64, "heads": 8, "ff_mult": 4},
        "mulan": {
            "audio_transformer": {"tf_depth": 1, "heads": ..., "dim_head": ..., "ff_mult": ...},
            "text_transformer": {"heads": ..., "dim_head": ..., "ff_mult": ..., "max_seq_len": ...},
        },
    },
    "gelu, 50 frames": {"conformer": {"hidden_act": "gelu"}, "muq": {"label_rate": 50}},
    "relu, usual rotation, wide kernel": {
        "conformer": {"hidden_act": "relu", "rotary_embedding_base": 10000, "conv_depthwise_kernel_size": 31}
    },
    "another hop": {"muq": {"hop_length": 200, "stat": {"melspec_2048_mean": -7.0}}},
    "relative positions": {"conformer": {"position_embeddings_type": "relative"}, "muq": {"label_rate": 50}},
    "no positions": {"conformer": {"position_embeddings_type": None}},
    "crossed": {"reward": {"attention_mode": "CA"}},
    "crossed, downsampled": {
        "reward": reduced(kind("conv*2", 4), kind("b1", 3), kind("mean", 4), attention_mode="CA")
    },
    "sanity": {"reward": {"name": "sanity"}},
    "t5": {"t5": {}},
    "t5, gated, downsampled": {"t5": {"feed_forward_proj": "gated-gelu"}, "reward": T5_DOWNSAMPLED},
    "t5 as wide as the rest": {"t5": {"d_model": 24}, "reward": reduced(kind("mean", 2))},
    "adapters": {"lora": {"r": 3, "lora_alpha": 7}},
    "heads alone, MuLan's encoders": {"encoders": ("mulan",)},
    "heads and folders": {"encoders": ("mulan", "folders")},
    "everything everywhere": {"encoders": ("checkpoint", "mulan", "folders")},
    "flat": {"nested": False},
    "configuration above": {"config_at": "parent"},
    "names beside the configuration": {"names": "relative", "config_at": "parent"},
    "names above the configuration": {"names": "relative"},
}
