"""What it costs to load a service, and how true the times are, beside other load testers in the same run.

    python benchmarks/load.py [--times 3] [--peer vllm=PYTHON evalscope=PYTHON guidellm=PYTHON aiperf=PYTHON]

    fast      2,000 streamed answers of 128 tokens, 64 in flight, as fast as they go
    paced     512 streams of 128 tokens, one each 20 ms: what each tester says of them is held against
              what the service itself recorded
    steps     256 streams in the common steps of an engine

The service is `paced_service.c`, compiled here, on a core of its own; the testers are on the other. CPU
is that of the whole process tree from the start of the command to its end, memory the most that all its
processes held together. Each peer needs an environment that has it, named by its Python.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from measure import Measured, measure_tree
from tokenizers import Tokenizer, models, pre_tokenizers

CORE = "1"
VLLM = """
import sys
from argparse import ArgumentParser
from vllm.benchmarks.serve import add_cli_args, main
try:
    from vllm.utils.argparse_utils import FlexibleArgumentParser as ArgumentParser
except ImportError:
    pass
parser = ArgumentParser()
add_cli_args(parser)
main(parser.parse_args(sys.argv[1:]))
"""


class Case(NamedTuple):
    """How many answers, of how many at a time, and how the service speaks."""

    name: str
    answers: int
    at_a_time: int
    service: Sequence[str]


CASES = (
    Case("fast", 2000, 64, ()),
    Case("paced", 512, 512, ("--ttft", "50000", "--itl", "20000")),
    Case("steps", 256, 256, ("--ttft", "50000", "--itl", "20000", "--grid", "1")),
)


class Told(NamedTuple):
    """What a tester says, in milliseconds: the mean time to the first token, the 99th percentile of gaps."""

    ttft_mean: float | None
    itl_p99: float | None


class Tester(NamedTuple):
    """The command that tests, and what it says afterwards."""

    command: Callable[[str, str, Case, Path], list[str]]
    read: Callable[[Path], Told]


def steelyard(python: str, url: str, case: Case, folder: Path) -> list[str]:
    """Our own command."""
    return [
        *(python, "-m", "steelyard", "load", "--model", f"{url}/v1", "model=paced"),
        *("--workload", "synthetic", "input=16", "output=128"),
        *("--concurrency", str(case.at_a_time), "--requests", str(case.answers), "--warmup", "0"),
        *("--out", str(folder / "run"), "--quiet"),
    ]


def read_steelyard(folder: Path) -> Told:
    """From the results in the run."""
    (stage,) = json.loads((folder / "run" / "run.json").read_text())["results"]
    told = stage["statistics"]
    return Told(told["ttft"]["average"] * 1e3, told["itl"]["p99"] * 1e3)


def vllm(python: str, url: str, case: Case, folder: Path) -> list[str]:
    """`vllm bench serve`."""
    return [
        *(python, "-c", VLLM, "--backend", "openai-chat", "--base-url", url, "--model", "paced"),
        *("--endpoint", "/v1/chat/completions", "--tokenizer", str(folder / "tokenizer")),
        *("--dataset-name", "random", "--random-input-len", "16", "--random-output-len", "128"),
        *("--num-prompts", str(case.answers), "--max-concurrency", str(case.at_a_time), "--ignore-eos"),
        *("--save-result", "--result-dir", str(folder), "--result-filename", "vllm.json"),
    ]


def read_vllm(folder: Path) -> Told:
    """From the file of its results."""
    told = json.loads((folder / "vllm.json").read_text())
    return Told(told["mean_ttft_ms"], told["p99_itl_ms"])


def evalscope(python: str, url: str, case: Case, folder: Path) -> list[str]:
    """`evalscope perf`."""
    return [
        *(str(Path(python).with_name("evalscope")), "perf", "--url", f"{url}/v1/chat/completions"),
        *("--model", "paced", "--api", "openai", "--parallel", str(case.at_a_time)),
        *("--number", str(case.answers), "--dataset", "random", "--stream"),
        *("--tokenizer-path", str(folder / "tokenizer"), "--outputs-dir", str(folder / "evalscope")),
        *("--min-prompt-length", "16", "--max-prompt-length", "16"),
        *("--min-tokens", "128", "--max-tokens", "128"),
    ]


def read_evalscope(folder: Path) -> Told:
    """From its table of percentiles."""
    (summary,) = (folder / "evalscope").rglob("benchmark_summary.json")
    (percentiles,) = (folder / "evalscope").rglob("benchmark_percentile.json")
    (last,) = [row for row in json.loads(percentiles.read_text()) if row["Percentiles"] == "99%"]
    return Told(json.loads(summary.read_text())["Avg TTFT (ms)"], last["ITL (ms)"])


def guidellm(python: str, url: str, case: Case, folder: Path) -> list[str]:
    """`guidellm run`."""
    return [
        *(str(Path(python).with_name("guidellm")), "run", "--disable-console-interactive"),
        *("--backend", f"kind=openai_http,target={url},model=paced"),
        *("--profile", f"kind=concurrent,streams={case.at_a_time}"),
        *("--constraint", f"kind=max_requests,count={case.answers}"),
        *("--data", "kind=synthetic_text,prompt_tokens=16,output_tokens=128"),
        *("--tokenizer", f"kind=huggingface_auto,model={folder / 'tokenizer'}"),
        *("--output", f"kind=json,path={folder / 'guidellm.json'}"),
    ]


def read_guidellm(folder: Path) -> Told:
    """From the file of its results."""
    told = json.loads((folder / "guidellm.json").read_text())["benchmarks"][0]["metrics"]
    gaps = told["inter_token_latency_ms"]["successful"]
    return Told(told["time_to_first_token_ms"]["successful"]["mean"], gaps["percentiles"]["p99"])


def aiperf(python: str, url: str, case: Case, folder: Path) -> list[str]:
    """`aiperf profile`."""
    return [
        *(str(Path(python).with_name("aiperf")), "profile", "-m", "paced", "--url", url, "--streaming"),
        *("--endpoint-type", "chat", "--tokenizer", str(folder / "tokenizer"), "--ui", "none"),
        *("--concurrency", str(case.at_a_time), "--request-count", str(case.answers)),
        *("--synthetic-input-tokens-mean", "16", "--output-tokens-mean", "128"),
        *("--artifact-dir", str(folder / "aiperf")),
    ]


def read_aiperf(folder: Path) -> Told:
    """From the file of its results."""
    told = json.loads((folder / "aiperf" / "profile_export_aiperf.json").read_text())
    return Told(told["time_to_first_token"]["avg"], told["inter_token_latency"]["p99"])


TESTERS = {
    "steelyard": Tester(steelyard, read_steelyard),
    "vllm": Tester(vllm, read_vllm),
    "evalscope": Tester(evalscope, read_evalscope),
    "guidellm": Tester(guidellm, read_guidellm),
    "aiperf": Tester(aiperf, read_aiperf),
}


class Service:
    """The service under way, and what it recorded."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def forget(self) -> None:
        """Begin the record anew."""
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/forget", method="POST")).read()

    def record(self, case: Case) -> tuple[Told, float]:
        """The truth, and how many answers a second there were; of the last `answers`, warm-up before them."""
        lines = urllib.request.urlopen(f"{self.url}/record").read().splitlines()
        answers = [json.loads(line) for line in lines]
        answers = [one for one in answers if len(one["tokens"]) > 1][: case.answers]
        first = [(one["tokens"][0] - one["asked"]) / 1e6 for one in answers]
        gaps = sorted(
            (after - before) / 1e6
            for one in answers
            for before, after in zip(one["tokens"], one["tokens"][1:])
        )
        wall = (max(one["done"] for one in answers) - min(one["asked"] for one in answers)) / 1e9
        return Told(statistics.fmean(first), gaps[int(0.99 * (len(gaps) - 1))]), len(answers) / wall


@contextlib.contextmanager
def serving(program: Path, case: Case) -> Iterator[Service]:
    """The service, as a case wants it, on the first core."""
    command = [str(program), "--core", "0", "--tokens", "128", *case.service]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Service(int(process.stdout.readline() if process.stdout else 0))
        finally:
            process.terminate()


def make_tokenizer(folder: Path) -> None:
    """A small tokenizer for testers that want one."""
    folder.mkdir()
    words = {f"w{n}": n for n in range(2000)} | {"<unk>": 2000, "</s>": 2001}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    about = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": "<unk>",
        "eos_token": "</s>",
        "model_max_length": 100_000,
        "chat_template": "{% for m in messages %}{{ m.content }}{% endfor %}",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(about))
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "vocab_size": 2002}))


def weigh(name: str, python: str, case: Case, service: Service, times: int) -> list[str]:
    """A row: what a tester cost, and how far from the truth it was; medians of several runs."""
    tester = TESTERS[name]
    costs: list[Measured] = []
    rates, first, gaps, truths = [], [], [], []
    for _ in range(times):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            make_tokenizer(folder / "tokenizer")
            service.forget()
            command = ["taskset", "-c", CORE, *tester.command(python, service.url, case, folder)]
            costs.append(measure_tree(command, folder=folder))
            told = tester.read(folder)
            truth, rate = service.record(case)
        rates.append(rate)
        first.append(None if told.ttft_mean is None else told.ttft_mean - (truth.ttft_mean or 0))
        gaps.append(told.itl_p99)
        truths.append(truth.itl_p99 or 0)
    cpu = statistics.median(cost.cpu for cost in costs)
    return [
        case.name,
        name,
        f"{statistics.median(rates):,.0f}",
        f"{cpu:.2f}",
        f"{cpu / (case.answers * 128) * 1e6:.1f}",
        f"{statistics.median(cost.rss_mb for cost in costs):,.0f}",
        _middle(first, "+.3f"),
        f"{_middle(gaps, '.2f')} ({statistics.median(truths):.2f})",
    ]


def _middle(values: Sequence[float | None], form: str) -> str:
    known = [value for value in values if value is not None]
    return format(statistics.median(known), form) if known else "–"


def main() -> None:
    """Weigh all, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--peer", nargs="*", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--case", nargs="*", default=[case.name for case in CASES])
    options = parser.parse_args()
    testers = {"steelyard": sys.executable, **dict(peer.split("=", 1) for peer in options.peer)}
    if unknown := testers.keys() - TESTERS.keys():
        sys.exit(f"no tester is called {', '.join(sorted(unknown))}: {', '.join(TESTERS)}")
    if not shutil.which("cc"):
        sys.exit("a C compiler is needed for the service: cc")
    columns = [
        "case",
        "tester",
        "answers/s",
        "CPU s",
        "µs an event",
        "MB",
        "TTFT error ms",
        "ITL p99 ms (true)",
    ]
    print(" | ".join(columns))
    with tempfile.TemporaryDirectory() as place:
        program = Path(place) / "paced_service"
        source = Path(__file__).with_name("paced_service.c")
        subprocess.run(["cc", "-O2", "-o", program, source], check=True)
        for case in CASES:
            if case.name not in options.case:
                continue
            with serving(program, case) as service:
                for name, python in testers.items():
                    print(" | ".join(weigh(name, python, case, service, options.times)), flush=True)


if __name__ == "__main__":
    main()
