"""The wires of texts over HTTP: HttpModel against a server that answers what is documented, in pieces."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from recorded import Case, recorded

from faulty_service import Asked, Service, reply, serving
from steelyard.engine import answer
from steelyard.errors import UsageError
from steelyard.models.references import open_model
from steelyard.types import Request, Response, Tokens

TGI, MINDIE, TRITON = recorded("tgi"), recorded("mindie"), recorded("triton")
# What is asked, what was answered whole, and in pieces.
SPOKEN = {
    "tgi": (TGI["generate"], TGI["stream"]),
    "mindie": (MINDIE["infer"], MINDIE["stream-pieces"]),
    "triton": (TRITON["generate"], TRITON["stream"]),
}


def said(case: Case, *, size: int = 11) -> list[bytes]:
    """The bytes of an answer, sent in pieces that end anywhere."""
    headers = {"Content-Type": case.headers["content-type"]}
    whole = reply(body=case.body, status=case.status, headers=headers)
    return [whole[start : start + size] for start in range(0, len(whole), size)]


def ask(service: Service, wire: str, **options: Any) -> Response:
    url = f"http://127.0.0.1:{service.port}"
    model = open_model(url, wire=wire, model="shout", retries=1, backoff=0.001, **options)
    try:
        return answer(model, [Request("0", "Two plus two is")])[0]
    finally:
        model.close()


@pytest.mark.parametrize("wire", SPOKEN)
def test_a_service_is_asked_whole_and_in_pieces(wire: str) -> None:
    whole, streamed = SPOKEN[wire]
    with serving(said(whole), said(streamed)) as service:
        first, second = ask(service, wire), ask(service, wire, stream=True)
        paths = [asked.target for asked in service.asked]
    text = " ".join(("ONE", "ZWÖ")) if wire == "triton" else " four."
    assert (first.text, first.error, second.error) == (text, None, None)
    assert second.text == (f"{text} ✓" if wire == "triton" else text)
    assert paths == [whole.path, streamed.path.replace("pieces", "shout")]
    assert second.timing is not None
    # The last event of one is the text of the token before.
    assert len(second.timing.chunks) == (3 if wire == "triton" else 2)


@pytest.mark.parametrize("wire", SPOKEN)
def test_an_answer_is_watched_while_it_comes(wire: str) -> None:
    _, streamed = SPOKEN[wire]

    async def watch(url: str) -> list[str]:
        model = open_model(url, wire=wire, model="shout")
        try:
            return [chunk.text async for chunk in model.stream(Request("0", "Two plus two is")) if chunk.text]
        finally:
            model.close()

    with serving(said(streamed)) as service:
        pieces = asyncio.run(watch(f"http://127.0.0.1:{service.port}"))
        assert service.asked[0].target == streamed.path.replace("pieces", "shout")
    assert pieces == (["ONE", " ZWÖ", " ✓"] if wire == "triton" else [" four", "."])


def test_a_stream_that_breaks_off_is_tried_again() -> None:
    case = TGI["stream"]
    cut = case._replace(body=case.body[: case.body.index(b"data:", 9)])
    with serving(said(cut), said(case)) as service:
        response = ask(service, "tgi", stream=True)
        assert (response.text, response.error, len(service.asked)) == (" four.", None, 2)
    with serving(said(cut)) as service:
        assert "ended before the answer did" in (ask(service, "tgi", stream=True).error or "")


@pytest.mark.parametrize(
    ("wire", "case", "error"),
    [
        ("tgi", TGI["validation"], "HTTP 422: Input validation error"),
        ("tgi", TGI["stream-fails"], "the service reports an error: Request failed during generation"),
        ("mindie", MINDIE["validation"], "HTTP 422: Input validation error"),
        ("triton", TRITON["generate-no-model"], "HTTP 404: Request for unknown model: 'none' is not found"),
        ("triton", TRITON["generate-several-responses"], "exactly 1 response"),
        ("triton", TRITON["stream-fails"], "this word fails"),
        ("kserve", TRITON["infer-no-output"], "HTTP 400: unexpected inference output 'nope'"),
    ],
)
def test_a_refusal_is_a_failed_answer(wire: str, case: Case, error: str) -> None:
    with serving(said(case)) as service:
        response = ask(service, wire)
        assert error in (response.error or "")
        assert (response.text, len(service.asked)) == ("", 1)


def test_tensors_carry_several_questions_and_binary_answers() -> None:
    case = TRITON["infer-several"]
    with serving(said(case)) as service:
        model = open_model(f"http://127.0.0.1:{service.port}", wire="kserve", model="shout", batch_size=8)
        responses = answer(model, [Request(str(n), text) for n, text in enumerate(["one two", "drei vier"])])
        model.close()
        assert [response.text for response in responses] == ["ONE", "DREI VIER"]
        assert len(service.asked) == 1
    case = TRITON["infer-binary-output"]
    headers = {name.title(): value for name, value in case.headers.items()}
    with serving(reply(body=case.body, headers=headers)) as service:
        response = ask(service, "kserve", binary=True)
        assert (response.text, response.tokens) == ("ONE TWO", Tokens(None, 2))
        asked = service.asked[0]
        assert asked.headers["content-type"] == "application/octet-stream"
        assert (
            asked.body[int(asked.headers["inference-header-content-length"]) :]
            == b"\x0f\0\0\0Two plus two is"
        )


def scored(asked: Asked) -> bytes:
    """What a service tells of a text whose tokens are its words, each as likely as it is long."""
    words = asked.json["inputs"].split(" ")
    parameters = asked.json["parameters"]
    details: dict[str, Any] = {"finish_reason": "length", "generated_tokens": 1, "tokens": []}
    if parameters.get("decoder_input_details"):
        odds = [None, *(-len(word) / 10 for word in words)]
        ids = [1, *map(len, words)]
        told = [{"id": n, "text": word, "logprob": odd} for n, word, odd in zip(ids, ["<s>", *words], odds)]
        details["prefill"] = told
    if count := parameters.get("top_n_tokens"):
        texts = [" B", " A", "\n", "The", " D", "x"]
        likeliest = [{"id": n, "text": text, "logprob": -1.0 - n} for n, text in enumerate(texts)]
        details["top_tokens"] = [likeliest[:count]]
    return reply({"generated_text": " x", "details": details})


def choose(service: Service, *choices: str, **options: Any) -> Response:
    model = open_model(f"http://127.0.0.1:{service.port}", wire="tgi", retries=0, **options)
    try:
        return answer(model, [Request("0", "Two plus two is", choices=choices)])[0]
    finally:
        model.close()


def test_likelihoods_of_the_tokens_of_a_prompt() -> None:
    with serving(scored) as service:
        response = choose(service, " four", " twenty two", likelihood="prefill")
        asked = sorted(one.json["inputs"] for one in service.asked)
        assert asked == [f"Two plus two is{more}" for more in ("", " four", " twenty two")]
        assert service.asked[0].json["parameters"] == {
            "max_new_tokens": 1, "do_sample": False, "details": True, "decoder_input_details": True,
        }  # fmt: skip
    assert response.error is None
    assert response.scores == pytest.approx([-0.4, -0.9])
    assert (response.raw, response.tokens) == ({"tokens": [1, 2]}, Tokens(5 + 6 + 7, 3))


def test_likelihoods_of_the_first_token() -> None:
    with serving(scored) as service:
        response = choose(service, " A", " B", " C", likelihood="first-token")
        assert [one.json["parameters"]["top_n_tokens"] for one in service.asked] == [5]
    assert response.error is None
    assert isinstance(response.scores, (list, tuple))
    assert response.scores[:2] == pytest.approx([-2.0, -1.0])
    assert response.scores[2] <= -5.0


def test_a_service_that_tells_no_likelihoods() -> None:
    with serving(reply({"generated_text": "x", "details": {"prefill": []}})) as service:
        assert "--enable-prefill-logprobs" in (choose(service, " A", likelihood="prefill").error or "")
        assert "no top_logprobs" in (choose(service, " A", likelihood="first-token").error or "")
        assert "no likelihoods of choices" in (choose(service, " A").error or "")
    with pytest.raises(UsageError, match=r"likelihood=echo is no way .* .prefill, first-token."):
        open_model("http://127.0.0.1:9", wire="tgi", likelihood="echo")
