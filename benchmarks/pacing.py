"""How far from their schedule requests go out, beside the same client paced by `asyncio.sleep`.

    python benchmarks/pacing.py [--rates 50 400 2000] [--seconds 10] [--times 3]

Poisson arrivals of streamed answers of 8 tokens, 5 ms apart. The service is `paced_service.c`, compiled
here, on a core of its own; each client is a process on the other. Lateness is told twice: by the client,
from when a request was due to when it was handed to its connection, and by the service, to when it had
read it whole, which counts the way there too. The reference is the plainest open loop in asyncio: a task
a request, which sleeps until it is due; all else is ours there too. Of several runs, the middle one.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from time import process_time

from steelyard.engine import execute
from steelyard.models.base import Model, clock
from steelyard.models.references import open_model
from steelyard.schedules import poisson
from steelyard.types import Request, Response

PACE = ("--tokens", "8", "--ttft", "20000", "--itl", "5000")
AHEAD = 0.5
REQUEST = Request("1", [{"role": "user", "content": "How far is it to the moon?"}], params={"max_tokens": 8})


async def pace_ours(model: Model, dues: Sequence[float], start: float) -> list[Response]:
    """Our engine."""
    answers: list[Response] = []
    items = ((n, REQUEST) for n in range(len(dues)))
    await execute(
        model, items, lambda _, __, answer: answers.append(answer), schedule=iter(dues), start=start
    )
    return answers


async def pace_by_sleep(model: Model, dues: Sequence[float], start: float) -> list[Response]:
    """A task a request, asleep until it is due."""

    async def ask(due: float) -> Response:
        await asyncio.sleep(start + due - clock())
        return await model.ask(REQUEST)

    return await asyncio.gather(*map(ask, dues))


PACERS = {"steelyard": pace_ours, "asyncio.sleep": pace_by_sleep}


async def send(pacer: str, url: str, rate: float, seconds: float) -> None:
    """Be a client: send for some seconds, and print when each request was due and went."""
    dues = list(takewhile(lambda due: due < seconds, poisson(rate, seed=1)))
    model = open_model(f"{url}/v1", model="paced").under_load()
    await model.warm(int(rate * 0.1) + 20)
    begun, start = process_time(), clock() + AHEAD
    answers = await PACERS[pacer](model, dues, start)
    cpu = process_time() - begun
    if failed := next((answer.error for answer in answers if answer.error is not None), None):
        sys.exit(failed)
    sent = sorted(answer.timing.sent for answer in answers if answer.timing is not None)
    print(json.dumps({"due": [start + due for due in dues], "sent": sent, "cpu": cpu}))


def percentiles(dues: Sequence[float], times: Sequence[float]) -> tuple[float, float, float]:
    """The median, the 99th percentile and the most of how late the n-th was for the n-th."""
    late = sorted(time - due for due, time in zip(dues, sorted(times), strict=True))
    return tuple(late[int(share * (len(late) - 1))] * 1e3 for share in (0.5, 0.99, 1))  # type: ignore[return-value]


def weigh(pacer: str, url: str, rate: float, options: argparse.Namespace) -> str:
    """A row: how late requests went out and were read, in milliseconds."""
    rows = []
    for _ in range(options.times):
        urllib.request.urlopen(urllib.request.Request(f"{url}/forget", method="POST")).read()
        client = [sys.executable, __file__, "--client", pacer, url, str(rate), str(options.seconds)]
        told = json.loads(
            subprocess.run(["taskset", "-c", "1", *client], check=True, capture_output=True).stdout
        )
        lines = urllib.request.urlopen(f"{url}/record").read().splitlines()
        asked = [json.loads(line)["asked"] / 1e9 for line in lines]
        late, seen = percentiles(told["due"], told["sent"]), percentiles(told["due"], asked)
        rows.append((late[1], late, seen, told["cpu"] / len(asked) * 1e6))
    _, late, seen, cpu = sorted(rows)[len(rows) // 2]
    figures = "".join(f"{figure:>9.3f}" for figure in (*late, *seen))
    return f"{rate:>6g} {pacer:<14}{figures}{cpu:>9.0f}"


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """The service on the first core, and where it is."""
    with tempfile.TemporaryDirectory() as place:
        program = Path(place) / "paced_service"
        source = Path(__file__).with_name("paced_service.c")
        subprocess.run(["cc", "-O2", "-o", program, source], check=True)
        command = [str(program), "--core", "0", *PACE]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield f"http://127.0.0.1:{int(process.stdout.readline() if process.stdout else 0)}"
            finally:
                process.terminate()


def main() -> None:
    """Weigh both at each rate, and print a table."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--rates", type=float, nargs="+", default=[50, 400, 2000])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--client", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        pacer, url, rate, seconds = options.client
        asyncio.run(send(pacer, url, float(rate), float(seconds)))
        return
    figures = f"{'p50':>9}{'p99':>9}{'most':>9}"
    print(f"{'':<21}{'late when sent, ms':^27}{'late when read, ms':^27}{'CPU µs':>9}")
    print(f"{'rate':>6} {'paced by':<14}{figures}{figures}{'each':>9}")
    with serving() as url:
        for rate in options.rates:
            for pacer in PACERS:
                print(weigh(pacer, url, rate, options), flush=True)


if __name__ == "__main__":
    main()
