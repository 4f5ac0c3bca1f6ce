"""Prompts as configurations write them, and templates of roles."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image

from ais_bench.benchmark.models import APITemplateParser, LMTemplateParser
from ais_bench.benchmark.models.turns import show, to_prompt, to_text, to_turns
from ais_bench.benchmark.utils.prompt import PromptList
from steelyard.errors import UnknownName, UsageError
from steelyard.types import Part

ROUND = [
    {"section": "round", "pos": "begin"},
    {"role": "HUMAN", "prompt": "Q: {question}"},
    {"role": "BOT", "prompt": "{answer}"},
    {"section": "round", "pos": "end"},
]
META = {
    "begin": "<s>",
    "round": [
        {"role": "HUMAN", "begin": "[u]", "end": "[/u]", "api_role": "USER"},
        {"role": "BOT", "begin": "[b]", "end": "[/b]", "api_role": "MODEL", "generate": True},
    ],
    "reserved_roles": [{"role": "SYSTEM", "begin": "[s]", "end": "[/s]", "api_role": "SYSTEM"}],
    "end": "</s>",
}


def test_a_prompt_list_fills_in_what_it_knows() -> None:
    prompt = PromptList([*ROUND, "{question} {unknown} {"]).format(question="{answer}?", answer=4)
    assert isinstance(prompt, PromptList)
    # What was put in is not looked at again.
    assert prompt[1] == {"role": "HUMAN", "prompt": "Q: {answer}?"}
    assert prompt[2]["prompt"] == "4"
    assert prompt[4] == "{answer}? {unknown} {"
    assert ROUND[1]["prompt"] == "Q: {question}"


def test_a_prompt_list_replaces_texts_and_pieces() -> None:
    prompt = PromptList(["a </E> b </E>", {"role": "HUMAN", "prompt": "</E>"}])
    assert str(prompt.replace("</E>", "x")) == "a x b xx"
    pieces = PromptList(["one", {"role": "BOT", "prompt": "two"}])
    assert PromptList(["a </E> b"]).replace("</E>", pieces) == ["a ", *pieces, " b"]
    with pytest.raises(TypeError, match="pieces do not go there"):
        prompt.replace("</E>", pieces)


def test_prompt_lists_add_up() -> None:
    prompt = PromptList(["a"])
    assert (prompt + "b", "b" + prompt, prompt + PromptList("c"), prompt + "") == (
        ["a", "b"],
        ["b", "a"],
        ["a", "c"],
        ["a"],
    )
    assert all(
        isinstance(made, PromptList) for made in (prompt + "b", "b" + prompt, prompt + PromptList("c"))
    )
    prompt += "d"
    assert prompt == ["a", "d"]
    assert str(prompt + {"role": "BOT", "prompt": "e"}) == "ade"
    with pytest.raises(TypeError, match="a piece of a prompt"):
        str(PromptList([3]))


def test_content_parts_are_filled_and_read() -> None:
    parts = [{"type": "image_url", "image_url": {"url": "{image}"}}, {"type": "text", "text": "{question}"}]
    prompt = PromptList([{"role": "HUMAN", "prompt": parts}]).format(
        image="data:x", question="What?", type="no"
    )
    assert prompt[0]["prompt"] == [
        {"type": "image_url", "image_url": {"url": "data:x"}},
        {"type": "text", "text": "What?"},
    ]
    assert str(prompt) == "What?"
    assert to_turns(prompt) == [{"role": "user", "content": prompt[0]["prompt"]}]
    with pytest.raises(UsageError, match="no place for pictures"):
        to_text(prompt)


def test_turns_become_a_prompt_list_and_turns_again() -> None:
    turns: list[Any] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [Part("text", "2 + "), Part("text", "2?")]},
        {"role": "assistant", "content": "4"},
    ]
    prompt = to_prompt(turns)
    assert prompt == [
        {"role": "SYSTEM", "prompt": "Be brief."},
        {"role": "HUMAN", "prompt": "2 + 2?"},
        {"role": "BOT", "prompt": "4"},
    ]
    turns[1]["content"] = "2 + 2?"
    assert to_turns(prompt) == turns
    assert to_text(prompt) == "Be brief.\n2 + 2?\n4"


def test_neighbours_of_one_role_are_one_turn() -> None:
    said = [
        {"role": "HUMAN", "prompt": "a"},
        {"section": "x", "pos": "begin"},
        {"role": "HUMAN", "prompt": "b"},
    ]
    assert to_turns(PromptList([*said, "c"])) == [{"role": "user", "content": "a\nb\nc"}]
    picture = [{"type": "image_url", "image_url": {"url": "data:x"}}]
    assert to_turns(PromptList(["look", {"role": "HUMAN", "prompt": picture}])) == [
        {"role": "user", "content": [{"type": "text", "text": "look"}, *picture]}
    ]


def test_pictures_are_read_only_when_they_are_shown() -> None:
    picture = Image.new("RGB", (3, 2), "red")
    prompt = to_prompt([{"role": "user", "content": [Part("image", picture), Part("text", "What?")]}])
    assert prompt[0]["prompt"][0] == Part("image", picture)
    (shown,) = show(prompt)
    assert shown["prompt"][0]["image_url"]["url"].startswith("data:image/")
    assert shown["prompt"][1] == {"type": "text", "text": "What?"}


def test_a_text_is_made_by_the_template_of_roles() -> None:
    prompt = PromptList(
        [{"role": "SYSTEM", "prompt": "S"}, *PromptList(ROUND).format(question="1", answer="2")]
    )
    asked = PromptList(ROUND).format(question="3", answer="")
    parser = LMTemplateParser(META)
    done = "<s>[s]S[/s][u]Q: 1[/u][b]2[/b]"
    assert parser.parse_template(prompt + asked) == f"{done}[u]Q: 3[/u][b]"
    assert parser.parse_template([prompt + asked, "as it is"]) == [f"{done}[u]Q: 3[/u][b]", "as it is"]
    assert parser.parse_template(prompt, "ppl") == f"{done}</s>"
    # An answer that is begun is gone on with.
    assert parser.parse_template(prompt) == "<s>[s]S[/s][u]Q: 1[/u][b]2"
    assert LMTemplateParser().parse_template(prompt + asked) == "S\nQ: 1\n2\nQ: 3"


def test_turns_are_named_by_the_template_of_roles() -> None:
    prompt = PromptList([*PromptList(ROUND).format(question="1", answer="2"), *ROUND[1:3]])
    parser = APITemplateParser({**META, "begin": [{"role": "SYSTEM", "prompt": "S"}]})
    named = parser.parse_template(prompt.format(question="3", answer=""))
    assert [(turn["role"], turn["prompt"]) for turn in named] == [
        ("SYSTEM", "S"), ("USER", "Q: 1"), ("MODEL", "2"), ("USER", "Q: 3"),
    ]  # fmt: skip
    assert APITemplateParser().parse_template(prompt.format(question="3", answer="")) == "Q: 1\n2\nQ: 3"
    assert parser.parse_template("as it is") == "as it is"


def test_roles_that_nobody_knows_are_named() -> None:
    odd = PromptList([{"role": "NARRATOR", "prompt": "Once"}])
    with pytest.raises(UnknownName, match=r"NARRATOR.*HUMAN"):
        LMTemplateParser(META).parse_template(odd)
    spare = PromptList([{"role": "NARRATOR", "fallback_role": "SYSTEM", "prompt": "Once"}])
    assert LMTemplateParser(META).parse_template(spare) == "<s>[s]Once[/s][b]"
    with pytest.raises(UsageError, match="stands twice"):
        LMTemplateParser({"round": [{"role": "HUMAN"}, {"role": "HUMAN"}]})
    with pytest.raises(UsageError, match="'gen' or 'ppl'"):
        LMTemplateParser(META).parse_template(odd, "perplexity")
