"""Reward models of text: a number for each answer, as transformers computes them one by one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tiny_networks import TEXTS, make_network, make_tokenizer, save

torch = pytest.importorskip("torch")

from steelyard.engine import answer  # noqa: E402
from steelyard.errors import ModelError, UsageError  # noqa: E402
from steelyard.evaluation import evaluate  # noqa: E402
from steelyard.models.huggingface import load_huggingface  # noqa: E402
from steelyard.models.references import open_model  # noqa: E402
from steelyard.models.text_rewards import RewardClassifier  # noqa: E402
from steelyard.tasks.references import open_task  # noqa: E402
from steelyard.types import Request  # noqa: E402

LOADER = "AutoModelForSequenceClassification"
BERT: dict[str, Any] = {
    "vocab_size": 400,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 128,
}
LLAMA = {**BERT, "num_key_value_heads": 2, "max_position_embeddings": 512}
T5 = {"vocab_size": 400, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4,
      "decoder_start_token_id": 0}  # fmt: skip
BART = {
    "vocab_size": 400, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64,
    "max_position_embeddings": 512,
}  # fmt: skip
GPT2 = {"vocab_size": 400, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512}
CONVBERT = {**BERT, "embedding_size": 32, "max_position_embeddings": 512}
FNET = {**BERT, "max_position_embeddings": 512}
# peft asks transformers by an old name.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
# The second says how tokens are made of texts: with a chat template, of pairs, or neither.
FAMILIES: dict[str, tuple[dict[str, Any], str]] = {
    "bert": ({**BERT, "max_position_embeddings": 512}, "pair"),
    "roberta": ({**BERT, "max_position_embeddings": 515}, "pair"),
    "deberta-v2": ({**BERT, "max_position_embeddings": 512, "relative_attention": True,
                    "pos_att_type": ["p2c", "c2p"]}, "pair"),
    "modernbert": ({**BERT, "max_position_embeddings": 512, "local_attention": 16}, "pair"),
    "llama": (LLAMA, "chat"),
    "qwen2": (LLAMA, "chat"),
    "gemma2": ({**LLAMA, "head_dim": 8}, "chat"),
    "mistral": ({**LLAMA, "sliding_window": 16}, "chat"),
    "gpt2": (GPT2, "plain"),
    "bart": (BART, "pair"),
    "t5": (T5, "pair"),
    "convbert": (CONVBERT, "pair"),
    "fnet": (FNET, "pair"),
}  # fmt: skip
ANSWERS = ["Yes.", "No, it is not: " + TEXTS[2], "7", TEXTS[3] + " And so on and on."]

Open = Callable[..., Any]


@pytest.fixture
def open_reward(tmp_path: Path) -> Open:
    def make(
        family: str, *, words: str | None = None, shape: dict[str, Any] | None = None, **options: Any
    ) -> Any:
        told, kind = FAMILIES[family]
        one = {} if "id2label" in (shape or {}) else {"num_labels": 1}
        network = make_network(family, loader=LOADER, **{**one, **told, **(shape or {})})
        kind = words or kind
        tokenizer = make_tokenizer(chat=kind == "chat", begin=kind == "chat", pair=kind == "pair")
        folder = save(tmp_path / str(len(list(tmp_path.iterdir()))), network, tokenizer)
        return load_huggingface(folder, device="cpu", **options)

    return make


def questions(count: int) -> list[Request]:
    random = Random(count)
    made = []
    for place in range(count):
        prompt = " ".join(random.choice(TEXTS).split()[: random.randint(1, 12)])
        choices = random.sample(ANSWERS, 2 + place % 2)
        made.append(
            Request(str(place), prompt if place % 3 else [{"role": "user", "content": prompt}], choices)
        )
    return made


@pytest.mark.parametrize("family", FAMILIES)
def test_a_score_is_that_of_transformers_and_of_no_company(open_reward: Open, family: str) -> None:
    model = open_reward(family)
    assert isinstance(model, RewardClassifier)
    asked = questions(16)
    alone = [model.batch([request])[0] for request in asked]
    for request, response in zip(asked, alone):
        assert response.error is None
        for choice, score in zip(request.choices, response.scores):
            assert score == pytest.approx(compute(model, request.prompt, choice), abs=1e-5)
    assert len({round(score, 4) for response in alone for score in response.scores}) > 8
    shuffled = Random(1).sample(asked, len(asked))
    for company in (asked, asked[::-1], shuffled, *(asked[n : n + 3] for n in range(0, 16, 3))):
        for request, response in zip(company, model.batch(company)):
            assert response.scores == pytest.approx(alone[int(request.id)].scores, abs=1e-5)
    for request, response in zip(asked, answer(model, asked)):
        assert response.scores == pytest.approx(alone[int(request.id)].scores, abs=1e-5)
    model.close()


def test_rows_are_filled_up_with_what_stands_in_none(open_reward: Open) -> None:
    """A decoder whose pad token nobody told, or that also ends a text, scores the last token of each."""
    model = open_reward("llama", shape={"pad_token_id": None})
    alone = [model.batch([request])[0].scores for request in questions(8)]
    assert [response.scores for response in model.batch(questions(8))] == [
        pytest.approx(scores, abs=1e-5) for scores in alone
    ]
    request = Request("x", TEXTS[0], [ANSWERS[0]])
    assert model.network.config.pad_token_id is None
    assert model.batch([request])[0].scores[0] == pytest.approx(
        compute(model, TEXTS[0], ANSWERS[0]), abs=1e-5
    )


def test_what_is_said_as_it_stands_has_one_score(open_reward: Open) -> None:
    model = open_reward("qwen2")
    turns = [{"role": "user", "content": "Is it?"}, {"role": "assistant", "content": "Yes."}]
    pair = {"text": "Is it?", "text_pair": "Yes."}
    answers = model.batch([Request("0", turns), Request("1", pair), Request("2", "Is it?", ["Yes."])])
    assert answers[0].scores == answers[1].scores
    assert answers[0].scores["score"] == pytest.approx(answers[2].scores[0], abs=1e-5)
    assert answers[0].text == f"{answers[0].scores['score']:.6g}"
    (text,) = model.batch([Request("3", "Is it?")])
    ids = torch.tensor([model.tokens("Is it?", special=True)])
    with torch.no_grad():
        assert text.scores["score"] == pytest.approx(float(model.network(ids).logits), abs=1e-5)


def test_turns_before_the_last_question_are_read_too(open_reward: Open) -> None:
    turns = [
        {"role": "user", "content": "Is it?"},
        {"role": "assistant", "content": "It may be."},
        {"role": "user", "content": "And now?"},
    ]
    for family, begin in (("llama", "<s><|im_start|>user"), ("bert", "<s>Is it? It may be.\n\nAnd now?</s>")):
        model = open_reward(family, words="chat" if family == "llama" else None)
        encoded = model.encode(Request("0", turns, ["Yes.", "No."]))
        texts = [model.tokenizer.decode(row.ids) for row in encoded.rows]
        assert len(texts) == 2 and "It may be." in texts[0] and "No." in texts[1]
        assert texts[0].startswith(begin.removeprefix("<s>") if family == "llama" else begin)


def test_how_they_are_joined_can_be_said(open_reward: Open) -> None:
    model = open_reward("llama", join="<s>Q: {prompt} A: {answer}</s>")
    (row,) = model.encode(Request("0", "What is {answer}?", ["a {prompt}"])).rows
    assert model.tokenizer.decode(row.ids) == "<s><s>Q: What is {answer}? A: a {prompt}</s>"
    assert open_reward("llama", chat=False).join == "{prompt}\n{answer}"
    assert open_reward("bert", words="chat").join == "chat"
    assert open_reward("bert", words="chat", join="pair").join == "pair"
    with pytest.raises(UsageError, match="no chat template"):
        open_reward("bert", join="chat")
    with pytest.raises(UsageError, match="no chat template"):
        open_reward("bert", chat=True)
    with pytest.raises(UsageError, match="does not say how"):
        open_reward("bert", join="{prompt} only")


def test_what_is_too_long_fails_alone_or_is_cut_as_told(open_reward: Open) -> None:
    long = Request("1", "a b c " * 300, ["Yes.", "No."])
    asked = [Request("0", "Is it?", ["Yes.", "No."]), long]
    short, failed = open_reward("bert").batch(asked)
    assert short.error is None
    assert "512 positions (truncate=yes cuts it)" in failed.error
    model = open_reward("bert", truncate=True)
    short, cut = model.batch(asked)
    assert "cut" not in short.raw
    assert cut.error is None and min(cut.raw["cut"]) > 100 and cut.raw["tokens"] == [512, 512]
    left, right = (open_reward("llama", truncate=side).encode(long).rows[1].ids for side in ("left", "right"))
    assert (
        left[-20:]
        == open_reward("llama").loaded.tokenizer(
            model.tokenizer.decode(left[-20:]), add_special_tokens=False
        )["input_ids"]
    )
    assert left != right
    with pytest.raises(UsageError, match="truncate=middle"):
        open_reward("bert", truncate="middle")


def test_a_label_of_several_is_worth_its_log_odds(open_reward: Open) -> None:
    shape = {"id2label": {0: "bad", 1: "good"}, "label2id": {"bad": 0, "good": 1}}
    with pytest.raises(ModelError, match=r"gives 2 numbers, not one score .*its labels are bad, good"):
        open_reward("bert", shape=shape, task="reward")
    request = Request("0", TEXTS[0], ANSWERS[:2])
    classifier = open_reward("bert", shape=shape)
    (odds,) = classifier.batch([Request("0", {"text": TEXTS[0], "text_pair": ANSWERS[0]})])
    for label in ("good", 1):
        (response,) = open_reward("bert", shape=shape, task="reward", score=label).batch([request])
        assert torch.sigmoid(torch.tensor(response.scores[0])) == pytest.approx(odds.scores["good"], abs=1e-5)
    with pytest.raises(UsageError, match="no score 'best'"):
        open_reward("bert", shape=shape, task="reward", score="best")
    with pytest.raises(UsageError, match="score= is for reward, this is classify"):
        open_reward("bert", shape=shape, score="good")


def test_numbers_of_several_kinds_are_weighed_together(open_reward: Open) -> None:
    named = {0: "helpful", 1: "brief", 2: "kind"}
    shape = {"id2label": named, "label2id": {v: k for k, v in named.items()}, "problem_type": "regression"}
    model = open_reward("llama", shape=shape, score={"helpful": 0.7, "kind": -0.3})
    (response,) = model.batch([Request("0", TEXTS[0], ANSWERS[:1])])
    (row,) = model.encode(Request("0", TEXTS[0], ANSWERS[:1])).rows
    with torch.no_grad():
        logits = model.network(torch.tensor([row.ids])).logits[0].tolist()
    assert response.scores == [pytest.approx(0.7 * logits[0] - 0.3 * logits[2], abs=1e-5)]


def test_an_adapter_may_bring_the_head_of_a_model_that_had_none(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    folder = save(tmp_path / "base", make_network("llama", **LLAMA), make_tokenizer(chat=True))
    network = make_network("llama", loader=LOADER, num_labels=1, **LLAMA)
    network.model.load_state_dict(make_network("llama", **LLAMA).model.state_dict())
    config = peft.LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["q_proj"], init_lora_weights=False)
    adapted = peft.get_peft_model(network, config)
    adapted.peft_config["default"].base_model_name_or_path = str(folder)
    adapted.save_pretrained(tmp_path / "adapter")
    model = load_huggingface(tmp_path / "adapter", device="cpu")
    assert isinstance(model, RewardClassifier)
    (response,) = model.batch([Request("0", TEXTS[0], ANSWERS[:2])])
    adapted.eval()
    for row, score in zip(model.encode(Request("0", TEXTS[0], ANSWERS[:2])).rows, response.scores):
        with torch.no_grad():
            assert score == pytest.approx(float(adapted(torch.tensor([row.ids])).logits[0, 0]), abs=1e-5)


def test_what_people_prefer_is_held_against_a_folder(open_reward: Open, tmp_path: Path) -> None:
    model = open_reward("bert")
    rows = [{"prompt": text, "chosen": ANSWERS[0], "rejected": ANSWERS[1]} for text in TEXTS]
    folder = model.loaded.network.config._name_or_path
    run = evaluate(folder, open_task("preference", data=rows), out=tmp_path / "run")
    answers = [record.response.scores for record in run.records()]
    assert len(answers) == len(TEXTS) and all(len(scores) == 2 for scores in answers)
    right = sum(scores[0] > scores[1] for scores in answers)
    assert run.about["results"][0]["value"] == pytest.approx(right / len(TEXTS))


def test_a_function_scores_choices_as_a_model_does() -> None:
    def score(request: Request) -> list[int]:
        return [len(choice) for choice in request.choices or ()]

    model = open_model(score)
    assert answer(model, [Request("0", "Is it?", ["Yes.", "Maybe not."])])[0].scores == [4.0, 10.0]
    model.close()


def compute(model: Any, prompt: Any, choice: str) -> float:
    """As the cards of such models have it: one text at a time, by the template or as a pair."""
    text = prompt if isinstance(prompt, str) else prompt[0]["content"]
    tokenizer = model.tokenizer
    if model.join == "chat":
        turns = [{"role": "user", "content": text}, {"role": "assistant", "content": choice}]
        inputs = tokenizer.apply_chat_template(turns, tokenize=True, return_tensors="pt", return_dict=True)
    elif model.join == "pair":
        inputs = tokenizer(text, choice, return_tensors="pt")
    else:
        inputs = tokenizer(f"{text}\n{choice}", return_tensors="pt")
    given = {"input_ids": inputs["input_ids"]}
    with torch.no_grad():
        return float(model.network(**given).logits[0, 0])
