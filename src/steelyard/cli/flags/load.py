"""The flags of `steelyard load`."""

from __future__ import annotations

from pathlib import Path

from steelyard.cli.flags.base import VALUES, Parser
from steelyard.cli.values import read_duration, read_number, read_rate, read_share, read_workers

ARRIVALS = ("poisson", "constant", "gamma", "burst", "ramp", "trace", "at_once")


def describe_load(parser: Parser) -> None:
    """What `steelyard load` takes."""
    add = parser.add_argument_group("whom is asked, and what").add_argument
    add(
        "--model",
        nargs="+",
        metavar=("REF", VALUES),
        help="a service's URL, or any model as for eval, and its options",
    )
    add(
        "--workload",
        nargs="+",
        metavar=("REF", VALUES),
        help="what is asked: a built-in name (steelyard list workloads), ./file.py:NAME or module, and its "
        "options (synthetic)",
    )
    add(
        "--data",
        nargs="+",
        metavar=("REF", VALUES),
        help="in the place of a workload, the rows of some data as for eval",
    )
    add("--task", nargs="+", metavar=("REF", VALUES), help="in its place, what a task asks")
    add("--prompt", metavar="TEMPLATE", help="with --data or --task: the question, as for eval")
    add("--max-tokens", type=read_number(int, 1), metavar="N", help="the longest answer")
    add("--param", nargs="+", metavar=VALUES, help="other parameters of each request: ignore_eos=true")
    add("--seed", type=read_number(int, 0), metavar="N", help="seed of every choice (0)")
    _describe_load(parser)
    _describe_levels(parser)
    _describe_result(parser)


def _describe_load(parser: Parser) -> None:
    add = parser.add_argument_group("the load").add_argument
    add(
        "--concurrency",
        type=read_number(int, 1),
        metavar="N",
        help="so many clients, each asking on and on (16); with --rate the most in flight at a time",
    )
    add(
        "--rate",
        type=read_rate,
        metavar="R",
        help="so many arrive a second, or 300/m, however slow the answers are",
    )
    add("--arrival", choices=ARRIVALS, help="how they arrive (poisson with --rate)")
    add(
        "--burstiness",
        type=read_number(float, 0),
        metavar="K",
        help="the shape of gamma: below 1 in bursts, above 1 more even",
    )
    add("--burst", type=read_number(int, 1), metavar="N", help="with --arrival burst: so many at once")
    add("--ramp", choices=["linear", "exponential"], help="how the rate rises to --rate (linear)")
    add("--ramp-from", type=read_rate, metavar="R", help="the rate it rises from")
    add("--ramp-for", type=read_duration, metavar="TIME", help="how long it rises; after that it stays")
    add(
        "--pressure",
        type=read_rate,
        metavar="R",
        help="clients join, R a second, until there are --concurrency",
    )
    add("--speed", type=read_number(float, 0), metavar="X", help="with --arrival trace: X times as fast")
    add("--requests", type=read_number(int, 1), metavar="N", help="end after N requests or sessions")
    add("--duration", type=read_duration, metavar="TIME", help="end after so many seconds, or 10m, 2h (30s)")
    add(
        "--grace",
        type=read_number(float, 0),
        metavar="SECONDS",
        help="how long after --duration answers under way are awaited before they are cut off (30)",
    )
    add("--warmup", type=read_number(int, 0), metavar="N", help="requests before, which do not count (1)")
    add("--workers", type=read_workers, metavar="auto|N", help="processes that ask (auto)")


def _describe_levels(parser: Parser) -> None:
    add = parser.add_argument_group("several levels of load, and what must be kept").add_argument
    add(
        "--stage",
        nargs="+",
        action="append",
        metavar=VALUES,
        help="a stage of its own: rate=5 duration=30s and the like; repeatable, one after another",
    )
    add(
        "--sweep",
        metavar="WHAT=LEVELS",
        help="a stage for each level: rate=1,2,4,8, concurrency=1:256:x2, rate=10:50:+10",
    )
    add(
        "--search",
        metavar="WHAT[=LOW:HIGH]",
        help="find the highest rate, or concurrency, that keeps --slo",
    )
    add("--confidence", type=read_share, metavar="P%", help="how sure --search is to be (95%%)")
    add("--tolerance", type=read_share, metavar="P%", help="how near --search comes (5%%)")
    add(
        "--slo",
        metavar="LIMITS",
        help="what must be kept: ttft_p99=500ms,itl_p99=50ms,error=0.1%%; the exit code says whether it was",
    )
    add(
        "--goodput",
        metavar="LIMITS",
        help="count what each request kept: ttft=500ms,tpot=50ms",
    )
    add(
        "--check-answers",
        nargs="+",
        metavar=("TASK", VALUES),
        help="ask the questions of a task too, idle and among the load, and say whether answers get worse; "
        "limit=100 questions, share=0.1 of the load",
    )


def _describe_result(parser: Parser) -> None:
    add = parser.add_argument_group("what becomes of it").add_argument
    add("--out", metavar="DIR", type=Path, help="the folder of the run (runs/TIME-load-MODEL)")
    add("--resume", metavar="DIR", type=Path, help="go on with a run that was stopped, as it was begun")
    add("--keep-answers", action="store_true", help="store prompts and answers, not only their times")
    add("--scrape", metavar="URL|off", help="the service's own metrics (/metrics of the model's address)")
    add("--html", metavar="FILE", type=Path, help="also write a page")
    add("--steady", action="store_true", help="show the figures of the time in which the load stood still")
    add("--json", action="store_true", help="print one JSON document in the place of tables")
    add("--csv", metavar="FILE", type=Path, help="also write a row a request as CSV")
    add("--parquet", metavar="FILE", type=Path, help="also write a row a request as Parquet")
    add("--push", metavar="URL", help="also send the figures to a Prometheus push gateway")
    add("--quiet", action="store_true", help="no progress")
