"""The prompt in capitals, its first words only where max_tokens says so; batched."""

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [answer(request) for request in requests]


def answer(request):
    given = pb_utils.get_input_tensor_by_name(request, "text_input").as_numpy()
    most = pb_utils.get_input_tensor_by_name(request, "max_tokens")
    limits = np.full(given.size, 1000) if most is None else most.as_numpy().reshape(-1)
    words = [text.decode().upper().split(" ")[:limit] for text, limit in zip(given.reshape(-1), limits)]
    texts = np.array([" ".join(some).encode() for some in words], dtype=object).reshape(given.shape)
    counts = np.array([len(some) for some in words], dtype=np.int32).reshape(given.shape)
    return pb_utils.InferenceResponse(
        [pb_utils.Tensor("text_output", texts), pb_utils.Tensor("num_output_tokens", counts)]
    )
