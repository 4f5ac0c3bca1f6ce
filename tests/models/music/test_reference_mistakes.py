"""What the random checkpoints can see: each mistake that is easy to make moves a score by more than 1e-4."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from music.checkpoints import make_reward_checkpoint
from music.noises import write_noise
from music.reference import Reference, downsamplers, hearing, layers, sounds
from music.reference.layers import Array

SEEN = 1e-4
LONG_TEXT = "The song of a jazz band in the rain, " * 8
DOWNSAMPLING = {
    "eval": "b1",
    "ref": "conv",
    "text": "two",
    "configs": {
        "b1": {"kind": "b1", "factor": 4},
        "conv": {"kind": "conv", "factor": 3},
        "two": {"kind": "b3", "factor": 2},
        "none": {"kind": "none"},
    },
}

Break = Callable[[pytest.MonkeyPatch, Reference], None]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("mistakes")
    make_reward_checkpoint(
        home / "varied",
        reward={"downsample": DOWNSAMPLING},
        mulan={"audio_transformer": {"tf_depth": 1}},
        roberta={"hidden_size": 30},
        encoders=("checkpoint", "mulan", "folders"),
    )
    make_reward_checkpoint(home / "plain")
    make_reward_checkpoint(home / "crossed", reward={"attention_mode": "CA"})
    make_reward_checkpoint(home / "t5", t5={})
    write_noise(home / "short.wav", 4.3, seed=1, rate=44100, channels=2)
    write_noise(home / "long.wav", 33.0, seed=2)
    write_noise(home / "ref.wav", 1.7, seed=3)
    return home


def opened(home: Path, name: str) -> Reference:
    return Reference(home / name / "ckpt" / "model.safetensors")


def loudest_80_db(patch: pytest.MonkeyPatch, reference: Reference) -> None:
    right = hearing.decibels
    patch.setattr(hearing, "decibels", lambda x: np.maximum(right(x), right(x).max() - 80.0))


def last_frame_kept(patch: pytest.MonkeyPatch, reference: Reference) -> None:
    patch.setattr(hearing, "without_last", lambda frames: frames)


def statistics_ignored(patch: pytest.MonkeyPatch, reference: Reference) -> None:
    right = hearing.batch_norm

    def blind(x: Array, weights: dict[str, Array], *, axis: int) -> Array:
        start = {"running_mean": 0.0 * weights["weight"], "running_var": 0.0 * weights["weight"] + 1.0}
        return right(x, {**weights, **start}, axis=axis)

    patch.setattr(hearing, "batch_norm", blind)


def turned_after_the_projections(patch: pytest.MonkeyPatch, reference: Reference) -> None:
    right = hearing.queries_and_keys

    def late(x: Array, weights: dict[str, Array], config: dict[str, Any]) -> tuple[Array, Array]:
        q, k = right(x, weights, {**config, "position_embeddings_type": None})
        base = config["rotary_embedding_base"]
        return hearing.rotated(q, base), hearing.rotated(k, base)

    patch.setattr(hearing, "queries_and_keys", late)


def conformer_said(**changes: Any) -> Break:
    def breaks(patch: pytest.MonkeyPatch, reference: Reference) -> None:
        for key, value in changes.items():
            patch.setitem(reference.muq["w2v2_config"], key, value)

    return breaks


def constant(module: Any, name: str, value: Any) -> Break:
    def breaks(patch: pytest.MonkeyPatch, reference: Reference) -> None:
        patch.setattr(module, name, value)

    return breaks


def each_chunk_downsampled(patch: pytest.MonkeyPatch, reference: Reference) -> None:
    def apart(chunks: list[Array], part: str) -> Array:
        return np.concatenate([reference.reduced(chunk, part, part) for chunk in chunks])

    patch.setattr(reference, "reduced_chunks", apart)


def tail_padded(patch: pytest.MonkeyPatch, reference: Reference) -> None:
    right = sounds.chunks_of

    def padded(x: Array) -> list[Array]:
        return right(np.pad(x, (0, -len(x) % sounds.CHUNK)))

    patch.setattr(sounds, "chunks_of", padded)


def longest_ignored(patch: pytest.MonkeyPatch, reference: Reference) -> None:
    patch.setitem(reference.mulan["text_transformer"], "max_seq_len", 512)


def halves_swapped(patch: pytest.MonkeyPatch, reference: Reference) -> None:
    right = layers.gated
    patch.setattr(layers, "gated", lambda x: right(np.roll(x, x.shape[-1] // 2, axis=-1)))


def empty_text_is(rows: Callable[[Reference, str], Array]) -> Break:
    def breaks(patch: pytest.MonkeyPatch, reference: Reference) -> None:
        right = reference.text_rows
        patch.setattr(
            reference,
            "text_rows",
            lambda text, module: right(text, module) if text else rows(reference, module),
        )

    return breaks


def null_rows(reference: Reference, module: str) -> Array:
    return reference.weights[f"null_{module}_embedding"][0]


def no_rows(reference: Reference, module: str) -> Array:
    return np.zeros((0, reference.config["dim"]))


def texts_exchanged(patch: pytest.MonkeyPatch, reference: Reference) -> None:
    right, other = reference.text_rows, {"text": "lyrics", "lyrics": "text"}
    patch.setattr(reference, "text_rows", lambda text, module: right(text, other[module]))


def same_downsampler_for_references(patch: pytest.MonkeyPatch, reference: Reference) -> None:
    right = reference.reduced_chunks
    patch.setattr(reference, "reduced_chunks", lambda chunks, part: right(chunks, "eval"))


def silence_for_no_reference(patch: pytest.MonkeyPatch, reference: Reference) -> None:
    right = reference.prompt
    silence = reference.hear(np.zeros(24000))
    patch.setattr(reference, "prompt", lambda text, lyrics, ref: right(text, lyrics, ref or silence))


def encoders_of(*order: int) -> Break:
    """The sources of the weights (MuQ folder, text folder, MuLan folder, checkpoint), in another order."""

    def breaks(patch: pytest.MonkeyPatch, reference: Reference) -> None:
        given = reference.sources()
        shuffled = {k: v.astype(np.float64) for place in order for k, v in given[place].items()}
        patch.setattr(reference, "weights", shuffled)
        del reference.audio_weights, reference.text_weights

    return breaks


def left_alone(patch: pytest.MonkeyPatch, reference: Reference) -> None:
    patch.setattr(sounds, "mixed", lambda samples: samples[:, 0])


def straight_lines(patch: pytest.MonkeyPatch, reference: Reference) -> None:
    def drawn(x: Array, rate: int) -> Array:
        count = math.ceil(len(x) * sounds.RATE / rate)
        return np.interp(np.arange(count) * rate / sounds.RATE, np.arange(len(x)), x)

    patch.setattr(sounds, "resampled", drawn)


def frequency_slow(patch: pytest.MonkeyPatch, reference: Reference) -> None:
    weights = reference.audio_weights
    name = "model.model.conv.linear.weight"
    turned = weights[name].reshape(20, 5, 32).transpose(0, 2, 1).reshape(20, -1)
    patch.setattr(reference, "audio_weights", {**weights, name: turned})


def filters_of_equal_area(patch: pytest.MonkeyPatch, reference: Reference) -> None:
    filters = hearing.mel_filters()
    patch.setattr(hearing, "mel_filters", lambda: filters / filters.sum(1, keepdims=True))


def no_mask_without_downsampler(patch: pytest.MonkeyPatch, reference: Reference) -> None:
    patch.setattr(Reference, "uniform", False)


def prompt_looked_at_as_at_oneself(patch: pytest.MonkeyPatch, reference: Reference) -> None:
    right, apart = layers.cross_attention, layers.in_heads

    def crossed(*given: Any, heads: int) -> Array:
        with patch.context() as inner:
            inner.setattr(layers, "in_heads", lambda rows, heads: layers.unit(apart(rows, heads)))
            return right(*given, heads=heads)

    patch.setattr(layers, "cross_attention", crossed)


SHORT = {"audio": "short.wav", "text": "A jazz song", "lyrics": "la la la"}
REF = {**SHORT, "ref_audio": "ref.wav"}
LONG = {"audio": "long.wav", "text": "pop", "lyrics": ""}

MISTAKES: dict[str, tuple[str, dict[str, str], Break]] = {
    "nothing more than 80 dB below the loudest": ("varied", SHORT, loudest_80_db),
    "the last frame kept": ("varied", SHORT, last_frame_kept),
    "statistics of batch norms ignored": ("varied", SHORT, statistics_ignored),
    "rotation after the projections": ("varied", SHORT, turned_after_the_projections),
    "the usual base of rotations": ("varied", LONG, conformer_said(rotary_embedding_base=10000)),
    "the usual eps of the last norm": ("varied", SHORT, conformer_said(layer_norm_eps=1e-5)),
    "gelu for swish": ("varied", SHORT, conformer_said(hidden_act="gelu")),
    "one chunk only": ("varied", LONG, constant(sounds, "CHUNK", 10**9)),
    "each chunk downsampled alone": ("varied", LONG, each_chunk_downsampled),
    "the tail padded": ("varied", LONG, tail_padded),
    "a long text not cut": ("varied", {**SHORT, "text": LONG_TEXT}, longest_ignored),
    "the usual scale of attention": ("varied", SHORT, constant(layers, "OWN_SCALE", 10**-0.5)),
    "the halves of the gate exchanged": ("varied", SHORT, halves_swapped),
    "null rows for no text": ("varied", LONG, empty_text_is(null_rows)),
    "no rows for no text": ("varied", LONG, empty_text_is(no_rows)),
    "text and lyrics downsampled by each other's": ("varied", SHORT, texts_exchanged),
    "the reference downsampled as the piece": ("varied", REF, same_downsampler_for_references),
    "silence for no reference": ("varied", SHORT, silence_for_no_reference),
    "MuLan's weights over the checkpoint's": ("varied", SHORT, encoders_of(0, 1, 3, 2)),
    "MuQ's weights over the checkpoint's": ("varied", SHORT, encoders_of(1, 2, 3, 0)),
    "the text folder's weights over the checkpoint's": ("varied", SHORT, encoders_of(0, 2, 3, 1)),
    "the left channel alone": ("varied", SHORT, left_alone),
    "resampling along straight lines": ("varied", SHORT, straight_lines),
    "frequency slow, channel fast": ("varied", SHORT, frequency_slow),
    "mel filters of equal area": ("varied", SHORT, filters_of_equal_area),
    "wider pairs of factors": ("varied", SHORT, constant(downsamplers, "two_factors", lambda n: (n, 1))),
    "T5's mask taken for a right one": ("t5", SHORT, no_mask_without_downsampler),
    "unit vectors towards the prompt": ("crossed", SHORT, prompt_looked_at_as_at_oneself),
    "no last frame, without downsampler": ("plain", SHORT, last_frame_kept),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_seen(monkeypatch: pytest.MonkeyPatch, home: Path, name: str) -> None:
    checkpoint, item, breaks = MISTAKES[name]
    files: dict[str, Any] = {
        key: home / value if value.endswith(".wav") else value for key, value in item.items()
    }
    reference = opened(home, checkpoint)
    right = reference.score(**files)
    breaks(monkeypatch, reference)
    wrong = reference.score(**files)
    assert np.abs(wrong - right).max() > SEEN
