"""tritonclient against URL; see asking.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import tritonclient.http as triton
from asking import PROMPT, URL, tell, told

one = triton.InferenceServerClient(URL.removeprefix("http://"))
KEY = {"Authorization": "Bearer right"}


def infer(
    texts: list[str], *, binary: bool, named: bool = True, key: Any = KEY, model: str = "small"
) -> list[str]:
    data = np.array([text.encode() for text in texts], dtype=object)
    given = triton.InferInput("text_input", list(data.shape), "BYTES")
    given.set_data_from_numpy(data, binary_data=binary)
    outputs = [triton.InferRequestedOutput("text_output", binary_data=binary)] if named else None
    # A copy: the library writes into the headers that it is given.
    answer = one.infer(model, [given], outputs=outputs, headers=dict(key), parameters={"max_tokens": 8})
    return [
        text.decode() if isinstance(text, bytes) else text
        for text in answer.as_numpy("text_output").flatten()
    ]


told("live", one.is_server_live)
told("ready", lambda: one.is_server_ready(headers=KEY))
told("model ready", lambda: one.is_model_ready("small", headers=KEY))
told("no model ready", lambda: one.is_model_ready("other", headers=KEY))
told("server", lambda: one.get_server_metadata(headers=KEY)["name"])
told("inputs", lambda: [entry["name"] for entry in one.get_model_metadata("small", headers=KEY)["inputs"]])
told("binary", lambda: infer([PROMPT], binary=True))
told("json", lambda: infer([PROMPT], binary=False))
told("unnamed", lambda: infer([PROMPT], binary=True, named=False))
told("several", lambda: infer([PROMPT, PROMPT + " and"], binary=True))
told("other model", lambda: infer([PROMPT], binary=True, model="other"))
told("too many", lambda: infer([PROMPT], binary=True, model="full"))
told("wrong key", lambda: infer([PROMPT], binary=True, key={"Authorization": "Bearer wrong"}))
tell()
