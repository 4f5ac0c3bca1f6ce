"""The parser of a verb, and the flags that several verbs have."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from steelyard.errors import UsageError

VALUES = "key=value"
"""What stands for an option of what is named."""


class Parser(argparse.ArgumentParser):
    """An argument parser that raises what it has to complain of."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, argument_default=argparse.SUPPRESS, **options)

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing and leaving."""
        raise UsageError(message, hint=f"{self.prog} --help")

    def flags(self) -> Iterator[argparse.Action]:
        """What can be given beside the verb, in the order of the help."""
        for action in self._actions:
            if not isinstance(action, argparse._SubParsersAction):
                yield action


def add_field(add: Callable[..., Any]) -> None:
    """The columns to have results apart for."""
    add("--by", action="append", metavar="FIELD", help="also the scores by a column of the data; repeatable")


def add_prices(add: Callable[..., Any]) -> None:
    """What tokens cost."""
    add(
        "--prices",
        metavar="FILE",
        type=Path,
        help="also what the tokens cost, by a YAML or JSON file of prices for a million of them",
    )


def add_forms(parser: Parser) -> None:
    """The forms that a result can be shown in."""
    parser.add_argument("--html", metavar="FILE", type=Path, help="also write a page")
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--md", action="store_true", help="print Markdown")
    forms.add_argument("--csv", action="store_true", help="print CSV")
    forms.add_argument("--json", action="store_true", help="print one JSON document")
