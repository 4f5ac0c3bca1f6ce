"""Models in an offline vLLM engine (extra `vllm`): texts and pictures, batched token for token.

    Vllm("Qwen/Qwen2.5-VL-7B-Instruct", tensor_parallel_size=2, limit_mm_per_prompt={"image": 4})

What vLLM's engine takes (dtype, max_model_len, gpu_memory_utilization, quantization, …) is given by
its own names and passed through.
"""

from __future__ import annotations

import gc
import inspect
import os
import time
from array import array
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from steelyard.errors import ModelError, UnknownName, describe, need
from steelyard.models.base import clock
from steelyard.models.chat import read_json
from steelyard.models.offline import Job, OfflineModel, Outcome
from steelyard.models.parameters import Sampling
from steelyard.types import Timing

# What we set ourselves, and what would change the shape of what comes back.
_OURS = {"temperature", "top_p", "top_k", "min_p", "repetition_penalty", "seed", "stop", "max_tokens"}
_OURS |= {"n", "detokenize", "output_kind", "stream_interval", "skip_clone", "output_text_buffer_length"}
_OURS |= {"logprobs", "prompt_logprobs", "flat_logprobs", "logprob_token_ids", "trace_decode_token_ids"}

_NORMALISING = "mm_device_do_normalize"


class Vllm(OfflineModel):
    """A Hugging Face model, from a folder or the hub, computed by vLLM."""

    limits_pictures = True

    def __init__(self, path: str | Path, **options: Any) -> None:
        need("vllm", extra="vllm")
        # Its hundred lines at every start would drown what is to be read here.
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
        self.others = _other_params()
        super().__init__(path, **options)
        engine = dict(self.engine)
        if self.shaping:
            engine["mm_processor_kwargs"] = {**self.shaping, **engine.get("mm_processor_kwargs", {})}
        if self._seer is not None and not _says_means(self.source.folder):
            engine = {_NORMALISING: False, **engine}
        self._llm = _open(str(self.source.folder), engine)
        self.positions = int(self._llm.model_config.max_model_len)
        self.elsewhere = _computes_elsewhere(self._llm)
        self.metered = not self.elsewhere

    def versions(self) -> Mapping[str, str]:
        """vLLM and what it computes with."""
        import vllm

        return {
            "vllm": vllm.__version__,
            **{name: metadata.version(name) for name in ("torch", "transformers")},
        }

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Queue all jobs, then have the engine do them together."""
        outcomes: dict[int, Outcome] = {}
        queued: list[tuple[int, float, str]] = []
        for place, job in enumerate(jobs):
            sent = clock()
            try:
                (key,) = self._llm.enqueue([_prompt(job)], _params(job), use_tqdm=False)
                queued.append((place, sent, key))
            except Exception as error:  # noqa: BLE001 - the engine refuses one prompt; the others go on
                outcomes[place] = Outcome(error=describe(error))
        stamps = {key: array("d") for _, _, key in queued}
        try:
            done = self._finish(stamps)
        except BaseException:
            # What is left in the queue would come back among the answers to the next batch.
            self._llm.llm_engine.abort_request([key for _, _, key in queued], internal=True)
            raise
        if len(done) != len(queued):
            raise ModelError(f"vLLM gave {len(done)} answers to {len(queued)} prompts")
        for (place, sent, key), output in zip(queued, done):
            outcomes[place] = _outcome(jobs[place], output, sent=sent, stamps=stamps[key])
        return [outcomes[place] for place in range(len(jobs))]

    def _finish(self, stamps: Mapping[str, array[float]]) -> list[Any]:
        """Have the engine do what is queued, step by step, and note when each token of it came."""
        engine, done = self._llm.llm_engine, []
        # It tells of an answer only once it is whole; how long it is, it knows all the time.
        under_way = getattr(engine.output_processor, "request_states", {})
        while engine.has_unfinished_requests():
            outputs = engine.step()
            now = clock()
            for key, times in stamps.items():
                state = under_way.get(key)
                if state is not None:
                    _stamp(times, state.detokenizer.num_output_tokens(), now)
            done += [(output, now) for output in outputs if output.finished]
        done.sort(key=lambda one: int(one[0].request_id))
        if len(done) == len(stamps):
            for (output, now), times in zip(done, stamps.values()):
                _stamp(times, len(output.outputs[0].token_ids), now)
        return [output for output, _ in done]

    def close(self) -> None:
        """End the threads, and the engine with its processes; its memory is given back."""
        super().close()
        if not hasattr(self, "_llm"):
            return
        from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

        self._llm.llm_engine.engine_core.shutdown()
        del self._llm
        gc.collect()
        cleanup_dist_env_and_memory()


def _open(folder: str, options: Mapping[str, Any]) -> Any:
    from vllm import LLM, EngineArgs

    known = inspect.signature(EngineArgs).parameters
    options = {name: value for name, value in options.items() if name != _NORMALISING or name in known}
    for name in options:
        if name not in known:
            raise UnknownName("option of vLLM", name, known)
    try:
        # With its statistics it says of each answer when its first token came.
        return LLM(folder, **{"disable_log_stats": False, **options})
    except Exception as error:
        raise ModelError(f"vLLM cannot load {folder}: {describe(error)}") from error


def _computes_elsewhere(llm: Any) -> bool:
    """Whether the engine has processes of its own."""
    from vllm import envs

    return (
        bool(envs.VLLM_ENABLE_V1_MULTIPROCESSING) or llm.llm_engine.vllm_config.parallel_config.world_size > 1
    )


def _says_means(folder: Path) -> bool:
    """Whether a folder says itself how colours are made numbers, and does not leave it to its family."""
    # vLLM computes this beside the network, but only by what it finds here: else it leaves it out.
    return "image_mean" in read_json(folder / "preprocessor_config.json")


def _other_params() -> frozenset[str]:
    """The parameters of vLLM's sampling that a request may carry beside ours."""
    from vllm import SamplingParams

    names = inspect.signature(SamplingParams).parameters
    return frozenset(name for name in names if not name.startswith("_")) - _OURS


def _prompt(job: Job) -> dict[str, Any]:
    """A prompt as vLLM takes it; it opens out the marks of pictures in its tokens."""
    prompt: dict[str, Any] = {"prompt_token_ids": list(job.prompt)}
    if job.pictures:
        prompt["multi_modal_data"] = {"image": list(job.pictures)}
    return prompt


def _params(job: Job) -> Any:
    from vllm import SamplingParams

    if job.sampling is not None:
        return SamplingParams(**sampling_params(job.sampling, limit=job.limit))
    if job.following:
        return SamplingParams(temperature=0.0, max_tokens=1, logprob_token_ids=sorted(set(job.following)))
    return SamplingParams(temperature=0.0, max_tokens=1, prompt_logprobs=0)


def sampling_params(sampling: Sampling, *, limit: int) -> dict[str, Any]:
    """Our parameters by vLLM's names; its own go through as they are."""
    others = dict(sampling.others)
    if isinstance(others.get("structured_outputs"), Mapping):
        from vllm.sampling_params import StructuredOutputsParams

        others["structured_outputs"] = StructuredOutputsParams(**others["structured_outputs"])
    # vLLM has no top_p of 0; it means the likeliest token alone.
    likeliest = sampling.top_p == 0
    return {
        "max_tokens": limit,
        "temperature": sampling.temperature,
        "top_p": 1.0 if likeliest else sampling.top_p,
        "top_k": 1 if likeliest else sampling.top_k,
        "min_p": sampling.min_p,
        "repetition_penalty": sampling.repetition_penalty,
        "seed": sampling.seed,
        "stop": list(sampling.stop) or None,
        **others,
    }


def _stamp(times: array[float], tokens: int, now: float) -> None:
    """Note when the tokens came that had not come before."""
    times.extend([now] * (tokens - len(times)))


def _outcome(job: Job, output: Any, *, sent: float, stamps: Sequence[float]) -> Outcome:
    said, read = output.outputs[0], len(output.prompt_token_ids)
    if job.following:
        rows, own = said.logprobs[0], said.token_ids[0]
        scores = [(float(rows[token].logprob), token == own) for token in job.following]
        return Outcome(read=read, scores=scores)
    if job.scored:
        tokens, rows = job.prompt[-job.scored :], output.prompt_logprobs[-job.scored :]
        found = [row[token] for token, row in zip(tokens, rows)]
        return Outcome(read=read, scores=[(float(one.logprob), one.rank == 1) for one in found])
    finish = str(said.finish_reason or "")
    return Outcome(
        tokens=list(said.token_ids),
        text=said.text,
        finish=finish,
        # What stops an answer is a token, or one of the texts that were to stop it.
        ended=finish == "stop" and not isinstance(said.stop_reason, str),
        read=read,
        timing=_time(output.metrics, sent, stamps),
    )


def _time(metrics: Any, sent: float, stamps: Sequence[float]) -> Timing | None:
    """When an answer's tokens came, on our clock; what the engine says of its first one is nearer."""
    first = getattr(metrics, "first_token_ts", 0.0)
    if not (first and stamps):
        return None
    ahead = clock() - time.monotonic()
    return Timing(
        due=sent, sent=sent, chunks=[first + ahead, *stamps[1:]], done=metrics.last_token_ts + ahead
    )
