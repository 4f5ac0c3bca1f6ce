"""`steelyard list`: what can be named, with one line about each."""

from __future__ import annotations

from argparse import Namespace

from steelyard.builtin import BUILTINS
from steelyard.cli.screen import printable, show, show_json
from steelyard.plugins import names

KINDS = tuple(BUILTINS)
_FORMS = (
    ("between:START…END", "the last text between two others"),
    ("regex:PATTERN", "the last match of a pattern: its first group, if it has one"),
)


def run(options: Namespace) -> int:
    """List one kind of thing, or all kinds."""
    wanted = [options.kind] if options.kind else KINDS
    found = {kind: list_names(kind) for kind in wanted}
    if getattr(options, "json", False):
        rows = {kind: [{"name": name, "about": about} for name, about in f] for kind, f in found.items()}
        show_json(rows)
        return 0
    widest = max((len(name) for listed in found.values() for name, _ in listed), default=0)
    for number, (kind, listed) in enumerate(found.items()):
        if len(found) > 1:
            show(("\n" if number else "") + kind)
        indent = "  " if len(found) > 1 else ""
        for name, about in listed:
            show(f"{indent}{name:<{widest}}  {printable(about)}")
    return 0


def list_names(kind: str) -> list[tuple[str, str]]:
    """The names of a kind, each with what it is in one line."""
    forms = _FORMS if kind == "extractors" else ()
    return sorted([*names(kind), *forms])
