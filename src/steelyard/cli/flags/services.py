"""The flags of the verbs around services: serve and parity."""

from __future__ import annotations

from pathlib import Path

from steelyard.cli.flags.base import VALUES, Parser
from steelyard.cli.values import read_number


def describe_serve(parser: Parser) -> None:
    """What `steelyard serve` takes."""
    add = parser.add_argument
    add(
        "--model",
        nargs="+",
        action="append",
        metavar=("REF", VALUES),
        required=True,
        help="a model as for eval, and its options; name=NAME is what it is asked by; repeatable",
    )
    add(
        "--wires",
        metavar="NAMES",
        help="the protocols, with commas between: openai, tgi, triton, kserve, mindie, plain (all of them)",
    )
    add("--host", metavar="ADDRESS", help="where to listen (127.0.0.1: only this machine can ask)")
    add("--port", type=read_number(int, 0), metavar="N", help="the port (8000); 0 takes any that is free")
    add(
        "--api-key",
        metavar="WHERE",
        help="only who has the key may ask: env:NAME, or file:PATH with a key a line",
    )
    add("--queue", type=read_number(int, 0), metavar="N", help="requests that may wait for a model (1024)")
    add(
        "--concurrency",
        type=read_number(int, 1),
        metavar="N",
        help="requests a model is asked at a time (as many as it likes)",
    )
    add("--max-body", type=read_number(int, 1), metavar="BYTES", help="the largest request (67108864)")
    add(
        "--timeout",
        type=read_number(float, 0),
        metavar="SECONDS",
        help="the longest an answer may take (600)",
    )
    add(
        "--grace",
        type=read_number(float, 0),
        metavar="SECONDS",
        help="how long answers under way are waited for when the server is ended (30)",
    )
    add("--certificate", metavar="FILE", help="serve https: the certificate, with its chain")
    add("--private-key", metavar="FILE", help="the key of the certificate")
    add("--access-log", action="store_true", help="a line on stderr for each request")


def describe_parity(parser: Parser) -> None:
    """What `steelyard parity` takes."""
    add = parser.add_argument
    add("refs", metavar="REF", nargs="*", help="the two models, where they need no options")
    add(
        "--model",
        nargs="+",
        action="append",
        metavar=("REF", VALUES),
        help="one of the two models as for eval, and its options; given twice",
    )
    add(
        "--data",
        nargs="+",
        metavar=("REF", VALUES),
        help="prompts of your own beside those that come along; input=COLUMN names theirs",
    )
    add("--limit", type=read_number(int, 1), metavar="N", help="only the first N rows of --data (20)")
    add("--max-tokens", type=read_number(int, 1), metavar="N", help="the longest greedy answer (32)")
    add(
        "--longest",
        type=read_number(int, 1),
        metavar="N",
        help="about the tokens of the longest prompt (4096)",
    )
    add("--out", metavar="DIR", type=Path, help="where findings and answers go (runs/TIME-parity)")
    add("--json", action="store_true", help="print one JSON document in the place of a table")
    add("--quiet", action="store_true", help="no progress")
