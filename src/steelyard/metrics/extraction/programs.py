"""The program that an answer to "complete this function" is: what to run, without its tests.

>>> sample = Sample("1", "def two():\\n", meta={"entry_point": "two"})
>>> find_program("    return 2\\n\\ndef other():", sample).value
'def two():\\n    return 2\\n'
>>> find_program("Sure:\\n```python\\ndef two():\\n    return 2\\n```\\nIt gives 2.", sample).value
'def two():\\n    return 2\\n'

The answer may be a chat's, with the code in a fence, or the text that goes on from the prompt; with
the whole function or its body alone. What the prompt has before the function (imports, functions that
it may call) stands before it. Nothing is run here.
"""

from __future__ import annotations

import ast
import re
import textwrap
import warnings

from steelyard.metrics.extraction.base import NOTHING, Extraction, cut_reasoning
from steelyard.types import Sample

# What stands further in than its beginning does not end a block: it is of a docstring.
_FENCE = re.compile(r"^( *)(```+|~~~+) *(\w*)[^\n]*\n(.*?)(?:^(?:\1| {0,3})\2 *$|\Z)", re.S | re.M)
_LANGUAGES = ("", "python", "py", "python3", "Python", "code", "plaintext")
_OPENING = re.compile(r"^(?:from\s+\w|import\s+\w|(?:async\s+)?def\s+\w+\s*\(|class\s+\w+\s*[:(]|@\w)", re.M)
_THOUGHT = re.compile(r"\A.*</(?:think|thinking|thought|reasoning)>\s*", re.S | re.I)
_MENDS = 40
_LONGEST = 100_000


def find_program(text: str, sample: Sample) -> Extraction:
    """The whole program, from the prompt and the answer together."""
    answer = _THOUGHT.sub("", cut_reasoning(text)).replace("\r\n", "\n").expandtabs(4)[:_LONGEST]
    if not answer.strip():
        return NOTHING
    prompt, name = str(sample.input), str(sample.meta.get("entry_point", ""))
    # A fence in a program is part of a string or comment of it.
    is_program = _defines(answer, name) and _wrong_line(answer) is None
    fences = [] if is_program else _FENCE.finditer(answer)
    blocks = [found[4] for found in fences if found[3] in _LANGUAGES]
    if blocks:
        with_function = [block for block in blocks if _defines(block, name)]
        code, rule = (with_function or [max(blocks, key=len)])[-1], "fenced"
        # Indented fences stand in lists; a body keeps what its lines have in common.
        code = textwrap.dedent(code) if _defines(textwrap.dedent(code), name) else code
    else:
        code, rule = answer, "completion"
    if _defines(code, name):
        opening = _OPENING.search(code)
        whole = _readable(code[opening.start() if opening else 0 :], name)
        return Extraction(_before(prompt, name) + whole, f"{rule}: function" if blocks else "function")
    body = _body(code, own_lines=not blocks)
    return Extraction(prompt + body, f"{rule}: body" if blocks else rule) if body.strip() else NOTHING


def _defines(code: str, name: str) -> bool:
    return bool(name) and re.search(rf"^(?:async\s+)?def\s+{re.escape(name)}\s*\(", code, re.M) is not None


def _before(prompt: str, name: str) -> str:
    """What stands in the prompt before the function that is to be written."""
    found = re.search(rf"^(?:async\s+)?def\s+{re.escape(name)}\s*\(", prompt, re.M)
    return prompt[: found.start()].rstrip() + "\n\n\n" if found and prompt[: found.start()].strip() else ""


def _readable(code: str, name: str) -> str:
    """Code as far as it can be read as such: what is told after it without a fence is left out."""
    lines = code.split("\n")
    for _ in range(_MENDS):
        shown = "\n".join(lines)
        wrong = _wrong_line(shown)
        if wrong is None:
            return shown.rstrip() + "\n"
        rest = lines[: max(wrong - 1, 0)]
        if len(rest) == len(lines) or not _defines("\n".join(rest), name):
            break
        lines = rest
    return code.rstrip() + "\n"


def _wrong_line(code: str) -> int | None:
    """The line at which code cannot be read any further; None where all of it can."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(code)
    except SyntaxError as error:
        return error.lineno or 0
    except (ValueError, RecursionError, MemoryError):
        return 0
    return None


def _body(code: str, *, own_lines: bool) -> str:
    """The lines of a body, indented, up to the first that is of no body."""
    lines = code.strip("\n").split("\n") if not own_lines else code.split("\n")
    first = next((n for n, line in enumerate(lines) if line.strip()), len(lines))
    rest = [line for line in lines[first + 1 :] if line.strip()]
    if first == len(lines):
        return ""
    if not lines[first].startswith(" "):
        opens = lines[first].rstrip().endswith((":", "(", "[", "{"))
        inner = all(line.startswith(" ") for line in rest[:1])
        # Where only the first line has lost its indent, it lost it with the blanks around the answer.
        lost = bool(rest) and inner and not opens
        lines = lines if lost else ["    " + line if line.strip() else line for line in lines]
        lines[first] = "    " + lines[first].lstrip()
    elif not lines[first].startswith("    "):
        lines[first] = "    " + lines[first].lstrip()
    kept = lines[: first + 1]
    for line in lines[first + 1 :]:
        if line and not line[0].isspace() and not line.startswith(("#", ")", "]", "}", '"""', "'''")):
            break
        kept.append(line)
    return "\n".join(kept).rstrip() + "\n"
