"""Scores that depend on their company, and those that do not."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from steelyard.errors import UsageError
from steelyard.media.sounds import as_sound
from steelyard.models.base import LocalModel, Model
from steelyard.models.embedded import Embedded
from steelyard.models.functions import FunctionModel
from steelyard.parity.findings import FAILURES
from steelyard.parity.independence import Independence, check_independence
from steelyard.parity.suspicion import BATCH, BEFORE, ORDER, PADDING, REFERENCES, REPEAT, SIDES
from steelyard.types import Chunk, Part, Request, Response

WORDS = "a steelyard is the balance with one beam on which anything can be hung and weighed".split()


def texts(count: int, *, choices: bool = False) -> list[Request]:
    """Questions of different lengths."""
    random = Random(count)
    made = []
    for place in range(count):
        answers = [" ".join(random.sample(WORDS, n)) for n in (2 + place % 3, 5)] if choices else None
        made.append(Request(f"q{place}", " ".join(random.sample(WORDS, 1 + place % 9)), answers))
    return made


def music(count: int) -> list[Request]:
    """Pieces and pairs of several lengths, some with a reference; a sound is a list of its samples."""
    random = Random(count)

    def sound() -> Part:
        return Part("audio", [random.random() for _ in range(random.randint(3, 30))])

    made = []
    for place in range(count):
        prompt: dict[str, Any] = {"audio": sound(), "text": "loud"}
        if place % 2:
            prompt["audio_b"] = sound()
        if place % 3 == 0:
            prompt["ref_audio"] = sound()
        made.append(Request(f"m{place}", prompt))
    return made


class Judge(LocalModel):
    """Scores answers by their words and pieces by their samples, with a fault where one is planted."""

    batch_size = 64

    def __init__(self, fault: str = "") -> None:
        self.fault, self.random, self.before = fault, Random(0), 0.0

    def batch(self, requests: Sequence[Request]) -> list[Response]:
        rows = [row for request in requests for row in rows_of(request)]
        if self.fault == "raises" and len({has for _, has in rows}) > 1:
            raise ValueError("all must have a reference, or none")
        scores = iter(self.weigh(rows))
        return [respond(request, [next(scores) for _ in rows_of(request)]) for request in requests]

    def weigh(self, rows: list[tuple[list[float], float]]) -> list[float]:
        width, some = max(len(row) for row, _ in rows), any(has for _, has in rows)
        scores = []
        for row, has in rows:
            score = sum(row) / (width if self.fault == "padding" else len(row)) + has
            if self.fault == "reference" and some and not has:
                score -= 0.25
            scores.append(score)
        if self.fault == "batch norm" and len(scores) > 1:
            mean = sum(scores) / len(scores)
            scores = [(score - mean) / math.hypot(*[one - mean for one in scores]) for score in scores]
        if self.fault == "order":
            scores = [scores[n] for n in sorted(range(len(rows)), key=lambda n: len(rows[n][0]))]
        if self.fault == "noise":
            scores = [score + self.random.random() / 100 for score in scores]
        if self.fault == "before":
            befores = [self.before, *scores[:-1]]
            self.before = scores[-1]
            scores = [score + before / 10 for score, before in zip(scores, befores)]
        return scores


class Keeping(Judge):
    """Gives a row the score that it had first, until it is told to let go."""

    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.kept: dict[tuple[Any, ...], float] = {}

    def weigh(self, rows: list[tuple[list[float], float]]) -> list[float]:
        keys = [(*row, has) for row, has in rows]
        for key, score in zip(keys, super().weigh(rows)):
            self.kept.setdefault(key, score)
        return [self.kept[key] for key in keys]

    def free(self) -> None:
        self.kept.clear()


def rows_of(request: Request) -> list[tuple[list[float], float]]:
    prompt: Any = request.prompt
    if isinstance(prompt, str):
        answers = request.choices or [""]
        return [([len(word) / 7 for word in f"{prompt} {one}".split()], 0.0) for one in answers]
    has = 0.0 if "ref_audio" not in prompt else sum(prompt["ref_audio"].data) / len(prompt["ref_audio"].data)
    return [(prompt[key].data, has) for key in ("audio", "audio_b") if key in prompt]


def respond(request: Request, scores: list[float]) -> Response:
    if request.choices is not None:
        return Response(scores=scores)
    names = [f"{name}{end}" for _, end in zip(scores, ("", "_b")) for name in ("musicality", "alignment")]
    return Response(scores=dict(zip(names, [value for score in scores for value in (score, score / 2)])))


@pytest.mark.parametrize(
    "asked", [texts(8), texts(8, choices=True), music(9), texts(1), texts(2, choices=True)]
)
def test_an_honest_model_holds(asked: list[Request]) -> None:
    found = check_independence(Judge(), asked)
    assert found.holds and found.findings == [] and found.largest is not None and found.largest < 1e-12
    assert found.asked == len(asked)
    line, *missed = found.tell()
    assert bool(missed) == (len(asked) == 1)
    assert "alone, together and in other orders: the same to " in line or line.endswith("the same")


def test_what_a_model_keeps_hides_nothing() -> None:
    model = Keeping("padding")
    found = check_independence(model, texts(8))
    assert found.of(PADDING) is not None
    assert model.kept == {}


@pytest.mark.parametrize(
    ("fault", "asked", "cause"),
    [
        ("padding", texts(8), PADDING),
        ("padding", texts(8, choices=True), PADDING),
        ("padding", music(9), PADDING),
        ("padding", texts(2), PADDING),
        ("batch norm", texts(8), BATCH),
        ("batch norm", music(9), BATCH),
        ("order", texts(8), ORDER),
        ("order", texts(8, choices=True), ORDER),
        ("order", music(9), ORDER),
        ("before", texts(8), BEFORE),
        ("before", music(9), BEFORE),
        ("noise", texts(8), REPEAT),
        ("noise", texts(1), REPEAT),
        ("noise", music(9), REPEAT),
        ("reference", music(9), REFERENCES),
    ],
)
def test_a_fault_is_called_by_its_name(fault: str, asked: list[Request], cause: str) -> None:
    found = check_independence(Judge(fault), asked)
    assert not found.holds
    (finding,) = found.findings
    assert finding.cause == cause and finding.verdict == "differs"
    assert f"{finding.numbers['differing']} of {finding.numbers['of']} scores differ" in finding.evidence
    assert "for example question " in finding.example and " alone, " in finding.example
    assert [finding.mend in line for line in found.tell()][-1]


def test_what_the_questions_cannot_show_is_said() -> None:
    same = [
        Request(f"q{place}", {"audio": Part("audio", [float(place)] * 9), "text": "x"}) for place in range(3)
    ]
    found = check_independence(Judge("padding"), same)
    assert found.holds and found.as_document()["unseen"] == found.unseen
    assert list(found.tell())[1] == (
        "what was not seen: what padding does, as all are of one length; what references do, as none has one"
    )
    assert check_independence(Judge("padding"), texts(1)).unseen == [
        "what company does, as there is one question"
    ]
    assert check_independence(Judge(), music(9)).unseen == []


def test_what_belongs_to_a_question_may_be_what_matters() -> None:
    def compare(request: Request) -> list[float]:
        """Log-odds of answers among each other."""
        lengths = [float(len(choice)) for choice in request.choices or ()]
        return [length - max(lengths) for length in lengths]

    found = check_independence(FunctionModel(compare), texts(6, choices=True))
    assert [one.cause for one in found.findings] == [SIDES]
    assert ", answer " in found.findings[0].example


def test_who_cannot_be_asked_of_one_answer_is_asked_of_all() -> None:
    def compare(request: Request) -> list[float]:
        one, two = request.choices or ()
        return [float(len(one) > len(two)), float(len(one) <= len(two))]

    assert check_independence(FunctionModel(compare), texts(6, choices=True)).findings == []


def test_what_fails_in_company_alone_is_said() -> None:
    class Strict(Judge):
        def batch(self, requests: Sequence[Request]) -> list[Response]:
            if len({len(str(request.prompt)) for request in requests}) > 1:
                return [Response(error="the lengths differ") for _ in requests]
            return super().batch(requests)

    (finding,) = check_independence(Strict(), texts(8)).findings
    assert (finding.cause, finding.verdict) == (FAILURES, "differs")
    assert "8 of 8 scores fail in company" in finding.evidence and "the lengths differ" in finding.example


def test_a_batch_that_raises_is_halved_as_in_a_run() -> None:
    assert check_independence(Judge("raises"), music(9)).holds


def test_what_fails_alone_too_is_left_out() -> None:
    class Deaf(Judge):
        def batch(self, requests: Sequence[Request]) -> list[Response]:
            answers = super().batch(requests)
            return [Response(error="deaf") if r.id == "q3" else a for r, a in zip(requests, answers)]

    found = check_independence(Deaf(), texts(8))
    assert found.holds and [one.verdict for one in found.findings] == ["unknown"]
    assert "1 of 8 fail alone too" in found.findings[0].evidence

    class Dead(LocalModel):
        def batch(self, requests: Sequence[Request]) -> list[Response]:
            raise RuntimeError("no weights")

    (nothing,) = check_independence(Dead(), texts(3)).findings
    assert nothing.verdict == "unknown" and "no weights" in nothing.evidence


def test_texts_and_likelihoods_of_a_model_hold() -> None:
    with_model: Callable[[list[Request]], Independence] = lambda asked: check_independence(model, asked)  # noqa: E731
    model = Embedded()
    greedy = [Request(one.id, one.prompt, params={"max_tokens": 6, "temperature": 0.9}) for one in texts(6)]
    assert with_model(greedy).findings == []
    assert with_model(texts(6, choices=True)).findings == []
    model.close()


def test_texts_that_change_are_shown() -> None:
    def together(batch: list[str]) -> list[str]:
        return [f"{text} of {len(batch)}" for text in batch]

    found = check_independence(FunctionModel(together), texts(6))
    assert [one.cause for one in found.findings] == [BATCH] and found.largest is None
    assert "of 1' alone" in found.findings[0].example
    assert "by up to" not in found.findings[0].evidence


def test_what_is_no_local_model_is_asked_as_many_at_a_time() -> None:
    class Crowded(Model):
        under_way = 0

        async def stream(self, request: Request) -> Any:
            self.under_way += 1
            await asyncio.sleep(0.001)
            yield Chunk(scores={"score": float(self.under_way)})
            await asyncio.sleep(0.001)
            self.under_way -= 1

    assert [one.cause for one in check_independence(Crowded(), texts(6)).findings] == [BATCH]

    async def quiet(prompt: str) -> float:
        return float(len(prompt))

    assert check_independence(FunctionModel(quiet), texts(6)).holds


def test_what_16_bits_round_is_no_fault() -> None:
    class Rounded(Judge):
        dtype = "bfloat16"

        def identity(self) -> dict[str, Any]:
            return {"dtype": self.dtype}

        def weigh(self, rows: list[tuple[list[float], float]]) -> list[float]:
            return [score * (1 + 1e-3 * (len(rows) > 1)) for score in super().weigh(rows)]

    found = check_independence(Rounded(), texts(6))
    assert found.holds and [one.verdict for one in found.findings] == ["noise"]
    Rounded.dtype = "float32"
    found = check_independence(Rounded(), texts(6))
    assert not found.holds and "may be rounding" in found.findings[0].evidence
    assert check_independence(Rounded(), texts(6), tolerance=0.01).findings == []
    Rounded.dtype = "bfloat16"
    (finding,) = check_independence(Rounded("noise"), texts(6)).findings
    assert finding.verdict == "differs" and "rounding" not in finding.evidence


def test_nothing_to_ask_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing to ask"):
        check_independence(Judge(), [])
    with pytest.raises(UsageError, match="tolerance is -1"):
        check_independence(Judge(), texts(1), tolerance=-1)


def test_it_is_stored_as_it_is_told() -> None:
    document = check_independence(Judge("padding"), texts(8)).as_document()
    assert document["holds"] is False and document["asked"] == 8 and document["largest"] > 0.1
    assert document["findings"][0]["cause"] == PADDING


@pytest.mark.parametrize("mode", ["final", "standard"])
def test_the_music_reward_model_holds(mode: str) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("soundfile")
    from steelyard.models.music.opening import load_music_reward

    tiny = Path(__file__).parents[1] / "data" / "reward-tiny"
    a, b, r = (Part("audio", as_sound(tiny / f"{name}.wav")) for name in "abr")
    asked = [
        Request("0", {"audio": a, "text": "calm", "lyrics": ""}),
        Request(
            "1", {"audio": r, "text": "a much longer text of many words", "lyrics": "la la", "ref_audio": b}
        ),
        Request("2", {"audio": r, "text": "", "lyrics": "", "audio_b": b}),
        Request("3", {"audio": b, "text": "drums", "lyrics": "oh", "audio_b": r, "ref_audio": r}),
    ]
    options: dict[str, Any] = {"mode": mode, "max_dur": 3} if mode == "standard" else {"mode": mode}
    model = load_music_reward(tiny / "ckpt" / "model.safetensors", device="cpu", **options)
    found = check_independence(model, asked)
    model.close()
    assert found.findings == [] and found.largest is not None and found.largest < 1e-5
