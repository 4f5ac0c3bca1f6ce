"""Tiny random Hugging Face models, made in a second and without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TEXTS = [
    "Question: Tom has 3 apples and buys 4 more. How many apples has he now?\nAnswer: 7",
    "Question: Which of these is a planet? A. Mars B. Moon C. Sun D. Rome\nAnswer: A",
    "The quick brown fox jumps over the lazy dog; numbers such as 12, 345 and 6789 follow.",
    "A steelyard is the balance with one beam, on which anything can be hung and weighed.",
]
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<pad>", "<s>", "</s>", "<unk>", "<mask>", "<|im_start|>", "<|im_end|>"]


def make_tokenizer(*, chat: bool = False, begin: bool = False, pair: bool = False) -> Any:
    """A byte-level BPE of 400 tokens; `begin` puts <s> before each text, `pair` </s> behind it as well."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(TEXTS, trainer)
    if begin or pair:
        bpe.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>" if pair else "<s> $A",
            pair="<s> $A </s> $B </s>" if pair else "<s> $A $B",
            special_tokens=[("<s>", 1), ("</s>", 2)],
        )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
        clean_up_tokenization_spaces=False,
    )
    if chat:
        fast.chat_template = CHATML
    return fast


SHAPE = {"vocab_size": 400, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
IDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
CAUSAL: dict[str, dict[str, Any]] = {
    "llama": {**SHAPE, "intermediate_size": 128, "num_key_value_heads": 2},
    "qwen2": {**SHAPE, "intermediate_size": 128, "num_key_value_heads": 2},
    "gpt2": {"vocab_size": 400, "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 512},
    "gpt_neox": {**SHAPE, "intermediate_size": 128, "max_position_embeddings": 512},
    "mistral": {**SHAPE, "intermediate_size": 128, "num_key_value_heads": 2, "sliding_window": 16},
    "gemma3_text": {
        **SHAPE,
        "intermediate_size": 128,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "sliding_window": 16,
        "layer_types": ["sliding_attention", "full_attention"],
    },
    "bloom": {"vocab_size": 400, "hidden_size": 64, "n_layer": 2, "n_head": 4},
    "mamba": {"vocab_size": 400, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 8},
}


def make_network(family: str, *, loader: str = "AutoModelForCausalLM", seed: int = 0, **shape: Any) -> Any:
    """A random network whose answers differ from prompt to prompt."""
    import torch
    import transformers

    # Untied and with large weights: such a network does not repeat one token for ever.
    options = {**IDS, "tie_word_embeddings": False, "initializer_range": 0.1, **shape}
    config = transformers.AutoConfig.for_model(family, **options)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return getattr(transformers, loader).from_config(config)


def save(folder: Path, network: Any, tokenizer: Any) -> Path:
    """A folder as save_pretrained leaves it."""
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
