"""Inferencers: what a model is asked to do with a prompt."""


class BaseInferencer:
    """Asks a model."""


class GenInferencer(BaseInferencer):
    """Has it write an answer, of at most `max_out_len` tokens."""


class MultiTurnGenInferencer(GenInferencer):
    """Has it answer turn after turn; `infer_mode` says whose answers stand before each."""


class PPLInferencer(BaseInferencer):
    """Asks how likely each of the answers is that the template gives, and takes the likeliest."""
