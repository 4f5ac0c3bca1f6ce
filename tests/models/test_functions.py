"""Any Python callable as a model."""

from __future__ import annotations

import asyncio
import functools
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from steelyard.engine import answer
from steelyard.errors import ModelError, UsageError
from steelyard.models.functions import FunctionModel
from steelyard.models.references import open_model
from steelyard.types import Request, Response


def ask(function: Any, *prompts: Any, params: Any = None, **options: Any) -> list[Response]:
    model = FunctionModel(function, **options)
    try:
        return answer(
            model, [Request(id=str(n), prompt=p, params=params or {}) for n, p in enumerate(prompts)]
        )
    finally:
        model.close()


def texts(responses: Sequence[Response]) -> list[str]:
    return [response.text for response in responses]


def test_a_text_in_a_text_out() -> None:
    responses = ask(str.upper, "a", "b")
    assert texts(responses) == ["A", "B"]
    assert responses[0].timing is not None


def test_the_prompt_comes_as_it_is() -> None:
    turns = [{"role": "user", "content": "hi"}]
    assert texts(ask(repr, turns, {"x": 1})) == [repr(turns), "{'x': 1}"]


def test_one_bad_item_fails_alone_and_is_asked_once() -> None:
    asked = []

    def answer_all_but_zero(prompt: str) -> str:
        asked.append(prompt)
        return str(1 / int(prompt))

    responses = ask(answer_all_but_zero, "1", "0", "2")
    assert texts(responses) == ["1.0", "", "0.5"]
    assert responses[1].error == "ZeroDivisionError: division by zero"
    assert sorted(asked) == ["0", "1", "2"]


def test_a_function_that_exits_fails_alone() -> None:
    responses = ask(lambda prompt: sys.exit(3) if prompt == "x" else prompt, "a", "x")
    assert [response.error for response in responses] == [None, "SystemExit: 3"]


def test_it_gets_the_parameters_that_it_names() -> None:
    params = {"max_tokens": 3, "temperature": 0.5}
    assert texts(ask(lambda prompt: prompt, "a", params=params)) == ["a"]
    assert texts(ask(lambda prompt, max_tokens=1: prompt * max_tokens, "a", params=params)) == ["aaa"]
    assert texts(ask(lambda prompt, **kw: str(kw), "a", params=params)) == [str(params)]


def by_annotation(question: Request) -> str:
    return f"{question.id}:{question.prompt}"


def test_it_gets_the_whole_request_where_it_wants_it() -> None:
    assert texts(ask(by_annotation, "a")) == ["0:a"]
    assert texts(ask(lambda request: request.id, "a")) == ["0"]
    assert texts(ask(lambda requests: [r.id for r in requests], "a", "b")) == ["0", "1"]


def test_it_may_answer_with_likelihoods() -> None:
    model = FunctionModel(lambda request: [-float(len(choice)) for choice in request.choices])
    request = Request(id="1", prompt="x", choices=["a", "bb"])
    assert answer(model, [request])[0].scores == [-1.0, -2.0]
    model.close()


def test_async_functions_run_at_the_same_time() -> None:
    waiting: list[asyncio.Event] = []

    async def meet(prompt: str) -> str:
        waiting.append(asyncio.Event())
        if len(waiting) == 3:
            for event in waiting:
                event.set()
        await waiting[-1].wait()
        return prompt + "!"

    assert texts(ask(meet, "a", "b", "c")) == ["a!", "b!", "c!"]


def test_async_failures_and_async_objects() -> None:
    class Slow:
        async def __call__(self, prompt: str) -> str:
            await asyncio.sleep(0)
            return prompt.upper() if prompt != "x" else str(1 // 0)

    responses = ask(Slow(), "a", "x")
    assert responses[0].text == "A"
    assert "ZeroDivisionError" in (responses[1].error or "")
    assert texts(ask(functools.partial(Slow()), "b")) == ["B"]


def test_workers_are_as_many_as_asked_for() -> None:
    together = threading.Barrier(3)

    def meet(prompt: str) -> str:
        together.wait(10)
        return threading.current_thread().name

    assert len(set(texts(ask(meet, "a", "b", "c", workers=3)))) == 3


def test_without_workers_there_is_one_thread() -> None:
    names = texts(ask(lambda prompt: threading.current_thread().name, *"abcdef"))
    assert len(set(names)) == 1


def test_lists_come_in_batches_of_the_size_asked_for() -> None:
    sizes = []

    def predict(batch: list[str]) -> list[str]:
        sizes.append(len(batch))
        return [item.upper() for item in batch]

    assert texts(ask(predict, *"abcdefg", batch_size=3)) == list("ABCDEFG")
    assert sizes == [3, 3, 1]


def test_a_list_function_by_option_and_as_a_method() -> None:
    class Model:
        def predict(self, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
            return [{"label": item["x"], "score": 0.5} for item in inputs]

    assert texts(ask(lambda items: [str(len(items))] * len(items), "a", "b", batched=True)) == ["2", "2"]
    assert ask(Model(), {"x": "pos"})[0].scores == {"pos": 0.5}


def test_a_bad_item_of_a_batch_fails_alone() -> None:
    responses = ask(lambda batch: [1 / item for item in batch], *[2, 0, 4, 5], batched=True)
    assert texts(responses) == ["0.5", "", "0.25", "0.2"]
    assert responses[1].error == "ZeroDivisionError: division by zero"


def test_too_few_answers_are_an_error_for_the_batch() -> None:
    responses = ask(lambda batch: batch[1:], "a", "b")
    assert {response.error for response in responses} == {"<lambda> gave 1 answers to 2 inputs"}


def test_what_is_no_list_is_one_answer() -> None:
    assert texts(ask(lambda batch: {"text": "x"}, "a")) == ["x"]
    assert "1 answers to 2" in (ask(lambda batch: "xy", "a", "b")[0].error or "")


def test_requests_of_a_batch_with_other_parameters_are_asked_apart() -> None:
    seen = []

    def predict(batch: list[str], **params: Any) -> list[str]:
        seen.append((len(batch), params))
        return list(batch)

    model = FunctionModel(predict)
    requests = [Request(id=str(n), prompt=str(n), params={"t": n % 2}) for n in range(5)]
    assert texts(answer(model, requests)) == list("01234")
    assert seen == [(3, {"t": 0}), (2, {"t": 1})]
    model.close()


def make(word: str) -> Callable[[str], str]:
    return lambda prompt: prompt + word


class Stateful:
    def __init__(self, word: str) -> None:
        self.word = word

    def predict(self, inputs: list[str]) -> list[str]:
        return [item + self.word for item in inputs]

    def one(self, prompt: str) -> str:
        return prompt + self.word


def join(prompt: str, word: str, times: int = 1) -> str:
    return prompt + word * times


@pytest.mark.parametrize(
    "bind",
    [
        make,
        Stateful,
        lambda word: Stateful(word).one,
        lambda word: functools.partial(join, word=word),
        lambda word: functools.partial(functools.partial(join, word="x"), word=word),
    ],
)
def test_identities_tell_apart_what_functions_are_bound_to(bind: Callable[[str], Any]) -> None:
    one, same, other = (FunctionModel(bind(word)).identity() for word in ("a", "a", "b"))
    assert one == same
    assert one != other


def test_an_identity_is_the_name_and_the_source(tmp_path: Path) -> None:
    identity = FunctionModel(by_annotation).identity()
    assert identity["function"] == f"{__name__}.by_annotation"
    file = tmp_path / "changing.py"
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import changing;"
        "from steelyard.models.functions import FunctionModel;"
        "print(FunctionModel(changing.ask).identity())"
    )
    seen = []
    for text in ("def ask(p): return 1\n", "def ask(p): return 1\n", "def ask(p): return 22\n"):
        file.write_text(text)
        command = [sys.executable, "-B", "-c", code, str(tmp_path)]
        seen.append(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert seen[0] == seen[1] != seen[2]


def test_a_function_without_a_file_has_an_identity_too() -> None:
    def compiled(text: str) -> Any:
        space: dict[str, Any] = {"__name__": "typed"}
        exec(text, space)
        return FunctionModel(space["f"]).identity()

    assert compiled("def f(p): return 1") == compiled("def f(p): return 1")
    assert compiled("def f(p): return 1") != compiled("def f(p): return 2")
    assert FunctionModel(lambda p: "1").identity() != FunctionModel(lambda p: "2").identity()
    assert FunctionModel(str.upper).identity() != FunctionModel(str.lower).identity()


@pytest.mark.parametrize(
    ("function", "options", "error"),
    [
        (3, {}, ModelError),
        (str.upper, {"workers": 0}, UsageError),
        (str.upper, {"batch_size": 0}, UsageError),
        (lambda batch: batch, {"workers": 2}, UsageError),
    ],
)
def test_what_cannot_be(function: Any, options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        FunctionModel(function, **options)


MODULE = """
def load_model(model_path, word="!"):
    return lambda batch: [item + word + str(model_path) for item in batch]
"""


def test_a_module_with_load_model_is_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "loadable.py").write_text(MODULE)
    (tmp_path / "weights").write_text("1")
    monkeypatch.syspath_prepend(str(tmp_path))

    def opened(**options: Any) -> FunctionModel:
        model = open_model("loadable", **options)
        assert isinstance(model, FunctionModel)
        return model

    request = Request(id="1", prompt="x")
    assert answer(opened(), [request])[0].text == "x!None"
    assert answer(opened(path="w", word="?"), [request])[0].text == "x?w"
    assert opened().identity() == opened().identity() != opened(word="?").identity()
    before = opened(path=str(tmp_path / "weights")).identity()
    (tmp_path / "weights").write_text("2")
    assert opened(path=str(tmp_path / "weights")).identity() != before
    with pytest.raises(UsageError, match="wort"):
        opened(wort="?")


def test_no_secret_is_in_an_identity() -> None:
    class Service:
        def __init__(self, url: str, api_key: str, eos_token: str) -> None:
            self.url, self.api_key, self.eos_token = url, api_key, eos_token

        def predict(self, prompts: list[str]) -> list[str]:
            return prompts

    model = FunctionModel(Service("https://me:hush@host/v1?api_key=hush&x=1", "hush", "</s>"))
    shown = repr(model.identity())
    assert "hush" not in shown
    assert "https://***@host/v1?api_key=***&x=1" in shown and "</s>" in shown


def test_a_slow_function_hands_its_answers_over_soon() -> None:
    release = threading.Event()

    def slow(prompt: str) -> str:
        if prompt == "last":
            release.wait(10)
        return prompt.upper()

    model = FunctionModel(slow)

    async def first_of_two() -> str:
        first = asyncio.ensure_future(model.ask(Request("0", "the first")))
        last = asyncio.ensure_future(model.ask(Request("1", "last")))
        done, _ = await asyncio.wait([first, last], return_when=asyncio.FIRST_COMPLETED)
        assert done == {first}
        release.set()
        await last
        return first.result().text

    assert asyncio.run(first_of_two()) == "THE FIRST"
    model.close()


def test_quick_functions_get_larger_batches_and_slow_ones_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("steelyard.models.functions.clock", lambda: now[0])

    def take(seconds: float) -> str:
        now[0] += seconds
        return "done"

    model = FunctionModel(lambda prompt, seconds: take(seconds), batch_size=16)
    sizes = []
    for seconds in (0, 0, 0, 0, 0, 1, 1, 0):
        sizes.append(model.batch_size)
        model.batch([Request("1", "x", params={"seconds": seconds})])
    assert sizes == [1, 2, 4, 8, 16, 16, 8, 4]


@pytest.mark.parametrize(("batched", "sizes"), [(False, {1: 40}), (True, {8: 5})])
def test_answers_under_load_do_not_wait_for_each_other(batched: bool, sizes: dict[int, int]) -> None:
    model = FunctionModel(lambda batch: batch if batched else "x", batched=batched, batch_size=8)
    asked = [Request(str(n), f"question {n}") for n in range(40)]
    assert len(answer(model.under_load(), asked)) == 40
    assert model.batch_sizes == sizes
    model.close()
