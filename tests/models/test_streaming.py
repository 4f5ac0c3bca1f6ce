"""Streams of local models: the same text as asked whole, in pieces that come while it is written."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tiny_networks import TEXTS, make_network, make_tokenizer, save

from steelyard.engine import answer
from steelyard.models.base import LocalModel
from steelyard.models.embedded import Embedded
from steelyard.store import Run
from steelyard.types import Chunk, Record, Request, Response, Sample

QUESTIONS = [
    "Question: Tom has 3 pens. He buys 4 more. How many pens does Tom have now?\nAnswer:",
    "Question: What is 12 + 7?\nAnswer:",
    "é 日本語 🙂",
    "a",
]


async def read(model: LocalModel, request: Request) -> list[Chunk]:
    return [chunk async for chunk in model.stream(request)]


async def read_all(model: LocalModel, requests: Sequence[Request]) -> list[list[Chunk]]:
    return list(await asyncio.gather(*(read(model, request) for request in requests)))


def compare(model: LocalModel, requests: Sequence[Request]) -> list[list[Chunk]]:
    """Stream what is asked whole as well, and hold one against the other."""
    whole = answer(model, requests)
    streamed = asyncio.run(read_all(model, requests))
    for response, chunks in zip(whole, streamed):
        assert response.error is None
        assert "".join(chunk.text for chunk in chunks) == response.text
        assert response.tokens is not None
        assert (chunks[-1].tokens_in, chunks[-1].tokens_out) == response.tokens
        assert chunks[-1].raw == response.raw
    return streamed


def hold(owner: Any, name: str, *, after: int, until: threading.Event) -> list[bool]:
    """Have a method wait once, at its call number `after`; whether what it waited for has come."""
    plain, calls, came = getattr(owner, name), [0], []

    def held(*args: Any, **kwargs: Any) -> Any:
        calls[0] += 1
        if calls[0] == after:
            came.append(until.wait(20))
        return plain(*args, **kwargs)

    setattr(owner, name, held)
    return came


def read_first_piece_while_held(model: LocalModel, request: Request, owner: Any, name: str) -> None:
    heard = threading.Event()
    came = hold(owner, name, after=6, until=heard)

    async def main() -> None:
        async for chunk in model.stream(request):
            if chunk.text:
                heard.set()

    asyncio.run(main())
    assert came == [True]


def test_embedded_streams_are_the_answers() -> None:
    model = Embedded(max_tokens=48)
    requests = [Request(str(n), text) for n, text in enumerate(QUESTIONS)]
    requests += [Request("s", QUESTIONS[0], params={"stop": ["#", "\n\n"]})]
    requests += [Request("t", text, params={"temperature": 1.5, "seed": 3}) for text in QUESTIONS]
    streamed = compare(model, requests)
    assert all(len(chunks) > 3 for chunks in streamed[:2])
    model.close()


def test_the_first_piece_comes_before_the_answer_ends() -> None:
    model = Embedded(max_tokens=48)
    read_first_piece_while_held(model, Request("0", QUESTIONS[0]), model._network, "logits")
    model.close()


@pytest.mark.parametrize(
    ("family", "params"),
    [("llama", {}), ("llama", {"no_repeat_ngram_size": 3}), ("llama", {"num_beams": 2}), ("mamba", {})],
)
def test_hugging_face_streams_are_the_answers(
    folder_of: Callable[[str], Path], family: str, params: dict[str, Any]
) -> None:
    pytest.importorskip("torch")
    from steelyard.models.huggingface import load_huggingface

    model = load_huggingface(folder_of(family), device="cpu", max_tokens=24)
    requests = [Request(str(n), text, params=params) for n, text in enumerate([*TEXTS, *QUESTIONS])]
    requests += [Request("s", TEXTS[0], params={**params, "stop": ["e", " th"]})]
    streamed = compare(model, requests)
    if "num_beams" not in params:
        assert max(len(chunks) for chunks in streamed) > 3
        read_first_piece_while_held(model, Request("0", TEXTS[0], params=params), model.network, "forward")
    model.close()


def test_encoder_decoder_streams_are_the_answers(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from steelyard.models.huggingface import load_huggingface

    shape = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4, "initializer_factor": 3.0}
    network = make_network(
        "t5", loader="AutoModelForSeq2SeqLM", vocab_size=400, decoder_start_token_id=0, **shape
    )
    model = load_huggingface(save(tmp_path, network, make_tokenizer(pair=True)), device="cpu", max_tokens=24)
    compare(model, [Request(str(n), text) for n, text in enumerate(TEXTS)])
    read_first_piece_while_held(model, Request("0", TEXTS[0]), model.network, "forward")
    model.close()


@pytest.mark.real
def test_llama_cpp_streams_are_the_answers(tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    pytest.importorskip("gguf")
    from gguf_files import write_gguf

    from steelyard.models.embedded import DEFAULT
    from steelyard.models.gguf import Gguf

    model = Gguf(write_gguf(DEFAULT, tmp_path / "default.gguf"), max_tokens=48, threads=1)
    requests = [Request(str(n), text) for n, text in enumerate(QUESTIONS)]
    requests += [Request("s", QUESTIONS[0], params={"stop": ["#"]})]
    assert all(len(chunks) > 3 for chunks in compare(model, requests)[:2])
    for response in answer(model, requests):
        assert response.timing is not None and response.tokens is not None
        assert len(response.timing.chunks) == response.tokens.output
    read_first_piece_while_held(model, requests[0], model._llama, "eval")
    model.close()


def test_streams_and_asks_at_once_are_answered_together() -> None:
    class Counting(Embedded):
        def __init__(self) -> None:
            super().__init__(max_tokens=12)
            self.sizes: list[int] = []

        def batch(self, requests: Sequence[Request]) -> list[Response]:
            self.sizes.append(len(requests))
            return super().batch(requests)

    model = Counting()
    same = Request("same", QUESTIONS[0])

    async def main() -> tuple[list[Chunk], list[Chunk], Response, Response]:
        other = Request("other", QUESTIONS[1])
        return await asyncio.gather(read(model, same), read(model, same), model.ask(same), model.ask(other))

    first, second, whole, other = asyncio.run(main())
    assert model.sizes == [4]
    assert "".join(c.text for c in first) == "".join(c.text for c in second) == whole.text
    assert other.text != whole.text
    model.close()


def test_a_reader_that_stops_early_does_no_harm() -> None:
    model = Embedded(max_tokens=64)
    left = threading.Event()
    came = hold(model._network, "logits", after=6, until=left)

    async def leave(request: Request) -> str:
        stream = model.stream(request)
        async for chunk in stream:
            await stream.aclose()
            left.set()
            return chunk.text
        return ""

    async def main() -> tuple[str, list[Chunk], Response]:
        asked = Request("0", QUESTIONS[0])
        begun, others, whole = await asyncio.gather(leave(asked), read(model, asked), model.ask(asked))
        assert (await model.ask(asked)).text == whole.text
        return begun, others, whole

    begun, others, whole = asyncio.run(main())
    assert came == [True]
    assert begun and whole.text.startswith(begun)
    assert "".join(chunk.text for chunk in others) == whole.text
    model.close()


def test_a_stream_goes_on_where_a_failed_batch_is_halved() -> None:
    class Failing(Embedded):
        failed = 0

        def batch(self, requests: Sequence[Request]) -> list[Response]:
            answers = super().batch(requests)
            if len(requests) > 1:
                self.failed += 1
                raise RuntimeError("out of memory, at the last moment")
            return answers

    model, plain = Failing(max_tokens=24), Embedded(max_tokens=24)
    requests = [Request(str(n), text) for n, text in enumerate(QUESTIONS[:2])]
    streamed = asyncio.run(read_all(model, requests))
    assert model.failed == 1
    texts = ["".join(chunk.text for chunk in chunks) for chunks in streamed]
    assert texts == [one.text for one in plain.batch(requests)]
    model.close()


def test_an_answer_that_turns_out_another_is_told() -> None:
    class Fickle(LocalModel):
        def batch(self, requests: Sequence[Request]) -> list[Response]:
            listener = self.listener(requests[0])
            assert listener is not None
            listener.hear("yes", at=0)
            return [Response("no")]

    with pytest.raises(RuntimeError, match="became another"):
        asyncio.run(read(Fickle(), Request("0", "?")))


def test_a_model_that_tells_nothing_streams_one_piece() -> None:
    class Shout(LocalModel):
        def batch(self, requests: Sequence[Request]) -> list[Response]:
            return [Response(str(request.prompt).upper()) for request in requests]

    assert asyncio.run(read(Shout(), Request("0", "cat"))) == [Chunk("CAT")]


def test_each_token_has_a_stamp_and_its_answer_a_speed() -> None:
    model = Embedded(max_tokens=24)
    for response in answer(model, [Request(str(n), text) for n, text in enumerate(QUESTIONS)]):
        timing, tokens = response.timing, response.tokens
        assert timing is not None and tokens is not None and tokens.output is not None
        assert len(timing.chunks) == tokens.output
        assert [timing.due, timing.sent, *timing.chunks, timing.done] == sorted(
            [timing.due, timing.sent, *timing.chunks, timing.done]
        )
        assert timing.ttft is not None and 0 < timing.ttft <= timing.latency
        if tokens.output > 1:
            pace = timing.tpot(tokens.output)
            assert pace == pytest.approx(sum(timing.itl) / (tokens.output - 1))
    model.close()


def test_stamps_and_cost_are_stored_as_they_were(tmp_path: Path) -> None:
    model = Embedded(max_tokens=24)
    requests = [Request(str(n), text) for n, text in enumerate(QUESTIONS)]
    responses = answer(model, requests)
    model.close()
    run = Run.create(tmp_path / "run", {"identity": {}})
    for index, (request, response) in enumerate(zip(requests, responses)):
        run.add(Record(index, Sample(request.id, request.prompt), request, response))
    run.close()
    found = [record.response for record in Run.open(tmp_path / "run").records()]
    assert found == responses
    assert all(response.cost is not None and response.cost.shared == len(requests) for response in found)
    stamps = [stamp for response in found if response.timing for stamp in response.timing.chunks]
    assert stamps == [round(stamp, 6) for stamp in stamps]
