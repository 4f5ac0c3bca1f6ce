"""Leaderboards as files: CSV with every number, Markdown, and LaTeX for a paper.

write_latex(board)        \\begin{table} … \\textbf{0.71} … \\end{table}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from steelyard.report.leaderboard import Column, Leaderboard, Standing, tell_legend
from steelyard.report.tables import Cell, Figure, Table, clean, decimals_of, in_markdown

_LATEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}", "†": r"\textdagger{}",
    "↓": r"$\downarrow$", "≥": r"$\geq$",
    "≤": r"$\leq$", "−": r"\textminus{}", "–": r"\textendash{}", "…": r"\ldots{}",
    **{mark: f"\\{mark}" for mark in "&%$#_{}"},
    # A line that begins with one of these would tell the line before something.
    **{mark: f"{{{mark}}}" for mark in "[]*"},
}  # fmt: skip

_LAST_LATIN = 0x17F
_ALSO = "–—‘’“”„‚•€™"
"""What else a font of Latin letters has."""
_NARROW = 4
"""How many columns a table has that stands in one column of a paper."""
_PLAIN = ("right", "wrong")
"""Labels of which the number itself tells."""


def tabulate_standings(board: Leaderboard) -> Table:
    """A row for each standing, with all that is known of it."""
    rows: list[list[Cell]] = []
    for model, standings in zip(board.models, board.rows):
        for column, one in zip(board.columns, standings):
            result = one.result
            if result is None:
                continue
            numbers = (result.value, result.stderr, result.low, result.high)
            figures = [None if x is None else Figure(x, 4) for x in numbers]
            told = "best" if one.best else "level" if one.level else ""
            chance = None if one.p is None else Figure(one.p, 4)
            labels = "; ".join(f"{label} {count}" for label, count in one.labels.items())
            counts = (result.n, result.failed, result.undefined, labels)
            rows.append([model, column.part, column.metric, *figures, *counts, told, chance])
    names = ("value", "stderr", "low", "high", "n", "failed", "undefined", "labels", "standing", "p_holm")
    return Table(("model", "part", "metric", *names), rows)


def write_csv(board: Leaderboard) -> str:
    """A line for each model and column, numbers in full; what does not exist is empty."""
    return tabulate_standings(board).csv() + "\n"


def write_markdown(board: Leaderboard) -> str:
    """A table as GitHub draws it, with what the marks mean below it."""
    several = len(board.parts()) > 1
    head = ["model", *(_head(board, n, named=several) for n in range(len(board.columns)))]
    lines = [f"## {in_markdown(clean(board.title))}", ""] if board.title else []
    lines += ["| " + " | ".join(map(in_markdown, head)) + " |"]
    lines += ["| --- |" + " --: |" * len(board.columns)]
    for model, standings in zip(board.models, board.rows):
        cells = [_in_markdown(board, n, one) for n, one in enumerate(standings)]
        lines.append("| " + " | ".join([in_markdown(clean(model)), *cells]) + " |")
    told = [*tell_legend(board), *tell_gaps(board), *board.notes]
    return "\n".join([*lines, "", *(f"- {in_markdown(clean(line))}" for line in told), ""])


def write_latex(board: Leaderboard) -> str:
    """A table for a paper, of booktabs: intervals below their numbers, what the marks mean in its caption."""
    wide = len(board.columns) > _NARROW
    table = "table*" if wide else "table"
    lines = [
        r"% needs \usepackage[T1]{fontenc} and \usepackage{booktabs,textcomp,graphicx}", *_want_fonts(board),
        rf"\begin{{{table}}}[t]", r"\centering", r"\small",
        *([r"\resizebox{\textwidth}{!}{%"] if wide else []),
        rf"\begin{{tabular}}{{l{'r' * len(board.columns)}}}", r"\toprule", *_groups(board),
    ]  # fmt: skip
    heads = [_in_latex(_head(board, n, named=False)).rpartition(" (") for n in range(len(board.columns))]
    stacked = [rf"\shortstack[r]{{{name}\\{{\scriptsize ({count}}}}}" for name, _, count in heads]
    lines += [" & ".join(["Model", *stacked]) + r" \\", r"\midrule"]
    for model, standings in zip(board.models, board.rows):
        cells = [_stack(board, n, one) for n, one in enumerate(standings)]
        lines.append(" & ".join([_in_latex(model), *cells]) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}" + ("}" if wide else "")]
    if board.title or board.rows:
        told = [*filter(None, [board.title]), *tell_legend(board)]
        lines.append(rf"\caption{{{'; '.join(map(_in_latex, told))}}}")
    gaps = [*tell_gaps(board), *board.notes]
    lines += [rf"\par\smallskip{{\footnotesize {'; '.join(map(_in_latex, gaps))}\par}}"] if gaps else []
    return "\n".join([*lines, rf"\end{{{table}}}", ""])


def _stack(board: Leaderboard, place: int, one: Standing) -> str:
    """A number above its interval, and above how many answers it is over where that is odd."""
    if one.value is None or one.result is None:
        return "--"
    digits = decimals(board, place)
    number = str(Figure(one.value, digits)).replace("-", r"\textminus{}")
    mark = r"\textsuperscript{\textdagger}" if one.level else ""
    number = rf"\textbf{{{number}}}" if one.best else number + mark
    odd = "" if count_of(board, place) == one.result.n else f"n {one.result.n:,}"
    below = [text.replace("-", r"\textminus{}") for text in (interval_of(one, digits), odd) if text]
    if not below:
        return number
    return rf"\shortstack[r]{{{number}\\{{\scriptsize {' '.join(below)}}}}}"


def tell_gaps(board: Leaderboard) -> Iterator[str]:
    """What is not in the numbers, what is a 0 in them and what is a half: once for all that share it."""
    found: dict[str, dict[str, list[str]]] = {}
    for place, column in enumerate(board.columns):
        for model, one in zip(board.models, board.down(place)):
            for text in tell_beside(one):
                found.setdefault(text, {}).setdefault(model, []).append(column.name)
    for text, models in found.items():
        shared: dict[tuple[str, ...], list[str]] = {}
        for model, names in models.items():
            shared.setdefault(tuple(names), []).append(model)
        for columns, those in shared.items():
            who = "all models" if len(those) == len(board.models) > 1 else ", ".join(those)
            yield f"{text} in {', '.join(columns)}: {who}"


def tell_beside(one: Standing) -> Iterator[str]:
    """What is counted beside a number: what failed, what is left out, and what is neither right nor wrong."""
    if one.result is None or one.result.value is None:
        return
    if one.result.failed:
        changed = one.result.value != one.result.answered
        # Of a 0 nobody sees whether failures are in it.
        what = " and counted as wrong" if changed else " and left out" if one.result.value else ""
        yield f"{one.result.failed:,} failed{what}"
    # Where there are words for what is left out, these say why.
    if one.result.undefined and not one.labels:
        yield f"{one.result.undefined:,} left out"
    for label, count in one.labels.items():
        if label not in _PLAIN:
            yield f"{count:,} {label}"


def decimals(board: Leaderboard, place: int) -> int:
    """How many decimals the numbers of a column are worth."""
    found = [one.result for one in board.down(place) if one.result is not None]
    return max((decimals_of(one.value, one.stderr) for one in found), default=0)


def count_of(board: Leaderboard, place: int) -> int:
    """How many answers a column is over for most of its models."""
    counts = Counter(one.result.n for one in board.down(place) if one.result and one.value is not None)
    return counts.most_common(1)[0][0] if counts else 0


def interval_of(standing: Standing, digits: int) -> str:
    """The ends of a 95 % interval, where there is one."""
    result = standing.result
    if result is None or result.low is None or result.high is None:
        return ""
    return f"[{Figure(result.low, digits)}, {Figure(result.high, digits)}]"


def _head(board: Leaderboard, place: int, *, named: bool) -> str:
    """What a column is called: its metric, and how many answers it is over."""
    column: Column = board.columns[place]
    name = column.name if named else column.metric
    count = count_of(board, place)
    return clean(name) + (" ↓" if column.lower_is_better else "") + f" (n {count:,})"


def _in_markdown(board: Leaderboard, place: int, one: Standing) -> str:
    if one.value is None or one.result is None:
        return "–"
    digits = decimals(board, place)
    number = str(Figure(one.value, digits))
    number = f"**{number}**" if one.best else f"{number}†" if one.level else number
    interval = interval_of(one, digits)
    beside = f" \\[{interval[1:-1]}\\]" if interval else ""
    return number + beside + ("" if count_of(board, place) == one.result.n else f" (n {one.result.n:,})")


def _groups(board: Leaderboard) -> list[str]:
    """The line that names the parts of the data above their columns."""
    parts = board.parts()
    if not any(name for name, _ in parts):
        return []
    names = [rf"\multicolumn{{{len(places)}}}{{c}}{{{_in_latex(name)}}}" for name, places in parts]
    rules = [rf"\cmidrule(lr){{{places[0] + 2}-{places[-1] + 2}}}" for _, places in parts]
    return [" & ".join(["", *names]) + r" \\", "".join(rules)]


def _want_fonts(board: Leaderboard) -> list[str]:
    """A remark for who compiles a table with names that are not in Latin letters."""
    names = "".join([*board.models, *(column.name for column in board.columns), board.title, *board.notes])
    odd = any(ord(mark) > _LAST_LATIN and mark not in _ALSO and mark not in _LATEX for mark in names)
    return (
        ["% some names are not in Latin letters: lualatex or xelatex, and a font that has them"]
        if odd
        else []
    )


def _in_latex(text: str) -> str:
    return "".join(_LATEX.get(mark, mark) for mark in clean(text)).replace("--", "-{}-")


FORMS: dict[str, Callable[[Leaderboard], str]] = {
    ".csv": write_csv,
    ".md": write_markdown,
    ".tex": write_latex,
}
"""What writes a leaderboard, by the ending of the file."""
