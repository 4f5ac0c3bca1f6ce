"""A load in a process of its own, for tests that kill it: `python loading.py URL FOLDER {options}`."""

from __future__ import annotations

import json
import resource
import signal
import sys
from typing import Any

from workload_maker import Numbered

from steelyard import Stage, load
from steelyard.errors import SteelyardError


def main(url: str, folder: str, options: dict[str, Any]) -> int:
    if (most := options.pop("most_bytes", None)) is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    stages = [Stage(**stage) for stage in options.pop("stages")]
    workload = Numbered(**options.pop("workload", {}))
    try:
        run = load(url, workload, stages=stages, out=folder, scrape=False, **options)
    except SteelyardError as error:
        print(f"{type(error).__name__}: {error}")
        return error.exit_code
    print(run.about["state"])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3])))
