"""`python -m steelyard.cli.reference [FILE]`: docs/cli.md, made of the parser."""

from __future__ import annotations

import sys
from argparse import Action
from pathlib import Path

from steelyard.cli.flags.base import Parser
from steelyard.cli.parser import build_parser

_HEAD = """# The command

`steelyard VERB [flags]`. Results go to stdout, all else to stderr. The exit code is 0 only if every
request was answered and every metric worked, 2 for a command that cannot be, 130 after Ctrl-C.

`REF` names a thing: a built-in name (`steelyard list`), the name of a package's entry point,
`module:NAME` or `./file.py:NAME`. `key=value` gives it an option; the value is a number, `true`,
`false`, `null`, JSON, or else text. A key that is secret is best given as `api_key=env:NAME`; where it
is given itself, it is neither stored nor shown.

With several `--model`, `--task`, `--data` or `--prompt`, every model is asked every task, data set and
prompt, and there is one table of scores and one of costs. Each model is opened once; each combination is
a run in a folder of its own. A prompt `@FILE` is read from the file and called by its name, others are
called by their number; one that begins with an `@` is written with two.
"""


def write_reference() -> str:
    """The whole page as Markdown."""
    _, verbs = build_parser()
    return "\n".join([_HEAD, *(_verb(name, parser) for name, parser in verbs.items())])


def _verb(name: str, parser: Parser) -> str:
    flags = [action for action in parser.flags() if action.dest not in ("help", "debug")]
    plain = [_placeholder(action) for action in flags if not action.option_strings]
    required = [f"{a.option_strings[0]} {_placeholder(a)}" for a in flags if a.option_strings and a.required]
    usage = " ".join(["steelyard", name, *plain, *required, "[flags]"])
    lines = [f"## {name}", "", parser.description or "", "", f"    {usage}", "", "| | |", "|---|---|"]
    lines += [f"| `{_spelling(action)}` | {_escaped(action.help or '')} |" for action in flags]
    return "\n".join([*lines, ""])


def _spelling(action: Action) -> str:
    value = _placeholder(action)
    # Also within code, a bar would end the cell.
    return " ".join([*action.option_strings[-1:], value]).strip().replace("|", "\\|")


def _placeholder(action: Action) -> str:
    """What stands for the value of an argument; nothing where it takes none."""
    if action.nargs == 0:
        return ""
    if isinstance(action.metavar, tuple):
        return f"{action.metavar[0]} [{action.metavar[1]} …]"
    if action.option_strings and action.choices is not None:
        return "|".join(map(str, action.choices))
    named = action.metavar or action.dest.upper()
    return {"+": f"{named} …", "?": f"[{named}]"}.get(str(action.nargs), named)


def _escaped(text: str) -> str:
    # What argparse reads as one percent sign is written as two.
    return text.replace("%%", "%").replace("|", "\\|").replace("{", "`{").replace("}", "}`")


def main() -> None:
    """Write the page to the file that is named, or to stdout."""
    if sys.argv[1:]:
        Path(sys.argv[1]).write_text(write_reference(), encoding="utf-8")
    else:
        sys.stdout.write(write_reference())


if __name__ == "__main__":
    main()
