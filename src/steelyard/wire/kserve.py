"""The wire of KServe's v2 protocol, as Triton and KServe's servers have it: tensors in, tensors out.

    POST /v2/models/llm/infer                     200
    {"inputs": [{"name": "text_input",       →    {"model_name": "llm", "model_version": "1",
      "datatype": "BYTES", "shape": [1, 1],        "outputs": [{"name": "text_output",
      "data": ["2 + 2 ="]}]}                         "datatype": "BYTES", "shape": [1, 1], "data": [" 4"]}]}

Several texts are one tensor. Parameters are those of the request, unless `tensors` says of which type the
model has an input for them ({"max_tokens": "INT32"}). With `binary` tensors travel as bytes, as
Triton's own clients have them do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from steelyard.errors import DataError, UsageError
from steelyard.types import Prompt, Request, Response
from steelyard.wire.base import Call, Exchange
from steelyard.wire.openai_errors import say_error
from steelyard.wire.plain import to_response
from steelyard.wire.repository import VERSION, Place, RepositoryWire, read_parameters
from steelyard.wire.tensors import LENGTH, Tensor, read_body, read_tensors, tensor_of, write_body
from steelyard.wire.texts import as_text, read_tokens

_SCORES, _LABELS = "scores", "labels"
_BYTES = {"Content-Type": "application/octet-stream"}


class KServe(RepositoryWire):
    """Inference as KServe has it; `flat` tensors of texts have one dimension, [n], instead of [n, 1]."""

    together = True
    streams = False
    routes = ("/v2/models/{model}/infer", f"/v2/models/{{model}}/versions/{VERSION}/infer")

    def __init__(
        self,
        *,
        model: str | None = None,
        version: str | None = None,
        params: Mapping[str, Any] | None = None,
        names: Mapping[str, str] | None = None,
        tensors: Mapping[str, str] | None = None,
        input: str = "text_input",  # noqa: A002 - what the protocol calls it
        output: str = "text_output",
        flat: bool = False,
        binary: bool = False,
        echoed: bool = False,
    ) -> None:
        super().__init__(
            model=model,
            version=version,
            params=params,
            names=names,
            input=input,
            output=output,
            echoed=echoed,
        )
        self.tensors, self.flat, self.binary = dict(tensors or {}), flat, binary

    def identity(self) -> Mapping[str, Any]:
        """The protocol, the model, and what goes with every request in which form."""
        return {**super().identity(), "tensors": self.tensors, "flat": self.flat}

    def locate(self, url: str) -> str:
        """The address with the model's infer below it."""
        return self.locate_verb(url, "infer")

    def read_failure(self, body: bytes) -> str:
        """The message of an error, and what mends it."""
        said = super().read_failure(body)
        if "unexpected shape" not in said:
            return said
        return f"{said.partition(' NOTE: ')[0]} (flat={str(not self.flat).lower()})"

    def open(self, requests: Sequence[Request]) -> Exchange:
        """The client's side of a tensor of texts."""
        return _Inference(self, requests)

    def accept(self, call: Call) -> Exchange:
        """The server's side of a tensor of texts, whose other inputs are parameters."""
        asked, blob = read_body(call.body, call.headers)
        given = {tensor.name: tensor for tensor in read_tensors(asked.get("inputs"), blob)}
        texts = given.pop(self.input, None)
        if texts is None:
            raise DataError(f"there is no input {self.input}", hint="a tensor of the datatype BYTES")
        if texts.datatype != "BYTES" or not texts.values or not all(isinstance(v, str) for v in texts.values):
            raise DataError(f"the input {self.input} has no texts", hint="the datatype BYTES")
        own = asked.get("parameters") or {}
        wanted = asked.get("outputs") or []
        if not isinstance(own, dict) or not _are_outputs(wanted):
            raise DataError("parameters are an object, outputs are a list of objects with a name")
        params = {name: value for name, value in own.items() if name != "binary_data_output"}
        columns = {name: tensor.rows(_count(tensor, len(texts.values))) for name, tensor in given.items()}
        requests = [
            Request(str(n), text, params=read_parameters({**params, **_row(columns, n)}))
            for n, text in enumerate(texts.values)
        ]
        exchange = _Inference(self, requests)
        exchange.model = Place.of(call.path).model or self.model
        exchange.shape, exchange.id = texts.shape, asked.get("id")
        exchange.all_binary = own.get("binary_data_output") is True
        exchange.wanted = {
            one["name"]: bool((one.get("parameters") or {}).get("binary_data", exchange.all_binary))
            for one in wanted
        }
        return exchange


class _Inference(Exchange):
    """One tensor of texts and the tensors of its answers."""

    id: Any = None
    all_binary = False
    shape: Sequence[int] = ()

    def __init__(self, wire: KServe, requests: Sequence[Request]) -> None:
        super().__init__(requests)
        self.wire, self.model = wire, wire.model
        self.wanted: dict[str, bool] = {}

    def encode_request(self) -> bytes:
        """The body of all requests; a UsageError where they cannot go together."""
        if any(request.choices is not None for request in self.requests):
            raise UsageError("the protocol tells no likelihoods of choices", hint="ask for a letter instead")
        spelt = [self._spell(request) for request in self.requests]
        params = [{name: one[name] for name in one if name not in self.wire.tensors} for one in spelt]
        if any(one != params[0] for one in params):
            raise UsageError("questions with different parameters do not go together")
        inputs = self._inputs([request.prompt for request in self.requests])
        for name, kind in self.wire.tensors.items():
            values = [one[name] for one in spelt if name in one]
            if values and len(values) < len(spelt):
                raise UsageError(f"some questions say {name}, others do not")
            if values:
                inputs.append(tensor_of(name, values, shape=self._shape(len(values), 1), datatype=kind))
        about: dict[str, Any] = {"id": self.requests[0].id}
        if params[0] or self.wire.binary:
            about["parameters"] = {**params[0], **({"binary_data_output": True} if self.wire.binary else {})}
        body, size = write_body(about, "inputs", [(tensor, self.wire.binary) for tensor in inputs])
        if self.wire.binary:
            self.headers = {**_BYTES, LENGTH: str(size)}
        return body

    def decode_whole(self, body: bytes, headers: Mapping[str, str]) -> Sequence[Response]:
        """The responses, one a row of the output."""
        answer, blob = read_body(body, headers)
        if answer.get("error"):
            raise DataError(f"the service reports an error: {say_error(answer['error'])}")
        outputs = {tensor.name: tensor for tensor in read_tensors(answer.get("outputs"), blob)}
        count = len(self.requests)
        rows = {name: tensor.rows(count) for name, tensor in outputs.items()}
        if self.wire.output not in rows:
            keys = ", ".join(rows) or "none"
            raise DataError(
                f"the answer has no output {self.wire.output} (it has: {keys})", hint="output=NAME"
            )
        return [self._read(n, {name: row[n] for name, row in rows.items()}) for n in range(count)]

    def encode_answer(self, responses: Sequence[Response]) -> bytes:
        """The texts, and the scores where all answers have as many."""
        texts = Tensor(self.wire.output, "BYTES", self.shape, [response.text for response in responses])
        tensors = {tensor.name: tensor for tensor in (texts, *_scores(responses))}
        if odd := [name for name in self.wanted if name not in tensors]:
            raise DataError(f"unexpected inference output {odd[0]!r} for model {self.model!r}")
        wanted = self.wanted or dict.fromkeys(tensors, self.all_binary)
        about = {"model_name": self.model or "", "model_version": VERSION}
        about = about if self.id is None else {"id": self.id, **about}
        body, size = write_body(
            about, "outputs", [(tensors[name], binary) for name, binary in wanted.items()]
        )
        if any(wanted.values()):
            self.headers = {**_BYTES, LENGTH: str(size)}
        return body

    def _spell(self, request: Request) -> dict[str, Any]:
        params, names = {**self.wire.params, **request.params}, self.wire.names
        spelt = {names.get(name, name): value for name, value in params.items() if value is not None}
        stop = spelt.get("stop")
        if isinstance(stop, (list, tuple)) and len(stop) == 1:
            # A parameter may not be a list.
            spelt["stop"] = stop[0]
        return spelt

    def _inputs(self, prompts: Sequence[Prompt]) -> list[Tensor]:
        shape = self._shape(len(prompts), 1)
        if not any(isinstance(prompt, Mapping) for prompt in prompts):
            return [Tensor(self.wire.input, "BYTES", shape, [as_text(prompt) for prompt in prompts])]
        if len(prompts) > 1:
            raise UsageError("questions of several inputs do not go together")
        (prompt,) = prompts
        inputs = []
        for name, value in prompt.items() if isinstance(prompt, Mapping) else ():
            values = list(value) if isinstance(value, (list, tuple)) else [value]
            kind = self.wire.tensors.get(name, "")
            inputs.append(tensor_of(name, values, shape=self._shape(1, len(values)), datatype=kind))
        return inputs

    def _shape(self, count: int, size: int) -> list[int]:
        return [count * size] if self.wire.flat else [count, size]

    def _read(self, place: int, row: Mapping[str, Sequence[Any]]) -> Response:
        """An answer of one row; a model that is none of texts may have given anything."""
        found: Any = row[self.wire.output]
        raw = {name: values[0] if len(values) == 1 else list(values) for name, values in row.items()}
        if all(isinstance(value, str) for value in found):
            response = Response(self.wire.cut("".join(found[:1]), self.requests[place].prompt))
            if len(found) == 1:
                del raw[self.wire.output]
        else:
            response = to_response(found[0] if len(found) == 1 else list(found))
        scores, labels = row.get(_SCORES), row.get(_LABELS)
        given: Any = response.scores
        if scores is not None:
            given = dict(zip(labels, scores)) if labels is not None else list(scores)
        tokens = read_tokens(raw.get("num_input_tokens"), raw.get("num_output_tokens"))
        return Response(response.text, scores=given, tokens=tokens, error=response.error, raw=raw or None)


def _scores(responses: Sequence[Response]) -> list[Tensor]:
    """The scores of all answers as a tensor, and their names as another; none where they are not alike."""
    given = [response.scores for response in responses]
    sizes = {len(scores) if scores is not None else 0 for scores in given}
    if len(sizes) > 1 or 0 in sizes:
        return []
    shape = [len(given), *sizes]
    named = [scores for scores in given if isinstance(scores, Mapping)]
    if len(named) == len(given):
        values = [Tensor(_LABELS, "BYTES", shape, [str(name) for scores in named for name in scores])]
        return [*values, Tensor(_SCORES, "FP64", shape, [s for scores in named for s in scores.values()])]
    listed = [score for scores in given if isinstance(scores, (list, tuple)) for score in scores]
    return [Tensor(_SCORES, "FP64", shape, listed)] if not named else []


def _count(tensor: Tensor, count: int) -> int:
    """Into how many rows a tensor is cut: as many as there are texts, or one for all of them."""
    return 1 if len(tensor.values) == 1 else count


def _row(columns: Mapping[str, Sequence[Sequence[Any]]], place: int) -> dict[str, Any]:
    rows = {name: rows[place if len(rows) > 1 else 0] for name, rows in columns.items()}
    return {name: row[0] if len(row) == 1 else list(row) for name, row in rows.items()}


def _are_outputs(wanted: Any) -> bool:
    return isinstance(wanted, list) and all(
        isinstance(one, dict)
        and isinstance(one.get("name"), str)
        and isinstance(one.get("parameters", {}), dict)
        for one in wanted
    )
