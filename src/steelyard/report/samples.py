"""One record in parts that people read: the prompt as sent, the answer with what was taken out of it."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any, NamedTuple

from steelyard.albums import sounds_of
from steelyard.builtin import BUILTINS
from steelyard.errors import DataError, UnknownName
from steelyard.metrics.base import Metric, is_about, name_of
from steelyard.metrics.choices import begins_otherwise, target_indices
from steelyard.metrics.extraction import Extraction, Extractor
from steelyard.report.contents import is_known, pace_of
from steelyard.report.judgements import Verdict, verdicts_of
from steelyard.report.pictures import Finder
from steelyard.report.sounds import SoundFinder, is_sound
from steelyard.report.spending import facts_of, rate, seconds
from steelyard.store import Run
from steelyard.types import Cost, Prompt, Record, Response, Score

_NEAR = 1000
_LONGEST_CHOICE = 600


class Turn(NamedTuple):
    """One turn of a prompt; a plain text is one turn without a role."""

    role: str
    text: str


def turns_of(
    prompt: Prompt, finder: Finder | None = None, sounds: SoundFinder | None = None, *, named: bool = True
) -> list[Turn]:
    """A prompt as turns of text; what is not text is named, with its size or its length where it is found.

    Of a mapping with sounds each entry is a turn; those that are sounds only where they shall be `named`.
    """
    if isinstance(prompt, str):
        return [Turn("", prompt)]
    if isinstance(prompt, Mapping):
        if not any(map(is_sound, prompt.values())):
            return [Turn("", _as_json(prompt))]
        given = prompt.items() if named else [(k, v) for k, v in prompt.items() if not is_sound(v)]
        return [Turn(str(key), _entry(value, finder, sounds)) for key, value in given if value]
    return [
        Turn(str(_field(turn, "role") or ""), _content(_field(turn, "content"), finder, sounds))
        for turn in prompt
    ]


def asked_of(record: Record) -> str:
    """What was asked, in a text: the input, or where that is no text the last turn of the prompt."""
    asked, prompt = record.sample.input, record.request.prompt
    if isinstance(asked, str) and asked:
        return asked
    if isinstance(prompt, Mapping) and any(map(is_sound, prompt.values())):
        texts = [turn.text for turn in turns_of(prompt, named=False)]
        return texts[0] if texts else ", ".join(_name_sound(stored) for _, stored in sounds_of(prompt))
    if isinstance(prompt, (str, Mapping)) or not prompt:
        return value_text(asked)
    content = _field(prompt[-1], "content")
    parts = [part for part in content if _kind(part) == "text"] if isinstance(content, list) else content
    return _content(parts, None, None)


def chosen_of(record: Record) -> str:
    """The likeliest choice and its share of all, or that there is none; scores of no choices as they are."""
    scores, choices = record.response.scores, record.request.choices
    if isinstance(scores, Mapping) and scores:
        return ", ".join(map(_tell_scores, verdicts_of(record)))
    if not scores or not choices or isinstance(scores, Mapping) or len(scores) != len(choices):
        return value_text(scores or "")
    if begins_otherwise(record.response):
        said = ", ".join(map(repr, record.response.raw.get("first") or ()))
        return f"(none of them{f': {said}' if said else ''})"
    top = max(scores)
    place = list(scores).index(top)
    share = 1 / math.fsum(math.exp(score - top) for score in scores)
    return f"{choices[place].strip()} ({100 * share:.0f} %)"


def value_text(value: Any) -> str:
    """A target, an input or a column as text."""
    return value if isinstance(value, str) else _as_json(value)


def score_text(score: Score) -> str:
    """What a metric said, in a word or a number."""
    if score is None or isinstance(score, bool):
        return {True: "pass", False: "fail", None: "undefined"}[score]
    return f"{score:.6g}" if isinstance(score, float) else value_text(score)


def extraction_of(record: Record, extract: Extractor | None) -> Extraction | None:
    """What the rule of a run takes out of an answer, if it has one that is known here."""
    if extract is None or record.response.error is not None:
        return None
    return extract(record.response.text, record.sample)


def tell_failure(record: Record, metrics: Sequence[Metric]) -> str:
    """What a failure of an answer does to its scores."""
    about = [metric for metric in metrics if is_about(metric, record.sample)]
    if about and all(getattr(metric, "answered_only", False) for metric in about):
        return "failed: it is left out of the scores"
    return "failed: it scores 0"


def figures_of(response: Response) -> list[tuple[str, str]]:
    """Tokens, times and cost of an answer, each with its name."""
    found = [("cached", "given before")] if is_known(response) else []
    if response.tokens is not None:
        for name, count in (("tokens in", response.tokens.input), ("tokens out", response.tokens.output)):
            found += [] if count is None else [(name, f"{count:,}")]
    timing = response.timing
    if timing is not None:
        found.append(("latency", seconds(timing.latency)))
        if timing.ttft is not None:
            found.append(("first piece after", seconds(timing.ttft)))
        if (pace := pace_of(response)) is not None:
            found.append(("tokens a second", rate(pace)))
    if response.cost is not None:
        found += _costs_of(response.cost)
        if response.cost.shared > 1:
            found.append(("answered together", f"{response.cost.shared:,}"))
    return found


def _costs_of(cost: Cost) -> Iterator[tuple[str, str]]:
    # The wall time of an answer stands there as its latency.
    return ((name, value) for name, value in facts_of(asdict(cost)) if name != "wall")


def meanings(metrics: Sequence[Metric]) -> dict[str, str]:
    """What each of our metrics says, in a line."""
    about = {}
    for metric in metrics:
        name = name_of(metric)
        text = inspect.getdoc(metric) if inspect.isroutine(metric) else inspect.getdoc(type(metric))
        builtin = BUILTINS["metrics"].get(name)
        about[name] = builtin.summary if builtin is not None else (text or "").partition("\n")[0]
    return about


def find_records(run: Run, wanted: str) -> list[Record]:
    """The records of one sample, by its id or by the id of one of its turns."""
    found: list[Record] = []
    near: list[str] = []
    for record in run.records():
        if wanted in (record.sample.id, record.request.id):
            found.append(record)
        elif len(near) < _NEAR:
            near.append(record.sample.id)
    if not found:
        raise UnknownName(f"sample in {run.path}", wanted, near)
    exact = [record for record in found if record.request.id == wanted]
    return sorted(exact or found, key=lambda record: record.index)


def marked(text: str, found: Extraction | None) -> Iterator[tuple[str, bool]]:
    """An answer in pieces, each with whether it is what was taken out."""
    if found is None or found.end <= found.start:
        yield text, False
        return
    for piece, taken in (
        (text[: found.start], False),
        (text[found.start : found.end], True),
        (text[found.end :], False),
    ):
        if piece:
            yield piece, taken


def tabulate_verdicts(record: Record) -> list[list[str]]:
    """Named scores as rows of texts, the first of them the head: of both sides, and what people said."""
    verdicts = verdicts_of(record)
    if not verdicts:
        return []
    paired = any(one.second is not None for one in verdicts)
    peopled = any(one.people for one in verdicts)
    sides = ["a", "b", "the model prefers"] if paired else ["the model"]
    rows = [["", *sides, *(["people prefer" if paired else "people"] if peopled else [])]]
    for one in verdicts:
        said = [_amount(one.first), _amount(one.second), _preferred(one)] if paired else [_amount(one.first)]
        rows.append([one.name, *said, *([one.people or "–"] if peopled else [])])
    return rows


def tabulate_choices(record: Record) -> list[list[str]]:
    """The choices of a question as rows of texts below their head: what each scored, and which is right."""
    scores, choices = record.response.scores, record.request.choices
    if not scores or not choices or isinstance(scores, Mapping) or len(scores) != len(choices):
        return []
    right: list[int] = []
    if len(record.sample.choices or ()) == len(choices):
        # An odd target is told where it is scored.
        with suppress(DataError):
            right = target_indices(record.sample)
    rows = [["", "score", "right"]]
    for place, (choice, score) in enumerate(zip(choices, scores)):
        text = choice if len(choice) <= _LONGEST_CHOICE else choice[:_LONGEST_CHOICE] + "…"
        rows.append([text.strip(), f"{score:.4g}", "right" if place in right else ""])
    return rows


def _preferred(verdict: Verdict) -> str:
    if verdict.first is None or verdict.second is None:
        return "–"
    if verdict.first == verdict.second:
        return "neither"
    return "a" if verdict.first > verdict.second else "b"


def _tell_scores(verdict: Verdict) -> str:
    sides = [_amount(side) for side in (verdict.first, verdict.second) if side is not None]
    return f"{verdict.name} {' : '.join(sides) or '–'}"


def _amount(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _entry(value: Any, finder: Finder | None, sounds: SoundFinder | None) -> str:
    """A value of a prompt that is a mapping."""
    return _part(value, finder, sounds) if _kind(value) else value_text(value)


def _content(content: Any, finder: Finder | None, sounds: SoundFinder | None) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, (list, tuple)):
        return _as_json(content)
    return "\n".join(_part(part, finder, sounds) for part in content)


def _part(part: Any, finder: Finder | None, sounds: SoundFinder | None) -> str:
    kind, data = _kind(part), _field(part, "data")
    if kind == "text":
        return str(data if data is not None else _field(part, "text"))
    if kind == "image" and finder is not None:
        return f"[image {finder.find(data)}]"
    if kind == "audio" and sounds is not None:
        return f"[audio {sounds.find(data)}]"
    name = data.get(kind) if isinstance(data, Mapping) else None
    return f"[{kind or 'part'}{f' {name}' if name else ''}]"


def _name_sound(stored: Any) -> str:
    name = stored.get("audio") if isinstance(stored, Mapping) else None
    return str(name or "sound")


def _kind(part: Any) -> Any:
    return _field(part, "kind") or _field(part, "type")


def _field(part: Any, name: str) -> Any:
    return part.get(name) if isinstance(part, Mapping) else getattr(part, name, None)


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=None, default=str)
