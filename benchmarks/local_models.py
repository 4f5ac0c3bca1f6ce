"""Local Hugging Face models beside lm-evaluation-harness: CPU time of the same answers.

    python benchmarks/local_models.py [--peer-python PATH] [--only WORKLOAD …] [--runs 3]

A random Llama of 5 million parameters, made here, answers four workloads in float32 on one thread:

    generation   512 prompts of 10 to 500 tokens, 32 new tokens each, greedy
    letters      questions with four options behind five examples, answered by a letter, by likelihood
    options      the same, answered by the options' texts
    fewshot      questions behind eight examples, 32 new tokens each, greedy

The peer runs with several batch sizes and is compared at its best. Its environment is the one of
`--peer-python`, else one that is built under .cache/ on first use (about 1.5 GB).
"""

from __future__ import annotations

import argparse
import json
import pydoc_data.topics
import random
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from measure import measure

CACHE = Path(__file__).resolve().parent.parent / ".cache" / "local_models"
CONTESTANTS = Path(__file__).with_name("local_contestants.py")
TARGETS = {"generation": 1.15, "letters": 5.0, "options": 5.0, "fewshot": 2.0}
SHAPE: dict[str, Any] = {
    "hidden_size": 256,
    "intermediate_size": 704,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
}


def make_model(folder: Path) -> Path:
    """A Llama with random weights and a tokenizer learnt from Python's own help texts."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=2048,
        special_tokens=["<pad>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(pydoc_data.topics.topics.values(), trainer)
    names = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, clean_up_tokenization_spaces=False, **names)
    torch.manual_seed(0)
    # Untied and with large weights: such a network does not repeat one token for ever.
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    config = LlamaConfig(vocab_size=2048, tie_word_embeddings=False, initializer_range=0.1, **SHAPE, **ids)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_workloads(model: Path) -> dict[str, list[dict[str, Any]]]:
    """The questions of every workload, from seed 0."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    text = tokenizer("\n".join(pydoc_data.topics.topics.values()), verbose=False)["input_ids"]
    draw = random.Random(0)

    def words(length: int) -> str:
        begin = draw.randrange(len(text) - length)
        return str(tokenizer.decode(text[begin : begin + length])).replace("\n", " ").strip()

    def question(*, asked: int, option: int) -> dict[str, Any]:
        options = [words(option) for _ in range(4)]
        listed = "".join(f"\n{letter}. {text}" for letter, text in zip("ABCD", options))
        return {"text": f"Question: {words(asked)}?{listed}\nAnswer:", "options": [f" {o}" for o in options]}

    def choice(count: int, *, long: bool) -> list[dict[str, Any]]:
        def ending(one: dict[str, Any]) -> str:
            return str(draw.choice(one["options"] if long else [" A", " B", " C", " D"]))

        shots = [question(asked=40, option=12) for _ in range(5)]
        header = "".join(shot["text"] + ending(shot) + "\n\n" for shot in shots)
        asked = [question(asked=40, option=12) for _ in range(count)]
        letters = [" A", " B", " C", " D"]
        return [{"prompt": header + q["text"], "choices": q["options"] if long else letters} for q in asked]

    params = {"max_tokens": 32}
    examples = "".join(f"Question: {words(40)}?\nAnswer: {words(30)}\n\n" for _ in range(8))
    return {
        "generation": [{"prompt": words(draw.randint(10, 500)), "params": params} for _ in range(512)],
        "letters": choice(128, long=False),
        "options": choice(48, long=True),
        "fewshot": [
            {"prompt": f"{examples}Question: {words(draw.randint(20, 60))}?\nAnswer:", "params": params}
            for _ in range(128)
        ],
    }


def find_peer(given: Path | None) -> Path:
    """A Python that has lm-evaluation-harness, with the same torch and transformers as ours."""
    if given is not None:
        return given
    import torch
    import transformers

    python = CACHE / "peer" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", CACHE / "peer"], check=True)
        for needed in (
            [f"torch=={torch.__version__.split('+')[0]}"],
            ["lm-eval[hf]", f"transformers=={transformers.__version__}"],
        ):
            subprocess.run([python, "-m", "pip", "install", "--quiet", *needed], check=True)
    return python


def run(command: list[str | Path], *, times: int) -> dict[str, Any]:
    """The medians of several runs of a contestant, and the answers of the last."""
    costs, rss = [], []
    for _ in range(times):
        measured = measure(command)
        told = json.loads(measured.output.strip().splitlines()[-1])
        costs.append(told["cpu"])
        rss.append(measured.rss_mb)
    return {"cpu": statistics.median(costs), "rss": statistics.median(rss), "answers": told["answers"]}


def compare(ours: list[Any], theirs: list[Any]) -> str:
    """How far the answers of the two agree."""
    if isinstance(ours[0], str):
        # The peer cuts nothing off here, and strips nothing.
        return f"{sum(a == b for a, b in zip(ours, theirs))} of {len(ours)} identical"
    apart = max(abs(a - b) for row, other in zip(ours, theirs) for a, b in zip(row, other))
    return f"at most {apart:.1e} apart"


def main() -> None:
    """Run all contestants on all workloads and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer-python", type=Path)
    parser.add_argument("--peer-batches", nargs="+", default=["4", "16", "32"])
    parser.add_argument("--only", nargs="+", choices=list(TARGETS), default=list(TARGETS))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--alone", action="store_true", help="without the peer")
    options = parser.parse_args()
    CACHE.mkdir(parents=True, exist_ok=True)
    model = CACHE / "llama5m"
    if not (model / "tokenizer.json").exists():
        make_model(model)
    peer = None if options.alone else find_peer(options.peer_python)
    print(
        f"{'workload':<12}{'contestant':<14}{'CPU s':>8}{'per CPU s':>11}{'RSS MB':>8}{'ratio':>8}  answers"
    )
    for name, questions in make_workloads(model).items():
        if name not in options.only:
            continue
        file = CACHE / f"{name}.json"
        file.write_text(json.dumps(questions))
        ours = run([sys.executable, CONTESTANTS, "steelyard", model, file], times=options.runs)
        rate = len(questions) / ours["cpu"]
        print(f"{name:<12}{'steelyard':<14}{ours['cpu']:>8.2f}{rate:>11.2f}{ours['rss']:>8.0f}", flush=True)
        for batch in options.peer_batches if peer else []:
            command = [peer, CONTESTANTS, "lm-eval", model, file, batch]
            theirs = run([part for part in command if part], times=options.runs)
            ratio = theirs["cpu"] / ours["cpu"]
            told = f"lm-eval {batch}"
            print(
                f"{name:<12}{told:<14}{theirs['cpu']:>8.2f}{len(questions) / theirs['cpu']:>11.2f}"
                f"{theirs['rss']:>8.0f}{ratio:>7.2f}x  {compare(ours['answers'], theirs['answers'])}"
                f"{'' if ratio >= TARGETS[name] else f'  (aim: {TARGETS[name]}x)'}",
                flush=True,
            )


if __name__ == "__main__":
    main()
