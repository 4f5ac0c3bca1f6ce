"""Mathematical answers: what is equal, what is not, and that nothing takes long."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard import Response, Sample
from steelyard.errors import DataError
from steelyard.metrics.extraction.formulas import find_formula
from steelyard.metrics.formulas.equality import are_equal
from steelyard.metrics.mathematics import formula

EQUAL = [
    ("1/2", r"\frac{1}{2}"),
    ("0.5", r"\frac12"),
    (r"\dfrac{1}{2}", r"\tfrac12"),
    ("x=5", "5"),
    (r"x = \frac{3}{4}", "0.75"),
    (r"1\frac{1}{2}", "1.5"),
    ("1 1/2", "3/2"),
    (r"2\sqrt{2}", r"\sqrt{8}"),
    ("2.82843", r"2\sqrt2"),
    (r"\pi/2", r"\frac{\pi}{2}"),
    ("10,000", "10000"),
    ("10{,}000", "10000"),
    (r"10,\!000", "10000"),
    (r"\$18", "18"),
    (r"18\%", "18"),
    ("0.18", r"18\%"),
    (r"45^\circ", "45"),
    (r"10\text{ cm}", "10"),
    ("10 cm", "10"),
    (r"10\text{ cm}^2", "10"),
    ("5 m", "5"),
    ("(1,2)", "(1, 2)"),
    ("1,2", "2,1"),
    (r"\{1,2\}", "1, 2"),
    (r"\pm 2", "2,-2"),
    (r"x = \pm 2", "-2, 2"),
    ("x=1 or x=2", "1,2"),
    (r"1 \text{ and } 2", "1,2"),
    ("[0,1)", r"0 \le x < 1"),
    (r"(-\infty, 3)", "x<3"),
    (r"x \ge 3", r"[3,\infty)"),
    (r"(-\infty,1)\cup(3,\infty)", r"(3,\infty) \cup (-\infty,1)"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{bmatrix} 1 \\ 2.0 \end{bmatrix}"),
    ("2x+1", "1+2x"),
    ("(x+1)^2", "x^2+2x+1"),
    ("y = 2x+3", "2x+3"),
    ("2x - y + 3 = 0", "y=2x+3"),
    (r"\text{Friday}", "friday"),
    (r"\text{(B)}", "B"),
    ("(B)", "B"),
    ("101_2", "101_{2}"),
    (r"\sqrt[3]{-8}", "-2"),
    ("100,200", "(100, 200)"),
    ("(100,200)", "(100, 200)"),
    ("3:4", "3 : 4"),
    (r"\frac{x}{2}", "x/2"),
    ("5!", "120"),
    (r"\binom{5}{2}", "10"),
    (r"\sin 30^\circ", r"\frac{1}{2}"),
    (r"\sin^2 x + \cos^2 x", "1"),
    (r"\log_2 8", "3"),
    (r"e^{i\pi}", "-1"),
    (r"0.\overline{3}", r"\frac13"),
    (r"2\cdot\frac12", "1"),
    ("3+4i", "4i+3"),
    ("|x|", "|x|"),
    ("0033", "33"),
    ("33.0", "33"),
    (r"-\frac{1}{2}", r"\frac{-1}{2}"),
    (r"\frac{-1}{2}", "-0.5"),
    ("f(x) = x^2", "x^2"),
    ("x < 1 or x > 3", r"(-\infty,1)\cup(3,\infty)"),
    (r"\emptyset", r"\{\}"),
    ("no solution", r"\text{No solution}"),
    ("2^{10}", "1024"),
    ("2^10", "1024"),
    (r"x \ne 3", r"x \neq 3"),
    ("(x,y)=(1,2)", "(1,2)"),
    ("x=1,y=2", "(1,2)"),
    (r"5 \text{ or } 6", "6,5"),
    (r"\frac{\sqrt{3}}{3}", r"\frac{1}{\sqrt{3}}"),
    (r"12\text{ square units}", "12"),
    ("1{,}234.5", "1234.5"),
    ("√3/2", r"\frac{\sqrt3}{2}"),
    ("½", "0.5"),
    (r"6 \times 10^3", "6000"),
    (r"(-\infty,\infty)", r"(-\infty, +\infty)"),
    (r"\left( 3, \frac{\pi}{2} \right)", r"(3,\frac{\pi}{2})"),
    ("x^3+3x-6", "x^3 + 3 x - 6"),
    ("50 cents", "50"),
    (r"\$0.50", "0.5"),
    ("90 degrees", r"90^\circ"),
    ("p - q", "p-q"),
    (r"\text{Evelyn}", "Evelyn"),
    ("4:30 PM", "4:30 PM"),
    (r"\lfloor 3.7 \rfloor", "3"),
    (r"25\text{ km/h}", "25"),
    ("1, -1", r"\{-1, 1\}"),
    ("1,2,3", "(1,2,3)"),
    ("2516_8", "2516"),
    (r"-1 \pm i", "-1+i, -1-i"),
    (r"\frac{1}{2} \pm \frac{1}{3}", "5/6,1/6"),
    ("a+bi", "bi + a"),
    (r"3\sqrt{13}", r"3 \sqrt{13}"),
    (r"11\sqrt2", r"\sqrt{242}"),
    ("y=2x", "2x-y=0"),
    (".5", "0.5"),
    ("1.5e3", "1500"),
    ("2^{3^2}", "512"),
    ("2^3^2", "512"),
    (r"\frac{9}{\sqrt{41}}", r"\frac{9 \sqrt{41}}{41}"),
    (r"\mathrm{e}^{2}", "e^2"),
    (r"\mathbb{R}", r"(-\infty, \infty)"),
    ("ℝ", r"\mathbb R"),
    (r"x \approx 3.14", "3.14"),
    (r"\frac{4}{9} \approx 0.444", r"\frac49"),
    (r"50\text{,}000", "50000"),
    (r"10\text{ a.m.}", "10 AM"),
    ("12元", "12"),
    (r"12\text{元}", "12"),
    ("3或4", "3,4"),
]

UNEQUAL = [
    ("2.83", r"2\sqrt2"),
    ("1 1/2", "11/2"),
    ("1 2", "12"),
    (r"10\text{ am}", r"10\text{ pm}"),
    ("4:30 pm", "4:30 am"),
    ("5人", "6人"),
    (r"\pi \approx 3.14", "3.14"),
    ("1", "2"),
    ("(1,2)", "(2,1)"),
    ("[0,1)", "(0,1)"),
    ("x=5", "y=5"),
    ("0.33", r"\frac13"),
    ("100,200", "300"),
    ("east", "seat"),
    ("9**9**9", "9"),
    ("9^{9^{9^9}}", "1"),
    ("3:30", "1:10"),
    ("A", "B"),
    ("(1,2)", r"\{1,2\}"),
    ("1,2", "1"),
    ("x", "y"),
    ("2x", "x"),
    (r"\sqrt{-1}", "1"),
    ("x<3", r"x\le 3"),
    ("x>3", "x<3"),
    (r"\text{Friday}", "Monday"),
    ("101_2", "101_3"),
    ("(A)", "(B)"),
    ("5", ""),
    ("12", "1"),
    (r"\frac{1}{2}", r"\frac{2}{1}"),
    ("2x", "x2+1"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}2\\1\end{pmatrix}"),
    ("1,2,2", "1,1,2"),
    (r"x \ne 3", "x = 3"),
    ("10", "100"),
    ("0.5", "5"),
    ("__import__('os').system('true')", "0"),
]

HOSTILE = [
    "9**9**9",
    "9^{9^{9^{9}}}",
    "1000!!!!",
    "((1000!)^1000)!",
    r"\binom{1000}{500}^{1000}",
    "(" * 1000,
    "1+" * 900 + "1",
    "-" * 1999 + "1",
    "{" * 500 + "}" * 500,
    r"\frac" * 300,
    "|" * 400,
    "x^" * 400 + "x",
    "9" * 1999,
    "1," * 900 + "1",
    r"\sqrt" * 200 + "2",
    r"\begin{pmatrix}" + "1&" * 400 + r"\end{pmatrix}",
    r"\pm " * 300 + "1",
    r"(1\pm " * 50 + "1" + ")" * 50,
    r"\text{" * 300,
    "1/" * 900 + "0",
    "+".join(["3^{900}/7^{900}"] * 120),
    "(0.1" + "+0.1" * 480 + ")^{999}",
    ",".join(f"x^{{{n}}}" for n in range(60)),
    "9" * 1_000_000,
]


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_what_means_the_same_is_equal(one: str, other: str) -> None:
    assert are_equal(one, other)
    assert are_equal(other, one)


@pytest.mark.parametrize(("one", "other"), UNEQUAL)
def test_what_means_something_else_is_not(one: str, other: str) -> None:
    assert not are_equal(one, other)
    assert not are_equal(other, one)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:12])
def test_hostile_answers_end(text: str) -> None:
    assert not are_equal(text, r"\frac{1}{2} + x")
    assert not are_equal(r"\frac{1}{2} + x", text)
    assert are_equal(text, text)


PIECES = [
    *"0123456789.,/-+*^_=<>()[]{}|!%& xyei$",
    *r"\frac \sqrt \pi \text{ \pm \le \cup \begin{ \boxed{".split(),
]


@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
def test_any_jumble_is_survived(text: str) -> None:
    assert isinstance(are_equal(text, "x + 1"), bool)
    assert are_equal(text, text)
    assert 0 <= find_formula(text).start <= find_formula(text).end <= len(text)


@given(st.fractions(min_value=-1000, max_value=1000, max_denominator=1000))
def test_fractions_are_equal_however_written(value) -> None:
    top, bottom = value.numerator, value.denominator
    assert are_equal(f"\\frac{{{top}}}{{{bottom}}}", f"{top}/{bottom}")
    assert are_equal(f"\\dfrac{{{2 * top}}}{{{2 * bottom}}}", f"x = {top}/{bottom}")
    assert not are_equal(f"{top}/{bottom}", f"{top + 1}/{bottom}")


def test_nothing_heavy_is_loaded() -> None:
    code = "import steelyard.metrics.mathematics, sys; print('sympy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("text", "value", "rule"),
    [
        (r"So $x = 2$. \boxed{\frac{3}{4}}", r"\frac{3}{4}", "boxed"),
        (r"\boxed{1} and \boxed{2}", "1, 2", "boxed"),
        (r"\boxed{1}, no, wait. $\boxed{2}$", "2", "boxed"),
        (r"First $\boxed{\text{(}}$", r"\text{(}", "boxed"),
        ("The answer is $x=5$ since 2 + 3 = 5.", "x=5", "answer is"),
        ("The final answer is 3/4.", "3/4", "answer is"),
        ("5 + 2\n#### 7", "7", "####"),
        (r"2\sqrt{3}", r"2\sqrt{3}", "text"),
        (r"We see that $y = 1$ and then \(z = 2\) holds for all.", "z = 2", "last formula"),
        ("There are then 12 of them left here.", "12", "last number"),
        ("I do not know how to do this.", None, "nothing"),
        (r"<think>\boxed{1}</think>\boxed{2}", "2", "boxed"),
        ("", None, "nothing"),
        (r"\boxed{}", None, "nothing"),
    ],
)
def test_the_formula_of_a_text(text: str, value: str | None, rule: str) -> None:
    found = find_formula(text)
    assert (found.value, found.rule) == (value, rule)


def test_the_metric() -> None:
    solution = "We add and get $\\boxed{2}$, twice that is $\\boxed{\\frac{8}{2}}$."
    sample = Sample("1", "", target=solution)
    assert formula(sample, Response(r"It is \boxed{4}")) is True
    assert formula(sample, Response(r"It is \boxed{2}")) is False
    assert formula(Sample("1", "", target=["1", "2"]), Response("2.0")) is True
    assert formula(Sample("1", "", target=r"\text{no solution}"), Response("no solution")) is True
    assert formula(Sample("1", ""), Response("2")) is None
    assert formula(sample, Response("")) is False
    with pytest.raises(DataError, match="no \\\\boxed one"):
        formula(Sample("1", "", target="word " * 50), Response("2"))
