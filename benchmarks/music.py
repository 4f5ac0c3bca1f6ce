"""Music reward scores: an evaluation beside a loop that decodes and scores one piece after another.

    python benchmarks/music.py [--items 200] [--runs 3] [--memory 100 200 400]
    python benchmarks/music.py --official-size [--device cuda:0] [--items 200]

Pieces of 30 s, 44.1 kHz, stereo, a third each as wav, flac and mp3; a tiny checkpoint of the official layout.

    loop-1, loop-2   soundfile, the same resampling, the same network, with one and two threads of torch
    steelyard        evaluate(...), records stored

Model and libraries are loaded before the clock starts. Then the memory of evaluations of several sizes.
With --official-size a network as large as the published one, of random weights, as one evaluation after
another: alone, in batches, and how busy the device was, where it tells.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from measure import measure

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "music"
CHECKPOINT = ROOT / "tests" / "data" / "reward-tiny" / "ckpt" / "model.safetensors"
CONTESTANTS = ("loop-1", "loop-2", "steelyard")
TARGET = 1.5
SECONDS = 30
RATE = 44_100
KINDS = ("wav", "flac", "mp3")
# What keeps the clock and the memory free of what is only done once.
WARM_UP = 4


def prompt_of(number: int) -> tuple[str, str]:
    """What a piece was asked for with: one of forty texts, with lyrics for every third piece."""
    text = f"a {['slow', 'cheerful', 'dark', 'loud'][number % 4]} song number {number % 40} for the evening"
    return text, "la la la, the river runs, the night is long" if number % 3 == 0 else ""


def path_of(folder: Path, number: int) -> Path:
    """Where a piece lies."""
    return folder / f"{number}.{KINDS[number % len(KINDS)]}"


def make_pieces(folder: Path, count: int) -> None:
    """Chords that come and go over soft noise, each piece another; no more work to decode than music is."""
    import numpy as np
    import soundfile

    folder.mkdir(parents=True, exist_ok=True)
    times = np.arange(SECONDS * RATE, dtype=np.float32) / RATE
    for number in range(count):
        path = path_of(folder, number)
        if path.exists():
            continue
        dice = np.random.default_rng(number)
        wave = dice.standard_normal((len(times), 2), dtype=np.float32) * 0.01
        for pitch in dice.uniform(80, 4000, 6):
            swell = 0.1 * np.sin(2 * np.pi * dice.uniform(0.1, 2) * times) ** 2
            wave += (swell * np.sin(2 * np.pi * pitch * times))[:, None] * dice.uniform(0.3, 1, 2)
        new = path.with_name(f"new-{path.name}")
        soundfile.write(new, wave, RATE)
        new.replace(path)


def score_one_by_one(folder: Path, items: range) -> list[list[float]]:
    """Decode, hear, read and score, one piece after the other."""
    import soundfile
    import torch

    from steelyard.media.resampling import resample
    from steelyard.models.music.network import Prompted, load_network

    network = load_network(CHECKPOINT)
    scores = []
    for number in items:
        text, lyrics = prompt_of(number)
        samples, rate = soundfile.read(path_of(folder, number), dtype="float32", always_2d=True)
        # Of numpy's ways and torch's the fastest.
        mono = torch.from_numpy(samples).mean(1).numpy() if samples.shape[1] > 1 else samples[:, 0]
        wave = torch.from_numpy(resample(mono, rate, network.rate)[: 120 * network.rate])
        with torch.inference_mode():
            frames = torch.cat([network.hear(chunk[None])[0] for chunk in wave.split(30 * network.rate)])
            prompted = Prompted(*network.read([text, lyrics]))
            scores.append(network.score([frames], [prompted])[0].tolist())
    return scores


def score_all(folder: Path, items: Sequence[int], **options: Any) -> tuple[list[list[float]], dict[str, Any]]:
    """Evaluate, and read the stored scores back."""
    from steelyard import Part, Sample, evaluate
    from steelyard.media.sounds import Sound
    from steelyard.models.music.opening import load_music_reward
    from steelyard.tasks.rewards import preference

    samples = []
    for number in items:
        text, lyrics = prompt_of(number)
        asked = {"audio": Part("audio", Sound(path_of(folder, number))), "text": text, "lyrics": lyrics}
        samples.append(Sample(str(number), asked, {"musicality": number % 5, "alignment": number % 7}))
    model = load_music_reward(**{"checkpoint": CHECKPOINT, "device": "cpu", **options})
    with tempfile.TemporaryDirectory() as out:
        run = evaluate(model, preference(data=samples), out=out)
        records = sorted(run.records(), key=lambda record: record.index)
    model.close()
    failed = [record.response.error for record in records if record.response.error]
    if failed:
        sys.exit(f"{len(failed)} pieces failed: {failed[0]}")
    scores = [list(record.response.scores.values()) for record in records]
    return scores, run.about["spent"]


def contest(contestant: str, folder: Path, items: int) -> None:
    """Run one contestant in this process and print what it cost, its start not counted."""
    if contestant == "steelyard":
        # As whoever runs it has it.
        os.environ.pop("OMP_NUM_THREADS", None)
        os.environ.pop("OPENBLAS_NUM_THREADS", None)
        score_all(folder, range(WARM_UP))
        wall, cpu = time.perf_counter(), time.process_time()
        scores, spent = score_all(folder, range(items))
    else:
        threads = contestant.removeprefix("loop-")
        os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = threads
        score_one_by_one(folder, range(WARM_UP))
        wall, cpu = time.perf_counter(), time.process_time()
        scores, spent = score_one_by_one(folder, range(items)), {}
    told = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "spent": spent}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**told, "scores": scores, "rss": peak}))


def report(runs: dict[str, list[dict[str, Any]]], items: int) -> None:
    """Print what the contestants cost, and whether they agree."""
    print(f"{'':12} {'items/s':>8} {'audio s/s':>10} {'CPU s':>8} {'peak MB':>8}")
    walls = {}
    for name, of_it in runs.items():
        wall, cpu, rss = (statistics.median(run[key] for run in of_it) for key in ("wall", "cpu", "rss"))
        walls[name] = wall
        print(f"{name:12} {items / wall:8.1f} {items * SECONDS / wall:10.0f} {cpu:8.1f} {rss:8.0f}")
    ours, theirs = (runs[name][-1]["scores"] for name in ("steelyard", "loop-1"))
    apart = max(abs(a - b) for mine, other in zip(ours, theirs) for a, b in zip(mine, other))
    print(f"the scores are apart by {apart:.1e} at most")
    best = min(walls["loop-1"], walls["loop-2"])
    print(
        f"steelyard scores {best / walls['steelyard']:.2f} times as fast as the better loop (target {TARGET})"
    )
    spent = runs["steelyard"][-1]["spent"]
    print("spent:", ", ".join(f"{name} {value:.1f}" for name, value in spent.items()))


def make_official_size(home: Path) -> Path:
    """A checkpoint of random weights whose encoders and layers are as large as the published ones."""
    # In the place of this folder, whose music.py is what runs here.
    sys.path[0] = str(ROOT / "tests" / "models")
    from music.checkpoints import make_reward_checkpoint

    checkpoint = home / "ckpt" / "model.safetensors"
    own = {"heads": 8, "dim_head": 64, "ff_mult": 4}
    if not checkpoint.exists():
        checkpoint = make_reward_checkpoint(
            home,
            reward={"dim": 768, "mlp_dim": 512, "joint_tf_depth": 4, **own},
            mulan={
                "audio_model": {"model_dim": 768},
                "audio_transformer": {"dim": 768, "tf_depth": 0, **own},
                "text_transformer": {"dim": 768, "tf_depth": 8, "max_seq_len": 1024, **own},
            },
            muq={"encoder_dim": 1024, "encoder_depth": 12, "conv_dim": 512},
            conformer={
                "num_attention_heads": 16,
                "intermediate_size": 4096,
                "rotary_embedding_base": 10_000,
                "conv_depthwise_kernel_size": 31,
            },
            roberta={
                "hidden_size": 768,
                "num_hidden_layers": 12,
                "num_attention_heads": 12,
                "intermediate_size": 3072,
                "max_position_embeddings": 514,
            },
        )
    return checkpoint


@contextmanager
def watch_device() -> Iterator[list[float]]:
    """How busy the first graphics card is in percent, looked at ten times a second, where it tells."""
    seen: list[float] = []
    over = threading.Event()

    def look() -> None:
        try:
            import pynvml

            pynvml.nvmlInit()
            card = pynvml.nvmlDeviceGetHandleByIndex(0)
            while not over.wait(0.1):
                seen.append(pynvml.nvmlDeviceGetUtilizationRates(card).gpu)
        except Exception as error:
            print(f"how busy the device is cannot be told: {error}")

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


def measure_official_size(folder: Path, items: int, device: str) -> None:
    """A network of the published size, of random weights: one piece at a time, then in batches."""
    checkpoint = make_official_size(CACHE / "official-size")
    for batch_size in (1, 8, 32):
        options = {"checkpoint": checkpoint, "device": device, "batch_size": batch_size}
        score_all(folder, range(WARM_UP), **options)
        begun = time.perf_counter()
        with watch_device() as seen:
            _, spent = score_all(folder, range(items), **options)
        wall = time.perf_counter() - begun
        busy = f", busy {statistics.mean(seen):.0f} %" if seen else ""
        speed = f"{items / wall:.1f} items/s, {items * SECONDS / wall:.0f} audio s/s{busy}"
        told = ", ".join(f"{name} {value:.1f}" for name, value in spent.items())
        print(f"{batch_size:3} a batch: {speed} ({told})")


def main() -> None:
    """Run all contestants and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--memory", type=int, nargs="*", default=[100, 200, 400], metavar="ITEMS")
    parser.add_argument("--official-size", action="store_true")
    parser.add_argument("--device", default="auto", help="for --official-size")
    parser.add_argument("--contest", choices=CONTESTANTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contest:
        contest(options.contest, CACHE, options.items)
        return
    make_pieces(CACHE, max(options.items, 0 if options.official_size else max(options.memory, default=0)))
    if options.official_size:
        measure_official_size(CACHE, options.items, options.device)
        return

    def run(name: str, items: int) -> dict[str, Any]:
        found = measure([sys.executable, Path(__file__), "--contest", name, "--items", str(items)])
        told: dict[str, Any] = json.loads(found.output.strip().splitlines()[-1])
        return told

    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTESTANTS}
    for _ in range(options.runs):
        # One after the other, so that a busy machine is busy for all of them.
        for name in CONTESTANTS:
            runs[name].append(run(name, options.items))
    report(runs, options.items)
    peaks = {items: run("steelyard", items)["rss"] for items in options.memory}
    print("peak memory:", ", ".join(f"{items} items {peak:.0f} MB" for items, peak in peaks.items()))


if __name__ == "__main__":
    main()
