"""`ais_bench --mode perf`: traffic, data, failures, going on."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from ais_project import API_CLASS, API_CONFIG, DEMO, HOME, Project, toy_model
from streaming import telling
from test_ais_perf import common, details, number, spread, words


@pytest.fixture
def project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Project:
    return Project(tmp_path, capsys)


def traffic(command: list[str], **fields: Any) -> list[str]:
    """The command with other fields of its model."""
    place = command.index("--datasets")
    return [*command[:place], *(f"{name}={value}" for name, value in fields.items()), *command[place:]]


def test_open_loop_keeps_its_times_however_slow_the_answers(project: Project) -> None:
    with telling(wait=0.2, pause=0.0) as service:
        project.call(*traffic(words(service, "--num-warmups", "0", tokens=1, batch=2), request_rate=50))
    (home,) = project.outputs()
    assert service.most == 2
    found = sorted(details(home, "chat", "demo_gsm8k"), key=lambda one: one["due"])
    dues = [one["due"] - found[0]["due"] for one in found]
    assert dues == pytest.approx([n / 50 for n in range(8)], abs=1e-5)
    # Four pairs, one after the other: what the service makes wait is in the times from due.
    assert found[-1]["held"] > 0.3
    table = spread(home, "chat", "demo_gsm8k")
    assert number(table["E2EL from due"]["Max"]) > 600 > number(table["E2EL"]["Median"])


def test_traffic_is_drawn_by_seed(project: Project) -> None:
    with telling(pause=0.0) as service:
        for seed in (1, 1, 2):
            fields = {"traffic_cfg.burstiness": 0.5, "traffic_cfg.seed": seed, "request_rate": 100}
            project.call(*traffic(words(service, tokens=1, batch=8), **fields))
    dues = []
    for home in project.outputs():
        found = sorted(one["due"] for one in details(home, "chat", "demo_gsm8k"))
        dues.append([round(due - found[0], 4) for due in found])
    assert dues[0] == dues[1] != dues[2]


def test_pressure_goes_on_until_its_time_is_up(project: Project) -> None:
    with telling(wait=0.01, pause=0.0) as service:
        command = traffic(
            words(service, "--pressure", "--pressure-time", "1", tokens=1, batch=3), request_rate=20
        )
        out, _ = project.call(*command, "--num-warmups", "0")
        # Where nothing is named it is what was asked, and that is whole.
        assert project.call("--mode", "perf", "--reuse")[0] == out
    (home,) = project.outputs()
    assert service.most == 3
    total = common(home, "chat", "demo_gsm8k")["Total Requests"]["total"]
    # Eight questions, asked again and again.
    assert total == len(service.told) > 8
    assert len({one["session"] for one in details(home, "chat", "demo_gsm8k")}) == total


def test_failures_are_counted_and_said(project: Project) -> None:
    with telling(refuse=lambda body: "Quinn has $80" in str(body["messages"])) as service:
        out, _ = project.call(*words(service), code=1)
    (home,) = project.outputs()
    assert re.search(r"^Failed Requests +total +1$", out, re.M)
    assert "! 1 of 8 requests failed or were cut off" in out
    assert "too rude" in out
    (failed,) = [one for one in details(home, "chat", "demo_gsm8k") if not one["success"]]
    assert "too rude" in failed["error_info"]
    assert spread(home, "chat", "demo_gsm8k")["E2EL"]["N"] == "7"


def test_reasons_beyond_the_most_frequent_are_counted(project: Project) -> None:
    names = iter(f"too rude {number}" for number in range(8))
    with telling(refuse=lambda body: next(names)) as service:
        out, _ = project.call(*words(service, "--num-warmups", "0"), code=1)
    assert out.count("\n! 1 × ") == 3
    assert "\n! 5 for other reasons" in out


def test_nothing_is_sent_for_a_class_that_reads_no_streams(project: Project) -> None:
    project.write(
        "conf/models/mute.py",
        "from ais_bench.benchmark.models import BaseAPIModel\n"
        "class Mute(BaseAPIModel):\n"
        "    async def parse_text_response(self, data, output): ...\n"
        "models = [dict(attr='service', type=Mute, abbr='mute', host_port=9)]\n",
    )
    command = ["--mode", "perf", "--config-dir", "conf", "--models", "mute", "--datasets", DEMO]
    _, err = project.call(*command, code=2)
    assert "Mute has no parse_stream_response()" in err
    assert not project.outputs()


def test_a_local_class_is_measured_too(project: Project) -> None:
    project.write("conf/models/toy.py", toy_model("time.sleep(0.01) or prompt[:3]"))
    command = ["--mode", "perf", "--config-dir", "conf", "--models", "toy", "--datasets", DEMO]
    out, _ = project.call(*command)
    assert re.search(r"^E2EL +total .* 8$", out, re.M)
    assert not re.search(r"^TTFT", out, re.M)


def test_rows_say_how_long_their_answers_may_be(project: Project) -> None:
    rows = [
        {"question": f"{n}?", "answer": "x", **({"max_tokens": n + 1} if n < 3 else {})} for n in range(6)
    ]
    project.write("own.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    told = {"method": "percentage", "params": {"percentage_distribute": [[7, 1.0]]}}
    project.write("own.meta.json", json.dumps({"output_config": told, "data_type": "qa"}))
    with telling() as service:
        command = words(service, "--custom-dataset-path", "own.jsonl", "--num-warmups", "0")
        del command[command.index("--datasets") : command.index("--datasets") + 2]
        project.call(*command)
    assert sorted(told.body["max_tokens"] for told in service.told) == [1, 2, 3, 7, 7, 7]
    (home,) = project.outputs()
    assert sorted(one["output_tokens"] for one in details(home, "chat", "own")) == [1, 2, 3, 7, 7, 7]


def test_conversations_go_on_with_what_was_answered(project: Project) -> None:
    said = [("human", "Hello"), ("gpt", "Hi there friend"), ("human", "More"), ("gpt", "No")]
    row = {"id": "a", "conversations": [{"from": who, "value": what} for who, what in said]}
    project.write("ais_bench/datasets/talks/talks.json", json.dumps([row, {**row, "id": "b"}]))
    with telling() as service:
        out, _ = project.call(
            *words(service, "--num-warmups", "0", data="sharegpt_gen path=talks/talks.json")
        )
    asked = sorted((told.body["messages"] for told in service.told), key=len)
    assert [len(turns) for turns in asked] == [1, 1, 3, 3]
    assert [turn["content"] for turn in asked[-1]] == ["Hello", "w w w ", "More"]
    # As long as what was recorded.
    assert sorted(told.body["max_tokens"] for told in service.told) == [1, 1, 3, 3]
    assert re.search(r"^Turn +Stage +N .*\n1 +total +2 .*\n2 +total +2 ", out, re.M)


def test_the_model_says_how_long_its_answers_may_be(project: Project) -> None:
    rows = [{"question_id": n, "category": "writing", "turns": ["One", "More"]} for n in range(2)]
    project.write("turns.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    with telling() as service:
        for more in ([], ["options.output=2"]):
            data = " ".join(["mtbench_gen path=turns.jsonl", *more])
            project.call(*words(service, "--num-warmups", "0", tokens=3, data=data))
    assert [told.body["max_tokens"] for told in service.told] == [3] * 4 + [2] * 4


def test_a_trace_is_asked_at_its_times(project: Project) -> None:
    rows = [(5000, 30, [1]), (5100, 600, [1, 2]), (5100, 600, [1, 3]), (5300, 10, [4])]
    trace = [{"timestamp": t, "input_length": n, "output_length": 2, "hash_ids": h} for t, n, h in rows]
    project.write("trace.jsonl", "".join(json.dumps(row) + "\n" for row in trace))
    with telling() as service:
        project.call(*words(service, batch=1, data="mooncake_trace_gen path=trace.jsonl abbr=trace"))
    (home,) = project.outputs()
    dues = sorted(one["due"] for one in details(home, "chat", "trace"))
    assert [due - dues[0] for due in dues] == pytest.approx([0.0, 0.1, 0.1, 0.3], abs=1e-5)
    prompts = [told.body["messages"][0]["content"] for told in service.told]
    long = [prompt for prompt in prompts if len(prompt.split()) > 500]
    assert len(long) == 2 and long[0] != long[1]
    assert long[0].split()[:512] == long[1].split()[:512]


def test_a_configuration_as_its_users_write_it(project: Project) -> None:
    project.write(
        "conf/datasets/made.py",
        "from ais_bench.benchmark.openicl.icl_prompt_template import PromptTemplate\n"
        "from ais_bench.benchmark.openicl.icl_retriever import ZeroRetriever\n"
        "from ais_bench.benchmark.openicl.icl_inferencer import GenInferencer\n"
        "from ais_bench.benchmark.datasets.synthetic import SyntheticDataset, SyntheticEvaluator\n"
        "synthetic_config = {'Type': 'string', 'RequestCount': 5, 'StringConfig': {\n"
        "    'Input': {'Method': 'zipf', 'Params': {'Alpha': 1.2, 'MinValue': 3, 'MaxValue': 9}},\n"
        "    'Output': {'Method': 'uniform', 'Params': {'MinValue': 2, 'MaxValue': 2}}}}\n"
        "synthetic_datasets = [dict(abbr='made', type=SyntheticDataset, config=synthetic_config,\n"
        "    reader_cfg=dict(input_columns=['question', 'max_out_len'], output_column='answer'),\n"
        "    infer_cfg=dict(prompt_template=dict(type=PromptTemplate, template='{question}'),\n"
        "        retriever=dict(type=ZeroRetriever), inferencer=dict(type=GenInferencer)),\n"
        "    eval_cfg=dict(evaluator=dict(type=SyntheticEvaluator)))]\n",
    )
    project.write(
        "conf/summarizers/fast.py",
        "from ais_bench.benchmark.summarizers import DefaultPerfSummarizer\n"
        "from ais_bench.benchmark.calculators import DefaultPerfMetricCalculator\n"
        "summarizer = dict(attr='performance', type=DefaultPerfSummarizer, goodput='ttft=10s',\n"
        "    calculator=dict(type=DefaultPerfMetricCalculator, stats_list=['Average', 'P99']))\n",
    )
    with telling() as service:
        out, _ = project.call(*words(service, "--config-dir", "conf", "--summarizer", "fast", data="made"))
    assert re.search(r"^Performance Parameters +Stage +Average +P99 +N$", out, re.M)
    assert re.search(r"^Goodput +total +[\d.]+ req/s$", out, re.M)
    lengths = [len(told.body["messages"][0]["content"].split()) for told in service.told]
    assert len(lengths) == 6 and min(lengths) >= 3 and max(lengths) <= 9
    _, err = project.call(
        "--config-dir", "conf", "--datasets", "made", "--models", "vllm_api_general", code=2
    )
    assert "made has no right answers: it is for load tests" in err
    assert "--mode perf" in err


def test_sets_of_one_kind_are_asked_together(project: Project) -> None:
    with telling() as service:
        sets = f"{DEMO} abbr=sums-a {DEMO} abbr=sums-b"
        out, _ = project.call(
            *words(service, "--merge-ds", "--num-prompts", "3", "--num-warmups", "0", data=sets)
        )
    assert len(service.told) == 6
    assert re.search(r"^chat/sums$", out, re.M)


def test_dry_run_shows_the_traffic_and_asks_nothing(project: Project) -> None:
    command = ["--mode", "perf", "--dry-run", "--models", "vllm_api_general_chat", "request_rate=7"]
    out, _ = project.call(*command, "--datasets", DEMO, "synthetic_gen")
    assert re.search(r"VLLMCustomAPIChat +demo_gsm8k +constant +32 +7", out)
    assert not project.outputs()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"traffic_cfg.burst": 1}, "did you mean burstiness"),
        ({"traffic_cfg.ramp_up_strategy": "linear"}, "has no beginning or no end"),
        ({"traffic_cfg.ramp_up_strategy": "steep"}, "ramp_up_strategy of"),
        ({"traffic_cfg.ramp_up_end_rps": 5}, "is that of a ramp, of which no kind is named"),
        ({"batch_size": "many"}, "batch_size is 'many'"),
        ({"batch_size": 2.5}, "batch_size is 2.5"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"request_rate": "fast"}, "request_rate is 'fast'"),
    ],
)
def test_wrong_traffic_is_refused(project: Project, fields: dict[str, Any], said: str) -> None:
    pairs = [f"{name}={value}" for name, value in fields.items()]
    command = ["--mode", "perf", "--models", "vllm_api_general_chat", "model=m", "host_port=9", *pairs]
    _, err = project.call(*command, "--datasets", DEMO, code=2)
    assert said in err
    # Nothing was begun.
    assert not project.outputs()


def test_a_tokenizer_that_is_not_there_is_refused(project: Project) -> None:
    command = ["--mode", "perf", "--models", "vllm_api_general_chat", "model=m", "path=./no-such-folder"]
    _, err = project.call(*command, "--datasets", DEMO, code=2)
    assert "there is no tokenizer" in err


def test_a_class_that_gives_no_address_is_told_so(project: Project) -> None:
    project.write(HOME / "models/api_models/my_custom_api.py", API_CLASS)
    project.write(HOME / "configs/models/my_custom_api.py", API_CONFIG)
    command = ["--mode", "perf", "--models", "my_custom_api", "--datasets", DEMO]
    _, err = project.run(*command, code=2)
    assert "_get_url() of MyCustomAPI gives None, no address" in err


def test_killed_it_goes_on_with_what_is_left(project: Project) -> None:
    with telling(wait=0.15, pause=0.0) as service:
        command = words(service, "--num-warmups", "0", tokens=1, batch=1)
        process = project.start(*command)
        while len(service.told) < 3:
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        before = len(service.told)
        assert before < 8
        out, _ = project.run(*command, "--reuse")
    (home,) = project.outputs()
    assert sorted(one["id"] for one in details(home, "chat", "demo_gsm8k")) == list(range(8))
    # One was in flight and may not have been stored, one more answered and not stored.
    assert 8 <= len(service.told) <= 10
    assert re.search(r"^Total Requests +total +8$", out, re.M)


def test_tokens_are_counted_by_the_tokenizer_where_nobody_else_does(project: Project) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    known = ["w", "[UNK]", *(a + b + c for a in "bdfklm" for b in "aeiou" for c in "nprst")]
    made = Tokenizer(models.WordLevel({word: n for n, word in enumerate(known)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    (project.folder / "words").mkdir()
    made.save(str(project.folder / "words/tokenizer.json"))
    with telling(usage=False) as service:
        out, _ = project.call(*traffic(words(service, tokens=6), path="words"))
    (home,) = project.outputs()
    found = details(home, "chat", "demo_gsm8k")
    assert [one["output_tokens"] for one in found] == [6] * 8
    assert min(one["input_tokens"] for one in found) > 100
    assert re.search(r"^Tokens Counted By +total +tokenizer$", out, re.M)
    # Prompts that are made are as long as they should be by the same.
    with telling() as service:
        sizes = "synthetic_gen_tokenid config.TokenIdConfig.RequestSize=33 config.TokenIdConfig.PrefixLen=0.5"
        project.call(*traffic(words(service, data=sizes), path="words"))
    prompts = [told.body["messages"][0]["content"].split() for told in service.told]
    assert {len(prompt) for prompt in prompts} == {33}


def test_a_local_class_counts_its_own_tokens(project: Project) -> None:
    text = toy_model("'a b c'").replace(
        "    def generate", "    def encode(self, text):\n        return text.split()\n\n    def generate"
    )
    project.write("conf/models/toy.py", text)
    project.call("--mode", "perf", "--config-dir", "conf", "--models", "toy", "--datasets", DEMO)
    (home,) = project.outputs()
    found = details(home, "toy", "demo_gsm8k")
    assert {one["output_tokens"] for one in found} == {3}
    # What comes in one piece has no time of single tokens, here as in the table.
    assert not any("tpot" in one for one in found)
    assert "TPOT" not in spread(home, "toy", "demo_gsm8k")


def test_what_the_service_says_of_itself(project: Project) -> None:
    with telling(wait=0.1, metrics=[1]) as service:
        out, _ = project.call(*words(service))
    assert re.search(r"^prefix cache hits +40\.0 %$", out, re.M)


def test_interrupted_it_says_how_to_go_on(project: Project) -> None:
    with telling(wait=0.15, pause=0.0) as service:
        command = words(service, "--num-warmups", "0", tokens=1, batch=1)
        process = project.start(*command)
        while len(service.told) < 2:
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
        (home,) = project.outputs()
        assert process.returncode == 130
        assert f"--reuse {home.name}" in err
        out, _ = project.run("--mode", "perf", "--reuse")
    assert re.search(r"^Success Requests +total +8$", out, re.M)
    assert sorted(one["id"] for one in details(home, "chat", "demo_gsm8k") if one["success"]) == list(
        range(8)
    )
