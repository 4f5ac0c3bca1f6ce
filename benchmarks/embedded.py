"""Tokens per CPU second and peak memory of the embedded engine, beside torch with transformers.

    python benchmarks/embedded.py [--model FOLDER] [--questions 96] [--times 3]

The same model, the same questions, the same answers; every contestant in a process of its own, with one
thread. CPU seconds are those of answering, peak memory is that of the whole process.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from measure import measure

from steelyard.models.embedded import DEFAULT
from steelyard.types import Request

DEMO = Path(__file__).parents[1] / "src/steelyard/data/demo/arithmetic.jsonl"
MOST_TOKENS = 64
BATCHES = (1, 8, 32, 128)

Ask = Callable[[Sequence[str]], list[tuple[str, int]]]


def open_embedded(folder: Path) -> Ask:
    """Ours."""
    from steelyard.models.embedded import Embedded

    model = Embedded(folder, chat=False, max_tokens=MOST_TOKENS)

    def ask(prompts: Sequence[str]) -> list[tuple[str, int]]:
        said = model.batch([Request("", prompt) for prompt in prompts])
        return [(response.text, response.tokens.output or 0) for response in said if response.tokens]

    return ask


def open_transformers(folder: Path) -> Ask:
    """`generate` in batches, padded on the left."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(1)
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    end = tokenizer.eos_token_id

    def ask(prompts: Sequence[str]) -> list[tuple[str, int]]:
        inputs = tokenizer(list(prompts), return_tensors="pt", padding=True, return_token_type_ids=False)
        with torch.inference_mode():
            out = network.generate(**inputs, max_new_tokens=MOST_TOKENS, do_sample=False, pad_token_id=end)
        rows = out[:, inputs["input_ids"].shape[1] :].tolist()
        counts = [row.index(end) + 1 if end in row else len(row) for row in rows]
        return list(zip(tokenizer.batch_decode(rows, skip_special_tokens=True), counts))

    return ask


CONTESTANTS: dict[str, Callable[[Path], Ask]] = {"embedded": open_embedded, "transformers": open_transformers}


def contend(name: str, folder: Path, *, questions: int, batch: int) -> None:
    """Answer, and print what it took as one line of JSON."""
    rows = [json.loads(line) for line in DEMO.read_text().splitlines()[:questions]]
    prompts = sorted((f"Question: {row['question']}\nAnswer:" for row in rows), key=len)
    ask = CONTESTANTS[name](folder)
    ask(prompts[:1])
    begun = time.process_time()
    said = [one for place in range(0, len(prompts), batch) for one in ask(prompts[place : place + batch])]
    spent = time.process_time() - begun
    digest = hashlib.blake2b("\0".join(text for text, _ in said).encode(), digest_size=4).hexdigest()
    print(json.dumps({"tokens": sum(count for _, count in said), "cpu": spent, "answers": digest}))


def main() -> None:
    """Measure all contestants at several batch sizes and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=DEFAULT)
    parser.add_argument("--questions", type=int, default=96)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--contestant", nargs=2, metavar=("NAME", "BATCH"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contestant:
        name, batch = options.contestant
        contend(name, options.model, questions=options.questions, batch=int(batch))
        return
    print(f"{'batch':>5}  {'engine':<14}{'tokens/CPU s':>13}{'peak MB':>9}{'ratio':>7}  answers")
    for batch in BATCHES:
        speeds: dict[str, float] = {}
        for name in CONTESTANTS:
            found: list[dict[str, Any]] = []
            peaks = []
            for _ in range(options.times):
                command = [sys.executable, __file__, "--model", options.model, "--contestant", name, batch]
                measured = measure([*command, "--questions", options.questions])
                found.append(json.loads(measured.output.splitlines()[-1]))
                peaks.append(measured.rss_mb)
            speeds[name] = statistics.median(one["tokens"] / one["cpu"] for one in found)
            ratio = f"{speeds['embedded'] / speeds[name]:.1f}"
            peak, answers = statistics.median(peaks), found[-1]["answers"]
            print(
                f"{batch:>5}  {name:<14}{speeds[name]:>13,.0f}{peak:>9.0f}{ratio:>7}  {answers}", flush=True
            )


if __name__ == "__main__":
    main()
