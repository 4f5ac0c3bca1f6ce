"""`evaluate_results.py`: lines of results held against human judgement once more, without a model."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from music_reward.benchmark.command import guard
from music_reward.benchmark.measures import measure_rows
from music_reward.benchmark.outputs import tabulate, write_measures
from music_reward.benchmark.rows import read_rows
from music_reward.benchmark.settings import ALL, FILES, METADATA, Settings, name_files, read_settings
from steelyard.cli.screen import show, width
from steelyard.errors import DataError, StoreError, describe

_ABOUT = "Hold the scores in results.jsonl against human judgement; no model is asked."


def main(arguments: Sequence[str] | None = None) -> int:
    """Score results anew and return the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return guard("evaluate_results.py", lambda: _evaluate(_read_arguments(words)), words=words)


def _read_arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="evaluate_results.py", description=_ABOUT, allow_abbrev=False)
    add = parser.add_argument
    add(
        "-r", "--results_jsonl", type=Path, required=True, metavar="FILE", help="results.jsonl of a benchmark"
    )
    add("--output_dir_abs", type=Path, metavar="DIR", help="where the tables go (beside FILE)")
    add("--eval_yaml", type=Path, metavar="FILE", help="what is wanted of them (what the benchmark was told)")
    add("--split", metavar="NAME", help="only rows of this split; all for every row")
    add("--debug", action="store_true", help="show the whole of an error")
    return parser.parse_args(words)


def _evaluate(options: argparse.Namespace) -> int:
    results: Path = options.results_jsonl
    folder: Path = options.output_dir_abs or results.parent
    model, settings = _find_settings(results, options)
    measures = measure_rows(read_rows(results), settings)
    if not measures.lines:
        of = "" if settings.split == ALL else f" of the split {settings.split}"
        raise DataError(f"{results} has no row{of}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot write to {folder}: {error.strerror or error}") from error
    write_measures(folder, measures, settings, model=model)
    show(tabulate(measures).text(width=width(sys.stdout)))
    return 0


def _find_settings(results: Path, options: argparse.Namespace) -> tuple[str, Settings]:
    """What results call the model, and what is wanted of them: what the benchmark was told, if known."""
    metadata = results.parent / METADATA
    model, settings = results.absolute().parent.name, Settings(split=ALL)
    if metadata.is_file():
        try:
            told = json.loads(metadata.read_text("utf-8"))
            model = told["model"]
            wanted = told["evaluation"]
            # Whoever wrote it may have named a file elsewhere.
            outputs = name_files({**dict.fromkeys(FILES, False), **wanted["outputs"]}, str(metadata))
            settings = Settings(**{**wanted, "groups": tuple(wanted["groups"]), "outputs": outputs})
        except (OSError, ValueError, KeyError, TypeError) as error:
            hint = "without it the settings are those of --eval_yaml"
            raise StoreError(f"{metadata} is damaged: {describe(error)}", hint=hint) from error
    if options.eval_yaml is not None:
        settings = read_settings(options.eval_yaml, split=settings.split)
    if options.split is not None:
        settings = replace(settings, split=options.split)
    return str(model), settings
