"""What vLLM and SGLang have in common, held against an engine of a few lines: transformers, one by one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from engines import (
    CHOICES,
    PROMPTS,
    ask,
    check_alike,
    picture,
    text_requests,
    write_text_model,
)

from steelyard import open_model
from steelyard.errors import MissingExtra
from steelyard.models import sglang, vllm
from steelyard.models.offline import Job, OfflineModel, Outcome
from steelyard.models.parameters import read_params
from steelyard.plugins import resolve
from steelyard.types import Message, Part, Request


class Plainly(OfflineModel):
    """An engine that does one job after the other, greedily; what it was to do is kept."""

    def __init__(self, path: Path, **options: Any) -> None:
        super().__init__(path, kind="plain", api_key="hidden", **options)
        from transformers import AutoModelForCausalLM

        self.jobs: list[Job] = []
        self._network = None if self._seer else AutoModelForCausalLM.from_pretrained(path)

    def versions(self) -> dict[str, str]:
        return {"plain": "1"}

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        self.jobs += jobs
        return [self._do(job) for job in jobs]

    def _do(self, job: Job) -> Outcome:
        if self._network is None:
            return Outcome(text="seen", finish="stop", read=len(job.prompt))
        if job.sampling is None:
            odds = self._odds(job.prompt)
            places = [(-1, token) for token in job.following]
            places = places or [(at - 1, job.prompt[at]) for at in range(-job.scored, 0)]
            scores = [(float(odds[at][token]), int(odds[at].argmax()) == token) for at, token in places]
            return Outcome(read=len(job.prompt), scores=scores)
        tokens: list[int] = []
        while len(tokens) < job.limit:
            tokens.append(int(self._odds([*job.prompt, *tokens])[-1].argmax()))
            ended = tokens[-1] == self.tokenizer.eos_token_id
            if ended or any(stop in self.text(tokens) for stop in job.sampling.stop):
                return Outcome(tokens, finish="stop", ended=ended, read=len(job.prompt))
        return Outcome(tokens, finish="length", read=len(job.prompt))

    def _odds(self, ids: Sequence[int]) -> Any:
        with torch.inference_mode():
            return self._network(torch.tensor([list(ids)])).logits[0].log_softmax(-1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text_model(tmp_path_factory.mktemp("text") / "llama")


def test_requests_become_jobs_and_outcomes_answers(folder: Path) -> None:
    model, ours = Plainly(folder, max_tokens=8), open_model("hf", path=folder, max_tokens=8)
    check_alike(model.batch(text_requests()), ours.batch(text_requests()))
    # Choices of one token each are one job, any others one each.
    model.jobs.clear()
    model.batch([Request("0", PROMPTS[4], choices=these) for these in CHOICES])
    assert [(len(job.following), job.scored > 0) for job in model.jobs].count((4, False)) == 1
    assert all(job.scored for job in model.jobs if not job.following)


def test_what_is_prepared_is_used_and_what_is_given_up_is_forgotten(folder: Path) -> None:
    model = Plainly(folder, max_tokens=2)
    waves = [[Request(f"{wave}{n}", "The quick") for n in range(3)] for wave in range(4)]
    for wave in waves:
        model.prepare(wave)
    # A request beside itself, one that was never prepared, and some that were.
    again = Request("x", "The quick")
    texts = {one.text for one in model.batch([*waves[3], again, again])}
    assert len(texts) == 1
    assert len(model._kept) == len(waves[2])
    assert model.length(again) == 0


def test_bad_requests_never_reach_the_engine(folder: Path) -> None:
    model = Plainly(folder, max_tokens=2)
    long, odd, pictured, empty, fine = model.batch(
        [
            Request("0", "word " * 400),
            Request("1", "The", params={"top_q": 1}),
            ask(picture(8, 8)),
            Request("2", "The", choices=[]),
            Request("3", "The"),
        ]
    )
    assert long.error is not None and "llama has 512 positions" in long.error
    assert odd.error is not None and "top_q" in odd.error
    assert pictured.error == "llama takes no pictures"
    assert empty.error == "there are no choices"
    assert fine.error is None and len(model.jobs) == 1


def test_a_failed_job_fails_its_request_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Plainly(folder, max_tokens=2)
    monkeypatch.setattr(
        model, "_do", lambda job: Outcome(error="no") if job.scored == 1 else Plainly._do(model, job)
    )
    broken, fine = model.batch(
        [Request("0", "The", choices=["A", " planet of the sun"]), Request("1", "The")]
    )
    assert broken.error == "no" and fine.error is None


def test_identity_has_weights_and_engine_and_no_secret(folder: Path) -> None:
    told = json.dumps(Plainly(folder, params={"temperature": 0.5}).identity())
    assert "hidden" not in told
    read = json.loads(told)
    assert read["engine"] == {"kind": "plain", "trust_remote_code": False} and read["versions"] == {
        "plain": "1"
    }
    assert read["params"] == {"max_tokens": 256, "temperature": 0.5}
    assert read["weights"].startswith("b2-") and read["chat"] is True


def test_pictures_come_opened_and_marks_in_texts_are_none(
    vision_folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    model = Plainly(vision_folder_of("qwen2_vl"))
    mark = model.tokenizer.convert_tokens_to_ids("<|image_pad|>")
    sound: list[Message] = [{"role": "user", "content": [Part("audio", b""), Part("image", picture(9, 9))]}]
    missing, audio, marked, two, text, _ = model.batch(
        [
            ask(tmp_path / "none.png"),
            Request("0", sound),
            ask(picture(30, 40), text="Is <|image_pad|> its mark?"),
            ask(picture(30, 40), picture(50, 60)),
            ask(text="no picture"),
            ask(picture(30, 40), choices=[" red", " <|image_pad|>"]),
        ]
    )
    assert missing.error is not None and "none.png" in missing.error
    assert audio.error == "qwen2_vl takes no audio"
    assert [one.error for one in (marked, two, text)] == [None] * 3
    assert [len(job.pictures) for job in model.jobs[:3]] == [1, 2, 0]
    assert [list(job.prompt).count(mark) for job in model.jobs[:3]] == [1, 2, 0]
    assert [shown.size for shown in model.jobs[1].pictures] == [(30, 40), (50, 60)]
    assert all(list(job.prompt).count(mark) == 1 for job in model.jobs[3:])
    model.close()


def test_pictures_are_made_as_small_as_wanted(vision_folder_of: Callable[[str], Path]) -> None:
    model = Plainly(vision_folder_of("smolvlm"), max_pixels=400)
    model.batch([ask(picture(100, 25))])
    assert model.jobs[0].pictures[0].size == (40, 10)
    assert model.identity()["max_pixels"] == 400
    model.close()


@pytest.mark.parametrize(("name", "kind"), [("vllm", vllm.Vllm), ("sglang", sglang.Sglang)])
def test_without_the_engine_it_says_what_to_install(
    name: str, kind: type, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    assert resolve("models", name) is kind
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=rf"{name} is not installed.*steelyard\[{name}\]"):
        kind(folder)


def test_parameters_by_the_names_of_the_engines() -> None:
    sampling = read_params(
        {"temperature": 0.7, "top_k": 5, "min_p": 0.1, "seed": 3, "stop": ["\n"], "ignore_eos": True},
        others=frozenset(["ignore_eos"]),
    )
    shared = {"temperature": 0.7, "top_p": 1.0, "top_k": 5, "min_p": 0.1, "repetition_penalty": 1.0}
    shared |= {"stop": ["\n"], "ignore_eos": True}
    assert vllm.sampling_params(sampling, limit=9) == {**shared, "max_tokens": 9, "seed": 3}
    assert sglang.sampling_params(sampling, limit=9) == {**shared, "max_new_tokens": 9, "sampling_seed": 3}
    plain = read_params({"temperature": 1.0})
    assert vllm.sampling_params(plain, limit=9)["stop"] is None
    assert vllm.sampling_params(plain, limit=9)["top_k"] == 0
    assert sglang.sampling_params(plain, limit=9)["top_k"] == -1
    assert {"stop", "sampling_seed"}.isdisjoint(sglang.sampling_params(plain, limit=9))
    # Neither knows a nucleus of nothing, which is the likeliest token.
    nothing = read_params({"temperature": 1.0, "top_p": 0})
    for params in (vllm.sampling_params(nothing, limit=9), sglang.sampling_params(nothing, limit=9)):
        assert (params["top_p"], params["top_k"]) == (1.0, 1)
