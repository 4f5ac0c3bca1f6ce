"""The reward network: scores that were published, whatever stands beside them, in whatever precision."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from music.checkpoints import make_reward_checkpoint  # noqa: E402
from music.variants import VARIANTS  # noqa: E402

from steelyard.errors import UsageError  # noqa: E402
from steelyard.media.sounds import Sound  # noqa: E402
from steelyard.models.music.network import SHORTEST, Prompted, RewardNetwork, load_network  # noqa: E402

TINY = Path(__file__).parents[2] / "data" / "reward-tiny"
ITEMS = json.loads((TINY / "expected.json").read_text())["items"]


@pytest.fixture(scope="module")
def network() -> RewardNetwork:
    return load_network(TINY / "ckpt" / "model.safetensors")


def hear(network: RewardNetwork, name: str) -> Any:
    samples = torch.from_numpy(Sound(TINY / name).load(network.rate))
    return network.hear(samples[None])[0]


def prompt(network: RewardNetwork, item: dict[str, Any]) -> Prompted:
    text, lyrics = network.read([item["text"], item["lyrics"]])
    return Prompted(text, lyrics, hear(network, item["ref_audio"]) if item["ref_audio"] else None)


def rows(*lengths: int, seed: int = 0) -> list[Any]:
    made = torch.Generator().manual_seed(seed)
    return [torch.randn(length, 32, generator=made) for length in lengths]


def near(scores: Sequence[Any]) -> Any:
    return pytest.approx(torch.as_tensor(scores).numpy(), abs=1e-6)


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: f"{item['audio']}-{item['ref_audio']}")
def test_published_scores(network: RewardNetwork, item: dict[str, Any]) -> None:
    scores = network.score([hear(network, item["audio"])], [prompt(network, item)])
    assert scores.numpy() == near([item["scores"]])


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1], [1, 1, 2, 0, 2]])
def test_scores_of_a_batch(network: RewardNetwork, order: list[int]) -> None:
    items = [ITEMS[place] for place in order]
    heard = [hear(network, item["audio"]) for item in items]
    scores = network.score(heard, [prompt(network, item) for item in items])
    assert scores.numpy() == near([item["scores"] for item in items])


def test_chunks_of_equal_length_are_heard_as_if_alone(network: RewardNetwork) -> None:
    chunks = torch.randn(5, 12345) * torch.tensor([1.0, 0.1, 0.0, 1e-4, 3.0])[:, None]
    together = network.hear(chunks)
    for chunk, frames in zip(chunks, together):
        assert network.hear(chunk[None])[0].numpy() == pytest.approx(frames.numpy(), abs=2e-6)


@pytest.mark.parametrize("samples", [1025, 1200, 2400, 12000, 24001, 100_000, 719_999, 720_000])
def test_frames_of_a_chunk(network: RewardNetwork, samples: int) -> None:
    quarter = -(-(samples // 240) // 2)
    assert network.hear(torch.zeros(1, samples)).shape == (1, -(-quarter // 2), 32)


def test_a_chunk_too_short_to_be_heard(network: RewardNetwork) -> None:
    assert network.hear(torch.zeros(1, SHORTEST)).isfinite().all()
    with pytest.raises(UsageError, match=r"\(1, 1024\) cannot be heard \(.*1025 samples or more"):
        network.hear(torch.zeros(1, SHORTEST - 1))


def test_texts_are_read_as_if_alone(network: RewardNetwork) -> None:
    texts = ["", "jazz", "la " * 40, "", "A cheerful pop song", "x", "é, ü and 音楽 " * 9]
    together = network.read(texts)
    assert together[0].shape == (2, 32)
    for text, found in zip(texts, together):
        assert network.read([text])[0].numpy() == pytest.approx(found.numpy(), abs=2e-6)
    assert network.read([]) == []


def test_long_texts_are_cut(network: RewardNetwork) -> None:
    assert [len(found) for found in network.read(["la " * 5000, "la"])] == [512, 4]


def test_many_texts_are_read_in_parts(network: RewardNetwork) -> None:
    texts = [f"{'la ' * 300} {place}" for place in range(20)]
    assert [tuple(found[-2].tolist()) for found in network.read(texts)] == [
        pytest.approx(tuple(network.read([text])[0][-2].tolist()), abs=2e-6) for text in texts
    ]


def test_a_piece_of_less_than_a_row_scores(network: RewardNetwork) -> None:
    # Three frames, of which four make a row: nothing is left of the piece, whatever it was asked for.
    text, lyrics = network.read(["pop", ""])
    heard = [*rows(3, seed=1), *rows(40, seed=2), *rows(2, seed=3)]
    scores = network.score(heard, [Prompted(text, lyrics, ref) for ref in (None, rows(9)[0], rows(5)[0])])
    assert scores.isfinite().all()
    assert scores[0].numpy() == pytest.approx(scores[2].numpy(), abs=1e-7)
    assert network.score(heard[1:2], [Prompted(text, lyrics, rows(9)[0])]).numpy() == near(scores[1:2])
    assert network.score([], []).shape == (0, 2)


def test_bfloat16_is_near(network: RewardNetwork) -> None:
    item = ITEMS[2]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        heard = hear(network, item["audio"])
        scores = network.score([heard], [prompt(network, item)])
    assert heard.dtype == scores.dtype == torch.float32
    assert scores.numpy() == pytest.approx(torch.tensor([item["scores"]]).numpy(), abs=0.05)
    # Nothing of that stays behind.
    again = network.score([hear(network, item["audio"])], [prompt(network, item)])
    assert again.numpy() == near([item["scores"]])


@pytest.mark.parametrize("name", ["perceptrons", "gated stages", "stages", "crossed", "t5", "sanity"])
def test_all_kinds_can_do_with_bfloat16(tmp_path: Path, name: str) -> None:
    network = load_network(make_reward_checkpoint(tmp_path, **VARIANTS[name]))
    noise = torch.randn(3, 30_000, generator=torch.Generator().manual_seed(1))

    def compute() -> Any:
        heard, texts = list(network.hear(noise)), network.read(["pop", "", "la la"])
        refs = [None, heard[0], heard[1][:20]]
        return network.score(heard, [Prompted(text, texts[1], ref) for text, ref in zip(texts, refs)])

    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = compute()
    assert rough.dtype == torch.float32
    assert rough.numpy() == pytest.approx(compute().numpy(), abs=0.1)


def test_several_threads_hear_at_once(network: RewardNetwork) -> None:
    chunks = [torch.randn(1, 3000 + 700 * (place % 7)) for place in range(60)]
    alone = [network.hear(chunk) for chunk in chunks]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(network.hear, chunks))
    assert all(torch.allclose(one, other, atol=2e-6) for one, other in zip(alone, together))


def test_nothing_is_left_to_train(network: RewardNetwork) -> None:
    assert not network.training
    assert not any(one.requires_grad or one.is_meta for one in network.parameters())
    assert network.rate == 24000
    assert network.device.type == "cpu"
