"""From the text of a formula to what it says: `read("\\\\frac{x}{2} + 1")`.

What a formula may hold beside terms (sums, integrals, cases) is Unreadable.
"""

from __future__ import annotations

from fractions import Fraction

from steelyard.metrics.formulas.terms import Collection, Name, Number, Operation, Relation, Term, Words
from steelyard.metrics.formulas.tokens import FUNCTIONS, NAMES, Token, Unreadable, clean, scan

DEPTH = 60
"""How deep brackets may stand in each other."""

_SIGNS = {"=": "=", "<": "<", ">": ">", "le": "<=", "leq": "<=", "leqslant": "<=", "ge": ">=", "geq": ">="}
_SIGNS |= {"geqslant": ">=", "ne": "!=", "neq": "!=", "lt": "<", "gt": ">", "approx": "~", "in": "in"}
_SIGNS |= {"equiv": "=", "simeq": "~"}
_CLOSING: dict[str, str | tuple[str, ...]] = {
    "(": ")]",
    "[": ")]",
    "{": "}",
    "langle": ("rangle",),
    "lfloor": ("rfloor",),
    "lceil": ("rceil",),
}
_CLOSING |= {"lvert": ("rvert",), "lVert": ("rVert",)}
_SEPARATORS = (",", ";")
_JOINS = ("and", "or", "or else", ", and", ", or", "或", "和")
_MATRICES = ("matrix", "pmatrix", "bmatrix", "Bmatrix", "array", "smallmatrix")


def read(text: str, *, grouped: bool = True) -> Term:
    """The term that a formula is; raises Unreadable."""
    reader = _Reader(scan(clean(text), grouped=grouped))
    term = reader.sequence()
    if reader.here is not None:
        raise Unreadable(f"{reader.here.text!r}")
    return term


class _Reader:
    """Reads tokens from left to right."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0
        self._bars = 0

    @property
    def here(self) -> Token | None:
        """The next token."""
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def sequence(self, closing: str | tuple[str, ...] = "") -> Term:
        """Items with commas or "or" between them; one item is itself."""
        self._depth += 1
        if self._depth > DEPTH:
            raise Unreadable("too deep")
        bars, self._bars = self._bars, 0
        items = []
        while self.here is not None and self.here.text not in closing:
            items.append(self._relation())
            if not self._separator():
                break
        self._depth -= 1
        self._bars = bars
        if not items:
            raise Unreadable("nothing")
        return items[0] if len(items) == 1 else Collection("list", tuple(items))

    def _separator(self) -> bool:
        found = False
        while (token := self.here) is not None and (
            (token.kind == "sign" and token.text in _SEPARATORS)
            or (token.kind == "text" and token.text.strip(" ,").lower() in _JOINS)
        ):
            self._at += 1
            found = True
        return found

    def _relation(self) -> Term:
        parts, signs = [self._union()], []
        while (sign := self._sign()) is not None:
            self._at += 1
            signs.append(sign)
            parts.append(self._union())
        return Relation(tuple(signs), tuple(parts)) if signs else parts[0]

    def _sign(self) -> str | None:
        token = self.here
        return _SIGNS.get(token.text) if token is not None and token.kind in ("sign", "command") else None

    def _union(self) -> Term:
        parts = [self._sum()]
        while self._take("command", "cup"):
            parts.append(self._sum())
        return parts[0] if len(parts) == 1 else Collection("union", tuple(parts))

    def _sum(self) -> Term:
        # "≈ 3.14" and "= 5" have nothing before the sign.
        if self._sign() is not None:
            return Words("")
        total: Term | None = None
        while True:
            kind = self._plus_or_minus()
            if kind is None and total is not None:
                return total
            term = self._product()
            if kind in ("-", "pm"):
                term = Operation("neg" if kind == "-" else "pm", (term,))
            total = term if total is None else Operation("+", (total, term))

    def _plus_or_minus(self) -> str | None:
        kind = None
        while (
            (token := self.here) is not None and token.text in ("+", "-", "pm", "mp") and token.kind != "text"
        ):
            # Two minus signs are a plus.
            own = "pm" if token.text in ("pm", "mp") else token.text
            kind = {("-", "-"): "+", ("-", "+"): "-"}.get((kind or "+", own), own)
            self._at += 1
        return kind

    def _product(self) -> Term:
        product = self._power()
        while (token := self.here) is not None:
            kind = ""
            if token.text in ("*", "/", ":", "times", "cdot", "div") and token.kind in ("sign", "command"):
                self._at += 1
                kind = {"/": "/", "div": "/", ":": ":"}.get(token.text, "*")
            elif not self._begins(token):
                break
            elif token.kind == "number" and isinstance(product, Number):
                factor = self._power()
                # "1 1/2" is one and a half, "2 3" is nothing.
                if not (token.spaced and self._take("sign", "/")):
                    raise Unreadable("two numbers")
                product = Operation("+", (product, Operation("/", (factor, self._power()))))
                continue
            factor = self._signed_power() if kind else self._power()
            product = _joined(kind, product, factor)
        return product

    def _begins(self, token: Token) -> bool:
        """Whether a token begins a factor that follows without a sign."""
        if token.kind in ("number", "name", "text", "begin"):
            return token.kind != "text" or token.text.strip(" ,").lower() not in _JOINS
        if token.kind == "command":
            return token.text in FUNCTIONS or token.text in _ATOMS or token.text in NAMES
        return token.text in "([{" or (token.text == "|" and not self._bars)

    def _signed_power(self) -> Term:
        return Operation("neg", (self._power(),)) if self._take("sign", "-") else self._power()

    def _power(self) -> Term:
        base = self._atom()
        while (token := self.here) is not None:
            if self._take("sign", "^"):
                exponent = self._exponent()
                base = base if isinstance(exponent, Words) else Operation("^", (base, exponent))
            elif self._take("sign", "!"):
                base = Operation("factorial", (base,))
            elif self._take("sign", "%"):
                base = Operation("percent", (base,))
            elif self._take("command", "degree"):
                base = Operation("degree", (base,))
            elif token.kind == "sign" and token.text == "_":
                self._at += 1
                base = _indexed(base, self._argument(whole=True))
            elif token.kind == "sign" and token.text == "'" and isinstance(base, Name):
                self._at += 1
                base = Name(base.name + "'")
            elif self._take("command", "dots"):
                continue
            else:
                break
        return base

    def _exponent(self) -> Term:
        """What stands above; of 2^3^2, 3^2 does."""
        exponent = self._argument(whole=True)
        self._depth += 1
        if self._depth > DEPTH:
            raise Unreadable("too deep")
        if self._take("sign", "^"):
            exponent = Operation("^", (exponent, self._exponent()))
        self._depth -= 1
        return exponent

    def _atom(self) -> Term:
        token = self._next()
        if token.kind == "number":
            return _number(token.text)
        if token.kind == "name":
            return Name(token.text)
        if token.kind == "text":
            return Words(token.text)
        if token.kind == "begin":
            return self._matrix(token.text)
        if token.kind == "sign" and token.text in "([{":
            return self._bracketed(token.text)
        if token.text == "|":
            return self._between_bars()
        if token.kind == "command":
            return self._command(token.text)
        raise Unreadable(f"{token.text!r}")

    def _bracketed(self, opening: str) -> Term:
        closing = _CLOSING[opening]
        inner = self.sequence(closing)
        closed = self._next().text
        if closed not in closing:
            raise Unreadable(f"{closed!r}")
        brackets = {"langle": "(", "{": "{"}.get(opening, opening) + {"rangle": ")"}.get(closed, closed)
        if isinstance(inner, Collection) and inner.kind == "list":
            return Collection("set" if opening == "{" else "tuple", inner.parts, brackets)
        if brackets in ("(]", "[)"):
            raise Unreadable(brackets)
        return inner

    def _between_bars(self) -> Term:
        self._bars += 1
        inner = self._sum()
        if not self._take("sign", "|"):
            raise Unreadable("|")
        self._bars -= 1
        return Operation("abs", (inner,))

    def _command(self, name: str) -> Term:
        if name in NAMES:
            return Name(name)
        if name in FUNCTIONS:
            return self._function(name)
        if name in ("frac", "binom"):
            top = self._argument()
            return Operation("/" if name == "frac" else "binom", (top, self._argument()))
        if name == "sqrt":
            degree: Term = Number(Fraction(2))
            if self._take("sign", "["):
                degree = self.sequence("]")
                self._next()
            return Operation("root", (self._argument(whole=True), degree))
        if name in ("{", "langle", "lfloor", "lceil", "lvert", "lVert"):
            return self._enclosed(name)
        if name == "overline":
            return self._argument(whole=True)
        if name in ("emptyset", "varnothing"):
            return Collection("set", ())
        raise Unreadable(f"\\{name}")

    def _enclosed(self, opening: str) -> Term:
        if opening == "langle":
            return self._bracketed(opening)
        if opening == "{":
            if self._take("command", "}"):
                return Collection("set", ())
            inner = self.sequence(("}", "mid"))
            if not self._take("command", "}"):
                raise Unreadable("{")
            several = isinstance(inner, Collection) and inner.kind == "list"
            return Collection("set", inner.parts if several and isinstance(inner, Collection) else (inner,))
        inner = self.sequence(_CLOSING[opening])
        self._next()
        return Operation({"lfloor": "floor", "lceil": "ceil"}.get(opening, "abs"), (inner,))

    def _function(self, name: str) -> Term:
        base: Term | None = None
        exponent: Term | None = None
        while (token := self.here) is not None and token.kind == "sign" and token.text in "^_":
            self._at += 1
            if token.text == "^":
                exponent = self._argument(whole=True)
            else:
                base = self._argument(whole=True)
        if (token := self.here) is not None and token.kind == "sign" and token.text in "({":
            inner = self._power()
        else:
            inner = self._signed_power()
            # "sin 2x cos x" is a product of two.
            while (token := self.here) is not None and _goes_on(token):
                inner = Operation("*", (inner, self._power()))
        if name in ("sin", "cos", "tan") and exponent == Operation("neg", (Number(Fraction(1), 0, 1),)):
            return Operation(f"arc{name}", (inner,))
        made = Operation(name, (inner,) if base is None else (inner, base))
        return made if exponent is None else Operation("^", (made, exponent))

    def _argument(self, *, whole: bool = False) -> Term:
        """What a command takes: a group or one token, of a number one digit unless the whole is wanted."""
        token = self._next()
        if token.kind == "sign" and token.text == "{":
            inner = self.sequence("}")
            if not self._take("sign", "}"):
                raise Unreadable("{")
            return inner
        if token.kind == "sign" and token.text == "-" and whole:
            return Operation("neg", (self._argument(whole=True),))
        if token.kind == "number" and not whole and len(token.text) > 1:
            self._at -= 1
            self._tokens[self._at] = Token("number", token.text[1:])
            return _number(token.text[0])
        self._at -= 1
        return self._atom()

    def _matrix(self, environment: str) -> Term:
        if environment not in _MATRICES:
            raise Unreadable(environment)
        rows: list[Term] = []
        cells: list[Term] = []
        while True:
            token = self.here
            if token is None:
                raise Unreadable("\\begin")
            if token.kind in ("row", "end"):
                self._at += 1
                if cells:
                    rows.append(Collection("row", tuple(cells)))
                cells = []
                if token.kind == "end":
                    return Collection("matrix", tuple(rows))
            elif token.text == "&":
                self._at += 1
            else:
                cells.append(self._relation())

    def _take(self, kind: str, text: str) -> bool:
        token = self.here
        if token is not None and token.kind == kind and token.text == text:
            self._at += 1
            return True
        return False

    def _next(self) -> Token:
        token = self.here
        if token is None:
            raise Unreadable("it breaks off")
        self._at += 1
        return token


_ATOMS = ("frac", "binom", "sqrt", "{", "langle", "lfloor", "lceil", "lvert", "lVert", "overline", "emptyset")


def _goes_on(token: Token) -> bool:
    """Whether a token is still of what a function is taken of."""
    return token.kind in ("number", "name") or (
        token.kind == "command" and token.text in (*NAMES, "frac", "sqrt")
    )


def _number(text: str) -> Number:
    places = len(text.partition(".")[2])
    return Number(Fraction(f"0{text}"), places, len(text.replace(".", "").lstrip("0")))


def _indexed(base: Term, index: Term) -> Term:
    """x_1 is a name, 101_2 a number of base 2."""
    if isinstance(base, Name):
        return Name(f"{base.name}_{index}")
    if isinstance(base, Number) and not base.places:
        return Collection("based", (base, index))
    raise Unreadable("_")


def _joined(kind: str, left: Term, right: Term) -> Term:
    """A product, quotient or ratio; a unit is passed over, a whole number before a fraction added to it."""
    if kind == ":":
        several = isinstance(left, Collection) and left.kind == "ratio"
        return Collection(
            "ratio", (*left.parts, right) if several and isinstance(left, Collection) else (left, right)
        )
    if _is_unit(right):
        if _words(right) in ("am", "pm"):
            raise Unreadable("no unit: 10 am is not 10 pm")
        return left if not _is_unit(left) else Words(f"{_words(left)} {_words(right)}")
    if _is_unit(left):
        return right
    if not kind and isinstance(left, Number) and not left.places and _is_fraction(right):
        return Operation("+", (left, right))
    return Operation(kind or "*", (left, right))


def _is_unit(term: Term) -> bool:
    while isinstance(term, Operation) and term.kind in ("^", "/") and term.parts:
        term = term.parts[0]
    return isinstance(term, Words)


def _words(term: Term) -> str:
    return term.text if isinstance(term, Words) else ""


def _is_fraction(term: Term) -> bool:
    """Whether a term is a fraction of two whole numbers."""
    return (
        isinstance(term, Operation)
        and term.kind == "/"
        and all(isinstance(part, Number) and not part.places for part in term.parts)
    )
