"""How likely given continuations are: every prompt read once, all its choices behind it.

    row   [prefix, shared by all][rest of the prompt][choice 1][choice 2][choice 3][choice 4]

The last token of a choice is never fed, only scored: choices of one token cost nothing at all.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from steelyard.models.answers import Look, Question, Row
from steelyard.models.prefix import Network, Prefix
from steelyard.models.pretrained import cut_passes, pad


def score(network: Network, questions: Sequence[Question]) -> None:
    """Fill in the questions."""
    if network.shares:
        _score_branches(network, questions)
    else:
        _score_singly(network, questions)


def _score_branches(network: Network, questions: Sequence[Question]) -> None:
    prefix = network.share([question.prompt for question in questions])
    rows = [row for question in questions for row in question.rows()]
    start = len(prefix.ids)
    sizes = [(len(row.question.prompt) - start + row.branches, row.branches + 1) for row in rows]
    for part in cut_passes(sizes, budget=network.fed, vocabulary=network.vocabulary):
        _score_rows(network, rows[part], prefix=prefix)


def _score_rows(network: Network, rows: Sequence[Row], *, prefix: Prefix) -> None:
    lines = [row.line(len(prefix.ids)) for row in rows]
    keep = max(row.branches for row in rows) + 1
    under_way = network.rows(len(lines), room=max(len(line.ids) for line in lines), prefix=prefix)
    logits = under_way.feed(lines, keep=keep)
    for row, kept in zip(rows, logits):
        # Counted from the end: the choices' tokens, and before them the last of the prompt.
        place = keep - row.branches
        trunk = kept[place - 1 : place]
        for choice in row.choices:
            behind = place + len(choice) - 1
            _add(row.question, torch.cat([trunk, kept[place:behind]]), choice=choice)
            place = behind


def _score_singly(network: Network, questions: Sequence[Question]) -> None:
    """Every prompt with every choice whole: right for any causal model."""
    pairs = [(question, choice) for question in questions for choice in question.choices]
    sizes = [len(question.prompt) + len(choice) - 1 for question, choice in pairs]
    for part in cut_passes(
        [(size, size) for size in sizes], budget=network.fed, vocabulary=network.vocabulary
    ):
        # Padded on the right: a causal model cannot see it.
        ids = [[*question.prompt, *choice[:-1]] for question, choice in pairs[part]]
        inputs = pad(ids, value=0, device=network.device)
        logits = network.logits(inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False)
        for (question, choice), size, row in zip(pairs[part], sizes[part], logits):
            _add(question, row[size - len(choice) : size], choice=choice)


def _add(question: Question, logits: Tensor, *, choice: Sequence[int]) -> None:
    """Take the log-probability of a choice from the logits before each of its tokens."""
    logits = logits.float()
    targets = torch.tensor(choice, device=logits.device)
    chosen = logits.gather(1, targets[:, None])[:, 0] - logits.logsumexp(dim=-1)
    question.add(float(chosen.sum()), greedy=bool((logits.argmax(dim=-1) == targets).all()))
    if question.told:
        highest, likeliest = (logits - logits.logsumexp(dim=-1, keepdim=True)).max(dim=-1)
        question.looks += map(Look, chosen.tolist(), likeliest.tolist(), highest.tolist())
