"""Leaderboards: who is best, who is level with the best, and what each form says of it."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from reward_runs import judged, rows
from test_pages import ATTACKS, Page, attacked

from steelyard import Run, Sample, Task, evaluate
from steelyard.cli import main
from steelyard.errors import UsageError
from steelyard.metrics.overlap import wer
from steelyard.metrics.paired import adjust_holm
from steelyard.metrics.preferences import margin, preference
from steelyard.metrics.summary import Result
from steelyard.metrics.text import exact
from steelyard.report.comparison import compare_runs
from steelyard.report.contents import Contents, read_contents
from steelyard.report.doubts import doubt_run
from steelyard.report.leaderboard import Entry, Leaderboard, rank_results, tell_legend
from steelyard.report.leaderboard_forms import tell_gaps, write_csv, write_latex, write_markdown
from steelyard.report.leaderboard_page import draw_leaderboard
from steelyard.report.rankings import field_of, rank_runs
from steelyard.tasks.rewards import PreferenceTask

NAMES = ["a_b & 50 %", "[second] <b>", "*third*\n{x} #1 ~^\\", "fourth|--"]


def result(metric: str, value: float | None, *, n: int = 100, failed: int = 0, undefined: int = 0) -> Result:
    ends = (None, None, None) if value is None else (0.05, value - 0.1, value + 0.1)
    return Result(metric, value, *ends, n, failed, value, undefined, "a test")


def board_of(*values: float | None, lower: bool = False) -> Leaderboard:
    entries = [Entry(f"m{n}", "", result("score", value)) for n, value in enumerate(values)]
    chances = {f"m{n}": 0.01 * n for n in range(len(values))}
    lower_names = ["score"] if lower else []
    return rank_results(entries, lower=lower_names, p=lambda best, model, column: chances[model])


def marks(board: Leaderboard) -> list[str]:
    return ["best" if one.best else "level" if one.level else "" for one in board.down(0)]


def test_the_best_and_those_that_nothing_tells_from_it() -> None:
    board = board_of(0.9, 0.8, 0.7, None, 0.6, 0.5)
    assert [one.p for one in board.down(0)] == [
        None,
        *adjust_holm([0.01, 0.02])[:0],
        0.04,
        0.06,
        None,
        0.08,
        0.08,
    ]
    assert marks(board) == ["best", "", "level", "", "level", "level"]
    assert marks(board_of(0.9, 0.8, 0.9)) == ["best", "", "best"]
    assert marks(board_of(0.2, 0.8, lower=True)) == ["best", ""]
    # One alone is no winner.
    assert marks(board_of(0.9)) == [""] and marks(board_of(0.9, None)) == ["", ""]
    assert board_of(None, None).columns == []


def wide_board() -> Leaderboard:
    entries = []
    for n, name in enumerate(NAMES):
        entries += [
            Entry(name, "PAM_1", result("m_srcc", 0.7 - 0.1 * n, failed=n % 2)),
            Entry(name, "Pairs", result("preference", None if n == 1 else 0.5 + n / 10, n=100 - n // 3)),
            Entry(name, "PAM_1", result("m_lcc", -0.25, undefined=n // 2)),
        ]
        counted = {"right": 40, "wrong": 60, "tied scores": 3}
        labels = Result("preference.outcome", None, None, None, None, 103, 0, None, 0, "labels", counted)
        entries.append(Entry(name, "Pairs", labels))
    return rank_results(
        entries, p=lambda best, model, column: 0.5 if model == NAMES[0] else 0.001, title="50%"
    )


def test_columns_of_a_part_stand_together_and_labels_beside_their_metric() -> None:
    board = wide_board()
    assert [column.name for column in board.columns] == ["PAM_1 m_srcc", "PAM_1 m_lcc", "Pairs preference"]
    assert board.at(0, 2).labels["tied scores"] == 3 and board.at(0, 0).labels == {}
    gaps = list(tell_gaps(board))
    assert "3 tied scores in Pairs preference: " + ", ".join([NAMES[0], *NAMES[2:]]) in gaps
    assert f"1 failed and left out in PAM_1 m_srcc: {NAMES[1]}, {NAMES[3]}" in gaps
    assert f"1 left out in PAM_1 m_lcc: {NAMES[2]}, {NAMES[3]}" in gaps


def test_csv_has_a_line_for_each_standing_and_no_nan() -> None:
    text = write_csv(wide_board())
    found = list(csv.DictReader(io.StringIO(text)))
    assert len(found) == 12 and "nan" not in text.lower()
    first, missing = found[0], found[5]
    assert (first["model"], first["part"], first["metric"]) == (NAMES[0], "PAM_1", "m_srcc")
    assert float(first["value"]) == 0.7 and float(first["low"]) == pytest.approx(0.6)
    assert first["standing"] == "best" and first["p_holm"] == ""
    assert (missing["value"], missing["low"], missing["p_holm"]) == ("", "", "")
    assert found[2]["labels"] == "right 40; wrong 60; tied scores 3" and found[2]["standing"] == "level"
    assert float(found[6]["p_holm"]) == pytest.approx(0.003)


def test_markdown_cells_stay_cells() -> None:
    lines = write_markdown(wide_board()).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert [len(re.findall(r"(?<!\\)\|", line)) for line in table] == [5] * 6
    assert "**0.700** \\[0.600, 0.800\\]" in table[2] and "†" in table[2]
    assert "(n 99)" in table[5] and "<b>" not in "".join(lines)


def test_latex_has_as_many_cells_as_columns_whatever_a_model_is_called() -> None:
    text = write_latex(wide_board())
    assert text.count("\\begin{table}") == text.count("\\end{table}") == 1
    # All that is special is either ours or escaped: braces are in balance, and rows have their cells.
    bare = re.sub(r"\\[\\&%$#_{}]", "", text)
    assert bare.count("{") == bare.count("}")
    inside = text.partition(r"\midrule")[2].partition(r"\bottomrule")[0].strip().splitlines()
    assert len(inside) == 4
    for line in inside:
        assert len(re.findall(r"(?<!\\)&", line)) == 3 and line.endswith(r"\\")
        assert not re.search(r"(?<!\\)[%$#_^~]", line) and not line.startswith(("[", "*"))
    assert r"\textbf{0.700}" in inside[0] and r"\textdagger" in inside[0] and "--" in inside[1]
    assert r"\multicolumn{2}{c}{PAM\_1}" in text and r"\cmidrule(lr){2-3}\cmidrule(lr){4-4}" in text
    assert r"\textminus{}0.250" in text and "50\\%" in text
    many = rank_results(Entry("m", f"p{n}", result("x", 0.5)) for n in range(9))
    assert r"\begin{table*}" in write_latex(many) and r"\resizebox{\textwidth}" in write_latex(many)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    home = tmp_path_factory.mktemp("rewards")
    samples = rows(home / "songs", 60)
    judges = (("good", 0.1, []), ("fair", 1.2, ["s3", "s4", "s6"]), ("poor", 9.0, []))
    return [judged(home / name, samples, name, noise=noise, bad=bad) for name, noise, bad in judges]


def read(runs: list[Run], *, keep: int = 0) -> list[Contents]:
    return [read_contents(run, keep=keep) for run in runs]


def test_runs_are_ranked_by_paired_comparison_with_the_best(runs: list[Run]) -> None:
    found = read(runs)
    assert field_of(found) == "dataset"
    board = rank_runs(found, field="dataset")
    assert board.models == ["good", "fair", "poor"] and board.title == "preference"
    names = [column.name for column in board.columns]
    assert names == [
        "PAM musicality_srcc", "Pairs preference", "Pairs preference_alignment",
    ]  # fmt: skip
    correlations = board.down(0)
    assert correlations[0].best and not correlations[2].level
    pairings = compare_runs(runs[0], runs[1:], by=["dataset"])
    for place, column in enumerate(board.columns):
        measured = [
            one.comparison
            for pairing in pairings
            for one in pairing.measured
            if (one.part, one.metric) == (f"dataset {column.part}", column.metric)
        ]
        assert len(measured) == 2
        if board.at(0, place).best:
            expected = adjust_holm([one.p or 0.0 for one in measured])
            assert [one.p for one in board.down(place)[1:]] == expected
        for row, one in enumerate(measured, start=1):
            assert board.at(row, place).value == pytest.approx(one.after)
    assert list(tell_gaps(board)) and all("s3" not in line for line in tell_gaps(board))
    failed = [one.result.failed for one in board.rows[1] if one.result is not None]
    assert failed == [2, 1, 1]


def test_numbers_on_scales_of_their_own_rank_nobody(tmp_path: Path) -> None:
    answers = [Sample(f"s{n}", f"{n}?", 0, [str(n), "something"]) for n in range(12)]
    task = PreferenceTask(name="preference", data=answers, metrics=[preference, margin])
    runs = [
        evaluate(
            lambda request, by=by: [-by * len(one) for one in request.choices], task, out=tmp_path / f"r{by}"
        )
        for by in (1, 50)
    ]
    board = rank_runs(read(runs))
    assert [column.name for column in board.columns] == ["preference", "margin"]
    assert [one.best for one in board.down(0)] == [True, True]
    assert [(one.best, one.p) for one in board.down(1)] == [(False, None)] * 2
    (pairing,) = compare_runs(runs[0], runs[1:])
    assert [one.metric for one in pairing.measured] == ["preference"]
    told = "margin cannot be compared: its numbers are on a scale that each model has of its own"
    assert told in pairing.remarks


def test_a_part_compared_is_what_a_run_of_that_part_alone_says(tmp_path: Path) -> None:
    samples = rows(tmp_path / "songs", 40)
    pairs = samples[1::2]
    whole = [judged(tmp_path / f"w{n}", samples, f"j{n}", noise=n, bad=["s3"][:n]) for n in range(2)]
    alone = [judged(tmp_path / f"a{n}", pairs, f"j{n}", noise=n, bad=["s3"][:n]) for n in range(2)]
    (every,), (some,) = compare_runs(whole[0], whole[1:], by=["dataset"]), compare_runs(alone[0], alone[1:])
    parts = {one.metric: one.comparison for one in every.measured if one.part == "dataset Pairs"}
    assert {one.metric for one in some.measured} == parts.keys() == {"preference", "preference_alignment"}
    for one in some.measured:
        part = parts[one.metric]
        found = (part.before, part.after, part.low, part.high, part.p, part.n)
        assert found == (one.comparison.before, one.comparison.after, one.comparison.low,
                         one.comparison.high, one.comparison.p, one.comparison.n)  # fmt: skip


def words(
    path: Path, model: str, right: int, *, task: str = "words", data: list[Sample] | None = None
) -> Run:
    def answer(prompt: str) -> str:
        return prompt if int(prompt[1:]) < right else "?"

    answer.__name__ = model
    data = data or [Sample(f"s{n}", f"w{n}", f"w{n}") for n in range(40)]
    return evaluate(answer, Task(name=task, data=data, metrics=[exact, wer]), out=path)


def test_a_model_is_one_row_of_several_tasks(tmp_path: Path) -> None:
    made = [
        words(tmp_path / f"{name}-{task}", name, right, task=task)
        for name, right in (("early", 30), ("late", 35))
        for task in ("first", "second")
    ]
    board = rank_runs(read(made))
    assert board.models == ["early", "late"]
    assert any("†" in line for line in tell_legend(board)) and not any(
        "nobody" in line for line in tell_legend(board)
    )
    assert [column.name for column in board.columns] == [
        "first exact", "first wer", "second exact", "second wer",
    ]  # fmt: skip
    # Of word errors fewer are better.
    assert [one.lower_is_better for one in board.columns] == [False, True, False, True]
    assert [one.best for one in board.rows[1]] == [True] * 4
    again = words(tmp_path / "again", "early", 31, task="first")
    names = rank_runs(read([*made, again])).models
    assert names == [f"early ({tmp_path}/early-first)", f"early ({tmp_path}/early-second)", "late",
                     f"early ({tmp_path}/again)"]  # fmt: skip


def test_runs_that_share_no_samples_are_ranked_and_not_compared(tmp_path: Path) -> None:
    other = [Sample(f"x{n}", f"w{n}", f"w{n}") for n in range(30)]
    made = [words(tmp_path / "a", "early", 20), words(tmp_path / "b", "late", 25, data=other)]
    board = rank_runs(read(made))
    assert [one.best for one in board.down(0)] == [False, True]
    assert board.at(0, 0).p is None and not board.at(0, 0).level
    assert "not all models answered as many samples (30 to 40)" in board.notes[0]
    assert "have no sample in common: nothing compares them" in board.notes[1]
    legend = "\n".join(tell_legend(board))
    assert "nobody knows what chance does: exact, wer" in legend and "†" not in legend
    with pytest.raises(UsageError):
        compare_runs(made[0], made[1:])


def test_models_that_were_asked_about_other_data_are_told(tmp_path: Path) -> None:
    other = [Sample(f"s{n}", f"w{n}" if n else "w?", f"w{n}") for n in range(40)]
    made = [words(tmp_path / "a", "early", 20), words(tmp_path / "b", "late", 25)]
    assert rank_runs(read(made)).notes == []
    made = [
        made[0],
        evaluate(lambda prompt: "?", Task(name="words", data=other, metrics=[exact]), out=tmp_path / "c"),
    ]
    (note,) = rank_runs(read(made)).notes
    assert note.endswith("the data differs for 1 of 40 common samples")


def test_what_makes_a_result_doubtful_is_beside_it(tmp_path: Path) -> None:
    samples = [
        replace(sample, meta={"dataset": ("PAM", "MusicEval")[place % 2]})
        for place, sample in enumerate(rows(tmp_path / "songs", 24)[::2])
    ]
    made = [judged(tmp_path / name, samples, name, noise=0.1) for name in ("odd", "good")]
    made[0].update(independence={"findings": [
        {"cause": "padding", "verdict": "differs", "evidence": "4 of 9"}, {"cause": "x", "verdict": "noise"},
    ]})  # fmt: skip
    found = read([Run.open(run.path) for run in made])
    assert rank_runs(found, field="dataset").notes == [
        "odd: answers depend on what is asked beside them (padding): 4 of 9"
    ]
    (mixed,) = [line for line in doubt_run(found[1]) if "scales" in line]
    assert mixed.startswith("musicality_srcc is over MusicEval and PAM, whose ratings")
    one = judged(
        tmp_path / "one", [replace(sample, meta={"dataset": "PAM"}) for sample in samples], "x", noise=1
    )
    assert not any("scales" in line for line in doubt_run(read_contents(one)))


def test_failures_say_whether_they_are_in_a_number() -> None:
    results = [Result("score", value, 0.1, 0.0, 1.0, 9, 1, answered, 0, "") for value, answered in (
        (0.4, 0.5), (0.5, 0.5), (0.0, 0.0),
    )]  # fmt: skip
    board = rank_results(Entry(f"m{n}", "", one) for n, one in enumerate(results))
    assert list(tell_gaps(board)) == [
        "1 failed and counted as wrong in score: m0", "1 failed and left out in score: m1",
        "1 failed in score: m2",
    ]  # fmt: skip


def test_latex_says_which_names_want_another_font() -> None:
    plain, odd = (
        write_latex(rank_results([Entry(name, "", result("x", 0.5))])) for name in ("naïve – ≤ −1", "模型")
    )
    assert "lualatex" not in plain and r"naïve \textendash{} $\leq$ \textminus{}1" in plain
    assert "lualatex" in odd


def test_what_has_no_room_on_the_page_is_counted(tmp_path: Path) -> None:
    many = [Sample(f"s{n}", f"w{n}", f"w{n}") for n in range(230)]
    made = [words(tmp_path / f"m{n}", f"late\u202e{n}", n, data=many) for n in range(2)]
    found = read(made, keep=500)
    page = draw_leaderboard(rank_runs(found), found)
    assert "30 more are in the run folders" in page and page.count("<details") == 200
    # What turns the direction of writing is shown, not obeyed.
    assert "\u202e" not in page and "late\\u202e1" in page


def test_the_page_is_whole_sorted_and_plays(runs: list[Run]) -> None:
    found = read(runs, keep=500)
    page = Page(draw_leaderboard(rank_runs(found, field="dataset"), found))
    assert page.open == [] and page.tags["script"] == 1 and page.tags["audio"] > 20
    values = [value for tag, name, value in page.attributes if (tag, name) == ("td", "data-value")]
    assert len(values) == 9 and all(-1 <= float(value) <= 1 for value in values)
    shown = " ".join("".join(page.text).split())
    for said in ("3 models", "n 30", "95 % intervals", "NaN at 1.2 s", "furthest from people", "good"):
        assert said in shown


def test_nothing_from_outside_is_executable_in_the_page(tmp_path: Path) -> None:
    pages = []
    for name, texts in (("r", ATTACKS), ("p", [f"word {'onerror' if n == 2 else n}" for n in range(10)])):
        found = [read_contents(attacked(tmp_path / f"{name}{n}", texts), by=["kind"], keep=500) for n in "12"]
        pages.append(Page(draw_leaderboard(rank_runs(found, field="kind"), found)))
    hostile, plain = pages
    assert hostile.tags == plain.tags and hostile.open == []
    assert not {"img", "iframe", "a", "form", "b", "u", "object"} & set(hostile.tags)
    for tag, name, value in hostile.attributes:
        assert not name.startswith("on"), (tag, name, value)
        assert name not in ("href", "src", "srcdoc", "action", "style")


def test_the_command_writes_what_the_ending_says(
    runs: list[Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [str(run.path) for run in runs[:2]]
    for ending, said in (("csv", "p_holm"), ("md", "| model |"), ("tex", r"\toprule"), ("html", "<audio")):
        path = tmp_path / f"board.{ending}"
        assert main(["report", *paths, "--leaderboard", str(path)]) == 1
        assert said in path.read_text() and path.name in capsys.readouterr().err
    with (tmp_path / "board.csv").open() as file:
        assert {row["part"] for row in csv.DictReader(file)} == {"PAM", "Pairs"}
    assert main(["report", *paths, "--leaderboard", str(tmp_path / "board.xls")]) == 2
    said = capsys.readouterr()
    assert not said.out and ".tex" in said.err
