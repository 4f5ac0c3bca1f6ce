"""What a prompt is in the tokens of a served model, told at /tokenize as vLLM tells it.

{"prompt": "a b", "add_special_tokens": false}      {"count": 2, "max_model_len": 1024, "tokens": [64, 293]}
{"messages": [{"role": "user", "content": "a b"}]}  the same of a chat, in its template
"""

from __future__ import annotations

import msgspec

from steelyard.errors import DataError
from steelyard.models.base import Model
from steelyard.models.tokenized import TokenModel
from steelyard.serving.requests import fit
from steelyard.types import Request
from steelyard.wire.base import Call, Exchange
from steelyard.wire.openai import OpenAI
from steelyard.wire.openai_errors import decode_json

PATH = "/tokenize"


def accept_count(call: Call) -> Exchange:
    """The call as one that has the prompt answered of which the tokens are asked for."""
    asked = decode_json(call.body)
    chat = isinstance(asked, dict) and "messages" in asked
    exchange = OpenAI().accept(call._replace(path="/v1/chat/completions" if chat else "/v1/completions"))
    if len(exchange.requests) != 1 or exchange.requests[0].choices is not None:
        raise DataError("the tokens of one prompt, or of one chat, are told at a time")
    return exchange


def tell_tokens(request: Request, model: Model) -> bytes:
    """The tokens of a request's prompt, as the model would be fed them."""
    if not isinstance(model, TokenModel):
        raise DataError(f"{model.name} does not tell its tokens")
    request = fit(request, model)
    text, special = model.render(request.prompt)
    if request.params.get("add_special_tokens") is False:
        special = False
    tokens = model.tokens(text, special=special)
    told = {"count": len(tokens), "max_model_len": model.positions, "tokens": tokens, "token_strs": None}
    return msgspec.json.encode(told)
