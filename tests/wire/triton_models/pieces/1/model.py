"""The prompt in capitals, a word at a time; "fail" as a word fails there, the parameter "last" comes last."""

import json

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            for piece in pieces(request):
                sender.send(said(piece))
                if piece.strip() == "FAIL":
                    break
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)


def said(piece):
    if piece.strip() == "FAIL":
        return pb_utils.InferenceResponse([], error=pb_utils.TritonError("this word fails"))
    tensor = pb_utils.Tensor("text_output", np.array([piece.encode()], dtype=object))
    return pb_utils.InferenceResponse([tensor])


def read(request, name, default):
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return default if tensor is None else tensor.as_numpy().reshape(-1)[0]


def pieces(request):
    words = (
        read(request, "text_input", b"").decode().upper().split(" ")[: int(read(request, "max_tokens", 1000))]
    )
    words = [word if n == 0 else f" {word}" for n, word in enumerate(words)]
    words += [f" {json.loads(request.parameters())['last']}"] if "last" in request.parameters() else []
    return words if read(request, "stream", True) else ["".join(words)]
