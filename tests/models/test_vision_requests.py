"""What may be asked of a vision-language model, how each thing is asked, and what costs only itself."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("PIL")

from PIL import Image as Pillow  # noqa: E402
from vision_questions import PICTURES, QUESTIONS, ask, draw, load, say, turns  # noqa: E402

from steelyard.errors import ModelError, UsageError  # noqa: E402
from steelyard.media.images import Image  # noqa: E402
from steelyard.models.huggingface import load_huggingface  # noqa: E402
from steelyard.models.pictures import Gallery  # noqa: E402
from steelyard.models.vision import VisionModel  # noqa: E402
from steelyard.types import Message, Part, Request  # noqa: E402

Folder = Callable[[str], Path]


@pytest.fixture(scope="module")
def model(vision_folder_of: Folder) -> Iterator[VisionModel]:
    opened = load(vision_folder_of("qwen2_vl"))
    yield opened
    opened.close()


@pytest.fixture
def copy(vision_folder_of: Folder, tmp_path: Path) -> Path:
    return Path(shutil.copytree(vision_folder_of("llava"), tmp_path / "llava"))


def fed(model: VisionModel, prompt: Any) -> str:
    """What the network is fed for a prompt, as text."""
    return model.encode(Request("0", prompt)).text


def test_every_answer_is_sampled_as_its_request_says(model: VisionModel) -> None:
    params = [
        {"temperature": 1.0, "seed": 1},
        {"temperature": 2.0, "top_p": 0.9, "seed": 2},
        {"repetition_penalty": 1.5},
        {"max_tokens": 3},
        {},
    ]
    requests = [
        Request(request.id, request.prompt, params=given)
        for request, given in zip(ask(), params, strict=True)
    ]
    together = say(model.batch(requests))
    assert together == [say(model.batch([request]))[0] for request in requests]
    greedy = say(model.batch(ask()))
    assert together[4] == greedy[4]
    assert together[0] != greedy[0]
    responses = model.batch(requests)
    assert [response.tokens.output for response in responses if response.tokens][3] == 3


def test_stop_texts_end_an_answer(model: VisionModel) -> None:
    whole = say(model.batch(ask()))[4]
    stop = whole[2:4]
    answered = model.batch(ask(params={"stop": [stop]}))[4]
    assert answered.text == whole[: whole.index(stop)]
    assert answered.raw == {"finish": "stop"}


def test_pictures_stand_where_their_parts_do(model: VisionModel) -> None:
    first, second = PICTURES[0], PICTURES[1]
    content = [Part("text", "Here: "), Part("image", first), Part("text", " or "), Part("image", second)]
    mark = "<|vision_start|><|image_pad|><|vision_end|>"
    assert f"Here: {mark} or {mark}<|im_end|>" in fed(model, [{"role": "user", "content": content}])
    request = Request("0", [{"role": "user", "content": content}])
    turned = Request("1", [{"role": "user", "content": [content[i] for i in (0, 3, 2, 1)]}])
    assert model.encode(turned).images[0].size() == second.size
    [one, other] = model.batch([replace(asked, choices=["red"]) for asked in (request, turned)])
    assert one.scores != other.scores


def test_a_picture_may_be_anything_that_is_one(model: VisionModel, tmp_path: Path) -> None:
    PICTURES[0].save(tmp_path / "a.png")
    buffer = io.BytesIO()
    PICTURES[0].save(buffer, "PNG")
    ways: list[Any] = [
        PICTURES[0],
        tmp_path / "a.png",
        str(tmp_path / "a.png"),
        buffer.getvalue(),
        Image(tmp_path / "a.png").url(),
        Image(tmp_path / "a.png"),
    ]
    said = say(model.batch([Request(str(n), turns([way], "What?")) for n, way in enumerate(ways)]))
    assert len(set(said)) == 1


def test_a_mark_in_what_a_user_says_is_no_picture(model: VisionModel, vision_folder_of: Folder) -> None:
    text = "What does <|image_pad|> mean, and <|video_pad|>?"
    requests = [*ask()[:2], Request("9", turns([PICTURES[0]], text)), Request("10", turns([], text))]
    assert len(say(model.batch(requests))) == 4
    assert "What does < |image_pad|> mean, and < |video_pad|>?" in fed(model, turns([], text))
    assert fed(model, "An <|image_pad|> alone") == "An < |image_pad|> alone"
    for family in ("llava", "gemma3", "internvl", "smolvlm"):
        other = load(vision_folder_of(family))
        marks = "<image> <start_of_image> <image_soft_token> <IMG_CONTEXT> <fake_token_around_image>"
        assert (
            len(say(other.batch([Request("0", turns([PICTURES[0]], marks)), Request("1", turns([], marks))])))
            == 2
        )


def test_a_last_turn_of_the_assistant_is_continued(model: VisionModel) -> None:
    begun: list[Message] = [*turns([PICTURES[0]], "What?"), {"role": "assistant", "content": "It is a"}]
    assert fed(model, begun).endswith("<|im_start|>assistant\nIt is a")
    assert say(model.batch([Request("0", begun)])) != say(model.batch([Request("0", begun[:-1])]))


def test_a_text_is_continued_as_it_stands(model: VisionModel) -> None:
    assert fed(model, "The square is") == "The square is"
    assert say(model.batch([Request("0", "The square is")]))


@pytest.mark.parametrize(
    "system",
    [
        pytest.param(
            "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}", id="refuses"
        ),
        pytest.param(
            "{% set messages = messages | rejectattr('role', 'equalto', 'system') | list %}", id="drops"
        ),
    ],
)
def test_a_template_without_a_system_turn_begins_the_users_with_it(copy: Path, system: str) -> None:
    template = (copy / "chat_template.jinja").read_text()
    (copy / "chat_template.jinja").write_text(system + template)
    text = fed(load(copy), turns([PICTURES[0]], "What?"))
    assert text == "User: Be brief.\n\n<image>\nWhat?Assistant:"


def test_a_template_that_knows_only_texts_gets_marks_in_them(copy: Path) -> None:
    (copy / "chat_template.jinja").write_text(
        "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] + '' }}\n{% endfor %}"
    )
    model = load(copy)
    assert fed(model, turns([PICTURES[0]], "What?")) == "[system] Be brief.\n[user] <image>\nWhat?\n"
    assert say(model.batch([Request("0", turns([PICTURES[0]], "What?"))]))


def test_without_a_template_turns_are_lines(copy: Path) -> None:
    (copy / "chat_template.jinja").unlink()
    model = load(copy)
    assert not model.chat
    assert fed(model, turns([PICTURES[0], PICTURES[1]], "What?")) == "Be brief.\n<image><image>What?"
    assert say(model.batch([Request("0", turns([PICTURES[0]], "What?"))]))


def test_a_template_that_hides_a_picture_is_told(copy: Path) -> None:
    template = "{% for m in messages %}{% for c in m['content'] %}{{ c['text'] }}{% endfor %}{% endfor %}"
    (copy / "chat_template.jinja").write_text(
        "{% if messages | length == 1 %}<image>probe{% else %}" + template + "{% endif %}"
    )
    response = load(copy).batch([Request("0", turns([PICTURES[0]], "What?"))])[0]
    assert response.error == (
        "the chat template of llava shows 0 of 1 images (it may want them in the turns of the user)"
    )


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_model_that_needs_an_image_says_so(vision_folder_of: Folder) -> None:
    model = load(vision_folder_of("paligemma"))
    together = model.batch(ask())
    alone = [model.batch([request])[0] for request in ask()]
    assert [one.text for one in together] == [one.text for one in alone]
    assert [bool(one.text) for one in together] == [bool(shown) for shown, _ in QUESTIONS]
    assert "paligemma needs an image: " in str(together[3].error)
    scored = model.batch(ask(choices=["red", "blue square"]))
    again = [model.batch([request])[0].scores for request in ask(choices=["red", "blue square"])]
    for response, scores in zip(scored, again):
        assert response.scores == (None if scores is None else pytest.approx(scores, abs=1e-4))


def test_what_is_wrong_with_a_picture_costs_its_question_alone(model: VisionModel, tmp_path: Path) -> None:
    whole = io.BytesIO()
    draw(300, 200, seed=5).save(whole, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(whole.getvalue()[:700])
    (tmp_path / "none.png").write_text("not a picture")
    bomb = io.BytesIO()
    Pillow.new("1", (30_000, 30_000)).save(bomb, "PNG")
    wrong: list[tuple[Any, str]] = [
        (tmp_path / "cut.jpg", "cut off"),
        (tmp_path / "none.png", "not a picture"),
        (tmp_path / "missing.png", "missing.png"),
        (bomb.getvalue(), "30,000x30,000"),
        (draw(1000, 4, seed=5), "aspect ratio"),
        ([1, 2], "list is no picture"),
    ]
    good = ask()
    requests = [
        *good[:3],
        *(Request(f"w{n}", turns([PICTURES[0], one], "What?")) for n, (one, _) in enumerate(wrong)),
        *good[3:],
    ]
    responses = model.batch(requests)
    assert [one.text for one in (*responses[:3], *responses[-2:])] == say(model.batch(good))
    for response, message in zip(responses[3:], [message for _, message in wrong]):
        assert message in str(response.error)
        assert response.text == ""


def test_too_many_pictures_are_named_with_how_many_may_be(vision_folder_of: Folder) -> None:
    model = load(vision_folder_of("llava"), max_images=2)
    responses = model.batch(ask())
    assert [bool(one.error) for one in responses] == [False, False, False, False, True]
    assert responses[4].error == "there are 3 images, llava takes at most 2"


def test_a_prompt_longer_than_the_model_is_named_with_both_lengths(copy: Path) -> None:
    lengths = [one.tokens.input or 0 for one in load(copy).batch(ask()) if one.tokens]
    config = json.loads((copy / "config.json").read_text())
    config["text_config"]["max_position_embeddings"] = lengths[1]
    (copy / "config.json").write_text(json.dumps(config))
    responses = load(copy).batch(ask())
    assert [bool(one.error) for one in responses] == [length >= lengths[1] for length in lengths]
    assert responses[1].error == (
        f"the prompt needs {lengths[1] + 1} tokens, llava has {lengths[1]} positions "
        "(max_pixels= makes images smaller)"
    )
    # What fits is answered, as far as there are positions.
    assert [one.tokens.output for one in responses if one.tokens] == [
        min(8, lengths[1] - length) for length in lengths if length < lengths[1]
    ]


def test_pixels_are_limited_as_the_processor_does_it(vision_folder_of: Folder) -> None:
    folder = vision_folder_of("qwen2_vl")
    sizes = [
        load(folder, **options).batch(ask()[1:2])[0].tokens
        for options in (
            {},
            {"max_pixels": 28 * 28 * 9},
            {"min_pixels": 28 * 28 * 30, "max_pixels": 28 * 28 * 40},
        )
    ]
    inputs = [tokens.input for tokens in sizes if tokens and tokens.input]
    assert inputs[1] < inputs[0]
    model = load(folder, max_pixels=28 * 28 * 9)
    shown = model.identity()["pictures"]
    assert shown["size"]["longest_edge"] == 28 * 28 * 9
    assert model.identity() != load(folder).identity()


def test_pixels_are_limited_before_a_processor_that_cannot(vision_folder_of: Folder) -> None:
    folder = vision_folder_of("llava_next")
    plain, limited = load(folder), load(folder, max_pixels=40 * 40)
    said = say(limited.batch(ask()))
    small = [
        Request(str(n), turns([PICTURES[one].resize(fit(*PICTURES[one].size, 1600)) for one in shown], text))
        for n, (shown, text) in enumerate(QUESTIONS)
    ]
    assert said == say(plain.batch(small))
    assert said != say(plain.batch(ask()))


def fit(width: int, height: int, most: int) -> tuple[int, int]:
    scale = (most / (width * height)) ** 0.5
    return int(width * scale), int(height * scale)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_pixels": 0}, "min_pixels=0 is less than one pixel"),
        ({"min_pixels": 10, "max_pixels": 5}, "min_pixels=10 is more than max_pixels=5"),
        ({"max_images": -1}, "max_images=-1 is less than none"),
        ({"label_map": {0: "a"}}, "label_map= is for classify"),
    ],
)
def test_options_that_cannot_be_are_refused(
    vision_folder_of: Folder, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        load(vision_folder_of("llava"), **options)


def test_options_of_pictures_are_none_of_a_text_model(folder_of: Folder) -> None:
    with pytest.raises(UsageError, match="max_pixels= is for vision-language models, this is causal"):
        load_huggingface(folder_of("llama"), device="cpu", max_pixels=1000)


def test_a_folder_without_a_processor_is_named(copy: Path) -> None:
    (copy / "preprocessor_config.json").unlink()
    with pytest.raises(ModelError, match=r"processor of .*llava cannot be read"):
        load(copy)


def test_a_processor_is_found_by_the_kind_of_model_as_well(vision_folder_of: Folder, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(vision_folder_of("qwen2_vl"), tmp_path / "qwen2_vl"))
    said = json.loads((folder / "preprocessor_config.json").read_text())
    del said["processor_class"]
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    assert say(load(folder).batch(ask())) == say(load(vision_folder_of("qwen2_vl")).batch(ask()))


def test_pictures_seen_lately_are_not_opened_again(tmp_path: Path) -> None:
    gallery = Gallery()
    draw(64, 64, seed=1).save(tmp_path / "a.png")
    [first] = gallery.open([Image(tmp_path / "a.png")])
    [again, other] = gallery.open([Image(tmp_path / "a.png"), Image(draw(65, 64, seed=1))])
    assert again is first
    assert other is not first
    for seed in range(12):
        # More than is kept, in all.
        gallery.open([Image(Pillow.new("RGB", (2000, 1000), (seed, 0, 0)))])
    [later] = gallery.open([Image(tmp_path / "a.png")])
    assert later is not first
    draw(64, 64, seed=2).save(tmp_path / "a.png")
    assert gallery.open([Image(tmp_path / "a.png")])[0] is not later
    gallery.close()


def test_processors_take_options(vision_folder_of: Folder) -> None:
    folder = vision_folder_of("idefics3")
    whole = load(folder, processor_kwargs={"do_image_splitting": False})
    assert whole.identity()["processor_kwargs"] == {"do_image_splitting": False}
    [one], [other] = whole.batch(ask()[:1]), load(folder).batch(ask()[:1])
    assert one.tokens is not None
    assert other.tokens is not None
    assert one.tokens.input < other.tokens.input


@pytest.mark.parametrize(
    "options", [{"dtype": "bfloat16"}, {"dtype": "float16"}, {"attn": "eager"}, {"device_map": "cpu"}]
)
def test_networks_are_loaded_as_text_models_are(vision_folder_of: Folder, options: dict[str, str]) -> None:
    model = load(vision_folder_of("qwen2_5_vl"), **options)
    say(model.batch(ask()))
    told = model.identity()
    assert told["dtype"] == options.get("dtype", "float32")
    assert told["task"] == "vision"


def test_the_next_batch_is_prepared_and_then_used(model: VisionModel) -> None:
    requests = ask()
    said = say(model.batch(requests))
    assert [model.length(request) > 8 for request in requests] == [True] * len(requests)
    opened: list[int] = []
    looking = model._eyes.gallery.open
    model.prepare(requests)
    try:
        object.__setattr__(model._eyes.gallery, "open", lambda images: opened.append(1) or looking(images))
        assert say(model.batch(requests)) == said
        assert opened == []
        assert say(model.batch(requests)) == said
        assert opened == [1]
    finally:
        object.__setattr__(model._eyes.gallery, "open", looking)


def test_calls_that_wait_are_answered_in_batches_prepared_ahead(vision_folder_of: Folder) -> None:
    model = load(vision_folder_of("llava"), batch_size=2)
    requests = ask() * 3
    alone = say([model.batch([request])[0] for request in requests])

    async def all_at_once() -> list[str]:
        return say(await asyncio.gather(*map(model.ask, requests)))

    assert asyncio.run(all_at_once()) == alone
    model.close()


def test_how_long_a_request_is_needs_no_pixels(model: VisionModel, tmp_path: Path) -> None:
    whole = io.BytesIO()
    draw(300, 200, seed=5).save(whole, "JPEG")
    # The header is there, the picture is not.
    (tmp_path / "cut.jpg").write_bytes(whole.getvalue()[:700])
    cut = Request("0", turns([tmp_path / "cut.jpg"], "What?"))
    there = Request("1", turns([draw(300, 200, seed=5)], "What?"))
    assert model.length(cut) == model.length(there)
    tokens = model.batch([there])[0].tokens
    assert tokens is not None
    assert model.length(there) == (tokens.input or 0) + 8


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_an_adapter_is_merged(vision_folder_of: Folder, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    folder = vision_folder_of("qwen2_vl")
    network = load(folder).network
    torch.manual_seed(0)
    config = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    peft.get_peft_model(network, config).save_pretrained(tmp_path)
    adapted = load(folder, adapter=str(tmp_path))
    assert say(adapted.batch(ask())) != say(load(folder).batch(ask()))
    assert adapted.identity()["adapter"]


def test_an_answer_can_be_heard_while_it_is_written(vision_folder_of: Folder) -> None:
    model = load(vision_folder_of("qwen2_vl"))
    request = ask()[3]

    async def listen() -> list[str]:
        return [chunk.text async for chunk in model.stream(request)]

    pieces = asyncio.run(listen())
    assert "".join(pieces) == say(model.batch([request]))[0]
    assert len(pieces) > 2
    model.close()
