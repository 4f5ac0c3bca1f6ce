"""One contestant of local_models.py: answers a workload and prints what it cost, and its answers.

    python local_contestants.py steelyard MODEL WORKLOAD [BATCH]
    python local_contestants.py lm-eval MODEL WORKLOAD BATCH

Loading is not counted: what is compared is the CPU time of answering, threads and children included.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Answer = Callable[[list[dict[str, Any]]], list[Any]]


def steelyard(model: str, batch: str) -> Answer:
    """Requests that wait together, as an evaluation sends them."""
    import asyncio

    from steelyard.models.huggingface import load_huggingface
    from steelyard.types import Request

    loaded = load_huggingface(model, dtype="float32", **({"batch_tokens": int(batch)} if batch else {}))

    def answer(questions: list[dict[str, Any]]) -> list[Any]:
        requests = [
            Request(str(place), q["prompt"], choices=q.get("choices"), params=q.get("params", {}))
            for place, q in enumerate(questions)
        ]

        async def ask() -> list[Any]:
            return await asyncio.gather(*map(loaded.ask, requests))

        responses = asyncio.run(ask())
        if failed := [response.error for response in responses if response.error]:
            sys.exit(f"{len(failed)} failed: {failed[0]}")
        return [response.text if response.scores is None else list(response.scores) for response in responses]

    return answer


def lm_eval(model: str, batch: str) -> Answer:
    """lm-evaluation-harness's own batches of its own Hugging Face model."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    size = int(batch) if batch.isdigit() else batch
    loaded = HFLM(pretrained=model, dtype="float32", device="cpu", batch_size=size)

    def answer(questions: list[dict[str, Any]]) -> list[Any]:
        if "choices" not in questions[0]:
            settings = {"until": [], "max_gen_toks": questions[0]["params"]["max_tokens"], "do_sample": False}
            instances = [
                Instance("generate_until", {}, (q["prompt"], dict(settings)), place)
                for place, q in enumerate(questions)
            ]
            return list(loaded.generate_until(instances, disable_tqdm=True))
        pairs = [(q["prompt"], choice) for q in questions for choice in q["choices"]]
        instances = [Instance("loglikelihood", {}, pair, place) for place, pair in enumerate(pairs)]
        scores = iter(loaded.loglikelihood(instances, disable_tqdm=True))
        return [[next(scores)[0] for _ in q["choices"]] for q in questions]

    return answer


def main() -> None:
    """Answer, and print one line of JSON."""
    import torch

    # A pool of threads that wait for each other spins, and would be counted.
    torch.set_num_threads(1)
    contestant, model, workload, *batch = sys.argv[1:]
    prepare = {"steelyard": steelyard, "lm-eval": lm_eval}[contestant]
    answer = prepare(model, batch[0] if batch else "")
    questions = json.loads(Path(workload).read_text())
    begun = _cpu()
    answers = answer(questions)
    cpu = _cpu() - begun
    print("\n" + json.dumps({"cpu": cpu, "answers": answers}))


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    main()
