"""`inference_benchmark.py`: rows scored by a model, and the scores held against human judgement.

0 if all was scored, 1 if some of it was not, 2 for wrong usage.
"""

from __future__ import annotations

import re
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from music_reward.benchmark.arguments import JSON, read_arguments
from music_reward.benchmark.asking import ask, examine, read_task, way_on
from music_reward.benchmark.measures import measure_rows
from music_reward.benchmark.opening import name_checkpoint, open_benchmarked
from music_reward.benchmark.outputs import as_json, tabulate, write_measures, write_text
from music_reward.benchmark.rows import read_rows, row_of, write_rows
from music_reward.benchmark.settings import METADATA, RESULTS, Settings, read_settings
from steelyard.cli.interruption import stopped_like_an_interrupt
from steelyard.cli.screen import printable, show, tell, width
from steelyard.errors import Interrupted, SteelyardError, UsageError, describe
from steelyard.models.credentials import show_options
from steelyard.store import Run
from steelyard.types import Record

_STOPPED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one benchmark and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return guard("inference_benchmark.py", lambda: _benchmark(read_arguments(words)), words=words)


def guard(name: str, run: Callable[[], int], *, words: Sequence[str]) -> int:
    """Run a command; whatever goes wrong becomes a line and an exit code."""
    debug = "--debug" in words
    try:
        with stopped_like_an_interrupt():
            code = run()
            sys.stdout.flush()
            return code
    except SystemExit as leaving:  # --help, and what argparse refuses
        return leaving.code if isinstance(leaving.code, int) else 0
    except (SteelyardError, KeyboardInterrupt) as error:
        if debug and not isinstance(error, (Interrupted, KeyboardInterrupt)):
            raise
        if not isinstance(error, SteelyardError):
            tell(f"{name}: stopped")
            return _STOPPED
        _say(name, str(error.args[0]), hint=error.hint)
        return error.exit_code
    except Exception as error:
        if debug:
            raise
        _say(
            name, f"this is a bug: {describe(error)}", hint="run again with --debug and report what it shows"
        )
        return 1


def _say(name: str, message: str, *, hint: str) -> None:
    tell(f"{name}: error: {printable(' '.join(message.split()))}")
    if hint:
        tell(f"hint: {printable(' '.join(hint.split()))}")


def _benchmark(options: Namespace) -> int:
    settings = read_settings(options.eval_yaml, split=options.split)
    folder = _choose_folder(options)
    task = read_task(options, split=settings.split)
    model = open_benchmarked(options)
    try:
        seen = None
        if options.check_independence:
            seen = examine(model, task, count=options.check_independence)
        run = ask(model, task, folder=folder, options=options)
    finally:
        model.close()
    if seen is not None:
        run.update(independence=seen)
    return _finish(run, options, settings)


def _choose_folder(options: Namespace) -> Path:
    """Where results go: a new or empty folder, or that of a run to go on with."""
    model, checkpoint = name_checkpoint(options)
    folder: Path | None = options.output_dir
    if folder is None:
        prefix = f"{checkpoint}_" if checkpoint else ""
        home: Path = options.results_root / model
        form = re.compile(re.escape(prefix) + r"\d{8}_\d{6}")
        runs = [path for path in home.glob("*/run.json") if form.fullmatch(path.parent.name)]
        if options.resume and runs:
            return max(runs, key=lambda path: path.stat().st_mtime).parent
        return home / f"{prefix}{datetime.now().strftime('%Y%m%d_%H%M%S')}"
    if not options.resume and folder.is_dir() and any(folder.iterdir()):
        raise UsageError(
            f"the folder {folder} is not empty", hint="--resume goes on in it; or choose another"
        )
    return folder


def _finish(run: Run, options: Namespace, settings: Settings) -> int:
    """Write what a run holds, show it, and say how it went."""
    records = sorted(run.records(), key=lambda record: record.index)
    folder, results = run.path, run.path / RESULTS
    write_rows(results, map(row_of, records))
    failed = [record for record in records if record.response.error is not None]
    write_text(folder / METADATA, as_json(_describe(run, records, len(failed), options, settings)))
    if options.run_evaluate:
        measures = measure_rows(read_rows(results), settings)
        write_measures(folder, measures, settings, model=str(run.about["model"]))
        show(tabulate(measures).text(width=width(sys.stdout)))
    done = run.about.get("state") == "done"
    if failed:
        first = failed[0]
        tell(printable(f"{len(failed):,} of {len(records):,} rows could not be scored; the first, "
                       f"row {first.index + 1}: {first.response.error}"))  # fmt: skip
    if not done:
        tell(printable(f"stopped: {run.about.get('reason')}; go on with: {way_on(folder)}"))
    tell(printable(f"results in {folder}"))
    return 0 if done and not failed else 1


def _describe(
    run: Run, records: Sequence[Record], failed: int, options: Namespace, settings: Settings
) -> Mapping[str, Any]:
    """What the results were made of, and how."""
    about = run.about
    flags = {name: value for name, value in vars(options).items() if name not in ("debug", "resume")}
    flags.update({name: show_options(flags[name]) for name in JSON})
    return {
        "model": about["model"],
        "state": about.get("state"),
        "created": about.get("created"),
        "finished": datetime.now().astimezone().isoformat(timespec="seconds"),
        "rows": len(records),
        "failed": failed,
        "flags": flags,
        "evaluation": settings.to_dict(),
        **{name: about.get(name) for name in ("identity", "environment", "cost", "spent", "independence")},
    }
