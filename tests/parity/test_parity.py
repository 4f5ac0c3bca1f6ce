"""What is planted between two ways to a model is found and named rightly, and nothing else is blamed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from steelyard import Model, Request, Run, answer, check_parity, open_model
from steelyard.cli import main
from steelyard.errors import ModelError, UsageError
from steelyard.models.embedded import Embedded
from steelyard.parity.findings import CAUSES, Findings
from steelyard.types import Sample

LIMITS = {"max_tokens": 16, "longest": 200}
NAMED = {
    "equal": [],
    "template": ["chat template"],
    "template-of-answers": ["chat template"],
    "double-bos": ["BOS"],
    "no-bos": ["BOS"],
    "double-bos-in-chats": ["BOS"],
    "system": ["system prompt"],
    "system-unread": ["system prompt"],
    "system-merged": ["chat template"],
    "system-marked": ["chat template"],
    "last-turn": ["chat template", "system prompt"],
    "stop": ["stop words"],
    "cut-begin": ["truncation"],
    "cut-middle": ["truncation"],
    "temperature": ["sampling defaults"],
    "penalty": ["sampling defaults"],
    "restless": ["sampling defaults"],
    "short": ["max tokens"],
    "cap": ["max tokens"],
    "stripped": ["whitespace"],
    "double-bos+stop": ["BOS", "stop words"],
    "double-bos+temperature": ["BOS", "sampling defaults"],
    "system+stop": ["system prompt", "stop words"],
    "system+short": ["system prompt", "max tokens"],
    "system+double-bos": ["BOS", "system prompt"],
    "system+cut": ["system prompt", "truncation"],
    "short+temperature": ["sampling defaults", "max tokens"],
}


def named(found: Findings) -> list[str]:
    return [one.cause for one in found.differing]


# The others take a minute: `make test-real`.
QUICK = {"equal", "template", "double-bos", "system", "system-unread", "stop", "cut-begin"}
QUICK |= {"temperature", "short"}
QUICK_UNCOUNTED = {"equal", "system", "last-turn", "system+double-bos"}
PLANTED = [
    pytest.param(plant, counted, marks=[] if plant in quick else [pytest.mark.real])
    for counted, quick in ((True, QUICK | {"system+stop"}), (False, QUICK_UNCOUNTED))
    for plant in NAMED
]


@pytest.mark.parametrize(("plant", "counted"), PLANTED)
def test_what_is_planted_is_named(
    local: Embedded, served: Callable[..., Model], plant: str, counted: bool
) -> None:
    found = check_parity(local, served(plant if counted else f"{plant}-uncounted"), **LIMITS)
    assert named(found) == NAMED[plant]
    assert found.alike == (not NAMED[plant])
    assert [one.cause for one in found.findings] == list(CAUSES)
    for one in found.differing:
        assert one.evidence and one.mend


@pytest.mark.parametrize(
    "plant",
    [
        "equal",
        "double-bos",
        *(pytest.param(one, marks=pytest.mark.real) for one in ("template", "system", "stop", "cut-begin")),
        *(pytest.param(one, marks=pytest.mark.real) for one in ("temperature", "cap")),
    ],
)
def test_two_services_one_of_which_streams(served: Callable[..., Model], plant: str) -> None:
    found = check_parity(served("equal"), served(plant, stream=True), **LIMITS)
    assert named(found) == NAMED[plant]


def test_services_that_count_nothing_and_differ_are_not_called_equal(served: Callable[..., Model]) -> None:
    found = check_parity(served("equal"), served("double-bos-uncounted"), **LIMITS)
    assert named(found) == ["unexplained"]
    assert found.of("BOS").verdict == "unknown"
    assert "other weights, or prompts" in found.of("unexplained").evidence


@pytest.mark.real
def test_the_evidence_says_who_and_what(local: Embedded, served: Callable[..., Model]) -> None:
    def look(plant: str, cause: str) -> Any:
        return check_parity(served(plant), local, **LIMITS).of(cause)

    # The planted side is A here.
    assert look("system", "system prompt").numbers["side"] == "A"
    assert look("double-bos", "BOS").numbers["side"] == "A"
    stop = look("stop", "stop words")
    assert stop.numbers["stop"].startswith("e") and stop.numbers["side"] == "A"
    assert "before 'e" in stop.evidence
    cut = look("cut-begin", "truncation")
    assert cut.numbers == {"side": "A", "read": 128} and "its beginning is cut off" in cut.evidence
    assert "10 tokens" in look("cap", "max tokens").evidence
    assert look("penalty", "sampling defaults").numbers["parameter"] == "repetition_penalty"


def test_batches_and_protocols_make_no_difference(local: Embedded, folder: Path, server: Any) -> None:
    single = Embedded(folder, batch_size=1, max_tokens=40)
    assert named(check_parity(local, single, **LIMITS)) == []
    texts = open_model(server.url + "/equal", wire="tgi")
    plain = open_model(server.url + "/v1", wire="openai-completions", model="equal")
    try:
        found = check_parity(texts, plain, **LIMITS)
        assert named(found) == []
        assert found.of("chat template").verdict == "unknown"
        # A text is not a chat, whatever else is the same.
        assert named(check_parity(local, plain, **LIMITS)) == ["chat template"]
    finally:
        for model in (single, texts, plain):
            model.close()


def test_nothing_but_the_tokenizer_is_blamed_for_it(local: Embedded, folder: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    tokenizer["model"]["merges"] = tokenizer["model"]["merges"][:25]
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    cut = Embedded(other, max_tokens=40)
    try:
        found = check_parity(local, cut, **LIMITS)
    finally:
        cut.close()
    assert named(found) == ["tokenizer"]
    assert found.of("chat template").verdict == found.of("truncation").verdict == "unknown"


def test_whoever_writes_more_than_is_allowed_is_named(local: Embedded) -> None:
    def talk(prompt: str) -> str:
        (said,) = answer(local, [Request("1", prompt, params={"max_tokens": 24})])
        return said.text

    limits = check_parity(open_model(talk), local, **LIMITS).of("max tokens")
    assert limits.verdict == "differs" and limits.numbers["side"] == "A"
    assert "A goes on past the 16 tokens that were allowed" in limits.evidence


def test_a_cap_is_named_where_nobody_says_why_answers_end(local: Embedded) -> None:
    def talk(request: Request) -> str:
        (said,) = answer(local, [replace(request, params={"max_tokens": 10})])
        return said.text

    limits = check_parity(local, open_model(talk), **LIMITS).of("max tokens")
    assert limits.verdict == "differs" and limits.numbers["side"] == "B"
    assert "after about 10 tokens each, though 16 were allowed" in limits.evidence


def test_broken_characters_do_not_hide_noise(tmp_path: Path) -> None:
    from tiny import write_model

    odd = write_model(tmp_path / "odd", max_position_embeddings=512)
    exact = Embedded(odd, max_tokens=40)
    rounded = open_model(odd, engine="huggingface", device="cpu", dtype="bfloat16", max_tokens=40)
    try:
        found = check_parity(exact, rounded, **LIMITS)
        assert named(found) == [] and found.of("dtype noise").verdict == "noise"
        assert any("\N{REPLACEMENT CHARACTER}" in one.example for one in found.findings)
    finally:
        rounded.close()
        exact.close()


def test_noise_is_no_difference_and_other_weights_are(local: Embedded, folder: Path, tmp_path: Path) -> None:
    from service_models import write_service_model

    rounded = open_model(folder, engine="huggingface", device="cpu", dtype="bfloat16", max_tokens=40)
    other = Embedded(write_service_model(tmp_path / "other", seed=5), max_tokens=40)
    try:
        found = check_parity(local, rounded, **LIMITS)
        assert named(found) == [] and found.alike
        noise = found.of("dtype noise")
        assert noise.verdict == "noise" and 1e-4 < noise.numbers["apart"] < 0.03
        assert named(check_parity(local, other, **LIMITS)) == ["weights"]
    finally:
        rounded.close()
        other.close()


def test_own_prompts_are_asked_and_all_answers_kept(
    local: Embedded, served: Callable[..., Model], tmp_path: Path
) -> None:
    rows = [Sample(str(n), text) for n, text in enumerate(["One.", "Two.", "Three."])]
    told: list[str] = []
    found = check_parity(
        local, served("stop"), data=rows, limit=2, out=tmp_path / "out", watch=told.append, **LIMITS
    )
    kept = json.loads((tmp_path / "out" / "parity.json").read_text())
    assert [one["verdict"] for one in kept["findings"]] == [one.verdict for one in found.findings]
    runs = [Run.open(tmp_path / "out" / name) for name in "ab"]
    ids = [[record.sample.id for record in run.records()] for run in runs]
    assert all("own-1" in some and "own-2" in some and "own-3" not in some for some in ids)
    assert sum(map(len, ids)) == found.asked == sum(run.about["answers"] for run in runs)
    assert "questions to each side" in told[0]


def test_the_command(
    folder: Path, server: Any, tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ours = ["--model", str(folder), "engine=embedded", "max_tokens=40"]
    limits = ["--longest", "200", "--max-tokens", "16", "--quiet"]
    same = ["--model", f"{server.url}/v1", "model=equal", "api_key=sesame"]
    assert main(["parity", *ours, *same, *limits]) == 0
    shown = capsys.readouterr().out
    assert "nothing differs as far as was seen" in shown and "sesame" not in shown
    (stored,) = Path("runs").iterdir()
    assert "sesame" not in "".join(file.read_text() for file in stored.rglob("*.json*"))
    other = ["--model", f"{server.url}/v1", "model=system"]
    assert main(["parity", *ours, *other, *limits, "--json", "--out", "found"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert not document["alike"] and document["path"] == "found"
    assert main(["parity", "embedded", "embedded", *limits]) == 0


def test_what_cannot_be_compared_is_said(local: Embedded, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(prompt: str) -> str:
        raise OSError("no weights")

    with pytest.raises(ModelError, match="B, broken, answers nothing: OSError: no weights"):
        check_parity(local, broken, **LIMITS)
    with pytest.raises(UsageError, match="longest is 0"):
        check_parity(local, local, longest=0)
    assert main(["parity", "embedded"]) == 2
    assert "parity is between two models, 1 named" in capsys.readouterr().err
