"""`steelyard new`: a short file that runs at once, and the command that runs it."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from steelyard.cli.screen import show
from steelyard.errors import StoreError, UsageError

_MODEL = '''"""A model of my own."""

import re

from steelyard import LocalModel, Response


class {Name}(LocalModel):
    """Answers every prompt with its last number."""

    def __init__(self, default="0"):
        # Load weights here; options arrive as --model ./{name}.py:{Name} default=7
        self.default = default

    def batch(self, requests):
        """Answer requests that wait at the same time: one Response for each, in their order."""
        return [Response(text=last_number(str(request.prompt)) or str(self.default)) for request in requests]


def last_number(text):
    """The last number in a text."""
    return next((word for word in re.split(r"\\D+", text)[::-1] if word), None)
'''

_METRIC = '''"""A metric of my own."""


def {name}(sample, response):
    """Whether the answer is short.

    Return a bool (pass or fail), a number (score), a string (label), None (undefined),
    or a mapping of several of these. `sample.target` is the right answer.
    """
    return len(response.text.split()) <= 20
'''

_TASK = '''"""A task of my own: data, a prompt and metrics."""

from steelyard import Data, Task

ROWS = [
    {{"input": "two plus three", "target": "5"}},
    {{"input": "four plus four", "target": "8"}},
]


def exact(sample, response):
    """Whether the answer begins with the target."""
    return response.text.strip().startswith(sample.target)


def {name}(data=ROWS, **options):
    """Small sums in words; --data FILE asks other ones."""
    return Task(
        name="{name}",
        data=data if isinstance(data, Data) else Data(data),
        metrics=options.pop("metrics", [exact]),
        template=options.pop("template", "Question: What is {{input}}?\\nAnswer:"),
        params={{"max_tokens": 8, "stop": ["\\n"]}},
        **options,
    )
'''

_DATA = '''"""Data of my own."""


def {name}():
    """Rows, one by one: what is asked, and the right answer. Other columns can be named in a prompt."""
    for first in range(1, 6):
        for second in range(1, 6):
            yield {{"input": f"What is {{first}} plus {{second}}?", "target": str(first + second)}}
'''

_KINDS = {
    "model": (_MODEL, "steelyard eval --model ./{name}.py:{Name} --task arithmetic --limit 20"),
    "metric": (
        _METRIC,
        "steelyard eval --model embedded --task arithmetic --limit 20 --metric ./{name}.py:{name}",
    ),
    "task": (_TASK, "steelyard eval --model embedded --task ./{name}.py:{name}"),
    "data": (
        _DATA,
        "steelyard eval --model embedded --data ./{name}.py:{name} --metric number --extract number",
    ),
}


def run(options: Namespace) -> int:
    """Write the file and say how it is run."""
    name = options.name.removesuffix(".py")
    if not name.isidentifier() or not name.isascii():
        raise UsageError(f"{options.name!r} is no Python name", hint="letters, digits and _, as in my_model")
    text, command = _KINDS[options.kind]
    # A class of another name than its file, so that nobody mistakes one for the other.
    words = {"name": name, "Name": "".join(part[:1].upper() + part[1:] for part in name.split("_"))}
    path = Path(f"{name}.py")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text.format(**words))
    except FileExistsError as error:
        raise UsageError(f"{path} exists already", hint="choose another name") from error
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error
    show(f"{path} is written; run it with:\n  {command.format(**words)}")
    return 0
