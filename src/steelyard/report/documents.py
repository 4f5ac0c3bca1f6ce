"""A self-contained HTML document of a template of ours: no network, nothing from outside is run."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from jinja2 import BaseLoader, Environment, StrictUndefined
from markupsafe import Markup

from steelyard import __version__


class _Ours(BaseLoader):
    """The templates that stand beside this module."""

    def get_source(self, environment: Environment, template: str) -> tuple[str, None, None]:
        return read_part(template), None, None


def fill_document(
    template: str,
    *,
    styles: Sequence[str],
    scripts: Sequence[str],
    drawn: str = "",
    heard: bool = False,
    **values: Any,
) -> str:
    """The template with its styles, its scripts as one and its values.

    `drawn` are styles with pictures, `heard` says whether the page has sounds.
    """
    code = "".join(map(read_part, scripts))
    # Only this very script may run, whatever a prompt or an answer may say.
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    # Pictures and sounds stand in the page itself; none is ever fetched.
    media = ("img-src data:; " if drawn else "") + ("media-src data:; " if heard else "")
    allowed = f"{media}style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    engine = Environment(
        loader=_Ours(), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return engine.get_template(template).render(
        style=Markup("".join(map(read_part, styles)) + drawn),  # noqa: S704 - our own files, digits and base64
        script=Markup(code),  # noqa: S704 - our own file
        policy=f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'",
        version=__version__,
        **values,
    )


def read_part(name: str) -> str:
    """A file that stands beside this module."""
    return (files(__package__) / name).read_text("utf-8")
