"""What a command does: ask, score, draw, or only show what it would."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any

from ais_bench.benchmark.cli.asking import Pair, ask, score
from ais_bench.benchmark.cli.choosing import Choice, search
from ais_bench.benchmark.cli.drawing import draw_page, preview, tell_endings
from ais_bench.benchmark.cli.planning import keep_config, plan, stopped
from ais_bench.benchmark.cli.working import Ending, end_others, work_on
from ais_bench.benchmark.datasets.entries import open_set
from ais_bench.benchmark.datasets.merging import gather
from ais_bench.benchmark.outcome.outputs import Outputs, begin
from ais_bench.benchmark.outcome.results import read_results, results_of, write_results
from ais_bench.benchmark.outcome.summary import tabulate, write_csv
from steelyard.cli.interruption import stopped_like_an_interrupt
from steelyard.cli.pairs import masked
from steelyard.cli.screen import printable, show, tell
from steelyard.errors import Interrupted, StoreError
from steelyard.report.tables import Table
from steelyard.store import Run


def run(options: Namespace, words: Sequence[str]) -> int:
    """Do what a command line says; 1 where a request failed or a task did not come to its end."""
    if options.search:
        show(Table(("kind", "name", "where"), search(options)).text())
        return 0
    if options.mode.startswith("perf"):
        # The machinery of load tests is loaded only where one is wanted.
        from ais_bench.benchmark.cli.performing import perform

        return perform(options, words)
    asks = options.mode in ("all", "infer")
    choice, outputs = plan(options, goes_on=options.reuse is not None or not asks)
    sets = [open_set(entry, limit=choice.num_prompts) for entry in choice.datasets]
    batches = gather(sets, merge=choice.merge)
    pairs = [Pair(model, batch) for model, batch in product(choice.models, batches)]
    if options.dry_run:
        show(preview(pairs))
        return 0
    if outputs is None:
        outputs = begin(choice.work_dir)
    kept = keep_config(outputs, choice) if asks else None
    endings = _work(pairs, outputs, choice, options, words)
    if kept is not None and all(ending.usage for ending in endings):
        # What was refused is not what the sitting asks.
        kept.unlink(missing_ok=True)
    if options.mode != "infer" and not all(ending.error for ending in endings):
        _summarize(pairs, endings, outputs, choice, page=options.mode == "viz")
    tell(f"kept in {outputs.root}")
    return tell_endings(pairs, endings, outputs)


def _work(
    pairs: Sequence[Pair], outputs: Outputs, choice: Choice, options: Namespace, words: Sequence[str]
) -> list[Ending]:
    """Ask, score or neither; then the results of what came to its end."""
    command = ["ais_bench", *map(masked, words)]
    if options.mode in ("all", "infer"):
        asking = partial(ask, outputs=outputs, about={"command": command})
        try:
            with stopped_like_an_interrupt(first=end_others):
                endings = work_on(pairs, asking, outputs, workers=choice.workers)
        except (Interrupted, KeyboardInterrupt) as error:
            raise stopped(error, command, outputs) from error
    elif options.mode == "eval":
        endings = work_on(pairs, partial(score, outputs=outputs), outputs)
    else:
        return [Ending()] * len(pairs)
    if options.mode != "infer":
        for pair, ending in zip(pairs, endings):
            if not ending.error:
                _write_results(pair, outputs, details=options.dump_eval_details)
    return endings


def _write_results(pair: Pair, outputs: Outputs, *, details: bool) -> None:
    run = Run.open(outputs.run(pair.abbr, pair.batch.name))
    for abbr, document in results_of(run, pair.batch.sets, details=details).items():
        write_results(outputs.results(pair.abbr, abbr), document)


def _summarize(
    pairs: Sequence[Pair], endings: Sequence[Ending], outputs: Outputs, choice: Choice, *, page: bool
) -> None:
    """Show the table of all results, and keep it in every form."""
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for pair, ending in zip(pairs, endings):
        for one in pair.batch.sets:
            results = None if ending.error else read_results(outputs.results(pair.abbr, one.abbr))
            if results is not None:
                found[pair.abbr, one.abbr] = results
    models = [str(model["abbr"]) for model in choice.models]
    sets = [str(entry["abbr"]) for entry in choice.datasets]
    table = tabulate(found, models, sets, choice.summarizer)
    forms = {".txt": table.text(), ".csv": write_csv(table), ".md": table.markdown()}
    if page:
        forms[".html"] = draw_page(pairs, outputs)
    for suffix, text in forms.items():
        path = outputs.summary(suffix)
        try:
            path.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error.strerror or error}") from error
    show(printable(forms[".txt"]))
    if page:
        tell(f"page: {outputs.summary('.html')}")
