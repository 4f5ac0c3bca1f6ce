"""Vision-language models: batches answer as transformers answers each question alone, in every family."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from vision_checkpoints import FAMILIES

torch = pytest.importorskip("torch")
pytest.importorskip("PIL")

from vision_questions import ANSWERS, PICTURES, QUESTIONS, ask, load, say  # noqa: E402

from steelyard.models.checkpoints import find_source, read_config  # noqa: E402
from steelyard.models.processors import read_processor  # noqa: E402
from steelyard.models.vision import VisionModel  # noqa: E402


class Plain:
    """A model asked as transformers' own examples ask it: one question after the other."""

    def __init__(self, folder: Path) -> None:
        import transformers

        source = find_source(str(folder))
        self.processor = read_processor(source, read_config(source), options={})
        self.network = transformers.AutoModelForImageTextToText.from_pretrained(folder).eval()

    def render(self, pictures: Sequence[Any], text: str, *, system: str = "Be brief.") -> str:
        parts = [*({"type": "image"} for _ in pictures), {"type": "text", "text": text}]
        chat = [
            {"role": "system", "content": [{"type": "text", "text": system}]},
            {"role": "user", "content": parts},
        ]
        prompt: str = self.processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        return prompt

    def feed(self, pictures: Sequence[Any], prompt: str) -> dict[str, Any]:
        special = not prompt.startswith("<s>")
        shown = {"images": [list(pictures)]} if pictures else {}
        return dict(self.processor(text=[prompt], return_tensors="pt", add_special_tokens=special, **shown))

    def answer(self, pictures: Sequence[Any], text: str, **options: Any) -> str:
        inputs = self.feed(pictures, self.render(pictures, text))
        with torch.inference_mode():
            out = self.network.generate(**inputs, max_new_tokens=ANSWERS, **{"do_sample": False, **options})
        said: str = self.processor.tokenizer.decode(
            out[0, inputs["input_ids"].shape[1] :],
            skip_special_tokens=True,
            clean_up_tokenization_spaces=False,
        )
        return said

    def score(self, pictures: Sequence[Any], text: str, choice: str) -> tuple[float, int]:
        """The log-probability of a choice, each of its tokens fed after the other, and how many they are."""
        whole = self.render(pictures, text)
        # White space before the choice is a part of it.
        prompt = whole.rstrip()
        inputs = self.feed(pictures, prompt)
        encode = self.processor.tokenizer.encode
        tokens = encode(whole + choice, add_special_tokens=False)[
            len(encode(prompt, add_special_tokens=False)) :
        ]

        def force(_: int, ids: Any) -> list[int]:
            return [tokens[len(ids) - inputs["input_ids"].shape[1]]]

        # Transformers says itself how likely each token was that it was not free to choose.
        with torch.inference_mode():
            out = self.network.generate(
                **inputs,
                max_new_tokens=len(tokens),
                prefix_allowed_tokens_fn=force,
                output_logits=True,
                return_dict_in_generate=True,
            )
        said = [float(step[0].log_softmax(dim=-1)[token]) for step, token in zip(out.logits, tokens)]
        return sum(said), len(tokens)


@pytest.fixture(scope="module", params=[name for name in FAMILIES if name != "paligemma"])
def family(
    request: pytest.FixtureRequest, vision_folder_of: Callable[[str], Path]
) -> tuple[VisionModel, Plain]:
    folder = vision_folder_of(request.param)
    return load(folder), Plain(folder)


def test_a_batch_says_what_each_question_alone_gets(family: tuple[VisionModel, Plain]) -> None:
    model, plain = family
    said = say(model.batch(ask()))
    assert said == [plain.answer([PICTURES[one] for one in shown], text) for shown, text in QUESTIONS]
    assert len(set(said)) > 2


def test_pictures_count_as_the_tokens_they_become(family: tuple[VisionModel, Plain]) -> None:
    model, plain = family
    for response, (shown, text) in zip(model.batch(ask()), QUESTIONS):
        pictures = [PICTURES[one] for one in shown]
        fed = plain.feed(pictures, plain.render(pictures, text))["input_ids"].shape[1]
        assert response.tokens is not None
        assert response.tokens.input == fed
        assert response.timing is not None
        assert len(response.timing.chunks) == response.tokens.output


def test_choices_are_scored_behind_pictures(family: tuple[VisionModel, Plain]) -> None:
    model, plain = family
    choices = ["A", "blue square", "B", "the total"]
    for response, (shown, text) in zip(model.batch(ask(choices=choices)), QUESTIONS):
        wanted = [plain.score([PICTURES[one] for one in shown], text, choice) for choice in choices]
        assert response.scores is not None
        assert list(response.scores) == pytest.approx([score for score, _ in wanted], abs=1e-3)
        assert response.raw["tokens"] == [count for _, count in wanted]


def test_arguments_of_generate_are_passed_on(family: tuple[VisionModel, Plain]) -> None:
    model, plain = family
    said = say(model.batch(ask(QUESTIONS[:2], params={"num_beams": 2})))
    wanted = [
        plain.answer([PICTURES[one] for one in shown], text, num_beams=2) for shown, text in QUESTIONS[:2]
    ]
    assert said == wanted
