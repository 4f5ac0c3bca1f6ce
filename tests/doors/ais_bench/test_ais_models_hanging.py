"""What a configuration's entry becomes, and where its class is found."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from ais_bench.benchmark import models
from ais_bench.benchmark.models import BaseAPIModel, BaseModel
from ais_bench.benchmark.models.hanging import check_fields, hang, make_model
from steelyard.errors import SteelyardError, UnknownName


class Narrow(BaseAPIModel):
    def __init__(self, path: str = "", host_port: int = 1) -> None:
        super().__init__(path=path, host_port=host_port)
        self.told = dict(vars(self))

    def named(self) -> None:
        """A method."""


class Wide(BaseModel):
    def __init__(self, path: str, **kwargs: Any) -> None:
        super().__init__(path)
        self.told = kwargs


def test_the_constructor_takes_what_it_names_and_attributes_are_set_of_the_rest() -> None:
    made: Any = make_model(
        {
            "type": Narrow, "attr": "service", "abbr": "n", "path": "here", "model": "", "timeout": 3,
            "batch_size": 8, "request_rate": 2.5, "max_out_len": 12, "pred_postprocessor": {"type": str},
            "traffic_cfg": {}, "run_cfg": {}, "use_timestamp": True, "min_out_len": 1,
        }
    )  # fmt: skip
    assert (made.path, made.model, made.timeout) == ("here", "", 3)
    assert (made.batch_size, made.request_rate, made.max_out_len) == (8, 2.5, 12)
    assert "model" not in made.told and not hasattr(made, "pred_postprocessor") and not hasattr(made, "attr")


def test_a_constructor_with_keywords_gets_them() -> None:
    made: Any = make_model({"type": Wide, "attr": "local", "path": "p", "max_out_len": 3, "seed": 1})
    assert (made.told, made.max_out_len, made.max_seq_len) == ({"max_out_len": 3, "seed": 1}, 3, 2048)


def test_fields_that_nobody_knows_are_refused_where_they_are_written() -> None:
    class Derived(Wide, dict[str, Any]):
        pass

    check_fields({"type": Narrow, "mine": 1}, ["mine", "host_port", "timeout", "batch_size", "abbr", "proxy"])
    # One that takes any may be given any.
    check_fields({"type": Derived}, ["whatever"])
    for cls, slip, near in ((Narrow, "hostport", "host_port"), (models.HuggingFace, "peft_pth", "peft_path")):
        with pytest.raises(UnknownName, match=f"no field of {cls.__name__} '{slip}'.*did you mean {near}"):
            check_fields({"type": cls}, [slip])


def test_attributes_come_behind_the_constructor_of_a_base_too() -> None:
    made = models.BaseAPIModel(host_port=1, unknown=7)
    assert vars(made)["unknown"] == 7 and made.base_url == "http://localhost:1/"
    local: Any = models.BaseModel("p", 10, True, None, {"top_p": 1}, True, other=1)
    assert (local.max_seq_len, local.tokenizer_only, local.generation_kwargs) == (10, True, {"top_p": 1})
    assert (local.sync_rank, local.other) == (True, 1)


@pytest.mark.parametrize(
    "ref", ["VLLMCustomAPIChat", "ais_bench.benchmark.models.VLLMCustomAPIChat", models.VLLMCustomAPIChat]
)
def test_classes_may_be_named(ref: Any) -> None:
    model = hang({"type": ref, "model": "m", "url": "http://127.0.0.1:1", "batch_size": 3})
    assert (model.name, model.concurrency, model.chat) == ("VLLMCustomAPIChat", 3, True)


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ({}, "None is no class of a model"),
        ({"type": dict}, "derives from BaseAPIModel"),
        ({"type": "VLLMCustom"}, "'VLLMCustom' is no class of a model"),
        ({"type": "steelyard.models.base.Model"}, "is no class of a model"),
        ({"type": "no.such.module.Class"}, "there is no module 'no.such.module'"),
        ({"type": Narrow, "attr": "remote"}, "attr is 'remote' (service or local)"),
        ({"type": Narrow, "named": 1}, "'named' is a method of Narrow"),
        ({"type": "HuggingFaceBaseModel", "path": "x", "mode": "left"}, "mode is 'left' (none or mid)"),
    ],
)
def test_what_is_no_model(config: Any, error: str) -> None:
    with pytest.raises(SteelyardError) as caught:
        hang(config)
    assert error in str(caught.value)


def test_names_in_a_module_that_are_not_there_are_near_others() -> None:
    with pytest.raises(UnknownName, match="VLLMCustomAPIChat"):
        hang({"type": "ais_bench.benchmark.models.api_models.vllm_custom_api_chat.VLLMCustomAPIChats"})


def test_all_documented_names_are_there_and_load_nothing_heavy() -> None:
    code = """
        import sys
        from ais_bench.benchmark import models
        from ais_bench.benchmark.models import *
        from ais_bench.benchmark.models.api_models.base_api import APITemplateParser, BaseAPIModel
        from ais_bench.benchmark.models.local_models.base import BaseModel, LMTemplateParser
        from ais_bench.benchmark.models.local_models import huggingface, huggingface_above_v4_33
        from ais_bench.benchmark.models.local_models import huggingface_vl, vllm_offline_vl
        from ais_bench.benchmark.models.output import Output, RequestOutput
        from ais_bench.benchmark.openicl.icl_evaluator import AccEvaluator
        from ais_bench.benchmark.openicl.icl_inferencer import GenInferencer, PPLInferencer
        from ais_bench.benchmark.openicl.icl_prompt_template import PromptTemplate
        from ais_bench.benchmark.openicl.icl_retriever import FixKRetriever, ZeroRetriever
        assert HuggingFaceVL is HuggingFaceQwen2VLwithChatTemplate and vllmOfflineVL is VLLMOfflineVLModel
        assert issubclass(HuggingFacewithChatTemplate, BaseModel)
        assert issubclass(MindieStreamApi, BaseAPIModel)
        assert set(models.__all__) <= set(dir(models))
        print([name for name in ("torch", "transformers", "vllm", "numpy") if name in sys.modules])
    """
    done = subprocess.run([sys.executable, "-c", dedent(code)], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
    with pytest.raises(AttributeError, match="no attribute 'Unknown'"):
        _ = models.Unknown


OWN = {
    "ais_bench/benchmark/models/api_models/mine.py": "class Mine:\n    where = __name__\n",
    "ais_bench/benchmark/models/local_models/other.py": (
        "from .base import BaseModel\nclass Other(BaseModel):\n    where = __name__\n"
    ),
    "ais_bench/benchmark/models/__init__.py": "from elsewhere import Third\nfrom .deep import Fourth\n",
    "ais_bench/benchmark/models/deep.py": "class Fourth:\n    where = __name__\n",
    "ais_bench/benchmark/models/broken.py": "raise RuntimeError('nobody asked for this')\n",
    "elsewhere.py": "class Third:\n    where = __name__\n",
}
ASKED = """
    from ais_bench.benchmark.models.api_models.mine import Mine
    from ais_bench.benchmark.models import Mine as Again, Other, Third, Fourth, VLLMCustomAPI
    from ais_bench.benchmark.models.api_models.vllm_custom_api import VLLMCustomAPI as Ours
    assert Mine is Again and Ours is VLLMCustomAPI
    print(Mine.where, Other.where, Third.where, Fourth.where, sep="\\n")
"""


@pytest.mark.parametrize("packaged", [False, True], ids=["bare folders", "with __init__.py"])
@pytest.mark.parametrize("beside", ["working folder", "path"])
def test_a_folder_of_ones_own_extends_the_package(beside: str, packaged: bool, tmp_path: Path) -> None:
    for name, text in OWN.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    if packaged:
        for folder in ("benchmark", "benchmark/models/api_models", "benchmark/models/local_models"):
            (tmp_path / "ais_bench" / folder / "__init__.py").touch()
    (tmp_path / "empty").mkdir()
    # A script lies elsewhere, as an installed command does: the working folder is not on its path.
    script = tmp_path / "empty" / "script.py"
    script.write_text(
        ("import sys; sys.path.append('.')\n" if beside == "working folder" else "") + dedent(ASKED)
    )
    folder, path = (tmp_path, "") if beside == "working folder" else (tmp_path / "empty", str(tmp_path))
    done = subprocess.run(
        [sys.executable, str(script)], cwd=folder, env={"PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.stderr == ""
    package = "ais_bench.benchmark.models"
    assert done.stdout.split() == [
        f"{package}.api_models.mine", f"{package}.local_models.other", "elsewhere", f"{package}.deep",
    ]  # fmt: skip
