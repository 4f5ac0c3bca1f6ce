"""Causal models: batches answer as each request alone would be answered, and as transformers would."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_networks import CAUSAL, TEXTS, make_network, make_tokenizer, save

torch = pytest.importorskip("torch")

from steelyard.models.causal import CausalModel  # noqa: E402
from steelyard.models.huggingface import load_huggingface  # noqa: E402
from steelyard.models.prefix import Network  # noqa: E402
from steelyard.types import Part, Request, Response  # noqa: E402

HEADER = TEXTS[0] + "\n\n" + TEXTS[1] + "\n\n"
CHOICES = [" A", " seven apples and more", " the lazy dog jumps over", " 7", " seven"]
SHARING = ["llama", "qwen2", "gpt2", "gpt_neox", "mistral", "gemma3_text"]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def open_causal(folder: Path, **options: Any) -> CausalModel:
    model = load_huggingface(folder, device="cpu", **options)
    assert isinstance(model, CausalModel)
    return model


@pytest.fixture(scope="module")
def llama(folder_of: Callable[[str], Path]) -> CausalModel:
    return open_causal(folder_of("llama"), max_tokens=8)


def make_prompts(count: int, *, header: str = "", seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    words = " ".join(TEXTS).split()
    return [header + " ".join(draw.choices(words, k=draw.randint(1, 30))) for _ in range(count)]


def ask(prompts: list[str], **fields: Any) -> list[Request]:
    return [Request(str(place), prompt, **fields) for place, prompt in enumerate(prompts)]


def score_plainly(model: CausalModel, prompt: str, choice: str) -> float:
    """The choice's log-probability from one pass over the whole text."""
    context = prompt.rstrip()
    begin = len(model.tokens(context, special=True))
    ids = model.tokens(prompt + choice, special=True)
    with torch.no_grad():
        logs = torch.log_softmax(model.network(torch.tensor([ids])).logits[0].float(), dim=-1)
    return float(sum(logs[place - 1, ids[place]] for place in range(begin, len(ids))))


def generate_plainly(model: CausalModel, prompt: str, *, count: int) -> str:
    ids = torch.tensor([model.tokens(prompt, special=True)])
    out = model.network.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, do_sample=False, pad_token_id=0
    )
    return model.text(out[0, ids.shape[1] :].tolist())


@pytest.mark.parametrize("family", CAUSAL)
def test_answers_and_scores_are_those_of_transformers(family: str, folder_of: Callable[[str], Path]) -> None:
    model = open_causal(folder_of(family), max_tokens=8)
    assert model.shares_prefix == (family in SHARING)
    prompts = [*make_prompts(6), *make_prompts(3, header=HEADER)]
    said = [response.text for response in model.batch(ask(prompts))]
    assert said == [generate_plainly(model, prompt, count=8) for prompt in prompts]
    assert len(set(said)) > 5
    scored = model.batch(ask(prompts[4:], choices=CHOICES))
    for prompt, response in zip(prompts[4:], scored):
        assert response.scores == pytest.approx([score_plainly(model, prompt, c) for c in CHOICES], abs=1e-4)
    model.close()


def test_a_batch_says_what_each_says_alone(llama: CausalModel) -> None:
    prompts = [*make_prompts(20), *make_prompts(20, header=HEADER, seed=1)]
    together = llama.batch(ask(prompts))
    alone = [llama.batch([request])[0] for request in ask(prompts)]
    assert [response.text for response in together] == [response.text for response in alone]


def test_rows_that_were_read_apart_go_on_together(
    llama: CausalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = make_prompts(12, header=HEADER)
    expected = [response.text for response in llama.batch(ask(prompts))]
    monkeypatch.setattr(llama._engine, "fed", 40)
    assert [response.text for response in llama.batch(ask(prompts))] == expected


def test_the_shared_header_is_read_once(folder_of: Callable[[str], Path]) -> None:
    model = open_causal(folder_of("llama"), max_tokens=2)
    fed: list[tuple[int, ...]] = []
    model.network.register_forward_pre_hook(
        lambda _, __, inputs: fed.append(tuple(inputs["input_ids"].shape)), with_kwargs=True
    )
    header = len(model.tokens(HEADER, special=True))
    model.batch(ask(make_prompts(4, header=HEADER), choices=CHOICES))
    assert fed[0][0] == 1
    assert fed[0][1] >= header - 1
    first = len(fed)
    model.batch(ask(make_prompts(4, header=HEADER, seed=5)))
    longest = max(len(model.tokens(p, special=True)) for p in make_prompts(4, header=HEADER, seed=5))
    assert all(width <= longest - header + 2 for _, width in fed[first:])


def test_letters_cost_no_token(folder_of: Callable[[str], Path]) -> None:
    model = open_causal(folder_of("llama"))
    fed: list[int] = []
    model.network.register_forward_pre_hook(
        lambda _, __, inputs: fed.append(inputs["input_ids"].numel()), with_kwargs=True
    )
    response = model.batch(ask(["Question: a planet? Answer:"], choices=[" A", " B", " C", " D"]))[0]
    assert response.raw == {"tokens": [1, 1, 1, 1], "greedy": [False] * 4}
    assert fed == [len(model.tokens("Question: a planet? Answer:", special=True))]


def test_many_long_choices_are_folded_into_rows(llama: CausalModel) -> None:
    choices = [f" {number} {TEXTS[2]} {TEXTS[3]}" for number in range(14)]
    response = llama.batch(ask(["Question: which? Answer:"], choices=choices))[0]
    plain = [score_plainly(llama, "Question: which? Answer:", choice) for choice in choices]
    assert response.scores == pytest.approx(plain, abs=1e-3)


def test_space_at_the_prompts_end_goes_with_the_choice(llama: CausalModel) -> None:
    spaced, joined = llama.batch(
        [Request("0", "Answer: ", choices=["A", "seven"]), Request("1", "Answer:", choices=[" A", " seven"])]
    )
    assert spaced.scores == pytest.approx(joined.scores)


def test_the_likeliest_continuation_is_greedy(llama: CausalModel) -> None:
    found = 0
    for prompt in make_prompts(20):
        said = llama.batch(ask([prompt], params={"max_tokens": 1}))[0].text
        context = llama.tokens(prompt, special=True)
        # Some tokens do not come back as themselves when their text is read again.
        if said.strip() and llama.tokens(prompt + said, special=True)[: len(context)] == context:
            response = llama.batch(ask([prompt], choices=[said, said + " A", " xyz"]))[0]
            if response.raw["tokens"][0] == 1:
                found += 1
                assert response.raw["greedy"][::2] == [True, False]
    assert found


@pytest.mark.parametrize(
    "params",
    [
        {"temperature": 1.0},
        {"temperature": 0.7, "top_p": 0.8},
        {"temperature": 1.5, "top_k": 5},
        {"temperature": 1.0, "min_p": 0.1},
        {"temperature": 0.9, "repetition_penalty": 1.3},
    ],
)
def test_samples_depend_on_their_seed_alone(llama: CausalModel, params: dict[str, Any]) -> None:
    prompts = make_prompts(6)
    seeded = [Request(str(n), p, params={**params, "seed": n}) for n, p in enumerate(prompts)]
    alone = [llama.batch([request])[0].text for request in seeded]
    neighbours = ask(make_prompts(5, seed=9))
    together = llama.batch([*neighbours, *seeded])
    assert [response.text for response in together[5:]] == alone
    other = [Request(r.id, r.prompt, params={**r.params, "seed": 99}) for r in seeded]
    assert [response.text for response in llama.batch(other)] != alone


def test_one_token_left_to_choose_from_is_greedy(llama: CausalModel) -> None:
    greedy = [response.text for response in llama.batch(ask(make_prompts(4)))]
    for params in ({"top_k": 1}, {"top_p": 0.0}, {"min_p": 1.0}):
        sampled = llama.batch(ask(make_prompts(4), params={"temperature": 1.0, **params}))
        assert [response.text for response in sampled] == greedy


def test_a_repetition_penalty_is_that_of_transformers(llama: CausalModel) -> None:
    prompt = make_prompts(1)[0]
    ids = torch.tensor([llama.tokens(prompt, special=True)])
    out = llama.network.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=8,
        repetition_penalty=1.5,
        do_sample=False,
        pad_token_id=0,
    )
    said = llama.batch(ask([prompt, *make_prompts(3, seed=3)], params={"repetition_penalty": 1.5}))[0].text
    assert said == llama.text(out[0, ids.shape[1] :].tolist())


def test_other_arguments_of_generate_are_passed_on(llama: CausalModel) -> None:
    prompts = make_prompts(3)
    beams = llama.batch(ask(prompts, params={"num_beams": 3, "max_tokens": 6}))
    for prompt, response in zip(prompts, beams):
        ids = torch.tensor([llama.tokens(prompt, special=True)])
        out = llama.network.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=6, num_beams=3, pad_token_id=0
        )
        assert response.text == llama.text(out[0, ids.shape[1] :].tolist())


def test_an_answer_ends_at_a_stop_text(llama: CausalModel) -> None:
    prompts = make_prompts(8)
    whole = llama.batch(ask(prompts, params={"max_tokens": 12}))
    requests, expected = [], []
    for place, (prompt, response) in enumerate(zip(prompts, whole)):
        stop = response.text[4:7]
        requests.append(Request(str(place), prompt, params={"max_tokens": 12, "stop": ["never said", stop]}))
        expected.append(response.text[: response.text.index(stop)])
    cut = llama.batch(requests)
    assert [response.text for response in cut] == expected
    assert {response.raw["finish"] for response in cut} == {"stop"}
    assert all(a.tokens.output <= b.tokens.output for a, b in zip(cut, whole) if a.tokens and b.tokens)
    assert sum(a.tokens.output for a in cut if a.tokens) < sum(b.tokens.output for b in whole if b.tokens)


def test_an_answer_ends_at_an_end_token(llama: CausalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = make_prompts(5)
    third = llama.tokens(llama.batch(ask(prompts))[2].text, special=False)[0]
    monkeypatch.setattr(llama, "_ends", frozenset([third]))
    ended = llama.batch(ask(prompts))[2]
    assert (ended.text, ended.raw, ended.tokens.output) == ("", {"finish": "stop"}, 1)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request("0", "word " * 600), "positions"),
        (Request("0", "a", choices=[]), "no choices"),
        (Request("0", "a", choices=["b", ""]), "empty"),
        (Request("0", {"image": 1}), "takes a text"),
        (Request("0", "a", params={"temprature": 1}), "did you mean temperature"),
        (Request("0", "a", params={"max_tokens": 0}), "max_tokens"),
        (Request("0", "a", params={"max_new_tokens": 9}), "no generation parameter 'max_new_tokens'"),
        (Request("0", [{"role": "user", "content": "Hello"}]), "no chat template"),
    ],
)
def test_a_bad_request_fails_alone(folder_of: Callable[[str], Path], request_: Request, message: str) -> None:
    model = open_causal(folder_of("gpt2"), max_tokens=4)
    good = ask(make_prompts(2))
    responses = model.batch([good[0], request_, good[1]])
    assert message in (responses[1].error or "")
    assert [response.text for response in (responses[0], responses[2])] == [
        response.text for response in model.batch(good)
    ]


def test_an_answer_takes_the_room_that_is_left(folder_of: Callable[[str], Path]) -> None:
    model = open_causal(folder_of("gpt2"))
    prompt = "a" * 507
    count = len(model.tokens(prompt, special=True))
    response = model.batch(ask([prompt], params={"max_tokens": 100}))[0]
    assert response.tokens == (count, 512 - count)
    assert response.raw == {"finish": "length"}


def test_a_chat_is_given_as_its_template_says(tmp_path: Path) -> None:
    tokenizer = make_tokenizer(chat=True, begin=True)
    # A template that writes the beginning itself, as many do: it must not stand there twice.
    tokenizer.chat_template = "<s>" + tokenizer.chat_template
    model = open_causal(save(tmp_path, make_network("llama", **CAUSAL["llama"]), tokenizer), max_tokens=6)
    assert model.chat
    turns = [{"role": "user", "content": [Part("text", "How many "), Part("text", "apples?")]}]
    chat = "<s><|im_start|>user\nHow many apples?<|im_end|>\n<|im_start|>assistant\n"
    asked = model.encode(Request("0", turns))  # type: ignore[arg-type]
    assert asked.prompt == model.tokens(chat, special=False)
    assert list(asked.prompt).count(1) == 1
    assert model.encode(Request("0", "How")).prompt == model.tokens("<s>How", special=False)
    image = Request("0", [{"role": "user", "content": [Part("image", b"")]}])
    assert "takes no image" in (model.batch([image])[0].error or "")
    begun = [*turns, {"role": "assistant", "content": "He has"}]
    assert list(model.encode(Request("0", begun)).prompt)[-2:] == model.tokens("He has", special=False)[-2:]  # type: ignore[arg-type]


def test_memory_that_runs_out_halves_the_batch(llama: CausalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = make_prompts(9)
    expected = [response.text for response in llama.batch(ask(prompts))]
    read = Network.read

    def read_few(self: Network, sequences: Any, **options: Any) -> Any:
        if len(sequences) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return read(self, sequences, **options)

    monkeypatch.setattr(Network, "read", read_few)

    async def ask_all() -> list[Response]:
        return await asyncio.gather(*map(llama.ask, ask(prompts)))

    responses = asyncio.run(ask_all())
    assert [response.error for response in responses] == [None] * 9
    assert [response.text for response in responses] == expected


def test_a_network_that_cannot_share_goes_the_plain_way(
    folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = open_causal(folder_of("llama"), max_tokens=6)
    prompts = make_prompts(4, header=HEADER)
    expected = [shared.batch(ask(prompts)), shared.batch(ask(prompts, choices=CHOICES))]
    monkeypatch.setattr(Network, "_proves", lambda self: False)
    plain = open_causal(folder_of("llama"), max_tokens=6)
    assert not plain.shares_prefix
    found = [plain.batch(ask(prompts)), plain.batch(ask(prompts, choices=CHOICES))]
    assert [r.text for r in found[0]] == [r.text for r in expected[0]]
    for one, other in zip(found[1], expected[1]):
        assert one.scores == pytest.approx(other.scores, abs=1e-4)


def test_plain_samples_depend_on_their_seed_alone(folder_of: Callable[[str], Path]) -> None:
    model = open_causal(folder_of("bloom"), max_tokens=6, params={"temperature": 1.0})
    state = torch.random.get_rng_state()
    requests = [Request(str(n), p, params={"seed": n, "stop": "zzz"}) for n, p in enumerate(make_prompts(3))]
    together = [response.text for response in model.batch(requests)]
    assert together == [model.batch([request])[0].text for request in requests]
    assert torch.equal(state, torch.random.get_rng_state())


def test_half_precision_shares_too(folder_of: Callable[[str], Path]) -> None:
    model = open_causal(folder_of("llama"), dtype="bfloat16", max_tokens=4)
    assert model.shares_prefix
    response = model.batch(ask(make_prompts(3, header=HEADER), choices=CHOICES))[1]
    exact = [score_plainly(model, make_prompts(3, header=HEADER)[1], choice) for choice in CHOICES]
    assert response.scores == pytest.approx(exact, rel=0.03)
