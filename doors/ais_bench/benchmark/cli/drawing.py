"""What is shown before and after asking: a preview, how each pair ended, the page of all runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ais_bench.benchmark.cli.asking import Pair
from ais_bench.benchmark.cli.working import Ending, exit_code, tell_ending
from ais_bench.benchmark.outcome.outputs import Outputs
from steelyard.albums import KEPT
from steelyard.cli.screen import printable, tell
from steelyard.report.contents import Contents, read_contents, stored_results
from steelyard.report.doubts import doubt_results, doubt_run
from steelyard.report.tables import Table
from steelyard.store import Run
from steelyard.types import Prompt


def preview(pairs: Sequence[Pair]) -> str:
    """What would be asked, and the first prompt of each data set."""
    rows = []
    prompts = {}
    for pair in pairs:
        batch = pair.batch
        size = batch.task.data.size() if hasattr(batch.task.data, "size") else None
        kind = pair.model.get("type")
        cls = str(getattr(kind, "__name__", kind)).replace(":", ".").rpartition(".")[2]
        rows.append([pair.abbr, cls, batch.name, batch.sets[0].version, batch.sets[0].mode, size])
        if batch.name not in prompts:
            sample = next(iter(batch.task.data))
            prompts[batch.name] = batch.task.request(sample, chat=batch.chat is not False).prompt
    table = Table(("model", "type", "dataset", "version", "mode", "questions"), rows).text()
    return "\n\n".join(
        [table, *(f"{name}:\n{printable(_written(prompt))}" for name, prompt in prompts.items())]
    )


def tell_endings(pairs: Sequence[Pair], endings: Sequence[Ending], outputs: Outputs) -> int:
    """Say what failed and why; the exit code."""
    codes = []
    for pair, ending in zip(pairs, endings):
        if ending.error:
            codes.append(tell_ending(pair.title, ending))
            continue
        complete, doubts = _doubt(pair, outputs)
        for line in doubts:
            tell(f"! {pair.title}: {printable(line)}")
        codes += [] if complete else [1]
    return exit_code(codes, len(pairs))


def draw_page(pairs: Sequence[Pair], outputs: Outputs) -> str:
    """One page of all runs."""
    # The template engine is loaded only where a page is wanted.
    from steelyard.report import pages

    found = [_contents(pair, outputs, keep=KEPT) for pair in pairs]
    return pages.draw_page([contents for contents in found if contents is not None])


def _doubt(pair: Pair, outputs: Outputs) -> tuple[bool, list[str]]:
    """Whether a pair is complete, and what there is to be said of its answers."""
    folder = outputs.run(pair.abbr, pair.batch.name)
    if not outputs.holds(pair.abbr, pair.name, "evaluation"):
        return True, []
    run = Run.open(folder)
    results = stored_results(run)
    if results and not any(result.failed or result.undefined for result in results):
        # All that many records would tell is known without reading them again.
        return True, doubt_results(results)
    contents = read_contents(run)
    return contents.complete, doubt_run(contents)


def _contents(pair: Pair, outputs: Outputs, *, keep: int = 0) -> Contents | None:
    folder = outputs.run(pair.abbr, pair.batch.name)
    there = outputs.holds(pair.abbr, pair.name, "evaluation")
    return read_contents(Run.open(folder), keep=keep) if there else None


def _written(prompt: Prompt) -> str:
    if isinstance(prompt, str):
        return prompt
    if isinstance(prompt, Mapping):
        return str(dict(prompt))
    return "\n".join(f"[{turn['role']}] {turn['content']}" for turn in prompt)
