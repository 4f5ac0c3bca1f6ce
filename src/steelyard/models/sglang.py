"""Models in an offline SGLang engine (extra `sglang`): texts and pictures, batched token for token.

    Sglang("Qwen/Qwen2.5-VL-7B-Instruct", tp_size=2, mem_fraction_static=0.8)

What SGLang's engine takes (dtype, tp_size, context_length, quantization, …) is given by its own
names and passed through.
"""

from __future__ import annotations

import asyncio
import inspect
from array import array
from collections.abc import Coroutine, Mapping, Sequence
from importlib import metadata
from multiprocessing import active_children
from pathlib import Path
from typing import Any

from steelyard.errors import ModelError, UnknownName, describe, need
from steelyard.models.base import clock
from steelyard.models.offline import Job, OfflineModel, Outcome
from steelyard.models.parameters import Sampling
from steelyard.types import Timing

OTHERS = frozenset(
    "frequency_penalty presence_penalty min_new_tokens stop_token_ids stop_regex ignore_eos "
    "skip_special_tokens spaces_between_special_tokens no_stop_trim json_schema regex ebnf "
    "structural_tag logit_bias custom_params".split()
)
"""The parameters of SGLang's sampling that a request may carry beside ours."""


class Sglang(OfflineModel):
    """A Hugging Face model, from a folder or the hub, computed by SGLang."""

    others = OTHERS
    elsewhere, metered = True, False

    def __init__(self, path: str | Path, **options: Any) -> None:
        need("sglang", extra="sglang")
        super().__init__(path, **options)
        self._engine = _open(str(self.source.folder), self.engine)
        self.positions = self.engine.get("context_length") or self.positions

    def versions(self) -> Mapping[str, str]:
        """SGLang and what it computes with."""
        return {name: metadata.version(name) for name in ("sglang", "torch", "transformers")}

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Ask for all jobs at once; the engine batches what is under way."""

        async def ask_all() -> list[Outcome | BaseException]:
            return await asyncio.gather(*(self._ask(job) for job in jobs), return_exceptions=True)

        found = []
        for outcome in self._wait(ask_all()):
            if isinstance(outcome, Exception):
                found.append(Outcome(error=describe(outcome)))
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                found.append(outcome)
        return found

    def close(self) -> None:
        """End the threads, and the engine with its processes."""
        super().close()
        self._engine.shutdown()

    def _wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run something on the loop that the engine was made on: it lives there."""
        loop = self._engine.loop
        if loop.is_running():
            return asyncio.run_coroutine_threadsafe(work, loop).result()
        return loop.run_until_complete(work)

    async def _ask(self, job: Job) -> Outcome:
        what = _prompt(job)
        if job.sampling is None:
            found = await self._engine.async_generate(**what, **_scoring(job))
            return _scored(job, found)
        sent, stamps = clock(), array("d")
        params = sampling_params(job.sampling, limit=job.limit)
        said: Mapping[str, Any] = {}
        async for news in await self._engine.async_generate(**what, sampling_params=params, stream=True):
            said = news
            stamps.append(clock())
        return _written(said, Timing(due=sent, sent=sent, chunks=stamps, done=clock()))


def _open(folder: str, options: Mapping[str, Any]) -> Any:
    from sglang import Engine
    from sglang.srt.server_args import ServerArgs

    known = inspect.signature(ServerArgs).parameters
    for name in options:
        if name not in known:
            raise UnknownName("option of SGLang", name, known)
    before = set(active_children())
    try:
        # SGLang's own handler would end this process, and all that was asked of it.
        return Engine(model_path=folder, **{"custom_sigquit_handler": fail, **options})
    except Exception as error:
        for child in set(active_children()) - before:
            child.kill()
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"SGLang cannot load {folder}: {describe(error)}") from error


def fail(signal: int, frame: Any) -> None:
    """What happens to this process when one of the engine's processes fails: nobody would answer any more."""
    raise ModelError("a process of SGLang failed", hint="log_level=info shows why")


def _prompt(job: Job) -> dict[str, Any]:
    """A prompt as SGLang takes it; it opens out the marks of pictures in its tokens."""
    pictures = {"image_data": list(job.pictures)} if job.pictures else {}
    return {"input_ids": list(job.prompt), **pictures}


def sampling_params(sampling: Sampling, *, limit: int) -> dict[str, Any]:
    """Our parameters by SGLang's names; its own go through as they are."""
    # SGLang has no top_p of 0; it means the likeliest token alone.
    likeliest = sampling.top_p == 0
    params: dict[str, Any] = {
        "max_new_tokens": limit,
        "temperature": sampling.temperature,
        "top_p": 1.0 if likeliest else sampling.top_p,
        "top_k": 1 if likeliest else sampling.top_k or -1,
        "min_p": sampling.min_p,
        "repetition_penalty": sampling.repetition_penalty,
    }
    if sampling.stop:
        params["stop"] = list(sampling.stop)
    if sampling.seed is not None:
        params["sampling_seed"] = sampling.seed
    return {**params, **sampling.others}


def _scoring(job: Job) -> dict[str, Any]:
    """What asks for scores: of given next tokens, or of the last tokens of the prompt."""
    asked: dict[str, Any] = {
        "sampling_params": {"max_new_tokens": 1, "temperature": 0.0},
        "return_logprob": True,
    }
    if job.following:
        return {**asked, "token_ids_logprob": sorted(set(job.following))}
    # The token before is the first that is read for it; with pictures nobody knows its place yet.
    start = 0 if job.pictures else max(len(job.prompt) - job.scored - 1, 0)
    return {**asked, "logprob_start_len": start, "top_logprobs_num": 1}


def _scored(job: Job, found: Mapping[str, Any]) -> Outcome:
    told = found["meta_info"]
    if told["finish_reason"]["type"] == "abort":
        return Outcome(error=str(told["finish_reason"].get("message") or "given up by the engine"))
    if job.following:
        own = found["output_ids"][0]
        odds = {token: score for score, token, _ in told["output_token_ids_logprobs"][0]}
        scores = [(float(odds[token]), token == own) for token in job.following]
    else:
        rows, tops = told["input_token_logprobs"][-job.scored :], told["input_top_logprobs"][-job.scored :]
        if [token for _, token, _ in rows] != list(job.prompt[-job.scored :]):
            return Outcome(error="SGLang read other tokens than were to be scored")
        scores = [(float(score), top[0][1] == token) for (score, token, _), top in zip(rows, tops)]
    return Outcome(read=told["prompt_tokens"], scores=scores)


def _written(said: Mapping[str, Any], timing: Timing) -> Outcome:
    told = said["meta_info"]
    reason = told["finish_reason"]
    if reason["type"] == "abort":
        return Outcome(error=str(reason.get("message") or "given up by the engine"))
    return Outcome(
        tokens=list(said["output_ids"]),
        text=said["text"],
        finish=reason["type"],
        # What stops an answer is a token, or one of the texts that were to stop it.
        ended=reason["type"] == "stop" and not isinstance(reason.get("matched"), str),
        read=told["prompt_tokens"],
        timing=timing,
    )
