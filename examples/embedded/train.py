"""Train the embedded model from nothing: its tokenizer, then the network.

    python examples/embedded/train.py --out FOLDER [--steps 3000] [--seed 1]

One thread, no data but the corpus, the same seed gives the same model on the same machine. The log
shows how many held-out answers are right to the last token.
"""

from __future__ import annotations

import argparse
import json
import struct
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random

import torch
from corpus import demo, examples, problem, short, words
from network import CONFIG, Llama
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import Tensor
from torch.nn.functional import cross_entropy

BOS, EOS, USER, ASSISTANT, SYSTEM = SPECIAL = ["<s>", "</s>", "<|user|>", "<|assistant|>", "<|system|>"]
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] not in ['system', 'user', 'assistant'] %}"
    "{{ raise_exception('There is no role ' + message['role']) }}{% endif %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] | trim + eos_token }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
DOCUMENTS = 48
PASS_TOKENS = 768
# The questions too are learnt a little: what they say is what answers are made of.
PROMPT_SHARE = 0.3
GROUPS = {
    **dict.fromkeys(["colour", "place", "owner", "yes_no", "compare"], "reading"),
    **dict.fromkeys(["sum", "copying"], "sums and copies"),
}
WEIGHT_RATE, OTHER_RATE = 0.02, 0.01


def train_tokenizer(seed: int) -> Tokenizer:
    """A byte-level BPE of the corpus; every digit is a token of its own, so that numbers have places."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=CONFIG["vocab_size"],
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    draw = Random(seed)
    texts = (
        " ".join(words(one, draw))
        for make in (problem, short)
        for one in islice(examples(make, seed, held_out=False), 20_000)
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, 0)])
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    return tokenizer


class Documents:
    """Endless documents in tokens, each with the mark of what is answer."""

    def __init__(self, tokenizer: Tokenizer, seed: int, *, held_out: bool = False) -> None:
        self._tokenizer = tokenizer
        self._draw = Random(seed)
        self._problems = examples(problem, seed + 1, held_out=held_out)
        self._shorts = examples(short, seed + 2, held_out=held_out)

    def take(self, number: int, *, problems: float) -> list[tuple[list[int], list[bool]]]:
        """Some documents, so many of them word problems; one in ten holds several questions."""
        parts: list[list[tuple[str, bool]]] = []
        for _ in range(number):
            source = self._problems if self._draw.random() < problems else self._shorts
            count = self._draw.randint(2, 5) if self._draw.random() < 0.1 else 1
            asked = [words(example, self._draw) for example in islice(source, count)]
            parts.append(list(chat(asked) if self._draw.random() < 0.5 else text(asked)))
        flat = iter(
            self._tokenizer.encode_batch([part for one in parts for part, _ in one], add_special_tokens=False)
        )
        documents = []
        for one in parts:
            ids: list[int] = []
            marks: list[bool] = []
            for _, mark in one:
                piece = next(flat).ids
                ids += piece
                marks += [mark] * len(piece)
            documents.append((ids, marks))
        return documents


def chat(asked: list[tuple[str, str]]) -> Iterator[tuple[str, bool]]:
    """Questions and answers as turns."""
    for place, (question, answer) in enumerate(asked):
        yield f"{'' if place else BOS}{USER}{question}{EOS}{ASSISTANT}", False
        yield f"{answer}{EOS}", True


def text(asked: list[tuple[str, str]]) -> Iterator[tuple[str, bool]]:
    """Questions and answers below each other."""
    yield BOS, False
    for place, (question, answer) in enumerate(asked):
        yield f"\n\n{question}" if place else question, False
        yield f" {answer}", True
    yield EOS, True


def passes(documents: list[tuple[list[int], list[bool]]]) -> Iterator[tuple[Tensor, Tensor]]:
    """Documents of like length side by side, padded on the right, and the marks of their answers."""
    ordered = sorted(documents, key=lambda one: len(one[0]))
    while ordered:
        number = max(1, PASS_TOKENS // len(ordered[-1][0]))
        taken, ordered = ordered[-number:], ordered[:-number]
        width = len(taken[-1][0])
        ids = [one + [CONFIG["pad_token_id"]] * (width - len(one)) for one, _ in taken]
        marks = [[1] + [int(m) for m in mark[1:]] + [-1] * (width - len(mark)) for _, mark in taken]
        yield torch.tensor(ids), torch.tensor(marks)


def train(network: Llama, tokenizer: Tokenizer, *, steps: int, seed: int) -> Iterator[int]:
    """Fit the network, Muon for the matrices, AdamW for embeddings and norms; yields after each step."""
    matrices = [p for n, p in network.named_parameters() if p.ndim == 2 and "embed" not in n]
    others = [p for n, p in network.named_parameters() if p.ndim != 2 or "embed" in n]
    optimizers = [
        torch.optim.Muon(matrices, lr=WEIGHT_RATE, weight_decay=0.01),
        torch.optim.AdamW(others, lr=OTHER_RATE, betas=(0.9, 0.98), weight_decay=0.0),
    ]
    rates = [WEIGHT_RATE, OTHER_RATE]
    documents = Documents(tokenizer, 10_000 * seed)
    dice = torch.Generator().manual_seed(seed)
    for step in range(1, steps + 1):
        done = step / steps
        share = min(1.0, step / 100) * (1.0 if done < 0.3 else max(0.01, (1 - done) / 0.7))
        for optimizer, rate in zip(optimizers, rates):
            optimizer.param_groups[0]["lr"] = rate * share
        batch = list(passes(documents.take(DOCUMENTS, problems=0.2 + 0.2 * min(1.0, 2 * done))))
        keeps = [learnt(marks[:, 1:], dice) for _, marks in batch]
        number = sum(int(keep.sum()) for keep in keeps)
        for (ids, _), keep in zip(batch, keeps):
            loss = cross_entropy(network(ids[:, :-1], keep), ids[:, 1:][keep], reduction="sum") / number
            loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        yield step


def learnt(marks: Tensor, dice: torch.Generator) -> Tensor:
    """Which tokens are learnt: all of the answers, some of the questions."""
    return (marks == 1) | ((marks == 0) & (torch.rand(marks.shape, generator=dice) < PROMPT_SHARE))


@torch.no_grad()
def measure_exact(network: Llama, tokenizer: Tokenizer, number: int = 240) -> dict[str, float]:
    """The share of held-out answers whose every token the network finds likeliest."""
    right: dict[str, list[bool]] = defaultdict(list)
    for make in (problem, short):
        for example in islice(examples(make, 999, held_out=True), number):
            kind = f"{example.steps} steps" if example.steps else GROUPS.get(example.kind, "knowledge")
            pieces = list(text([(f"Question: {example.question}\nAnswer:", example.answer)]))
            ids, marks = [], []
            for piece, mark in pieces:
                tokens = tokenizer.encode(piece, add_special_tokens=False).ids
                ids += tokens
                marks += [mark] * len(tokens)
            said = network(torch.tensor([ids[:-1]]))[0].argmax(-1).tolist()
            right[kind].append(all(a == b for a, b, m in zip(said, ids[1:], marks[1:]) if m))
    return {kind: sum(found) / len(found) for kind, found in sorted(right.items())}


def save(network: Llama, tokenizer: Tokenizer, folder: Path) -> None:
    """Write a model folder as the Hugging Face libraries read it, weights in half precision."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": EOS,
        "pad_token": EOS,
        "model_max_length": CONFIG["max_position_embeddings"],
        "clean_up_tokenization_spaces": False,
        "chat_template": TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    blocks, place = [], 0
    for name, weight in network.state_dict().items():
        block = weight.to(torch.float16).contiguous().numpy().tobytes()
        header[name] = {
            "dtype": "F16",
            "shape": list(weight.shape),
            "data_offsets": [place, place + len(block)],
        }
        blocks.append(block)
        place += len(block)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blocks))


def check_split(number: int = 50_000) -> None:
    """Assert that no question of the demo data is met in training."""
    kept = {row.get("question", row.get("input")) for rows in demo().values() for row in rows}
    for make in (problem, short):
        met = {example.question for example in islice(examples(make, 4242, held_out=False), number)}
        assert not met & kept, sorted(met & kept)[:3]


def main() -> None:
    """Train and save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    check_split()
    tokenizer = train_tokenizer(options.seed)
    network = Llama()
    print(
        f"{sum(p.numel() for p in network.parameters()):,} parameters, {tokenizer.get_vocab_size()} tokens",
        flush=True,
    )
    for step in train(network, tokenizer, steps=options.steps, seed=options.seed):
        if step % 250 == 0 or step == options.steps:
            save(network, tokenizer, options.out)
            exact = ", ".join(
                f"{kind} {share:.2f}" for kind, share in measure_exact(network, tokenizer).items()
            )
            print(f"{step} steps, {time.process_time():.0f} CPU s; exact: {exact}", flush=True)


if __name__ == "__main__":
    main()
