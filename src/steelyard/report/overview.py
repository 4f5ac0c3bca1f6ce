"""Several runs in one table: named by what tells them apart, their scores and what they spent."""

from __future__ import annotations

from collections.abc import Sequence

from steelyard.report.asking import way_of
from steelyard.report.contents import Contents
from steelyard.report.scores import COLUMNS, by_metric, numbers_of, row_of
from steelyard.report.spending import tabulate_spending
from steelyard.report.tables import Cell, Table


class Overview:
    """Runs side by side: `columns` are task and model, and data, prompt, way of picking options and
    folder where these must tell.

    `names` holds a cell for each of these columns, run by run.
    """

    def __init__(self, found: Sequence[Contents]) -> None:
        self.found = found
        named = {
            key: [_text(contents, key) for contents in found] for key in ("task", "data", "prompt", "model")
        }
        # A task that was made of its data has the name of it.
        if len(set(named["data"])) == 1 or named["data"] == named["task"]:
            del named["data"]
        if len(set(named["prompt"])) == 1:
            del named["prompt"]
        ways = [way_of(contents) for contents in found]
        if len(set(ways)) > 1:
            named["choices"] = ways
        if len(set(zip(*named.values()))) < len(found):
            named["run"] = [str(contents.run.path) for contents in found]
        self.columns = list(named)
        self.names = list(map(list, zip(*named.values())))

    def titles(self) -> list[str]:
        """What each run is called, in a line."""
        return [" · ".join(filter(None, names)) for names in self.names]

    def scores(self) -> Table:
        """A row for each run and metric."""
        rows: list[list[Cell]] = [
            [*names, *row_of(result)]
            for names, contents in zip(self.names, self.found)
            for result in numbers_of(contents.results)
        ]
        return Table((*self.columns, *COLUMNS), rows)

    def fields(self) -> list[str]:
        """The columns of the data by which any of the runs has results apart."""
        return list(dict.fromkeys(field for contents in self.found for field in contents.by))

    def scores_by(self, field: str) -> Table:
        """A row for each run, metric and value of a column of the data."""
        rows: list[list[Cell]] = [
            [*names, value, *row_of(result)]
            for names, contents in zip(self.names, self.found)
            for value, result in by_metric(contents.by.get(field, {}))
        ]
        return Table((*self.columns, field, *COLUMNS), rows)

    def spending(self) -> Table:
        """A row for each run: what it cost."""
        return tabulate_spending(self.columns, list(zip(self.names, self.found)))

    def prompts(self) -> list[tuple[str, str]]:
        """The prompts that tell runs apart: the name of each, and its template."""
        if "prompt" not in self.columns:
            return []
        return list({_text(c, "prompt"): template_of(c) for c in self.found}.items())


def template_of(contents: Contents) -> str:
    """The template that the questions of a run were made with."""
    return str(contents.run.about.get("identity", {}).get("task", {}).get("template") or "")


def _text(contents: Contents, key: str) -> str:
    return str(contents.run.about.get(key) or "")
