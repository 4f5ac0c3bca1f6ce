"""Chat templates, held against transformers' own rendering."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tiny import write_tokenizer
from transformers import PreTrainedTokenizerFast

from steelyard.errors import ModelError, UsageError
from steelyard.models.chat import ChatTemplate, read_template
from steelyard.types import Message, Part

TEMPLATES = {
    "llama-2": """\
{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% set system = messages[0]['content'] %}
{% else %}{% set rest = messages %}{% set system = false %}{% endif %}
{% for message in rest %}
  {% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
    {{ raise_exception('Roles must alternate user/assistant/user/assistant/...') }}
  {% endif %}
  {% if loop.first and system %}
    {% set content = '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' + message['content'] %}
  {% else %}{% set content = message['content'] %}{% endif %}
  {% if message['role'] == 'user' %}
    {{- bos_token + '[INST] ' + content.strip() + ' [/INST]' -}}
  {% else %}{{- ' ' + content.strip() + ' ' + eos_token -}}{% endif %}
{% endfor %}""",
    "llama-3": """\
{{- bos_token }}
{%- if strftime_now is defined %}{%- set date = strftime_now('%Y') %}
{%- else %}{%- set date = '2024' %}{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}{%- set system = '' %}{%- endif %}
{{- '<|start_header_id|>system<|end_header_id|>\\n\\nToday is in ' + date + '.\\n' + system + '<|eot_id|>' }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim }}
    {{- '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}""",
    "chatml": """\
{% for message in messages %}
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}
{% endfor %}
{% if add_generation_prompt %}
{{ '<|im_start|>assistant\\n' }}
{% endif %}""",
    "mistral": """\
{%- set ns = namespace(index=0) %}
{{- bos_token }}
{%- for message in messages %}
  {%- if message.role == 'system' %}{%- continue %}{%- endif %}
  {%- set ns.index = ns.index + 1 %}
  {%- if message.role == 'user' %}
    {%- if messages[0].role == 'system' and ns.index == 1 %}
      {{- '[INST] ' + messages[0].content + '\\n\\n' + message.content + '[/INST]' }}
    {%- else %}{{- '[INST] ' + message.content + '[/INST]' }}{%- endif %}
  {%- else %}{{- ' ' + message.content + eos_token }}{%- endif %}
{%- endfor %}""",
    "json": "{{ messages | tojson }}{% if tools %}{{ tools | tojson(indent=2) }}{% endif %}",
    "training": """\
{% for message in messages %}{% if message.role == 'assistant' %}
{% generation %}{{ message.content }}{{ eos_token }}{% endgeneration %}
{% else %}<q>{{ message.content }}</q>{% endif %}{% endfor %}""",
}
CHATS: dict[str, list[dict[str, str]]] = {
    "one": [{"role": "user", "content": "Hello <b>you</b> & “all”"}],
    "system": [
        {"role": "system", "content": " Be brief. "},
        {"role": "user", "content": "  What is 2 + 2?\n"},
    ],
    "turns": [
        {"role": "user", "content": "1 + 1?"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "And {{ 3 }} + 4?"},
    ],
    "begun": [{"role": "user", "content": "1 + 1?"}, {"role": "assistant", "content": "The a is "}],
}


@pytest.mark.parametrize("chat", CHATS)
@pytest.mark.parametrize("name", TEMPLATES)
def test_it_renders_as_transformers_do(tmp_path: Path, name: str, chat: str) -> None:
    if name == "json" and chat == "begun":
        pytest.skip("there is nothing to be continued in JSON")
    write_tokenizer(tmp_path, template=None)
    (tmp_path / "chat_template.jinja").write_text(TEMPLATES[name])
    theirs = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    begun = chat == "begun"
    truth = theirs.apply_chat_template(
        CHATS[chat], tokenize=False, add_generation_prompt=not begun, continue_final_message=begun
    )
    ours = read_template(tmp_path)
    assert ours is not None
    assert ours.render(CHATS[chat]) == truth  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        ({"chat_template": "{{ bos_token }}{{ messages[0].content }}", "bos_token": "<s>"}, "<s>Hi"),
        ({"chat_template": "{{ eos_token }}", "eos_token": {"content": "</s>", "special": True}}, "</s>"),
        (
            {
                "chat_template": [
                    {"name": "tool_use", "template": "tools"},
                    {"name": "default", "template": "plain {{ messages[0].content }}"},
                ]
            },
            "plain Hi",
        ),
    ],
)
def test_a_template_stands_in_the_tokenizers_settings(
    tmp_path: Path, settings: dict[str, Any], shown: str
) -> None:
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    template = read_template(tmp_path)
    assert template is not None
    assert template.render([{"role": "user", "content": "Hi"}]) == shown


def test_a_template_may_stand_in_files_of_its_own(tmp_path: Path) -> None:
    assert read_template(tmp_path) is None
    (tmp_path / "chat_template.json").write_text(json.dumps({"chat_template": "old"}))
    (tmp_path / "special_tokens_map.json").write_text(json.dumps({"bos_token": "<s>"}))
    old = read_template(tmp_path)
    (tmp_path / "chat_template.jinja").write_text("{{ bos_token }}new")
    new = read_template(tmp_path)
    assert old is not None and new is not None
    assert (old.render([]), new.render([])) == ("old", "<s>new")


def test_text_parts_are_put_together_and_others_refused() -> None:
    template = ChatTemplate(TEMPLATES["chatml"])
    turn: Message = {"role": "user", "content": [Part("text", "Hello "), Part("text", "you")]}
    assert "\nHello you<|im_end|>" in template.render([turn])
    with pytest.raises(UsageError, match="takes no audio"):
        template.render([{"role": "user", "content": [Part("text", "Hear: "), Part("audio", b"")]}])


def test_what_a_template_refuses_is_said() -> None:
    with pytest.raises(UsageError, match="Roles must alternate"):
        ChatTemplate(TEMPLATES["llama-2"]).render([{"role": "tool", "content": "1"}])
    with pytest.raises(ModelError, match="template is broken"):
        ChatTemplate("{% for %}")
    with pytest.raises(UsageError, match="does not show the last turn"):
        ChatTemplate("nothing").render([{"role": "assistant", "content": "a"}])


@pytest.mark.parametrize(
    "attack",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ raise_exception.__globals__.sys }}",
    ],
)
def test_a_template_cannot_leave_its_box(attack: str) -> None:
    with pytest.raises(UsageError, match="refuses"):
        ChatTemplate(attack).render([{"role": "user", "content": "a"}])
