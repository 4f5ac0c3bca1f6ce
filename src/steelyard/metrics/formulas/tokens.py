"""The tokens of a formula, whichever way it is written: `scan("\\\\dfrac12 \\\\text{ cm}")`."""

from __future__ import annotations

import re
from typing import NamedTuple

LIMIT = 2000
"""The most characters of an answer that are read as a formula."""


class Unreadable(Exception):
    """A text that is no formula that can be read here."""


class Token(NamedTuple):
    """A number, name, word, command, environment or sign, and whether a blank stands before it."""

    kind: str
    text: str
    spaced: bool = False


_SPELLED = {
    "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "∙": r"\cdot ", "÷": "/", "−": "-", "–": "-", "－": "-",
    "√": r"\sqrt ", "π": r"\pi ", "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "≈": r"\approx ",
    "±": r"\pm ", "∪": r"\cup ", "∈": r"\in ", "∅": r"\emptyset ", "°": r"\degree ", "′": "'", "％": "%",
    "²": "^{2}", "³": "^{3}", "½": r"\frac{1}{2}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}",
    "⅓": r"\frac{1}{3}", "⅔": r"\frac{2}{3}", "，": ",", "（": "(", "）": ")", "：": ":", "；": ";",
    "＝": "=", "。": "", "、": ",", "\u00a0": " ", "\u202f": " ", "\u2009": " ", "α": r"\alpha ",
    "β": r"\beta ", "θ": r"\theta ", "λ": r"\lambda ", "φ": r"\phi ", "ω": r"\omega ",
    "ℝ": r"\mathbb{R}",
    "$": "", "€": "", "£": "",
}  # fmt: skip
_SPELLINGS = str.maketrans(_SPELLED)
_AFTER_HOUR = r"(?<=\d)(\s*(?:\\(?:text|mbox|mathrm)\s*\{\s*)?)"
_REPLACED = [
    (re.compile(r"(?<!\\)\\(?:[()$\[\]]|(?:q?quad|displaystyle|textstyle|limits|hfill)(?![A-Za-z]))"), " "),
    (re.compile(r"\\!"), ""),
    (re.compile(r"\\(?:left|right|[bB]igg?[lrm]?)(?![A-Za-z])\s*\.?(?=\s*\S)"), ""),
    (re.compile(r"(?:\\text)?\{,\}"), ","),
    (re.compile(r"\\mathbb\s*(?:\{\s*R\s*\}|R(?![A-Za-z]))"), r"(-\\infty ,\\infty )"),
    (re.compile(rf"{_AFTER_HOUR}a\.?\s?m(?:\.|\b)", re.I), r"\1am"),
    (re.compile(rf"{_AFTER_HOUR}p\.?\s?m(?:\.|\b)", re.I), r"\1pm"),
    (re.compile(r"(?<!\\)\\[,;: ]|~"), " "),
    (re.compile(r"\\%|\\percent(?![A-Za-z])"), "%"),
    (re.compile(r"\\[dtc]frac(?![A-Za-z])"), r"\\frac"),
    (re.compile(r"\^\s*(?:\{\s*)?\\circ\b\s*\}?|\\degrees?\b|\bdegrees?\b|\bdeg\b"), r"\\degree "),
    (re.compile(r"\*\*"), "^"),
    (re.compile(r"<="), r"\\le "),
    (re.compile(r">="), r"\\ge "),
    (re.compile(r"\\(?:ldots|cdots|dots)(?![A-Za-z])|…|\.\.\.+"), r"\\dots "),
]
_TOKEN = re.compile(
    r"""
      (?P<space>\s+)
    | \\(?:text(?:bf|it|rm|normal)?|math(?:rm|bf|it|sf|bb|cal)|operatorname\*?|mbox|hbox|bm|boldsymbol)\s*
      \{(?P<words>[^{}]*)\}
    | \\begin\s*\{(?P<begin>\w+)\*?\}(?:\s*\{[clr|\s]*\})?
    | \\end\s*\{(?P<end>\w+)\*?\}
    | (?P<row>\\\\(?:\[[^\]]*\])?)
    | (?P<command>\\(?:[A-Za-z]+|[{}|]))
    | (?P<number>NUMBER)
    | (?P<word>[A-Za-z]+)
    | (?P<han>[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+)
    | (?P<letter>[^\W\d_])
    | (?P<sign>[-+*/^_=<>()\[\]{}|,;:!%&'.])
    """.replace("NUMBER", r"\d+(?:\.\d+)?(?:[eE][-+]?\d{1,3}(?![\d.]))?|\.\d+"),
    re.X,
)
_GROUPED = re.compile(
    _TOKEN.pattern.replace(
        r"\d+(?:\.\d+)?(?:[eE]",
        r"\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d.]|,\d)|\d{1,3}(?:[ ]\d{3})+(?![\d.])|\d+(?:\.\d+)?(?:[eE]",
    ),
    re.X,
)
_REPEATING = re.compile(
    r"(?P<whole>\d{0,30})\.(?P<first>\d{0,30})\\overline\s*\{?(?P<period>(?<=\{)\d{1,30}|\d)\}?"
)
FUNCTIONS = frozenset("arcsin arccos arctan sinh cosh tanh sin cos tan cot sec csc log ln lg exp".split())
"""The commands that are functions."""

NAMES = frozenset(
    "pi infty alpha beta gamma delta epsilon varepsilon theta lambda mu nu rho sigma tau phi varphi omega"
    " ell hbar Delta Omega".split()
)
"""The commands that are names."""

_KNOWN = {*FUNCTIONS, "sqrt", "pi", "theta", "alpha", "beta", "infty", "pm"}
_AS_COMMAND = {"infinity": "infty", "inf": "infty", "oo": "infty", "Infinity": "infty"}
UNITS = frozenset(
    "cm mm km kg mg ft in lb lbs oz ml mi hr hrs min mins sec secs am pm th st nd rd mph kph cc".split()
)
_WORDS = frozenset("or is no of in to at by on as it if so we".split())
_LIKE_VARIABLES = re.compile(r"[xyz]{2,4}|[abc]{2,3}|[pqr]{2,3}|[mnk]{2,3}|[uvw]{2,3}|[rst]{2,3}|[a-zA-Z]{2}")


def clean(text: str) -> str:
    """A formula in one spelling: no dollars, no spacing commands, one fraction, signs as commands."""
    text = text.replace("\\$", "").translate(_SPELLINGS)
    for pattern, by in _REPLACED:
        text = pattern.sub(by, text)
    return _REPEATING.sub(_as_fraction, text).lstrip(" \t\r\n,;:").rstrip(" \t\r\n.,;:")


def scan(text: str, *, grouped: bool) -> list[Token]:
    """The tokens of a cleaned formula; `grouped` takes 1,234 for a number."""
    if len(text) > LIMIT:
        raise Unreadable(f"longer than {LIMIT} characters")
    tokens: list[Token] = []
    spaced, at = False, 0
    pattern = _GROUPED if grouped else _TOKEN
    while at < len(text):
        found = pattern.match(text, at)
        if found is None:
            raise Unreadable(f"{text[at]!r}")
        at = found.end()
        kind = found.lastgroup or ""
        if kind == "space":
            spaced = True
            continue
        tokens += _tokens(kind, found[kind], spaced, grouped=grouped)
        spaced = False
    return tokens


def _as_fraction(found: re.Match[str]) -> str:
    """0.1\\overline{6} as the fraction that it is."""
    whole, first, period = found["whole"] or "0", found["first"], found["period"]
    below = (10 ** len(period) - 1) * 10 ** len(first)
    above = int(whole + first + period) - int(whole + first)
    return rf"\frac{{{above}}}{{{below}}}"


def _tokens(kind: str, text: str, spaced: bool, *, grouped: bool) -> list[Token]:
    if kind == "words":
        return _told(text, grouped=grouped)
    if kind == "word":
        return _spell(text, spaced)
    if kind == "han":
        return [Token("text", text, spaced)]
    if kind == "letter":
        return [Token("name", text, spaced)]
    if kind == "command":
        return [Token("command", text[1:], spaced)]
    if kind == "number":
        return [Token(kind, text.replace(",", "").replace(" ", ""), spaced)]
    return [Token(kind, text, spaced)]


def _told(text: str, *, grouped: bool) -> list[Token]:
    """What stands in \\text{…}: words, or a formula in upright letters."""
    if not re.search(r"[^\W\d_]{2}", text) and text.strip():
        return scan(text, grouped=grouped)
    return [Token("text", " ".join(text.split()))] if text.strip() else []


def _spell(word: str, spaced: bool) -> list[Token]:
    """A run of letters outside of \\text: a function, a name, some variables, or a word."""
    if word in _KNOWN or word in _AS_COMMAND:
        return [Token("command", _AS_COMMAND.get(word, word), spaced)]
    if len(word) == 1:
        return [Token("name", word, spaced)]
    if word in UNITS or word.lower() in _WORDS or not _LIKE_VARIABLES.fullmatch(word):
        return [Token("text", word, spaced)]
    return [Token("name", letter, spaced and not n) for n, letter in enumerate(word)]
