"""Tiny random vision-language checkpoints, as their families' folders look on the hub; no network.

    make_checkpoint("qwen2_vl", tmp_path / "qwen2_vl")

Weights are large and not tied, so that answers differ from picture to picture. Folders carry the
public names of the image processors: both the PIL and the torchvision kind can be loaded from them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

TEXTS = [
    "Question: What colour is the square in the picture? Answer: red, green, blue or yellow.",
    "Invoice 2041, 17 March: 3 boxes at 12.50 make 37.50. Which total does the document show?",
    "The first page comes before the second; the quick brown fox jumps over the lazy dog.",
]
MARKS = [
    *("<pad>", "<s>", "</s>", "<unk>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"),
    *("<|image_pad|>", "<|video_pad|>", "<image>", "<end_of_utterance>", "<fake_token_around_image>"),
    *("<global-img>", "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>"),
    *("<image_soft_token>", "<img>", "</img>", "<IMG_CONTEXT>", "<video>"),
    *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)),
]
SIDE = 56  # of the pictures that the small vision towers see
WIDTH = 32

# One picture or text after the other; where the places of the family's marks are, it says.
_PARTS = (
    "{{% if m['content'] is string %}}{{{{ m['content'] }}}}{{% else %}}{{% for c in m['content'] %}}"
    "{{% if c['type'] == 'image' %}}{mark}{{% elif c['type'] == 'text' %}}{{{{ c['text'] }}}}{{% endif %}}"
    "{{% endfor %}}{{% endif %}}"
)


def chatml(mark: str) -> str:
    """Turns between <|im_start|> and <|im_end|>."""
    return (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
        + _PARTS.format(mark=mark)
        + "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )


def spoken(mark: str, *, begin: str = "", end: str = "\n") -> str:
    """Turns that begin with who speaks: User: …"""
    return (
        begin
        + "{% for m in messages %}{{ m['role'] | capitalize }}: "
        + _PARTS.format(mark=mark)
        + end
        + "{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
    )


def strict(mark: str) -> str:
    """Turns of user and model that must alternate; the system's words stand before the user's first."""
    return (
        "{{ bos_token }}{% set rest = messages %}{% set first = '' %}{% if messages[0]['role'] == 'system' %}"
        "{% set first = (messages[0]['content'] if messages[0]['content'] is string "
        "else messages[0]['content'][0]['text']) + '\n\n' %}{% set rest = messages[1:] %}{% endif %}"
        "{% for m in rest %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('turns must alternate') }}{% endif %}"
        "<start_of_turn>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n"
        "{{ first if loop.first else '' }}" + _PARTS.format(mark=mark) + "<end_of_turn>\n{% endfor %}"
        "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
    )


def make_tokenizer(template: str | None, *, end: str, begin: bool = False, **marks: str) -> Any:
    """A byte-level BPE with every family's marks; `begin` puts <s> before each text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=448, special_tokens=MARKS, initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(TEXTS, trainer)
    if begin:
        bpe.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token="<s>",
        eos_token=end,
        pad_token="<pad>",
        unk_token="<unk>",
        clean_up_tokenization_spaces=False,
        extra_special_tokens=marks,
    )
    fast.chat_template = template
    return fast


def _words(tokenizer: Any, *, positions: int = 4096, **more: Any) -> dict[str, Any]:
    """The shape of the part that reads and writes words."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": positions,
        "initializer_range": 0.1,
        "tie_word_embeddings": False,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        **more,
    }


def _tower(**more: Any) -> dict[str, Any]:
    """The shape of a vision tower with a fixed size of pictures."""
    return {
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": SIDE,
        "patch_size": 14,
        "initializer_range": 0.1,
        **more,
    }


Made = tuple[dict[str, Any], Any, dict[str, Any], dict[str, Any]]
"""A configuration, a tokenizer, and what preprocessor_config.json and processor_config.json say."""


def _qwen(kind: str, processor: str, tower: Mapping[str, Any]) -> Made:
    tokenizer = make_tokenizer(
        chatml("<|vision_start|><|image_pad|><|vision_end|>"),
        end="<|im_end|>",
        image_token="<|image_pad|>",
        video_token="<|video_pad|>",
    )
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 3, 3]}
    number = tokenizer.convert_tokens_to_ids
    config = {
        "model_type": kind,
        "text_config": _words(tokenizer, rope_parameters=rope),
        "vision_config": {
            "depth": 2,
            "num_heads": 2,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "initializer_range": 0.1,
            **tower,
        },
        "image_token_id": number("<|image_pad|>"),
        "video_token_id": number("<|video_pad|>"),
        "vision_start_token_id": number("<|vision_start|>"),
        "vision_end_token_id": number("<|vision_end|>"),
        "initializer_range": 0.1,
        "tie_word_embeddings": False,
    }
    pictures = {
        "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": processor,
        "min_pixels": 28 * 28,
        "max_pixels": 28 * 28 * 36,
        "patch_size": 14,
        "merge_size": 2,
        "temporal_patch_size": 2,
    }
    return config, tokenizer, pictures, {}


def qwen2_vl() -> Made:
    """Qwen2-VL: as many image tokens as the picture is large."""
    tower = {"embed_dim": WIDTH, "hidden_size": WIDTH, "mlp_ratio": 2}
    return _qwen("qwen2_vl", "Qwen2VLProcessor", tower)


def qwen2_5_vl() -> Made:
    """Qwen2.5-VL: as Qwen2-VL, with windows in its tower."""
    tower = {"hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "out_hidden_size": WIDTH}
    return _qwen(
        "qwen2_5_vl", "Qwen2_5_VLProcessor", {**tower, "window_size": 112, "fullatt_block_indexes": [1]}
    )


def _llava(kind: str, processor: str, **more: Any) -> Made:
    tokenizer = make_tokenizer(spoken("<image>\n"), end="</s>", begin=True, image_token="<image>")
    config = {
        "model_type": kind,
        "text_config": {"model_type": "llama", **_words(tokenizer)},
        "vision_config": {
            "model_type": "clip_vision_model",
            **_tower(num_hidden_layers=3, projection_dim=WIDTH, initializer_factor=5.0),
        },
        "image_token_id": tokenizer.convert_tokens_to_ids("<image>"),
        "image_token_index": tokenizer.convert_tokens_to_ids("<image>"),
        "image_seq_length": 16,
        "vision_feature_select_strategy": "default",
        "vision_feature_layer": -2,
        "initializer_range": 0.1,
        "tie_word_embeddings": False,
        **more,
    }
    edges = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
    pictures = {"image_processor_type": "CLIPImageProcessor", "processor_class": processor, **edges}
    whole = {
        "processor_class": processor,
        "patch_size": 14,
        "num_additional_image_tokens": 1,
        "vision_feature_select_strategy": "default",
        "image_token": "<image>",
    }
    return config, tokenizer, pictures, whole


def llava() -> Made:
    """LLaVA: one square of a picture."""
    return _llava("llava", "LlavaProcessor")


def llava_next() -> Made:
    """LLaVA-NeXT: a picture in tiles, by the shape that suits it best."""
    pins = [[SIDE, 2 * SIDE], [2 * SIDE, SIDE], [2 * SIDE, 2 * SIDE]]
    config, tokenizer, pictures, whole = _llava("llava_next", "LlavaNextProcessor", image_grid_pinpoints=pins)
    tiles = {"image_processor_type": "LlavaNextImageProcessor", "image_grid_pinpoints": pins}
    return config, tokenizer, {**pictures, **tiles}, whole


def _idefics(kind: str, name: str) -> Made:
    tokenizer = make_tokenizer(
        spoken("<image>", begin="<|im_start|>", end="<end_of_utterance>\n"),
        end="<end_of_utterance>",
        image_token="<image>",
        fake_image_token="<fake_token_around_image>",
        global_image_token="<global-img>",
        end_of_utterance_token="<end_of_utterance>",
    )
    config = {
        "model_type": kind,
        "text_config": {"model_type": "llama", **_words(tokenizer)},
        "vision_config": _tower(image_size=64, patch_size=16),
        "image_token_id": tokenizer.convert_tokens_to_ids("<image>"),
        "scale_factor": 2,
        "pad_token_id": 0,
        "initializer_range": 0.1,
        "tie_word_embeddings": False,
    }
    # A picture is laid out at up to 128 and cut into squares of 64: (64 / 16)² patches / 2² tokens each.
    pictures = {
        "image_processor_type": f"{name}ImageProcessor",
        "processor_class": f"{name}Processor",
        "size": {"longest_edge": 128},
        "max_image_size": {"longest_edge": 64},
        "do_image_splitting": True,
    }
    return config, tokenizer, pictures, {"processor_class": f"{name}Processor", "image_seq_len": 4}


def idefics3() -> Made:
    """Idefics3: a picture in rows and columns of squares."""
    return _idefics("idefics3", "Idefics3")


def smolvlm() -> Made:
    """SmolVLM: as Idefics3."""
    return _idefics("smolvlm", "SmolVLM")


def gemma3() -> Made:
    """Gemma 3: image tokens that see each other, and turns that must alternate."""
    tokenizer = make_tokenizer(
        strict("<start_of_image>"),
        end="<end_of_turn>",
        begin=True,
        image_token="<image_soft_token>",
        boi_token="<start_of_image>",
        eoi_token="<end_of_image>",
    )
    number = tokenizer.convert_tokens_to_ids
    kinds = ["sliding_attention", "full_attention"]
    words = _words(tokenizer, head_dim=16, sliding_window=32, layer_types=kinds, query_pre_attn_scalar=16)
    config = {
        "model_type": "gemma3",
        "text_config": {"model_type": "gemma3_text", **words},
        "vision_config": {"model_type": "siglip_vision_model", **_tower(vision_use_head=False)},
        "mm_tokens_per_image": 4,
        "boi_token_index": number("<start_of_image>"),
        "eoi_token_index": number("<end_of_image>"),
        "image_token_index": number("<image_soft_token>"),
        "initializer_range": 0.1,
        "tie_word_embeddings": False,
    }
    pictures = {
        "image_processor_type": "Gemma3ImageProcessor",
        "processor_class": "Gemma3Processor",
        "size": {"height": SIDE, "width": SIDE},
        "image_seq_length": 4,
    }
    return config, tokenizer, pictures, {"processor_class": "Gemma3Processor", "image_seq_length": 4}


def internvl() -> Made:
    """InternVL: a picture in tiles beside the whole of it."""
    tokenizer = make_tokenizer(
        chatml("<IMG_CONTEXT>\n"),
        end="<|im_end|>",
        start_image_token="<img>",
        end_image_token="</img>",
        context_image_token="<IMG_CONTEXT>",
        video_token="<video>",
    )
    config = {
        "model_type": "internvl",
        "text_config": {"model_type": "qwen2", **_words(tokenizer)},
        "vision_config": {
            "model_type": "internvl_vision",
            **_tower(image_size=[SIDE, SIDE], patch_size=[14, 14]),
        },
        "image_token_id": tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        "image_seq_length": 4,
        "downsample_ratio": 0.5,
        "vision_feature_layer": -1,
        "initializer_range": 0.1,
        "tie_word_embeddings": False,
    }
    pictures = {
        "image_processor_type": "GotOcr2ImageProcessor",
        "processor_class": "InternVLProcessor",
        "size": {"height": SIDE, "width": SIDE},
        "crop_to_patches": True,
        "min_patches": 1,
        "max_patches": 4,
    }
    return config, tokenizer, pictures, {"processor_class": "InternVLProcessor", "image_seq_length": 4}


def paligemma() -> Made:
    """PaliGemma: no chat template, and no question without a picture."""
    tokenizer = make_tokenizer(None, end="</s>", image_token="<image>")
    config = {
        "model_type": "paligemma",
        "text_config": {"model_type": "gemma", **_words(tokenizer, head_dim=16)},
        "vision_config": {
            "model_type": "siglip_vision_model",
            **_tower(vision_use_head=False, projection_dim=WIDTH),
        },
        "image_token_index": tokenizer.convert_tokens_to_ids("<image>"),
        "projection_dim": WIDTH,
        "initializer_range": 0.1,
        "tie_word_embeddings": False,
    }
    pictures = {
        "image_processor_type": "SiglipImageProcessor",
        "processor_class": "PaliGemmaProcessor",
        "size": {"height": SIDE, "width": SIDE},
        "image_seq_length": 16,
    }
    return config, tokenizer, pictures, {}


FAMILIES: dict[str, Callable[[], Made]] = {
    make.__name__: make
    for make in (qwen2_vl, qwen2_5_vl, llava, llava_next, idefics3, smolvlm, gemma3, internvl, paligemma)
}


def make_checkpoint(family: str, folder: Path, *, seed: int = 0) -> Path:
    """Write the folder of a tiny random model of a family; about half a second."""
    import torch
    import transformers

    settings, tokenizer, pictures, whole = FAMILIES[family]()
    config = transformers.AutoConfig.for_model(**settings)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = transformers.AutoModelForImageTextToText.from_config(config)
    network.generation_config = transformers.GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    for name, said in (("preprocessor_config.json", pictures), ("processor_config.json", whole)):
        if said:
            (folder / name).write_text(json.dumps(said, indent=1))
    return folder
