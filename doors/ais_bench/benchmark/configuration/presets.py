"""The models, data sets and summarizers that come along, as tables.

    copy_preset("models", "vllm_api_general_chat")      the entry of `models = [dict(...)]`
    copy_preset("datasets", "gsm8k_gen_4_shot_cot_chat_prompt")

The name of a data set says how it is asked: gen writes an answer, ppl compares likelihoods; chat_prompt
is the turns of a chat, str one text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

KINDS = ("models", "datasets", "summarizers")
WORDS = {"models": "model", "datasets": "data set", "summarizers": "summarizer"}

_MODULE = "ais_bench.benchmark.models:"
_SERVICE = {
    "attr": "service", "path": "", "model": "", "stream": False, "request_rate": 0, "retry": 2, "api_key": "",
    "host_ip": "localhost", "host_port": 8080, "url": "", "max_out_len": 512, "batch_size": 32,
    "trust_remote_code": False, "generation_kwargs": {},
}  # fmt: skip
_LOCAL = {
    "attr": "local", "path": "", "max_out_len": 512, "batch_size": 32, "max_seq_len": 2048,
    "generation_kwargs": {},
}  # fmt: skip
_VISION = {"attr": "local", "path": "", "max_out_len": 512, "batch_size": 8, "generation_kwargs": {}}

_MODELS: Mapping[str, tuple[str, Mapping[str, Any], Mapping[str, Any]]] = {
    "vllm_api_general": ("VLLMCustomAPI", _SERVICE, {}),
    "vllm_api_general_chat": ("VLLMCustomAPIChat", _SERVICE, {}),
    "vllm_api_general_stream": ("VLLMCustomAPI", _SERVICE, {"stream": True}),
    "vllm_api_stream_chat": ("VLLMCustomAPIChat", _SERVICE, {"stream": True}),
    "tgi_api_general": ("TGICustomAPI", _SERVICE, {}),
    "tgi_stream_api_general": ("TGICustomAPI", _SERVICE, {"stream": True}),
    "triton_api_general": ("TritonCustomAPI", _SERVICE, {}),
    "triton_stream_api_general": ("TritonCustomAPI", _SERVICE, {"stream": True}),
    "mindie_api_general": ("MindieStreamApi", _SERVICE, {}),
    "mindie_stream_api_general": ("MindieStreamApi", _SERVICE, {"stream": True}),
    "hf_base_model": ("HuggingFaceBaseModel", _LOCAL, {}),
    "hf_chat_model": ("HuggingFacewithChatTemplate", _LOCAL, {}),
    "hf_vl_model": ("HuggingFaceVL", _VISION, {}),
    "hf_qwen2_vl_model": ("HuggingFaceQwen2VLwithChatTemplate", _VISION, {}),
    "vllm_offline_vl_model": ("VLLMOfflineVLModel", _VISION, {"model_kwargs": {}, "sample_kwargs": {}}),
}

_COT = "Question: {input}\nLet's think step by step\nAnswer:"
_STEPS = "{input}\nPlease reason step by step, and put your final answer within \\boxed{{}}."
_LETTER = (
    "{input}\n{options}\nThink step by step, then end with a line that says "
    '"The answer is" and the letter of the right option.'
)
_CHINESE = "{input}\n{options}\n请一步一步地思考，最后一行写“答案是”和正确选项的字母。"
_FOLLOWED = {
    "ifeval.strict": "Prompt-level-strict-accuracy",
    "ifeval.loose": "Prompt-level-loose-accuracy",
    "instructions_strict": "Inst-level-strict-accuracy",
    "instructions_loose": "Inst-level-loose-accuracy",
}
_GSM8K = "gen_4_shot_cot_chat_prompt gen_4_shot_cot_str gen_0_shot_cot_chat_prompt gen_0_shot_cot_str"
_STEPWISE = "gen_0_shot_cot_chat_prompt gen_0_shot_cot_str"
_EXAMS = "gen_5_shot_str gen_0_shot_str gen_0_shot_cot_chat_prompt ppl_5_shot_str ppl_0_shot_str"
_ARC = "gen_0_shot_chat_prompt gen_0_shot_str gen_25_shot_chat_prompt ppl_0_shot_str ppl_25_shot_str"
_FOLDERS = "dev and test"

_SETS: Mapping[str, Mapping[str, Any]] = {
    "demo_gsm8k": {
        "forms": _GSM8K, "task": "arithmetic", "cot": _COT, "limit": 8,
        "options": {"shot_data": "demo/train"},
    },
    "gsm8k": {"forms": _GSM8K, "task": "gsm8k", "cot": _COT, "files": "test.jsonl and train.jsonl"},
    "math500": {"forms": _STEPWISE, "task": "math", "cot": _STEPS, "files": "test.jsonl"},
    "math": {"forms": _STEPWISE, "task": "math", "cot": _STEPS, "files": "the folders test and train"},
    "aime2024": {"forms": _STEPWISE, "task": "aime", "cot": _STEPS, "files": "aime2024.jsonl"},
    "aime2025": {"forms": _STEPWISE, "task": "aime", "cot": _STEPS, "files": "aime2025.jsonl"},
    "mmlu": {"forms": _EXAMS, "task": "mmlu", "cot": _LETTER, "subsets": "subject",
        "files": f"the folders {_FOLDERS}"},
    "ceval": {"forms": _EXAMS, "task": "ceval", "cot": _CHINESE, "subsets": "subject",
        "files": "the folders dev, val and test"},
    "cmmlu": {"forms": _EXAMS, "task": "cmmlu", "cot": _CHINESE, "subsets": "subject",
        "files": f"the folders {_FOLDERS}"},
    "ARC_c": {"forms": _ARC, "task": "arc_challenge", "path": "ARC/ARC-c",
        "files": "ARC-Challenge-Test.jsonl"},
    "ARC_e": {"forms": _ARC, "task": "arc_easy", "path": "ARC/ARC-e", "files": "ARC-Easy-Test.jsonl"},
    "humaneval": {
        "forms": "gen_0_shot", "task": "humaneval", "files": "human-eval-v2-20210705.jsonl",
        "metric": "humaneval_pass@1",
    },
    "ifeval": {"forms": "0_shot_gen_str", "task": "ifeval", "files": "input_data.jsonl", "metric": _FOLLOWED},
    "textvqa": {"forms": "gen", "task": "vqa", "files": "textvqa_val.jsonl"},
}  # fmt: skip
_WORKLOADS: Mapping[str, Mapping[str, Any]] = {
    "synthetic_gen_string": {"abbr": "synthetic", "workload": "synthetic", "config": {
        "Type": "string", "RequestCount": 10, "StringConfig": {
            "Input": {"Method": "uniform", "Params": {"MinValue": 1, "MaxValue": 200}},
            "Output": {"Method": "gaussian",
                "Params": {"Mean": 100, "Var": 200, "MinValue": 1, "MaxValue": 200}},
        }}},
    "synthetic_gen_tokenid": {"abbr": "synthetic", "workload": "synthetic", "config": {
        "Type": "tokenid", "RequestCount": 10, "TokenIdConfig": {"RequestSize": 10, "PrefixLen": 0}}},
    "mooncake_trace_gen": {"abbr": "mooncake_trace", "workload": "mooncake",
        "path": "mooncake_trace/mooncake_trace.jsonl"},
    "burstgpt_gen": {"abbr": "burstgpt", "workload": "burstgpt", "path": "burstgpt/BurstGPT_1.csv"},
    "sharegpt_gen": {"abbr": "sharegpt", "workload": "sharegpt",
        "path": "sharegpt/ShareGPT_V3_unfiltered_cleaned_split.json"},
    "mtbench_gen": {"abbr": "mtbench", "workload": "mtbench", "path": "mtbench/question.jsonl"},
}  # fmt: skip
_WORKLOADS = {"synthetic_gen": _WORKLOADS["synthetic_gen_string"], **_WORKLOADS}
_FORM = re.compile(r"(?:(gen|ppl)_?)?(?:(\d+)_shot_?)?(?:(gen|ppl)_?)?(cot_)?(str|chat_prompt)?")

_USUAL = {f"{name}_gen": f"{name}_{_SETS[name]['forms'].split()[0]}" for name in _SETS}
_USUAL |= {f"{name}_ppl": f"{name}_ppl_0_shot_str" for name in ("mmlu", "ceval", "cmmlu", "ARC_c", "ARC_e")}


def _name_sets() -> dict[str, tuple[str, str]]:
    names = {
        f"{name}_{form}": (name, form) for name, about in _SETS.items() for form in about["forms"].split()
    }
    return {**{usual: names[full] for usual, full in _USUAL.items()}, **names}


PRESETS: Mapping[str, Mapping[str, Any]] = {
    "models": _MODELS,
    "datasets": {**_name_sets(), **_WORKLOADS},
    "summarizers": {
        "example": {"attr": "accuracy"},
        "default_perf": {"attr": "performance", "stage": "total"},
        "stable_stage": {"attr": "performance", "stage": "stable"},
    },
}


def copy_preset(kind: str, name: str) -> dict[str, Any]:
    """An entry of one's own of what comes along under a name."""
    found = PRESETS[kind][name]
    if kind == "models":
        cls, usual, own = found
        return deepcopy({**usual, "type": _MODULE + cls, "abbr": name.replace("_", "-"), **own})
    return _make_set(*found) if isinstance(found, tuple) else deepcopy(dict(found))


def _make_set(name: str, form: str) -> dict[str, Any]:
    about = _SETS[name]
    told = _FORM.fullmatch(form)
    before, shots, after, cot, prompt = told.groups() if told else (None,) * 5
    entry = {
        "abbr": name,
        "task": about["task"],
        "path": about.get("path", name) if "files" in about else None,
        "mode": before or after or "gen",
        "prompt": "str" if prompt == "str" else "chat",
        "shots": int(shots or 0),
    }
    if cot and "cot" in about:
        entry["template"] = about["cot"]
    more = {key: about[key] for key in ("files", "limit", "options", "metric", "subsets") if key in about}
    return deepcopy({**entry, **more})
