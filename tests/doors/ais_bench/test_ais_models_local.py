"""Local models: a class of one's own, and the ready-made ones on the engine's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Union

import pytest

from ais_bench.benchmark import models
from ais_bench.benchmark.models import BaseModel
from ais_bench.benchmark.models.hanging import hang, make_model
from ais_bench.benchmark.utils.prompt import PromptList
from steelyard.engine import answer
from steelyard.errors import ModelError, UsageError
from steelyard.types import Request, Response


class Shout(BaseModel):
    """Takes a list."""

    def __init__(self, path: str, **options: Any) -> None:
        super().__init__(path, **options)
        self.calls: list[Any] = []

    def generate(self, inputs: list[Any], max_out_len: int, **kwargs: Any) -> list[str]:
        self.calls.append((len(inputs), max_out_len, kwargs))
        if "bad" in inputs:
            raise ValueError("I do not say that")
        return [str(one).upper()[:max_out_len] for one in inputs]


def opened(cls: type[BaseModel] = Shout, **config: Any) -> Any:
    return hang({"type": cls, "attr": "local", "abbr": "mine", "path": "", **config})


def ask(model: Any, *prompts: Any, **params: Any) -> list[Response]:
    return answer(model, [Request(str(place), one, params=params) for place, one in enumerate(prompts)])


def test_prompts_are_given_in_batches() -> None:
    model = opened(batch_size=2, max_out_len=3)
    assert [one.text for one in ask(model, "aaaa", "bb", "c", top_p=0.5)] == ["AAA", "BB", "C"]
    assert model.made.calls == [(2, 3, {"top_p": 0.5}), (1, 3, {"top_p": 0.5})]
    assert [one.text for one in ask(model, "aaaa", max_tokens=1)] == ["A"]
    model.close()


def test_one_prompt_that_fails_fails_alone() -> None:
    responses = ask(opened(batch_size=8), "a", "bad", "b")
    assert [one.text for one in responses] == ["A", "", "B"]
    assert responses[1].error == "ValueError: I do not say that"
    (scored,) = answer(opened(), [Request("0", "a", choices=["b"])])
    assert "does not tell how likely choices are" in str(scored.error)


@pytest.mark.parametrize(
    ("given", "error"),
    [(["one", "two"], "gave 2 answers to 1 prompts"), ([1], "gave a int, not a text"), (None, "TypeError")],
)
def test_answers_are_counted(given: Any, error: str) -> None:
    class Odd(BaseModel):
        def generate(self, inputs: list[Any], max_out_len: int) -> Any:  # type: ignore[override]
            return given

    (response,) = ask(opened(Odd, batch_size=2), "a")
    assert error in str(response.error)


class One(BaseModel):
    """Takes one prompt, as the document's sketch reads."""

    answered = 0

    def generate(self, input: Union[PromptList, str], max_out_len: int, **kwargs: Any) -> list[str]:  # type: ignore[override]
        self.answered += 1
        return [input.upper()]  # type: ignore[union-attr]


class OneText(One):
    def generate(self, input: str, max_out_len: int) -> str:  # type: ignore[override]
        self.answered += 1
        return input.upper()


class Several(One):
    """Takes a list by a name in the singular."""

    def generate(self, input: list[str], max_out_len: int) -> list[str]:  # type: ignore[override]
        self.answered += 1
        return [one.upper() for one in input]


@pytest.mark.parametrize(("cls", "calls"), [(One, 3), (OneText, 3), (Several, 3)])
def test_an_input_in_the_singular_is_one_prompt_or_all(cls: Any, calls: int) -> None:
    model = opened(cls, batch_size=4)
    assert [one.text for one in ask(model, "abc", "de", "fgh")] == ["ABC", "DE", "FGH"]
    # Once it is known it is not tried again.
    assert model.made.answered == calls
    ask(model, "x", "y")
    assert model.made.answered == calls + (1 if cls is Several else 2)


def test_what_a_class_is_told() -> None:
    turns: Any = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ]
    meta = {"round": [{"role": "HUMAN", "begin": "u:"}, {"role": "BOT", "begin": "b:", "generate": True}]}
    plain, told = opened(), opened(meta_template=meta)
    assert (plain.chat, told.chat) == (False, True)
    assert ask(plain, turns)[0].text == "A\nB\nC"
    assert ask(told, turns)[0].text == "U:AB:BU:CB:"
    assert plain.identity() != told.identity()


def test_identities_of_local_models(tmp_path: Path) -> None:
    (tmp_path / "weights").write_text("1")
    first = opened(path=str(tmp_path), max_out_len=3).identity()
    assert opened(path=str(tmp_path), max_out_len=3, batch_size=9).identity() == first
    assert opened(path=str(tmp_path), max_out_len=4).identity() != first
    (tmp_path / "weights").write_text("2")
    assert opened(path=str(tmp_path), max_out_len=3).identity() != first


def test_base_models_say_what_they_lack() -> None:
    made = BaseModel("p")
    for call in (lambda: made.generate(["a"], 1), lambda: made.encode("a"), lambda: made.decode([1])):
        with pytest.raises(NotImplementedError, match="BaseModel has no"):
            call()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch")
    from tiny import write_model

    return write_model(tmp_path_factory.mktemp("models") / "llama")


CPU = {"device_map": "cpu", "torch_dtype": "torch.float32"}


def local(folder: Path, name: str = "HuggingFacewithChatTemplate", **config: Any) -> Any:
    cls = getattr(models, name)
    told = {"attr": "local", "abbr": "tiny", "path": str(folder), "model_kwargs": CPU, "max_out_len": 6}
    return {"type": cls, **told, **config}


def test_a_folder_answers_as_the_engine_does(folder: Path) -> None:
    from steelyard.models.huggingface import load_huggingface

    for name, chat in (("HuggingFacewithChatTemplate", True), ("HuggingFaceBaseModel", False)):
        config = local(folder, name, generation_kwargs={"do_sample": False, "stop_token_ids": None})
        model = hang(config)
        prompt: Any = [{"role": "user", "content": "3 + 4?"}] if chat else "3 + 4?"
        engine = load_huggingface(folder, device="cpu", chat=chat, max_tokens=6)
        assert model.chat is chat
        assert ask(model, prompt)[0].text == ask(engine, prompt)[0].text != ""
        scored = [Request("0", "3 + 4 =", choices=[" 7", " 8"])]
        assert answer(model, scored)[0].scores == answer(engine, scored)[0].scores
        # The same through the documented call.
        made: Any = make_model(config)
        asked = PromptList([{"role": "HUMAN", "prompt": "3 + 4?"}, {"role": "BOT", "prompt": ""}])
        assert made.generate(["3 + 4?"], max_out_len=6) == [ask(engine, prompt)[0].text]
        assert len(made.generate([asked, "2 + 2?"], max_out_len=2, do_sample=False)) == 2
        made.close()


def test_turns_are_one_text_for_a_base_model(folder: Path) -> None:
    turns: Any = [{"role": "user", "content": "3 + 4?"}, {"role": "assistant", "content": "7"}]
    model: Any = hang(local(folder, "HuggingFaceBaseModel"))
    (response,) = ask(model, [*turns, turns[0]])
    assert response.error is None and response.text == ask(model, "3 + 4?\n7\n3 + 4?")[0].text != ""


def test_stop_words_and_older_names(folder: Path) -> None:
    (whole,) = ask(hang(local(folder, "HuggingFaceCausalLM")), "The cat")
    stop = whole.text[2:4]
    (cut,) = ask(hang(local(folder, "HuggingFace", stop_words=[stop])), "The cat")
    assert cut.text == whole.text[: whole.text.index(stop)]


def test_the_middle_of_a_long_prompt_is_left_out(folder: Path) -> None:
    long = "The cat sat on the mat. " * 100
    refused = hang(local(folder, "HuggingFaceBaseModel", max_seq_len=40))
    cut = hang(local(folder, "HuggingFaceBaseModel", max_seq_len=40, mode="mid"))
    (error,), (response,) = ask(refused, long), ask(cut, long)
    assert "40 positions" in str(error.error)
    assert response.error is None and response.tokens is not None and response.tokens.input == 34
    # Both of its ends are there: another beginning or end is another prompt, another middle is not.
    assert ask(cut, long[:900] + "dog " + long[900:])[0].text == response.text
    assert ask(cut, "A hat. " + long)[0].text != response.text
    assert ask(cut, long + "Question?")[0].text != response.text
    assert refused.identity() != cut.identity()
    assert ask(cut, "The cat")[0].text == ask(refused, "The cat")[0].text


def test_a_tokenizer_elsewhere_and_alone(folder: Path, tmp_path: Path) -> None:
    from tiny import write_tokenizer

    write_tokenizer(tmp_path / "words", template="{{ messages[0]['content'] }}!")
    ours, other = hang(local(folder)), hang(local(folder, tokenizer_path=str(tmp_path / "words")))
    turns: Any = [{"role": "user", "content": "The cat"}]
    assert ask(ours, turns)[0].text != ask(other, turns)[0].text
    assert ours.identity() != other.identity()
    alone: Any = make_model(local(folder, tokenizer_only=True))
    ids = alone.encode("The cat")
    assert (alone.get_token_len("The cat"), alone.decode(ids)) == (len(ids), "The cat")
    assert "engine" not in vars(alone)


def test_roles_of_a_folder_with_a_template(folder: Path) -> None:
    turns: Any = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]
    meta = {
        "round": [
            {"role": "HUMAN", "begin": "[u]", "api_role": "HUMAN"},
            {"role": "BOT", "begin": "[b]", "api_role": "BOT", "generate": True},
        ],
        "reserved_roles": [{"role": "SYSTEM", "begin": "[s]", "api_role": "HUMAN"}],
    }
    base = hang(local(folder, "HuggingFaceBaseModel", meta_template=meta))
    assert base.chat and ask(base, turns)[0].text == ask(base.model, "[s]S[u]U[b]")[0].text
    chat: Any = hang(local(folder, meta_template=meta))
    # A template without a system's role is told as its user what the system says.
    assert ask(chat, turns)[0].text == ask(chat.model, [{"role": "user", "content": "S\nU"}])[0].text
    assert json.dumps(meta) in json.dumps(chat.identity())


def test_what_cannot_be(folder: Path) -> None:
    with pytest.raises(UsageError, match="peft_kwargs are not offered"):
        make_model(local(folder, peft_kwargs={"is_trainable": True}))
    with pytest.raises(ModelError, match="1 of 1 prompts failed"):
        made: Any = make_model(local(folder))
        made.generate(["The cat " * 500], max_out_len=2)


def test_a_vision_language_folder(vision_folder_of: Callable[[str], Path]) -> None:
    pytest.importorskip("torch")
    from PIL import Image

    from steelyard.types import Part

    folder = vision_folder_of("qwen2_vl")
    pixels = {"min_pixels": 28 * 28, "max_pixels": 56 * 56, "fps": 2}
    config = local(folder, "HuggingFaceVL", vision_kwargs=pixels)
    picture = Image.new("RGB", (60, 60), "red")
    told: Any = [{"role": "user", "content": [Part("image", picture), Part("text", "What?")]}]
    model = hang(config)
    (response,) = ask(model, told)
    assert response.error is None and response.text
    made: Any = make_model(config)
    parts = [{"type": "image_url", "image_url": {"url": url(picture)}}, {"type": "text", "text": "What?"}]
    assert made.generate([PromptList([{"role": "HUMAN", "prompt": parts}])], 6) == [response.text]
    with pytest.raises(UsageError, match="neither a text nor a picture"):
        made.generate([PromptList([{"role": "HUMAN", "prompt": [{"type": "video_url"}]}])], 6)
    with pytest.raises(UsageError, match="vision_kwargs has depth"):
        hang({**config, "vision_kwargs": {"depth": 3}})


def url(picture: Any) -> str | None:
    from steelyard.media.images import as_image

    return as_image(picture).url()
