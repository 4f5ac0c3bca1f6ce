"""What the tests of vLLM and SGLang share: surroundings, checkpoints of a shape they take, questions."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from steelyard.models.base import Model
from steelyard.types import Message, Part, Request, Response

os.environ.update(
    HF_HUB_OFFLINE="1",
    # vLLM: on the CPU, in this process, without compiling, and telling nobody.
    VLLM_TARGET_DEVICE="cpu",
    VLLM_CPU_KVCACHE_SPACE="1",
    VLLM_ENABLE_V1_MULTIPROCESSING="0",
    VLLM_NO_USAGE_STATS="1",
    TORCHDYNAMO_DISABLE="1",
)
# Attention of both is made for heads of 64.
HEAD = 64
# SGLang's plain PyTorch ways, which need no kernels.
SGLANG: dict[str, Any] = {
    "dtype": "float32",
    "context_length": 512,
    "device": "cpu",
    "attention_backend": "torch_native",
    "mm_attention_backend": "sdpa",
    "sampling_backend": "pytorch",
    "grammar_backend": "xgrammar",
    "disable_cuda_graph": True,
    "max_total_tokens": 8192,
    "max_tokens": 12,
}
PROMPTS = [
    "Question: Tom has 3 apples. How many",
    "The quick brown fox",
    "A steelyard is",
    "",
    "Which of these is a planet?\nAnswer:",
]
CHOICES = [[" Mars", " the quick brown fox"], ["A", "B", "C", "D"], [" 7", " 12", " 345 apples", " 6"]]


async def all_answers(model: Model, requests: list[Request]) -> list[Response]:
    """What is answered when all is asked at once."""
    return await asyncio.gather(*(model.ask(request) for request in requests))


def write_text_model(folder: Path) -> Path:
    """A tiny Llama with a chat template."""
    from tiny_networks import make_network, make_tokenizer, save

    shape = {"vocab_size": 400, "hidden_size": 2 * HEAD, "num_hidden_layers": 2, "num_attention_heads": 2}
    more = {"intermediate_size": 128, "num_key_value_heads": 1, "max_position_embeddings": 512}
    network = make_network("llama", head_dim=HEAD, **shape, **more)
    return save(folder, network, make_tokenizer(chat=True, begin=True))


def write_vision_model(family: str, folder: Path) -> Path:
    """A tiny vision-language model, as the other tests have it, with heads of 64."""
    import vision_checkpoints

    with patch.object(vision_checkpoints, "WIDTH", 2 * HEAD):
        made = vision_checkpoints.FAMILIES[family]()
        if rope := made[0]["text_config"].get("rope_parameters"):
            rope["mrope_section"] = [HEAD // 8, HEAD // 16 * 3, HEAD // 16 * 3]
        # SGLang asks for it by this name, as the folders on the hub have it.
        made[0]["vision_config"]["in_chans"] = 3
        with patch.dict(vision_checkpoints.FAMILIES, {family: lambda: made}):
            return vision_checkpoints.make_checkpoint(family, folder)


def text_requests() -> list[Request]:
    """Texts and turns, stops and penalties, choices of one token and of several."""
    turns: list[Message] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is a steelyard?"},
    ]
    begun: list[Message] = [*turns, {"role": "assistant", "content": "A steelyard is"}]
    asked = [Request(str(place), text) for place, text in enumerate(PROMPTS)]
    asked += [Request("turns", turns), Request("begun", begun)]
    asked += [Request(f"stop{stop}", PROMPTS[0], params={"stop": stop}) for stop in ("e", " ", ["t", "o"])]
    asked += [Request("short", PROMPTS[1], params={"max_tokens": 2})]
    asked += [Request("likeliest", PROMPTS[1], params={"temperature": 1.0, "top_k": 1})]
    asked += [Request("nucleus", PROMPTS[2], params={"temperature": 1.0, "top_p": 0})]
    asked += [Request(f"choices{place}", PROMPTS[4], choices=these) for place, these in enumerate(CHOICES)]
    asked += [Request("begin", "", choices=["A", " planet"])]
    return asked


def picture(width: int, height: int, *, seed: int = 0) -> Any:
    """A picture that is nowhere alike."""
    import numpy as np

    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def ask(*pictures: Any, text: str = "What does it show?", **more: Any) -> Request:
    """A question about pictures, in turns."""
    content = [*(Part("image", one) for one in pictures), Part("text", text)]
    return Request(
        "1", [{"role": "system", "content": "Be brief."}, {"role": "user", "content": content}], **more
    )


def vision_requests() -> list[Request]:
    """Pictures of several sizes, one, two or none of them, and choices."""
    return [
        ask(picture(64, 80)),
        ask(picture(200, 90, seed=1)),
        ask(picture(64, 64, seed=2), picture(90, 120, seed=3), text="Which one is larger?"),
        ask(text="No picture: what is 3 + 4?"),
        ask(picture(64, 80), text="Its mark is <|image_pad|>, is it not?"),
        ask(picture(64, 80), choices=[" red", " blue and green"]),
        ask(picture(150, 60, seed=4), choices=[" 1", " 2", " 3"]),
    ]


def check_alike(theirs: Sequence[Response], ours: Sequence[Response]) -> None:
    """Equal answers, equal counts, and log-probabilities equal to three places."""
    for their, our in zip(theirs, ours, strict=True):
        assert their.error is None and our.error is None
        assert (their.text, their.tokens, their.raw) == (our.text, our.tokens, our.raw)
        if our.scores is not None:
            assert their.scores == pytest.approx(our.scores, abs=1e-3)


def check_times(responses: Sequence[Response]) -> None:
    """What was written tells when it was begun, in the order of things."""
    for one in responses:
        assert one.timing is not None and one.tokens is not None
        assert one.timing.sent < one.timing.chunks[0] <= one.timing.done
        assert one.timing.ttft is not None and one.timing.ttft <= one.timing.latency
