"""Objects with predict_on_image as models: what they are given, and what of theirs is no answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from steelyard import Part, Request, Response, answer, open_model
from steelyard.errors import UsageError
from steelyard.models.predictors import Predictor, is_predictor, takes_option

PIL = pytest.importorskip("PIL.Image")


class Reader:
    """As a foreign package writes it: the second argument is called prompt."""

    def __init__(self, model_name: str, system_prompt: str = "", cache_dir: str = "") -> None:
        self.model_name, self.system_prompt, self.cache_dir = model_name, system_prompt, cache_dir
        self.closed = False

    def predict_on_image(self, image: Any, prompt: str) -> Any:
        return f"{image.mode} {image.size[0]}x{image.size[1]} {image.getpixel((0, 0))} {prompt}"

    def predict_on_images(self, images: list[Any], prompt: str, max_tokens: int = 9) -> Any:
        return [f"{len(images)} {max_tokens} {prompt}"]

    def close(self) -> None:
        self.closed = True


def turn(*shown: Any, text: str = "?", role: str = "user") -> Any:
    return {"role": role, "content": [*[Part("image", one) for one in shown], Part("text", text)]}


def ask(model: Any, *prompts: Any, **options: Any) -> list[Response]:
    try:
        return answer(model, [Request(id=str(n), prompt=p, **options) for n, p in enumerate(prompts)])
    finally:
        model.close()


@pytest.fixture
def red() -> Any:
    return PIL.new("RGB", (4, 2), "red")


def test_one_picture_and_several(red: Any) -> None:
    reader = Reader("r")
    one, two = ask(Predictor(reader), [turn(red)], [turn(red, red)], params={"max_tokens": 5})
    assert one.text == "RGB 4x2 (255, 0, 0) ?"
    assert two.text == "2 5 ?"
    assert one.timing is not None
    assert one.cost is not None
    assert one.cost.shared == 1
    assert reader.closed


def test_pictures_are_upright_and_rgb(tmp_path: Path) -> None:
    exif = PIL.Exif()
    exif[0x0112] = 6
    PIL.new("L", (4, 2), 255).save(tmp_path / "turned.jpg", exif=exif)
    assert ask(Predictor(Reader("r")), [turn(tmp_path / "turned.jpg")])[0].text == "RGB 2x4 (255, 255, 255) ?"


def test_the_question_is_all_that_was_said(red: Any) -> None:
    turns = [
        {"role": "system", "content": "Be short."},
        turn(red, text="First?"),
        {"role": "assistant", "content": "One."},
        turn(red, text="Second?"),
    ]
    assert ask(Predictor(Reader("r")), turns)[0].text == "2 9 Be short.\n\nFirst?\n\nOne.\n\nSecond?"
    own = Predictor(Reader("r", system_prompt="Mine."))
    assert ask(own, turns)[0].text == "2 9 First?\n\nOne.\n\nSecond?"


def test_bad_questions_fail_alone(red: Any, tmp_path: Path) -> None:
    prompts = ["text", [{"role": "user", "content": "text"}], [turn(tmp_path / "gone.png")], [turn(red)]]
    *bad, good = ask(Predictor(Reader("r")), *prompts)
    assert good.error is None
    for response, said in zip(bad, ("there is none", "there is none", "gone.png")):
        assert said in (response.error or "")
    (response,) = ask(Predictor(Reader("r")), [turn(red)], choices=["a", "b"])
    assert "letter instead" in (response.error or "")


@pytest.mark.parametrize(
    ("given", "text", "error"),
    [
        (["a"], "a", None),
        (("a",), "a", None),
        (["a", "b"], "", "Odd.predict_on_image gave a list, not a text"),
        (None, "", "Odd.predict_on_image gave a NoneType, not a text"),
        ({"text": "a"}, "", "Odd.predict_on_image gave a dict, not a text"),
        (ValueError("no"), "", "ValueError: no"),
    ],
)
def test_answers(red: Any, given: Any, text: str, error: str | None) -> None:
    class Odd:
        def predict_on_image(self, image: Any, question: str) -> Any:
            if isinstance(given, Exception):
                raise given
            return given

    first, second = ask(Predictor(Odd()), [turn(red)], [turn(red, red)])
    assert (first.text, first.error) == (text, error)
    assert second.error == "UsageError: Odd takes one picture, not 2"


def test_one_that_takes_lists_only(red: Any) -> None:
    class Lists:
        def predict_on_images(self, images: list[Any], question: str) -> str:
            return str(len(images))

    assert [r.text for r in ask(Predictor(Lists()), [turn(red)], [turn(red, red)])] == ["1", "2"]


def test_references(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, red: Any) -> None:
    (tmp_path / "readers.py").write_text(
        "class Reader:\n"
        "    def __init__(self, model_name, system_prompt, cache_dir):\n"
        "        self.words = f'{model_name} {system_prompt} {cache_dir}'\n"
        "    def predict_on_image(self, image, prompt):\n"
        "        return self.words\n"
        "class Nameless:\n"
        "    def predict_on_image(self, image, prompt):\n"
        "        return 'nameless'\n"
        "ready = Nameless()\n"
        "def load_model(path=None):\n"
        "    return ready\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    model = open_model("./readers.py:Reader", system_prompt="S", cache_dir="C")
    assert (model.name, model.options) == ("Reader", {"system_prompt": "S", "cache_dir": "C"})
    assert ask(model, [turn(red)])[0].text == "Reader S C"
    named = open_model("./readers.py:Reader", model_name="N", system_prompt="S", cache_dir="C")
    assert ask(named, [turn(red)])[0].text == "N S C"
    for reference in ("./readers.py:Nameless", "./readers.py:ready", "readers"):
        assert ask(open_model(reference), [turn(red)])[0].text == "nameless"
    with pytest.raises(UsageError, match="Reader needs cache_dir"):
        open_model("./readers.py:Reader", system_prompt="S")
    with pytest.raises(UsageError, match="colour"):
        open_model("./readers.py:Reader", colour="red", system_prompt="S", cache_dir="C")


def test_identities_tell_options_and_sources_apart() -> None:
    def opened(**options: Any) -> Any:
        return open_model(Reader, **options).identity()

    assert opened(system_prompt="a") == opened(system_prompt="a")
    assert opened(system_prompt="a") != opened(system_prompt="b")
    assert opened()["function"].endswith("Reader")


def test_a_constructor_that_hands_on_takes_what_its_base_takes() -> None:
    class Handing(Reader):
        def __init__(self, pixels: int, **options: Any) -> None:
            super().__init__(**options)

    class Closed(Reader):
        def __init__(self) -> None:
            super().__init__("closed")

    assert [takes_option(made, "model_name") for made in (Reader, Handing, Closed, object)] == [
        True, True, False, False,
    ]  # fmt: skip
    assert not is_predictor(print)
    assert is_predictor(Reader)
