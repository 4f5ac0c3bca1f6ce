"""Services that count tokens, as vLLM, llama.cpp and TGI do it, asked on real sockets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from made_tokenizers import TEMPLATE, WHOLE, make_byte_level, make_sentence_pieces

from faulty_service import Asked, Service, reply, serving
from steelyard.errors import UsageError
from steelyard.models.chat import ChatTemplate
from steelyard.models.references import open_model
from steelyard.workloads import counting as counting_tokens
from steelyard.workloads.references import open_workload
from steelyard.workloads.tokens import find_tokenizer, open_tokenizer

CHAT = ChatTemplate(TEMPLATE)


def ids(tokenizer: Any, text: str, *, special: bool) -> list[int]:
    found: list[int] = tokenizer.encode(text, add_special_tokens=special).ids
    return found


def as_vllm(tokenizer: Any, asked: Asked) -> Any:
    body = asked.json
    if asked.target != "/tokenize" or body.get("model") != "m":
        return reply({"error": "not here"}, status=404)
    if "messages" in body:
        found = ids(tokenizer, CHAT.render(body["messages"]), special=False)
    else:
        found = ids(tokenizer, body["prompt"], special=body["add_special_tokens"])
    return reply({"count": len(found), "max_model_len": 4096, "tokens": found, "token_strs": None})


def as_llama(tokenizer: Any, asked: Asked) -> Any:
    body = asked.json
    if asked.target == "/apply-template":
        return reply({"prompt": CHAT.render(body["messages"])})
    if asked.target != "/tokenize":
        return reply({"error": "not here"}, status=404)
    return reply({"tokens": ids(tokenizer, body.get("content", ""), special=body.get("add_special", False))})


def as_tgi(tokenizer: Any, asked: Asked) -> Any:
    body = asked.json
    if asked.target == "/chat_tokenize":
        text = CHAT.render(body["messages"])
        found = [
            {"id": one, "text": "", "start": 0, "stop": 0} for one in ids(tokenizer, text, special=False)
        ]
        return reply({"tokenize_response": found, "templated_text": text})
    if "inputs" not in body:
        return reply("missing field `inputs`", status=422)
    found = [
        {"id": one, "text": "", "start": 0, "stop": 0} for one in ids(tokenizer, body["inputs"], special=True)
    ]
    return reply(found)


@contextmanager
def counting(form: Callable[[Any, Asked], Any], tokenizer: Any) -> Iterator[Service]:
    with serving(lambda asked: form(tokenizer, asked)) as service:
        yield service


@pytest.mark.parametrize(
    ("form", "make"),
    [(as_vllm, make_byte_level), (as_llama, make_sentence_pieces), (as_tgi, make_byte_level)],
)
def test_prompts_are_exact_by_the_tokenizer_of_a_service(
    form: Callable[[Any, Asked], Any], make: Callable[..., Any]
) -> None:
    tokenizer = make(WHOLE, size=1600)
    with counting(form, tokenizer) as service:
        model = open_model(f"http://127.0.0.1:{service.port}/v1", wire="openai", model="m")
        workload = open_workload(model=model, input="uniform:20:90", limit=20, template="count")
        model.close()
        asked = len(service.asked)
        sessions, around = list(workload), workload.identity()["around"]
        # What a service answers costs time: while sessions are made it is not asked.
        assert len(service.asked) == asked
        for session in sessions:
            (turn,) = session.turns
            assert len(ids(tokenizer, str(turn.prompt), special=False)) == (turn.tokens_in or 0) - around
            # One kind of service puts a token before the text of its own template, too.
            text = CHAT.render([{"role": "user", "content": str(turn.prompt)}])
            assert len(ids(tokenizer, text, special=form is as_llama)) == turn.tokens_in
        assert around > 3 and {type(one.turns[0].tokens_in) for one in sessions} == {int}


def test_an_address_counts_and_is_told_by_its_own_name() -> None:
    with counting(as_llama, make_byte_level()) as service:
        tokenizer = open_tokenizer(f"http://127.0.0.1:{service.port}")
        assert tokenizer.count_special("time") == len(tokenizer.encode("time")) + 1
        assert tokenizer.identity()[1] == "llama.cpp"


def test_a_service_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting_tokens, "PATIENCE", 0.05)
    ended = threading.Event()
    with serving(lambda asked: ended.wait(20) and reply({"tokens": [1]})) as service:
        model = open_model(f"http://127.0.0.1:{service.port}/v1", wire="openai", model="m")
        assert find_tokenizer(model) is None
        ended.set()
        assert len(service.asked) == 1
        model.close()


@pytest.mark.parametrize(
    "answer",
    [
        reply({"error": "no such path"}, status=404),
        reply(body=b"<html>"),
        reply({"tokens": []}),
        reply({"tokens": ["a", "b"]}),
        reply([1.5]),
        Service.CLOSE,
    ],
)
def test_a_service_that_does_not_count(answer: Any) -> None:
    with serving(answer) as service:
        url = f"http://127.0.0.1:{service.port}/v1"
        model = open_model(url, wire="openai", model="m")
        assert find_tokenizer(model) is None
        workload = open_workload(model=model, input=5, limit=1)
        assert "no tokenizer is known" in workload.remarks[0]
        model.close()
        with pytest.raises(UsageError, match="counts no tokens at /tokenize"):
            open_tokenizer(url)


def test_a_service_whose_words_are_not_one_token_each_does_not_stop_a_load() -> None:
    def spell(asked: Asked) -> Any:
        text = asked.json.get("content", "")
        # Letters, and pairs of them wherever there are two alike.
        return reply({"tokens": [ord(char) for n, char in enumerate(text) if text[n - 1 : n] != char] + [7]})

    with serving(spell) as service:
        model = open_model(f"http://127.0.0.1:{service.port}/v1", wire="openai", model="m")
        workload = open_workload(model=model, input=5, limit=1)
        assert "no texts of exact length" in workload.remarks[0]
        with pytest.raises(UsageError, match="no texts of exact length"):
            open_workload(model=model, tokenizer=f"http://127.0.0.1:{service.port}")
        model.close()


def test_recorded_answers_are_not_counted_by_a_service_during_a_load(tmp_path: Path) -> None:
    file = tmp_path / "chats.jsonl"
    row = '{"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "%s"}]}\n'
    file.write_text("".join(row % ("time people " * n) for n in range(1, 30)))
    with counting(as_llama, make_byte_level()) as service:
        model = open_model(f"http://127.0.0.1:{service.port}/v1", wire="openai", model="m")
        workload = open_workload("sharegpt", data=file, model=model)
        model.close()
        asked = len(service.asked)
        most = [session.turns[0].max_tokens or 0 for session in workload]
        assert len(service.asked) == asked
        assert all(abs(found - 2 * n) <= 0.2 * 2 * n + 1 for n, found in enumerate(most, 1))
        assert "counted by their letters" in workload.remarks[0]
