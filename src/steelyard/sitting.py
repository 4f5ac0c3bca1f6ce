"""One sitting of an evaluation: what it asks, what becomes of the answers, and when it gives up.

A run that is stopped and gone on with has several. Where the first answers fail, the model is asked
whether any can be good, so that a wrong address costs one line and not a run of failures.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import shlex
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any

from steelyard.engine import execute
from steelyard.engine import run as run_to_end
from steelyard.environment import describe_environment
from steelyard.errors import DataError, GivenUp, Interrupted, StoreError, describe
from steelyard.meter import Meter
from steelyard.metrics.extraction import Extractor
from steelyard.metrics.scoring import Pending, Scorer, settle
from steelyard.metrics.summary import Summary
from steelyard.models.base import Model
from steelyard.store import Answered, Run
from steelyard.tasks.base import Task, take_out
from steelyard.tasks.prompts import with_media
from steelyard.types import Record, Request, Response, Sample, Score
from steelyard.ways import doubt_way

HOPELESS = 100
"""After how many answers a run in which all failed is given up, where nobody says when."""


_SHOWN = 300
"""So many letters of why a question failed say why a run was stopped."""


class Progress:
    """How far an evaluation is."""

    def __init__(self, run: Run, summary: Summary, total: int | None, done: int) -> None:
        self.run = run
        self.summary = summary
        self.total = total
        self.done = done
        self.resumed = done


@dataclass
class Sitting:
    """The questions of one sitting, and what happens with their answers."""

    model: Model
    task: Task
    samples: Iterable[Sample]
    run: Run
    answered: Answered
    progress: Progress
    chat: bool
    repeat: int
    limit: int | None
    seed: int
    resumed: bool = False
    deadline: float | None = None
    begun: float | None = None
    max_failures: float | None = None
    watch: Callable[[Progress], None] | None = None
    keepers: Sequence[Callable[[Record], None]] = ()

    def __post_init__(self) -> None:
        self.scorer = Scorer(self.task.metrics)
        self.failures = 0
        self.has_good = self.trusted = self.refused = False
        self.doubting: asyncio.Task[None] | None = None
        self.meter = Meter()
        # A model may have answered before.
        self.had_spent = dict(self.model.spent())

    def run_to_end(self, concurrency: int | None) -> None:
        """Ask all that is not answered yet, and note in the run how it ended."""
        run, progress = self.run, self.progress
        bounds: Any = {"concurrency": concurrency, "deadline": self.deadline, "begun": self.begun}
        asking = execute(self.model, self.questions(), self.keep, **bounds)
        state, reason = "done", None
        try:
            with self.meter:
                run_to_end(asking)
        except (KeyboardInterrupt, asyncio.CancelledError) as error:
            run.update(state="interrupted", **self._spendings())
            hint = f"go on with: steelyard eval --resume {shlex.quote(str(run.path))}"
            raise Interrupted(f"stopped; {progress.done} answers are stored", hint=hint) from error
        except GivenUp as error:
            state, reason = "stopped", str(error.args[0])
        except Exception as error:
            if self.refused and not self.resumed and not progress.done:
                # Whoever asks again, and rightly, is to find the folder as it was.
                run.discard()
                raise
            # A full disk may be what stopped it, and then nothing can be noted either.
            with contextlib.suppress(StoreError):
                run.update(state="stopped", reason=describe(error), **self._spendings())
            raise
        finally:
            run.close()
        results = [asdict(result) for result in progress.summary.results()]
        # Once more, because what matters is loaded only now.
        environment = describe_environment()
        run.update(
            state=state,
            reason=reason,
            answers=progress.done,
            results=results,
            environment=environment,
            **self._spendings(),
        )

    def questions(self) -> Iterator[tuple[tuple[int, Sample], Request]]:
        """The requests that are not answered yet, each with its index and sample."""
        seen = 0
        for place, given in enumerate(islice(self.samples, self.limit)):
            seen += 1
            # A task of one's own may ask about anything that is a picture or a sound.
            sample, asked = with_media(given, self.task.request(given, chat=self.chat))
            for turn in range(self.repeat):
                index = place * self.repeat + turn
                request = self._numbered(asked, turn, index)
                if not self.answered.has(index, sample, request):
                    yield (index, sample), request
        if not seen:
            raise DataError(f"the data of the task {self.task.name} is empty")

    def keep(self, item: tuple[int, Sample], request: Request, response: Response) -> Awaitable[None] | None:
        """Score an answer and store it; the first ones that fail are doubted before."""
        if not self.trusted:
            if response.error is not None:
                return self._keep_doubted(item, request, response)
            self.trusted = True
        return self._keep(item, request, response)

    def _keep(self, item: tuple[int, Sample], request: Request, response: Response) -> Awaitable[None] | None:
        index, sample = item
        scores, pending = begin_scores(self.scorer, self.task.extract, sample, response)
        record = Record(index, sample, request, response, scores)
        if pending:
            return self._keep_later(record, scores, pending)
        self._store(record)
        return None

    async def _keep_later(self, record: Record, scores: dict[str, Score], pending: Pending) -> None:
        # The record holds these very scores, so that it is whole once they are.
        await settle(scores, pending)
        self._store(record)

    async def _keep_doubted(self, item: tuple[int, Sample], request: Request, response: Response) -> None:
        # Others that fail meanwhile wait for the same word.
        if self.doubting is None:
            self.doubting = asyncio.create_task(self._doubt(request, response.error or ""))
        await self.doubting
        self.trusted = True
        waiting = self._keep(item, request, response)
        if waiting is not None:
            await waiting

    async def _doubt(self, request: Request, error: str) -> None:
        """Raise where no question can be answered as it is asked."""
        why = await self.model.doubt(error)
        if why is None and self.resumed:
            why = await doubt_way(self.model, request)
        if why is not None:
            self.refused = True
            raise why

    def _store(self, record: Record) -> None:
        try:
            self.run.add(record)
        except DataError as error:
            # One odd answer is a failed answer, not the end of the run; an odd sample is refused again.
            text = str(record.response.text).encode(errors="backslashreplace").decode()
            failed = Response(text, error=f"the answer cannot be stored: {error.__cause__}")
            record = replace(record, response=failed, scores=self.scorer.begin(record.sample, failed)[0])
            self.run.add(record)
        for keep in self.keepers:
            keep(record)
        self.progress.done += 1
        self.progress.summary.add(record)
        if self.watch is not None:
            self.watch(self.progress)
        if record.response.error is None:
            self.has_good = True
        else:
            self._count_failure(record)

    def _count_failure(self, record: Record) -> None:
        """Give up where too much has failed in this sitting."""
        self.failures += 1
        most = self.max_failures
        if most is None:
            if not self.has_good and self.failures >= HOPELESS:
                raise GivenUp(f"the first {HOPELESS} questions all failed")
            return
        if most < 1:
            # Where nobody knows how many there are, the share is of those so far, once they tell anything.
            total = self.progress.total
            most = math.floor(most * (max(self.progress.done, HOPELESS) if total is None else total))
        if most == 0:
            why = (record.response.error or "")[:_SHOWN]
            raise GivenUp(f"question {record.request.id} failed, and none was allowed to: {why}")
        if self.failures > most:
            failed = "1 question" if self.failures == 1 else f"{self.failures:,} questions"
            raise GivenUp(f"{failed} failed, and {most:,.0f} were allowed to")

    def _numbered(self, request: Request, turn: int, index: int) -> Request:
        if self.repeat == 1 and not request.params.get("temperature"):
            return request
        request_id = request.id if self.repeat == 1 else f"{request.id}#{turn}"
        # Each question has a seed of its own, so that a run can be repeated and resumed.
        return replace(request, id=request_id, params={"seed": self.seed + index, **request.params})

    def _spendings(self) -> dict[str, Any]:
        """What the run notes of its cost, and of what the model spent it on, if it says that."""
        spent = add_spent(self.run.about.get("spent", {}), self.had_spent, self.model.spent())
        return {"cost": self._costs(), **({"spent": spent} if spent else {})}

    def _costs(self) -> list[dict[str, Any]]:
        """Those of all sittings; this one's with how many answers it covers, of which some were cached."""
        covered = {"answers": self.progress.done - self.progress.resumed}
        if hits := getattr(self.model, "hits", 0):
            covered["cached"] = hits
        return [*self.run.about.get("cost", []), {**asdict(self.meter.cost), **covered}]


def add_spent(
    stored: Mapping[str, float], before: Mapping[str, float], after: Mapping[str, float]
) -> dict[str, float]:
    """What was spent in all sittings: that of the earlier ones, and what a model added in this one."""
    added = {name: value - before.get(name, 0) for name, value in after.items()}
    return {**stored, **{name: round(value + stored.get(name, 0), 3) for name, value in added.items()}}


def begin_scores(
    scorer: Scorer, extract: Extractor | None, sample: Sample, response: Response
) -> tuple[dict[str, Score], Pending]:
    """The scores of an answer at once, with the rule by which it was taken out, and those to await."""
    try:
        seen, rule = take_out(extract, sample, response)
    except Exception as error:  # noqa: BLE001 - as a metric's own failure, it costs no answer
        return scorer.fail(error), []
    scores, pending = scorer.begin(sample, seen)
    if rule is not None:
        scores["extraction"] = rule
    return scores, pending
