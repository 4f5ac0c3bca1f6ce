"""The classes that configurations name, each loaded when it is first used.

A class that one's own folder `ais_bench/benchmark/models` defines, or its `__init__.py` imports, is found
here by its name too.
"""

from importlib import import_module
from pkgutil import extend_path
from typing import Any

from ais_bench.benchmark.models.found import find_own

__path__ = extend_path(__path__, __name__)

_HOMES = {
    "APITemplateParser": "templates",
    "BaseAPIModel": "api_models.base_api",
    "BaseModel": "local_models.base",
    "HuggingFace": "local_models.huggingface",
    "HuggingFaceBaseModel": "local_models.huggingface_above_v4_33",
    "HuggingFaceCausalLM": "local_models.huggingface",
    "HuggingFaceQwen2VLwithChatTemplate": "local_models.huggingface_vl",
    "HuggingFaceVL": "local_models.huggingface_vl",
    "HuggingFacewithChatTemplate": "local_models.huggingface_above_v4_33",
    "LMTemplateParser": "templates",
    "MindieStreamApi": "api_models.mindie_stream_api",
    "PromptType": "turns",
    "TGICustomAPI": "api_models.tgi_api",
    "TGICustomAPIStream": "api_models.tgi_api",
    "TritonCustomAPI": "api_models.triton_api",
    "TritonCustomAPIStream": "api_models.triton_api",
    "VLLMCustomAPI": "api_models.vllm_custom_api",
    "VLLMCustomAPIChat": "api_models.vllm_custom_api_chat",
    "VLLMCustomAPIChatStream": "api_models.vllm_custom_api_chat",
    "VLLMCustomAPIStream": "api_models.vllm_custom_api",
    "VLLMOfflineVLModel": "local_models.vllm_offline_vl",
    "vllmOfflineVL": "local_models.vllm_offline_vl",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605 - a list of names, each with its home


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        found = None if name.startswith("__") else find_own(name, __path__)
        if found is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    else:
        found = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
