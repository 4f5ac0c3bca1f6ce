"""Answers under load against the same at idle: `judge_answers(probes, idle, levels)`.

Scores are compared sample by sample, so that a service that is never quite sure is not accused of what it
does at idle too. An answer that is another sample's is a mixed-up stream, if that comes more often than at
idle, or if it is too long for chance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from steelyard.engine import run as run_to_end
from steelyard.loadtest.probes import ANSWER, CHECK, Probes
from steelyard.metrics.asks import compare_asks
from steelyard.metrics.base import name_of
from steelyard.metrics.paired import Comparison, adjust
from steelyard.metrics.scoring import Scorer, settle
from steelyard.sitting import begin_scores
from steelyard.timings.shards import shards_of
from steelyard.types import Record, Response

MIXED = "another's answer"
"""What the comparison of mixed-up streams is called beside those of metrics."""

_LONG = 40
_SHOWN = 3
_EXCERPT = 80

Texts = dict[str, list[str]]
"""The answers to each sample, in the order in which they were asked."""

Scores = dict[tuple[str, str], dict[str, float]]
"""What each metric says of an answer to a sample."""


@dataclass
class Asked:
    """What one stage was answered: the texts by sample, and how many probes failed."""

    texts: Texts = field(default_factory=dict)
    failed: int = 0

    @property
    def count(self) -> int:
        """How many probes were asked."""
        return self.failed + sum(map(len, self.texts.values()))


@dataclass(frozen=True, slots=True)
class Mix:
    """An answer that was given to one sample under load, and to another at idle."""

    sample: str
    other: str
    text: str


@dataclass(frozen=True)
class Verdict:
    """What became of the answers at one level: "worse", "better", "mixed up" or "no difference told".

    `differing` is the share of answers that are not, word for word, the sample's first one at idle.
    """

    stage: int
    name: str
    verdict: str
    asked: int
    failed: int
    differing: float | None
    comparisons: Mapping[str, Comparison]
    mixed: Sequence[Mix] = ()

    def to_dict(self) -> dict[str, Any]:
        """As it is stored."""
        metrics = [_plain(name, one) for name, one in self.comparisons.items()]
        mixed = [{"sample": one.sample, "other": one.other, "text": one.text} for one in self.mixed[:_SHOWN]]
        plain = {"stage": self.stage, "name": self.name, "verdict": self.verdict, "asked": self.asked}
        told = {"failed": self.failed, "differing": self.differing, "metrics": metrics}
        return {**plain, **told, "mixed": mixed, "mixed_up": len(self.mixed), "said": str(self)}

    def __str__(self) -> str:
        if not self.asked:
            return f"{self.name}: nothing was asked to check the answers"
        said = [f"{self.name}: {self.verdict}"]
        for name, one in self.comparisons.items():
            if name != MIXED and one.verdict != "noise":
                said.append(
                    f"{name} {one.before:.3g} at idle, {one.after:.3g} under load ({one.difference:+.3g})"
                )
        if self.verdict == "mixed up":
            said.append(f"{len(self.mixed):,} answers of {self.asked:,} are those of other questions")
        if self.failed:
            said.append(f"{self.failed:,} of {self.asked:,} were not answered, and do not count")
        return "; ".join(said)


def read_answers(run: Path) -> dict[int, Asked]:
    """The answers to probes of each stage of a run."""
    decoder, mark = msgspec.json.Decoder(Record), f'"{CHECK}"'.encode()
    found: dict[int, Asked] = {}
    for shard in shards_of(run):
        file = shard / "records.jsonl"
        if not file.exists():
            continue
        with file.open("rb") as lines:
            for line in lines:
                if mark not in line or not line.endswith(b"\n"):
                    continue
                record = decoder.decode(line)
                meta = record.sample.meta
                if CHECK not in meta:
                    continue
                asked = found.setdefault(meta["stage"], Asked())
                text = record.scores.get(ANSWER)
                if isinstance(text, str):
                    asked.texts.setdefault(str(meta[CHECK]), []).append(text)
                else:
                    asked.failed += 1
    return found


def judge_answers(
    probes: Probes, idle: Sequence[Asked], levels: Mapping[int, Asked], names: Mapping[int, str]
) -> list[Verdict]:
    """A verdict for each level; all their tests together are corrected for their number."""
    first, again = idle[0].texts, idle[1].texts
    scores = run_to_end(_score_all(probes, [asked.texts for asked in (*idle, *levels.values())]))
    ids = [one for one in probes.samples if one in first and one in again]
    at_idle = _gather(scores, {one: [*first[one], *again[one]] for one in ids})
    drafts: list[tuple[int, Asked, dict[str, Comparison], list[Mix]]] = []
    for stage, asked in levels.items():
        known = [one for one in ids if one in asked.texts]
        loaded = _gather(scores, {one: asked.texts[one] for one in known})
        compared = dict(_compare(probes, at_idle, loaded))
        mixed = list(find_mixed(first, {one: asked.texts[one] for one in known}))
        if known:
            compared[MIXED] = _compare_mixed(first, again, asked.texts, known)
        drafts.append((stage, asked, compared, mixed))
    corrected = iter(adjust([one for _, _, compared, _ in drafts for one in compared.values()]))
    steady = share_differing(first, again) == 0
    verdicts = []
    for stage, asked, compared, mixed in drafts:
        fixed = {name: next(corrected) for name in compared}
        verdict = _name_verdict(fixed, mixed, first, steady=steady)
        differing = share_differing(first, asked.texts)
        name = names.get(stage, str(stage))
        verdicts.append(Verdict(stage, name, verdict, asked.count, asked.failed, differing, fixed, mixed))
    return verdicts


def find_mixed(first: Texts, later: Texts) -> Iterator[Mix]:
    """The answers that are another sample's first one, and not their own."""
    owners: dict[str, str] = {}
    for sample, texts in first.items():
        owners.setdefault(texts[0].strip(), sample)
    for sample, texts in later.items():
        own = {text.strip() for text in first.get(sample, ())}
        for text in texts:
            other = owners.get(text.strip())
            if text.strip() and text.strip() not in own and other is not None:
                yield Mix(sample, other, text.strip()[:_EXCERPT])


def share_differing(first: Texts, later: Texts) -> float | None:
    """Which share of later answers is not, word for word, the sample's first."""
    pairs = [text == first[sample][0] for sample, texts in later.items() if sample in first for text in texts]
    return None if not pairs else pairs.count(False) / len(pairs)


def _name_verdict(
    compared: Mapping[str, Comparison], mixed: Sequence[Mix], first: Texts, *, steady: bool
) -> str:
    if not compared:
        return "nothing to compare"
    mixing = compared.get(MIXED)
    if (mixing is not None and mixing.verdict == "worse") or (steady and _is_proof(mixed, first)):
        return "mixed up"
    verdicts = {one.verdict for name, one in compared.items() if name != MIXED}
    return next((word for word in ("worse", "better") if word in verdicts), "no difference told")


def _is_proof(mixed: Sequence[Mix], first: Texts) -> bool:
    """Whether two different long answers went to others: who never wavers does not say that much by chance.

    Texts that several samples are answered with at idle, as refusals are, prove nothing.
    """
    said: dict[str, int] = {}
    for texts in first.values():
        for text in {text.strip() for text in texts}:
            said[text] = said.get(text, 0) + 1
    sources = {
        one.other for one in mixed if len(text := first[one.other][0].strip()) >= _LONG and said[text] == 1
    }
    return len(sources) > 1


def _compare(
    probes: Probes,
    before: Mapping[str, Mapping[str, list[float]]],
    after: Mapping[str, Mapping[str, list[float]]],
) -> Iterator[tuple[str, Comparison]]:
    """Each metric that has numbers on both sides."""
    for name, old in before.items():
        new = after.get(name, {})
        ids = [one for one in old if one in new]
        if ids:
            base = name.partition(".")[0]
            lower = any(
                getattr(metric, "lower_is_better", False)
                for metric in probes.task.metrics
                if name_of(metric) in (name, base)
            )
            yield (
                name,
                compare_asks(
                    [old[one] for one in ids], [new[one] for one in ids], ids=ids, lower_is_better=lower
                ),
            )


def _compare_mixed(first: Texts, again: Texts, later: Texts, ids: Sequence[str]) -> Comparison:
    """Whether answers of others come more often under load than in the second asking at idle."""
    sides: list[list[list[float]]] = []
    for texts in (again, later):
        mixed = {
            (one.sample, one.text) for one in find_mixed(first, {sample: texts[sample] for sample in ids})
        }
        sides.append([[float((one, text.strip()[:_EXCERPT]) in mixed) for text in texts[one]] for one in ids])
    return compare_asks(*sides, ids=ids, lower_is_better=True)


async def _score_all(probes: Probes, several: Sequence[Texts]) -> Scores:
    """The numbers that each metric gives to each answer of each sample, which may have been given often."""
    task, scorer = probes.task, Scorer(probes.task.metrics)
    found: Scores = {}
    for sample_id, text in {(one, text) for texts in several for one in texts for text in texts[one]}:
        if sample_id in probes.samples:
            scores, pending = begin_scores(scorer, task.extract, probes.samples[sample_id], Response(text))
            await settle(scores, pending)
            numbers = {
                name: float(one) for name, one in scores.items() if isinstance(one, (bool, int, float))
            }
            found[sample_id, text] = numbers
    return found


def _gather(scores: Scores, texts: Texts) -> dict[str, dict[str, list[float]]]:
    """By metric and sample, the numbers of its answers."""
    found: dict[str, dict[str, list[float]]] = {}
    for sample_id, said in texts.items():
        for text in said:
            for name, number in scores[sample_id, text].items():
                found.setdefault(name, {}).setdefault(sample_id, []).append(number)
    return found


def _plain(name: str, one: Comparison) -> dict[str, Any]:
    kept = (
        "before",
        "after",
        "difference",
        "low",
        "high",
        "p",
        "adjusted",
        "n",
        "test",
        "verdict",
        "detectable",
    )
    return {"metric": name, **{each: getattr(one, each) for each in kept}}
