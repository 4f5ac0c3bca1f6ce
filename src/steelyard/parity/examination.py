"""check_parity(a, b): two ways to the same model asked the same prompts, and what differs by name.

found = check_parity(open_model("./qwen"), open_model("http://127.0.0.1:8000/v1"))
for one in found.differing:
    print(one.cause, one.evidence, one.mend)
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from steelyard.environment import describe_environment
from steelyard.errors import ModelError, StoreError, UsageError
from steelyard.models.base import Model
from steelyard.models.references import open_model
from steelyard.parity.ending import examine_ends, examine_limits
from steelyard.parity.findings import FAILURES, Finding, Findings, in_order
from steelyard.parity.numbers import examine_numbers
from steelyard.parity.questions import CHAT, COUNTS, STORIES, TEXT, Question, chats, own_questions, texts
from steelyard.parity.reading import examine_prompts
from steelyard.parity.room import examine_room
from steelyard.parity.sampling import TIMES, examine_sampling
from steelyard.parity.sides import Keep, Side
from steelyard.parity.survey import Survey, count, show_pair
from steelyard.store import Run
from steelyard.types import Record, Request, Response, Sample

FILE = "parity.json"
_LONG, _LIKELY = 12, 3


def check_parity(
    a: Model | Any,
    b: Model | Any,
    *,
    data: Iterable[Sample] | None = None,
    limit: int = 20,
    max_tokens: int = 32,
    longest: int = 4096,
    out: str | Path | None = None,
    watch: Callable[[str], None] | None = None,
) -> Findings:
    """Ask two models, or references to them, the same; what differs between their answers, and why.

    `data` are prompts of one's own beside those that come along, of which the first `limit` are asked.
    Greedy answers are `max_tokens` long, the longest prompt has about `longest` tokens. In the folder
    `out` the answers are kept as two runs, `a` and `b`, and the findings as `parity.json`; `watch` is
    told what is being done.
    """
    for name, value in (("limit", limit), ("max_tokens", max_tokens), ("longest", longest)):
        if value < 1:
            raise UsageError(f"{name} is {value}", hint="it must be at least 1")
    with contextlib.ExitStack() as stack:
        models = [open_model(one) for one in (a, b)]
        for given, model in zip((a, b), models):
            if given is not model:
                stack.callback(model.close)
        keep = stack.enter_context(_kept(out, models))
        sides = [Side(label, model, keep) for label, model in zip("AB", models)]
        for side in sides:
            stack.callback(side.close)
        survey = Survey(sides[0], sides[1], params={"temperature": 0, "max_tokens": max_tokens})
        own = list(islice(data or (), limit))
        _examine(survey, own, longest=longest, watch=watch or (lambda _: None))
        asked = sum(side.asked for side in sides)
        path = None if out is None else Path(out)
        found = Findings(models[0].name, models[1].name, in_order(survey.found), asked, path)
    if path is not None:
        _write(path / FILE, found, models)
    return found


def _examine(survey: Survey, own: Sequence[Sample], *, longest: int, watch: Callable[[str], None]) -> None:
    """Ask and look, one cause after the other; each narrows what is left for those after it."""
    forms = [form for form in (TEXT, CHAT) if form in survey.a.ways and form in survey.b.ways]
    main = survey.a.main if survey.a.main in forms else survey.b.main
    questions = _questions(forms, main, own)
    followed = 2 * len(STORIES) + TIMES * len(STORIES) + len(COUNTS) + _LONG + _LIKELY
    watch(f"about {count(len(questions) + followed, 'question')} to each side, and some to look closer")
    survey.pairs = survey.ask(questions)
    _examine_failures(survey, main)
    watch("long prompts")
    examine_room(survey, main, longest=longest)
    watch("how prompts are read")
    examine_prompts(survey)
    watch("how answers are chosen")
    examine_sampling(survey, main)
    watch("where answers end")
    examine_ends(survey)
    examine_limits(survey, main)
    watch("what is left")
    examine_numbers(survey, main)


def _questions(forms: Sequence[str], main: str, own: Sequence[Sample]) -> list[Question]:
    """What both sides can be asked; where they share no form, each gets single questions in its own."""
    asked = own_questions(own, main)
    if not forms:
        return [one for one in (*chats(), *asked) if one.cell == (False, 1)]
    return [*(texts() if TEXT in forms else []), *(chats() if CHAT in forms else []), *asked]


def _examine_failures(survey: Survey, main: str) -> None:
    """Questions that one side alone could not answer; those that it has no way for are left out."""
    for side in (survey.a, survey.b):
        for form in (main, TEXT, CHAT):
            asked = [pair for pair in survey.pairs if pair.question.form == form]
            failed = [pair for pair in asked if pair.of(side.label).error is not None]
            if not asked or len(failed) < len(asked):
                continue
            why = failed[0].of(side.label).error
            if form == main:
                raise ModelError(f"{side.label}, {side.model.name}, answers nothing: {why}")
            survey.pairs = [pair for pair in survey.pairs if pair.question.form != form]
    failed = [pair for pair in survey.pairs if (pair.a.error is None) != (pair.b.error is None)]
    if failed:
        label = "A" if failed[0].a.error is not None else "B"
        told = (
            f"{label} fails where the other side answers, in {len(failed)} of {len(survey.pairs)} questions"
        )
        mend = "look at the records of these questions; turns of the system are refused by some templates"
        survey.found.append(Finding(FAILURES, "differs", told, show_pair(failed[0]), mend, {"side": label}))
    else:
        both = sum(pair.a.error is not None for pair in survey.pairs)
        told = "both answer all" if not both else f"both answer all but {count(both, 'question')}"
        survey.found.append(Finding(FAILURES, "same", told))


@contextlib.contextmanager
def _kept(out: str | Path | None, models: Sequence[Model]) -> Iterator[Keep]:
    """What is handed every answer: it goes into the run of its side, if runs are wanted."""
    if out is None:
        yield lambda label, request, response: None
        return
    runs: dict[str, Run] = {}
    counts = {"A": 0, "B": 0}
    try:
        for label, model in zip("AB", models):
            about = {
                "kind": "parity",
                "model": model.name,
                "task": "parity",
                "metrics": [],
                "results": [],
                "environment": describe_environment(),
                "identity": {"model": model.identity()},
            }
            runs[label] = Run.create(Path(out) / label.lower(), about)

        def keep(label: str, request: Request, response: Response) -> None:
            sample = Sample(request.id, request.prompt, choices=request.choices)
            runs[label].add(Record(counts[label], sample, request, response))
            counts[label] += 1

        yield keep
        for label, run in runs.items():
            run.update(state="done", answers=counts[label])
    finally:
        for run in runs.values():
            run.close()


def _write(file: Path, found: Findings, models: Sequence[Model]) -> None:
    document = {**found.as_document(), "models": [dict(model.identity()) for model in models]}
    try:
        file.write_text(json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n", "utf-8")
    except OSError as error:
        raise StoreError(f"cannot write {file}: {error.strerror or error}") from error
