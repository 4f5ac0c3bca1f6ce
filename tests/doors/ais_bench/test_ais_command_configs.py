"""Configuration files: their imports, data sets that they describe, summarizers."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from ais_project import DEMO, HOME, Project, toy_model

from steelyard.serving.server import Server

WORDS = """\
from mmengine.config import read_base
from ais_bench.benchmark.openicl.icl_prompt_template import PromptTemplate
from ais_bench.benchmark.openicl.icl_retriever import ZeroRetriever, FixKRetriever
from ais_bench.benchmark.openicl.icl_inferencer import GenInferencer, PPLInferencer
from ais_bench.benchmark.openicl.icl_evaluator import AccEvaluator, AccwithDetailsEvaluator
from ais_bench.benchmark.datasets import GSM8KDataset, Gsm8kEvaluator, MMLUDataset
from ais_bench.benchmark.datasets import gsm8k_postprocess, gsm8k_dataset_postprocess
"""
GSM8K = f"""\
{WORDS}
gsm8k_datasets = [dict(
    abbr="sums",
    type=GSM8KDataset,
    path="gsm8k",
    reader_cfg=dict(input_columns=["question"], output_column="answer", test_range="[0:2]"),
    infer_cfg=dict(
        ice_template=dict(type=PromptTemplate, template=dict(round=[
            dict(role="HUMAN", prompt="Q: {{question}}"), dict(role="BOT", prompt="A: {{answer}}")])),
        prompt_template=dict(type=PromptTemplate, ice_token="</E>", template=dict(
            begin=[dict(role="SYSTEM", fallback_role="HUMAN", prompt="Be brief."), "</E>"],
            round=[dict(role="HUMAN", prompt="Q: {{question}}"), dict(role="BOT", prompt="")])),
        retriever=dict(type=FixKRetriever, fix_id_list=[1]),
        inferencer=dict(type=GenInferencer, max_out_len=64)),
    eval_cfg=dict(
        evaluator=dict(type=Gsm8kEvaluator),
        pred_postprocessor=dict(type=gsm8k_postprocess),
        dataset_postprocessor=dict(type=gsm8k_dataset_postprocess)))]
"""


@pytest.fixture
def project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Project:
    return Project(tmp_path, capsys)


def write_rows(project: Project, name: str, rows: list[dict[str, object]]) -> None:
    project.write(name, "".join(json.dumps(row) + "\n" for row in rows))


def with_gsm8k(project: Project) -> None:
    for split, first in (("test", 1), ("train", 100)):
        rows: list[dict[str, object]] = [
            {"question": f"{n} + 1?", "answer": f"It is <<{n}+1={n + 1}>>{n + 1}.\n#### {n + 1:,}"}
            for n in range(first, first + 3)
        ]
        write_rows(project, f"ais_bench/datasets/gsm8k/{split}.jsonl", rows)


def test_a_configuration_of_several_files(project: Project) -> None:
    with_gsm8k(project)
    project.write("my evals/v1.2/models/toy.py", toy_model("'It is 2 in all'"))
    project.write("my evals/v1.2/datasets/sums/sums_gen.py", GSM8K)
    project.write(
        "my evals/v1.2/both.py",
        "from mmengine.config import read_base\n"
        "with read_base():\n"
        "    from .models.toy import models\n"
        "    from .datasets.sums.sums_gen import gsm8k_datasets\n"
        f"    from .datasets.demo.{DEMO} import demo_gsm8k_datasets\n"
        f"    from ais_bench.benchmark.configs.datasets.demo.{DEMO} import demo_gsm8k_datasets as again\n"
        "    from ais_bench.benchmark.configs.summarizers.example import summarizer\n"
        "from ais_bench.benchmark.partitioners import NaivePartitioner\n"
        "from ais_bench.benchmark.runners import LocalRunner\n"
        "from ais_bench.benchmark.tasks import OpenICLInferTask\n"
        "assert again == demo_gsm8k_datasets\n"
        "datasets = sum((v for k, v in locals().items() if k.endswith('_datasets')), [])\n"
        "infer = dict(partitioner=dict(type=NaivePartitioner),\n"
        "             runner=dict(type=LocalRunner, max_num_workers=1, task=dict(type=OpenICLInferTask)))\n"
        "work_dir = 'outputs/here'\n",
    )
    out, _ = project.call("my evals/v1.2/both.py")
    rows = [line.split() for line in out.splitlines()[1:]]
    assert [(row[0], row[4]) for row in rows] == [("sums", "50.00"), ("demo_gsm8k", "25.00")]
    (home,) = (project.folder / "outputs/here").iterdir()
    lines = [json.loads(line) for line in (home / "predictions/toy/sums.jsonl").read_text().splitlines()]
    first = next(line for line in lines if line["id"] == 0)
    assert first["gold"] == "2"
    assert first["origin_prompt"] == [
        {"role": "SYSTEM", "prompt": "Be brief."},
        {"role": "HUMAN", "prompt": "Q: 101 + 1?"},
        {"role": "BOT", "prompt": "A: It is <<101+1=102>>102.\n#### 102"},
        {"role": "HUMAN", "prompt": "Q: 1 + 1?"},
    ]
    assert project.call("--mode", "eval", "-w", "outputs/here")[0] == out


def test_names_of_another_tool_are_known(project: Project) -> None:
    with_gsm8k(project)
    place = "from opencompass.utils.text_postprocessors import first_option_postprocess\n"
    own = "from ais_bench.benchmark.utils.postprocess.model_postprocessors import math_postprocess\n"
    text = GSM8K.replace("ais_bench.benchmark.", "opencompass.") + place + own
    project.write("old.py", text + toy_model("'2'") + "\ndatasets = gsm8k_datasets\n")
    out, _ = project.call("old.py", "--dry-run")
    assert "[system] Be brief." in out


def test_a_file_beside_the_project_comes_before_what_is_packaged(project: Project) -> None:
    project.write(HOME / "configs/models/mine/vllm_api_general_chat.py", toy_model("'7'"))
    out, _ = project.run("--models", "vllm_api_general_chat", "--search")
    assert "configs/models/mine/vllm_api_general_chat.py" in out.splitlines()[1]
    project.run("--models", "vllm_api_general_chat", "--datasets", DEMO, "--num-prompts", "2")
    assert len(project.lines("toy", "demo_gsm8k")) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("models = [\n", "line 1"),
        ("models = 1 / 0\n", "line 1"),
        ("from .nothing import models\n", "nothing"),
        ("from ais_bench.benchmark.datasets import Nothing\n", "cannot import name 'Nothing'"),
        ("from ais_bench.benchmark.configs.models.vllm_api_chatt import models\n", "did you mean vllm"),
        ("models = dict(abbr='x')\ndatasets = []\n", "is no list"),
        ("models = [dict(type='x')]\n", "has no abbr"),
        ("models = [dict(abbr='x', type=print)]\nfrom ais_bench.benchmark.configs.datasets.demo_gsm8k_gen "
         "import datasets\n", "is no class of a model"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_file_is_said(project: Project, text: str, said: str) -> None:
    project.write("conf.py", text)
    out, err = project.call("conf.py", code=2)
    assert out == ""
    assert said in err


PARTS = """\
from ais_bench.benchmark.datasets import BaseDataset
from ais_bench.benchmark.openicl.icl_evaluator import BaseEvaluator

class Animals(BaseDataset):
    @staticmethod
    def load(path, count):
        test = [{"q": q, "a": q.upper()} for q in path.split()[:count]]
        return {"train": [{"q": "cow", "a": "COW"}], "test": test}

class Halves(BaseEvaluator):
    def __init__(self, share):
        self.share = share
    def score(self, predictions, references):
        right = sum(p == r for p, r in zip(predictions, references))
        return {"note": "mine", "score": 100 * self.share * right / len(references)}

def shout(text, mark):
    return text.upper() + mark

def part(abbr, path, evaluator, template="{q}", retriever=None, post=None):
    return dict(abbr=abbr, type=Animals, path=path, count=3,
                reader_cfg=dict(input_columns=["q"], output_column="a"),
                infer_cfg=dict(prompt_template=dict(template=template, ice_token="</E>"),
                               ice_template=dict(template="{q} is {a}"),
                               retriever=retriever or dict(type="ZeroRetriever"),
                               inferencer=dict(type="GenInferencer")),
                eval_cfg=dict(evaluator=evaluator, **({"pred_postprocessor": post} if post else {})))
"""


def test_classes_of_ones_own(project: Project) -> None:
    text = (
        PARTS
        + toy_model("prompt if prompt.startswith('cow') else prompt.upper()")
        + """
datasets = [
    part("plain", "cat dog emu fox", dict(type="AccEvaluator")),
    part("own", "cat dog emu", dict(type=Halves, share=0.5)),
    part("shots", "cat dog", dict(type="AccEvaluator"), "</E>{q}{a}",
         dict(type="FixKRetriever", fix_id_list=[0]), dict(type=shout, mark="")),
]
"""
    )
    project.write("conf.py", text)
    out, _ = project.call("conf.py")
    rows = {line.split()[0]: line.split()[4] for line in out.splitlines()[1:]}
    assert rows == {"plain": "100.00", "own": "50.00", "shots": "0.00"}
    assert [line["origin_prompt"] for line in project.lines("toy", "plain")] == ["cat", "dog", "emu"]
    (first, _) = project.lines("toy", "shots")
    assert first["origin_prompt"] == "cow is COW\ncat"
    assert project.call("--mode", "eval")[0] == out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ('dict(type="AccEvaluatr")', "did you mean AccEvaluator"),
        ("dict(type=Halves)", "cannot be made"),
        ('dict(type="AccEvaluator"), retriever=dict(type="BM25Retriever")', "there is no retriever"),
        (
            'dict(type="AccEvaluator"), template=dict(round=[dict(role="YOU", prompt="{q}")])',
            "nobody is called 'YOU'",
        ),
        ('dict(type="AccEvaluator"), template={"A": "{q}", "B": "{q}"}', "PPLInferencer goes with"),
        ('dict(type="AccEvaluator"), retriever=dict(type="FixKRetriever", fix_id_list=[4])', "no example 4"),
    ],
)
def test_what_is_wrong_in_a_data_set_is_said(project: Project, change: str, said: str) -> None:
    project.write("conf.py", PARTS + toy_model() + f'datasets = [part("x", "cat", {change})]\n')
    _, err = project.call("conf.py", "--dry-run", code=2)
    assert said in err


def test_data_sets_of_one_kind_are_asked_together(project: Project) -> None:
    text = (
        PARTS
        + toy_model("prompt.upper() if len(prompt) == 3 else ''")
        + 'datasets = [part("ani-one", "cat dog", dict(type="AccEvaluator")),'
        + ' part("ani-two", "cow horse emu", dict(type="AccEvaluator")),'
        + ' part("other", "cow", dict(type="EMEvaluator"))]\n'
        + 'summarizer = dict(dataset_abbrs=["--- all ---", "all", ["ani-two", "accuracy"], "weighted"],'
        + ' summary_groups=[dict(name="all", subsets=["ani-one", ["ani-two", "accuracy"], "other"]),'
        + ' dict(name="weighted", subsets=["ani-one", "ani-two"], weights={"ani-one": 2, "ani-two": 1})])\n'
    )
    project.write("conf.py", text)
    out, _ = project.call("conf.py", "--merge-ds")
    assert [line.split()[-5:-2] for line in out.splitlines()[2:]] == [
        ["naive_average", "gen", "88.89"],
        ["accuracy", "gen", "66.67"],
        ["weighted_average", "gen", "88.89"],
    ]
    (home,) = project.outputs()
    assert sorted(path.name for path in (home / "runs/toy").iterdir()) == ["ani", "other"]
    assert [line["data_abbr"] for line in project.lines("toy", "ani-two")] == ["ani-two"] * 3
    apart, _ = project.call("conf.py")
    assert re.sub(r" {2,}|-", " ", apart) == re.sub(r" {2,}|-", " ", out)
    # A name that is another's already is not taken for what is asked together.
    project.write("conf.py", text.replace('"other"', '"ani"'))
    project.call("conf.py", "--merge-ds")
    assert sorted(path.name for path in (project.outputs()[-1] / "runs/toy").iterdir()) == [
        "ani",
        "ani_merged",
    ]


def test_rows_with_fewer_and_with_more_options_than_labels(project: Project) -> None:
    options = [{"text": word, "label": letter} for word, letter in zip("no so as if or".split(), "ABCDE")]
    rows: list[dict[str, object]] = [
        {"id": key, "question": {"stem": "Why?", "choices": options[:count]}, "answerKey": key}
        for key, count in (("B", 3), ("C", 4), ("D", 5), ("E", 5))
    ]
    write_rows(project, "ARC-Challenge-Test.jsonl", rows)
    text = f"""{WORDS}
from ais_bench.benchmark.datasets import ARCDataset
datasets = [dict(abbr="ARC-c", type=ARCDataset, path="ARC-Challenge-Test.jsonl", name="ARC-Challenge",
    reader_cfg=dict(input_columns=["question"], output_column="answerKey"),
    infer_cfg=dict(
        prompt_template=dict(type=PromptTemplate, template={{
            letter: dict(round=[dict(role="HUMAN", prompt="{{question}}"),
                                dict(role="BOT", prompt="{{text%s}}" % letter)]) for letter in "ABCD"}}),
        retriever=dict(type=ZeroRetriever), inferencer=dict(type=PPLInferencer)),
    eval_cfg=dict(evaluator=dict(type=AccwithDetailsEvaluator)))]
models = [dict(attr="service", type="VLLMCustomAPI", abbr="served", model="embedded", url="URL")]
"""
    with Server("embedded", port=0, wires=["openai"], log=lambda line: None) as server:
        project.write("conf.py", text.replace("URL", server.url))
        _, err = project.call("conf.py", "--dump-eval-details", code=1)
    lines = sorted(project.lines("served", "ARC-c"), key=lambda line: line["id"])
    words = ["no", "so", "as", "if"]
    assert [line["choices"] for line in lines] == [words[:3], words, words, words]
    assert [line["gold"] for line in lines[:3]] == ["B", "C", "D"]
    for line in lines:
        assert line["prediction"] == "ABCD"[line["scores"].index(max(line["scores"]))]
    results = project.results("served", "ARC-c")
    assert sorted(one["prediction"] for one in results["details"]) == sorted(
        line["prediction"] for line in lines
    )
    # Where the answer has no label, none can be right or wrong.
    right = sum(line["prediction"] == line["gold"] for line in lines[:3])
    assert results["accuracy"] == pytest.approx(100 * right / 3) and results["n"] == 3
    assert "sample 'E' has 5 options, its answer 4 scores" in err


def test_likelihoods_of_labels(project: Project) -> None:
    """The embedded model tells how likely texts are; a label's template says which."""
    text = """
from ais_bench.benchmark.datasets import BaseDataset
from ais_bench.benchmark.openicl.icl_prompt_template import PromptTemplate
from ais_bench.benchmark.openicl.icl_inferencer import PPLInferencer
from ais_bench.benchmark.openicl.icl_retriever import ZeroRetriever

class Opposites(BaseDataset):
    @staticmethod
    def load(path):
        return [dict(question="What is the opposite of happy?", A="sad", B="young", answer="A")]

datasets = [dict(abbr="opposites", type=Opposites, path="",
    reader_cfg=dict(input_columns=["question", "A", "B"], output_column="answer"),
    infer_cfg=dict(
        prompt_template=dict(type=PromptTemplate, template={
            letter: dict(round=[dict(role="HUMAN", prompt="Question: {question}"),
                                dict(role="BOT", prompt="Answer: {%s}" % letter)]) for letter in "AB"}),
        retriever=dict(type=ZeroRetriever), inferencer=dict(type=PPLInferencer)))]
models = [dict(abbr="toy", attr="local", type="BaseModel", path="")]
"""
    project.write("conf.py", text)
    from ais_bench.benchmark.cli.asking import Pair
    from ais_bench.benchmark.configuration.files import read_file
    from ais_bench.benchmark.datasets.entries import open_set
    from ais_bench.benchmark.datasets.merging import gather
    from steelyard.evaluation import evaluate

    told = read_file(project.folder / "conf.py")
    (batch,) = gather([open_set(entry) for entry in told["datasets"]], merge=False)
    assert Pair(told["models"][0], batch).title == "toy/opposites"
    run = evaluate("embedded", batch.task, out=project.folder / "run")
    (record,) = run.records()
    assert record.request.prompt == [{"role": "user", "content": "Question: What is the opposite of happy?"}]
    assert record.request.choices == ["Answer: sad", "Answer: young"]
    assert record.response.scores is not None
    assert (batch.sets[0].mode, record.sample.target, record.scores["acc"]) == ("ppl", "A", True)
