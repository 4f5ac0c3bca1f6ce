"""Small random model folders, made with transformers, for tests of engines that read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModelForCausalLM

TEXTS = [
    "The cat sat on the mat and 12 dogs ran.",
    "Question: what is 3 + 4? Answer: 7",
    "A red ball, a blue hat.",
] * 4
SPECIAL = ["<s>", "</s>", "<|user|>", "<|assistant|>"]
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] | trim }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SIZES = {
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.1,
    "tie_word_embeddings": False,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
}


def write_model(
    folder: Path, kind: str = "llama", *, seed: int = 0, shard: str = "5GB", **changes: Any
) -> Path:
    """A folder with a random network of a kind and a tokenizer trained on a few lines."""
    dtype = changes.pop("dtype", torch.float32)
    tokenizer = write_tokenizer(folder)
    torch.manual_seed(seed)
    config = AutoConfig.for_model(kind, **{**SIZES, "vocab_size": tokenizer.get_vocab_size(), **changes})
    network = AutoModelForCausalLM.from_config(config).to(dtype)
    for name, parameter in network.named_parameters():
        if name.endswith(("norm.weight", "bias")):
            torch.nn.init.normal_(parameter, mean=float(name.endswith("norm.weight")), std=0.2)
    network.save_pretrained(folder, max_shard_size=shard)
    return folder


def write_tokenizer(folder: Path, *, template: str | None = TEMPLATE) -> Tokenizer:
    """A byte-level tokenizer that begins a text with <s>."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "pad_token": "</s>",
        "chat_template": template,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps({k: v for k, v in settings.items() if v}))
    return tokenizer
