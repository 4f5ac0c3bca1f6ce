"""The model that comes with steelyard, its answer in the pieces that it writes."""

import asyncio

import numpy as np
import triton_python_backend_utils as pb_utils

from steelyard import Request, open_model


class TritonPythonModel:
    def initialize(self, args):
        self.model = open_model("embedded")

    def execute(self, requests):
        for request in requests:
            asyncio.run(self.answer(request, request.get_response_sender()))

    async def answer(self, request, sender):
        def read(name, default):
            tensor = pb_utils.get_input_tensor_by_name(request, name)
            return default if tensor is None else tensor.as_numpy().reshape(-1)[0]

        def send(piece):
            tensor = pb_utils.Tensor("text_output", np.array([piece.encode()], dtype=object))
            sender.send(pb_utils.InferenceResponse([tensor]))

        params = {"max_tokens": int(read("max_tokens", 16))}
        asked = Request(id="0", prompt=read("text_input", b"").decode(), params=params)
        said = [chunk.text async for chunk in self.model.stream(asked)]
        for piece in said if read("stream", True) else ["".join(said)]:
            send(piece)
        sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

    def finalize(self):
        self.model.close()
