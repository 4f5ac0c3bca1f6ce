"""`steelyard parity`: two ways to the same model asked the same, and what differs between them."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

from steelyard.cli.pairs import masked, read_pairs
from steelyard.cli.screen import printable, show, show_json, tell, width
from steelyard.data.source import Data
from steelyard.errors import UsageError
from steelyard.models.references import open_model
from steelyard.parity.examination import check_parity
from steelyard.parity.findings import Findings
from steelyard.report.tables import Table

_COLUMNS = ("cause", "verdict", "what was seen")
_SHOWN = {"same": "same", "noise": "noise", "differs": "DIFFERS", "unknown": "not seen"}


def run(options: Namespace) -> int:
    """Ask, show what differs, and return 1 where more does than noise."""
    told = vars(options)
    named = [*([ref] for ref in told.get("refs", ())), *told.get("model", ())]
    if len(named) != 2:
        hint = "steelyard parity A B, or --model A key=value … --model B key=value …"
        raise UsageError(f"parity is between two models, {len(named)} named", hint=hint)
    asked: dict[str, Any] = {name: told[name] for name in ("limit", "max_tokens", "longest") if name in told}
    if "data" in told:
        ref, *words = told["data"]
        asked["data"] = Data(ref, **read_pairs(words))
    out = told.get("out") or Path("runs") / f"{datetime.now().strftime('%Y-%m-%dT%H-%M-%S.%f')[:-3]}-parity"
    quiet = told.get("quiet", False)
    with ExitStack() as stack:
        models = []
        for ref, *words in named:
            models.append(open_model(ref, **read_pairs(words)))
            stack.callback(models[-1].close)
            for remark in models[-1].remarks:
                tell(printable(remark))
        watch = (lambda _: None) if quiet else (lambda line: tell(printable(f"parity: {line}")))
        found = check_parity(models[0], models[1], out=out, watch=watch, **asked)
    shown = [" ".join(map(masked, one)) for one in named]
    if told.get("json"):
        show_json({**found.as_document(), "references": shown})
    else:
        show("\n".join(_describe(found, shown)))
    tell(f"stored in {out}")
    return 0 if found.alike else 1


def _describe(found: Findings, named: list[str]) -> Iterator[str]:
    for label, ref, name in zip("AB", named, (found.a, found.b)):
        yield printable(f"{label}  {name}  ({ref})")
    yield ""
    rows = [[one.cause, _SHOWN[one.verdict], one.evidence] for one in found.findings]
    yield printable(Table(_COLUMNS, rows).text(width=width(sys.stdout)))
    for one in found.findings:
        if one.verdict not in ("differs", "noise"):
            continue
        yield printable(f"\n{one.cause}: {one.evidence}")
        if one.example:
            yield printable(f"  for example  {one.example}")
        if one.mend:
            yield printable(f"  to mend it   {one.mend}")
    yield ""
    if found.alike:
        unseen = [one.cause for one in found.findings if one.verdict == "unknown"]
        noisy = any(one.verdict == "noise" for one in found.findings)
        rest = f"; not seen: {', '.join(unseen)}" if unseen else ""
        yield f"nothing differs{' but noise' if noisy else ''} as far as was seen{rest}"
    else:
        yield f"what differs: {', '.join(one.cause for one in found.differing)}"
