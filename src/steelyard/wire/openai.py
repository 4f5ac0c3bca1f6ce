"""The OpenAI wire: chat completions, as OpenAI, vLLM, SGLang, llama.cpp and many others speak them.

    POST /v1/chat/completions                            200
    {"model": "m", "max_tokens": 8, "messages": [   →    {"choices": [{"message": {"content": "Hi"},
      {"role": "user", "content": "Hello"}]}              "finish_reason": "stop"}], "usage": {…}}

A text becomes one turn of the user. Pictures and sounds travel within the body. Parameters go as they
are, beside the messages: also those that only some services know (top_k, regex, …). With `stream` the
answer comes in events, and it is known when each piece of it was there. A server takes completions and
embeddings as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from steelyard.errors import DataError, UsageError
from steelyard.types import Request, Response
from steelyard.wire import likelihoods
from steelyard.wire.base import Call, Exchange
from steelyard.wire.completions import Completions
from steelyard.wire.embeddings import Embeddings
from steelyard.wire.openai_choices import read_usage
from steelyard.wire.openai_parameters import Parameters, read_call, read_parameters, repeat
from steelyard.wire.openai_service import OpenAIExchange, OpenAIService, odds_response
from steelyard.wire.turns import accept_turn, encode_prompt, has_pictures


class OpenAI(OpenAIService):
    """Chat completions of one model of a service; `params` go with every request that has no other."""

    chat = True
    path = "/chat/completions"
    routes = ("/v1/chat/completions", "/chat/completions", *Completions.routes, *Embeddings.routes)
    likelihoods = (likelihoods.CHOICES, likelihoods.PROMPT, likelihoods.FIRST)

    def __init__(
        self,
        *,
        model: str | None = None,
        path: str | None = None,
        params: Mapping[str, Any] | None = None,
        detail: str | None = None,
        stream: bool = False,
        likelihood: str | None = None,
    ) -> None:
        super().__init__(model=model, path=path, params=params, stream=stream, likelihood=likelihood)
        self.detail = detail

    def identity(self) -> Mapping[str, Any]:
        """The protocol, the model's name, and what goes with every request."""
        return {**super().identity(), "detail": self.detail}

    @property
    def asks_each(self) -> bool:
        """Whether each choice goes in a call of its own: a call has one chat."""
        return self.likelihood == likelihoods.PROMPT

    def open(self, requests: Sequence[Request]) -> Exchange:
        """The client's side of one completion."""
        return ChatExchange(self, requests)

    def accept(self, call: Call) -> Exchange:
        """The server's side of a call; pictures are to come within the body, or from http(s)."""
        path = call.path.partition("?")[0].rstrip("/")
        for other in (Completions, Embeddings):
            if path in other.routes:
                return other(model=self.model, params=self.params).accept(call)
        asked = read_call(call.body, wanted="messages")
        if not isinstance(asked["messages"], list):
            raise DataError("messages: a list of messages was expected")
        try:
            turns = [accept_turn(turn, place) for place, turn in enumerate(asked["messages"])]
        except DataError as error:
            raise DataError(f"messages: {error}") from error
        if not turns:
            raise DataError("messages: there is no message")
        parameters = read_parameters(asked, own=("messages", "choices"))
        if asked.get("choices") is not None:
            scored = Request("0", turns, tuple(asked["choices"]), parameters.params)
            return ChatExchange(self, [scored], parameters._replace(stream=False, answers=1))
        asking = Request("0", turns, params=parameters.params)
        return ChatExchange(self, repeat(asking, parameters.answers), parameters)


class ChatExchange(OpenAIExchange):
    """One chat completion."""

    chat = True
    kinds = ("chat.completion", "chat.completion.chunk")
    letters = "chatcmpl"

    def __init__(self, wire: OpenAI, requests: Sequence[Request], asked: Parameters | None = None) -> None:
        super().__init__(wire, requests, asked)
        self.detail = wire.detail
        self.slow = any(has_pictures(request.prompt) for request in requests)

    def encode_prompts(self) -> dict[str, Any]:
        """The messages of the one request."""
        (request,) = self.requests
        return encode_prompt(request.prompt, detail=self.detail)

    def encode_scored(self, request: Request) -> dict[str, Any]:
        """The messages, and what tells how likely the choices are as their answer."""
        body, way = self.encode_prompts(), self.wire.likelihood
        choices = request.choices or ()
        if way == likelihoods.CHOICES:
            return {**body, "choices": list(choices), "max_tokens": 1}
        if way == likelihoods.FIRST:
            return {**body, "max_tokens": 1, "logprobs": True, "top_logprobs": likelihoods.TOP_OF_CHAT}
        if way != likelihoods.PROMPT:
            raise UsageError(
                "a chat service gives no likelihoods of choices", hint="ask it for a letter instead"
            )
        if choices:
            answer = {"role": "assistant", "content": choices[0]}
            begun = {"continue_final_message": True, "add_generation_prompt": False}
            body = {**body, "messages": [*body["messages"], answer], **begun}
        return {**body, "max_tokens": 1, "prompt_logprobs": 0}

    def read_scored(self, answer: Mapping[str, Any], choices: Sequence[dict[str, Any]]) -> Response:
        """How likely the choices of the one request are, or what a call of several tells of one of them."""
        wanted, tokens = self.requests[0].choices or (), read_usage(answer.get("usage"))
        if self.wire.likelihood == likelihoods.CHOICES:
            return likelihoods.read_choices(choices, len(wanted), tokens)
        if self.wire.likelihood == likelihoods.PROMPT:
            return odds_response(likelihoods.read_prompt(answer.get("prompt_logprobs")), answer)
        told = (choices[0].get("logprobs") or {}).get("content") or [{}]
        top = [(one["token"], one["logprob"]) for one in told[0].get("top_logprobs") or ()]
        return likelihoods.read_first(wanted, top, tokens)
