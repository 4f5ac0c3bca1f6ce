"""Questions about pictures: a vision-language model in batches beside a loop over the questions.

    python benchmarks/vision.py [--family qwen2_vl] [--side 640] [--samples 256] [--runs 3] [--images 10000]

A tiny random network answers questions about drawn photographs, greedily, 16 tokens long, float32 on
one thread: opening the pictures is a good part of the work, the larger part with --side 1280.

    loop         transformers' own processor and generate, one question after the other
    unprepared   steelyard in batches, the pictures of each batch opened when it is its turn
    steelyard    the same, the pictures of the next batch opened and laid out while one is answered

Then the memory of `--images` different pictures, answered one wave after the other.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import random
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from measure import measure

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "vision"
CONTESTANTS = ("loop", "unprepared", "steelyard")
TARGET = 2.0
NEW_TOKENS = 16
WAVE = 256


def draw(seed: int, *, width: int, height: int) -> bytes:
    """A JPEG with a gradient, a few hundred strokes and some noise, as hard to open as a photograph."""
    import numpy as np
    from PIL import Image, ImageDraw

    dice = random.Random(seed)
    ramp = np.linspace(0, 120, width, dtype=np.float32)[None, :] + np.linspace(0, 90, height)[:, None]
    noise = np.random.default_rng(seed).integers(0, 40, (height, width, 3))
    picture = Image.fromarray((ramp[:, :, None] + noise).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    for _ in range(200):
        place = [dice.randrange(width), dice.randrange(height), dice.randrange(width), dice.randrange(height)]
        pen.line(place, fill=(dice.randrange(256), dice.randrange(256), dice.randrange(256)), width=3)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90)
    return file.getvalue()


def question(number: int) -> str:
    """A question of one of a few lengths."""
    return "What colour is the line?" + " Say it in a word." * (number % 4)


def make_work(folder: Path, *, family: str, side: int, samples: int) -> Path:
    """A checkpoint and the pictures of all questions."""
    sys.path.insert(0, str(ROOT / "tests" / "models"))
    from vision_checkpoints import make_checkpoint

    folder.mkdir(parents=True, exist_ok=True)
    make_checkpoint(family, folder / family)
    dice = random.Random(0)
    for number in range(samples):
        file = folder / f"{number}.jpg"
        if not file.exists():
            shorter = side * dice.choice([9, 10, 12]) // 16
            width, height = dice.choice([(side, shorter), (shorter, side)])
            file.write_bytes(draw(number, width=width, height=height))
    return folder / family


def loop(model: Path, samples: int) -> list[str]:
    """Transformers as its examples show it."""
    import torch
    import transformers
    from PIL import Image

    from steelyard.models.checkpoints import find_source, read_config
    from steelyard.models.processors import read_processor

    source = find_source(str(model))
    processor = read_processor(source, read_config(source), options={})
    network = transformers.AutoModelForImageTextToText.from_pretrained(model).eval()
    said = []
    for number in range(samples):
        with Image.open(model.parent / f"{number}.jpg") as file:
            picture = file.convert("RGB")
        content = [{"type": "image"}, {"type": "text", "text": question(number)}]
        turns = [{"role": "user", "content": content}]
        prompt = processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        inputs = processor(text=[prompt], images=[[picture]], return_tensors="pt")
        with torch.inference_mode():
            out = network.generate(**inputs, max_new_tokens=NEW_TOKENS, do_sample=False)
        new = out[0, inputs["input_ids"].shape[1] :]
        said.append(
            processor.tokenizer.decode(new, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        )
    return said


def ours(model: Path, samples: int, *, ahead: bool) -> list[str]:
    """The same questions asked of a steelyard model."""
    from steelyard.models.base import LocalModel
    from steelyard.models.huggingface import load_huggingface
    from steelyard.models.vision import VisionModel
    from steelyard.types import Message, Part, Request

    if not ahead:
        VisionModel.prepare = LocalModel.prepare  # type: ignore[method-assign]
    opened = load_huggingface(model, device="cpu", max_tokens=NEW_TOKENS)
    requests = []
    for number in range(samples):
        content = [Part("image", model.parent / f"{number}.jpg"), Part("text", question(number))]
        turn: Message = {"role": "user", "content": content}
        requests.append(Request(str(number), [turn]))

    async def ask_all() -> list[str]:
        answers = await asyncio.gather(*map(opened.ask, requests))
        return [answer.error or answer.text for answer in answers]

    return asyncio.run(ask_all())


Spans = list[tuple[float, float]]


def watch_spans(method: str) -> Spans:
    """When a method of vision models runs, from now on."""
    from steelyard.models.vision import VisionModel

    plain, spans = getattr(VisionModel, method), []

    def timed(*arguments: Any) -> Any:
        begin = time.perf_counter()
        try:
            return plain(*arguments)
        finally:
            spans.append((begin, time.perf_counter()))

    setattr(VisionModel, method, timed)
    return spans


def shared(some: Spans, others: Spans) -> float:
    """How long both went on at once."""
    pairs = ((max(a, c), min(b, d)) for a, b in some for c, d in others)
    return sum(end - begin for begin, end in pairs if end > begin)


def contest(contestant: str, model: Path, samples: int) -> None:
    """Run one contestant in this process and print what it cost, its start not counted."""
    import torch

    torch.set_num_threads(1)

    def run(count: int) -> list[str]:
        return (
            loop(model, count)
            if contestant == "loop"
            else ours(model, count, ahead=contestant == "steelyard")
        )

    run(4)
    preparing, answering = watch_spans("prepare"), watch_spans("batch")
    wall, cpu = time.perf_counter(), time.process_time()
    said = run(samples)
    told = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "answers": said}
    told["prepared"] = sum(end - begin for begin, end in preparing)
    told["beside"] = shared(preparing, answering)
    print(json.dumps(told))


def watch_memory(model: Path, images: int) -> None:
    """Answer about so many different pictures and print the memory on the way."""
    import torch

    from steelyard.models.huggingface import load_huggingface
    from steelyard.types import Message, Part, Request

    torch.set_num_threads(1)
    opened = load_huggingface(model, device="cpu", max_tokens=2)

    def request(number: int) -> Request:
        picture = draw(number, width=320, height=240)
        turn: Message = {"role": "user", "content": [Part("image", picture), Part("text", question(number))]}
        return Request(str(number), [turn])

    async def ask_all() -> dict[int, float]:
        seen = {}
        for begin in range(0, images, WAVE):
            wave = [request(number) for number in range(begin, min(begin + WAVE, images))]
            answers = await asyncio.gather(*map(opened.ask, wave))
            assert all(answer.error is None for answer in answers)
            done = begin + len(wave)
            if done >= images or done // 1000 > begin // 1000:
                pages = int(Path("/proc/self/statm").read_text().split()[1])
                seen[done] = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
        return seen

    print(json.dumps(asyncio.run(ask_all())))


def report(results: dict[str, dict[str, Any]], samples: int) -> None:
    """Print what the contestants cost, and whether they agree."""
    print(f"{'':12} {'samples/s':>10} {'CPU s':>8} {'per CPU s':>10} {'peak MB':>8}")
    for name, result in results.items():
        rate, work = samples / result["wall"], samples / result["cpu"]
        print(f"{name:12} {rate:10.1f} {result['cpu']:8.1f} {work:10.1f} {result['rss']:8.0f}")
    walls = {name: result["wall"] for name, result in results.items()}
    same = sum(a == b for a, b in zip(results["loop"]["answers"], results["steelyard"]["answers"]))
    print(f"{same} of {samples} answers identical")
    ratio = walls["loop"] / walls["steelyard"]
    print(f"steelyard answers {ratio:.2f} times as fast as the loop (target {TARGET})")
    print(f"and {walls['unprepared'] / walls['steelyard']:.2f} times as fast as without preparing ahead")
    prepared, beside = results["steelyard"]["prepared"], results["steelyard"]["beside"]
    print(f"pictures were prepared for {prepared:.2f} s, {beside:.2f} s of it while the model answered")


def main() -> None:
    """Run all contestants and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--family", default="qwen2_vl")
    parser.add_argument("--side", type=int, default=640, help="the longer one of a picture, in pixels")
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--contest", choices=[*CONTESTANTS, "memory"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    folder = CACHE / str(options.side)
    model = folder / options.family
    if options.contest == "memory":
        watch_memory(model, options.images)
        return
    if options.contest:
        contest(options.contest, model, options.samples)
        return
    make_work(folder, family=options.family, side=options.side, samples=options.samples)
    command = [sys.executable, Path(__file__), "--family", options.family, "--side", str(options.side)]
    command += ["--samples", str(options.samples)]
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTESTANTS}
    for _ in range(options.runs):
        # One after the other, so that a busy machine is busy for all of them.
        for name in CONTESTANTS:
            measured = measure([*command, "--contest", name])
            told = json.loads(measured.output.strip().splitlines()[-1])
            runs[name].append({**told, "rss": measured.rss_mb})
    results = {}
    for name, of_it in runs.items():
        figures = ("wall", "cpu", "rss", "prepared", "beside")
        middle = {key: statistics.median(run[key] for run in of_it) for key in figures}
        results[name] = {**middle, "answers": of_it[-1]["answers"]}
    report(results, options.samples)
    if options.images:
        measured = measure([*command, "--contest", "memory", "--images", str(options.images)])
        seen = json.loads(measured.output.strip().splitlines()[-1])
        print("memory after so many pictures:", ", ".join(f"{n}: {mb:.0f} MB" for n, mb in seen.items()))


if __name__ == "__main__":
    main()
