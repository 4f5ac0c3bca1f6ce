"""Small sounds for tests: noise that is never twice the same, and files of it in every format."""

from __future__ import annotations

import io
from typing import Any

import av
import numpy as np
import soundfile


def noise(seconds: float = 1.0, *, rate: int = 44100, channels: int = 2, seed: int = 0) -> Any:
    """Noise as [samples, channels] with values that sixteen bits hold."""
    shape = (int(seconds * rate), channels)
    values = np.random.default_rng(seed).normal(0, 3000, shape)
    return np.clip(np.rint(values), -32768, 32767).astype(np.float64) / 32768


def hum(seconds: float = 1.0, *, rate: int = 44100, channels: int = 2, seed: int = 0) -> Any:
    """Noise without its high tones, which what loses little keeps."""
    values = noise(seconds, rate=rate, channels=channels, seed=seed)
    smooth = np.cumsum(values, axis=0)
    smooth = smooth[20:] - smooth[:-20]
    return smooth / np.abs(smooth).max() / 2


def encode(samples: Any, kind: str = "WAV", subtype: str | None = None, *, rate: int = 44100) -> bytes:
    """A file that libsndfile writes."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


def encode_container(
    samples: Any, codec: str = "aac", kind: str = "ipod", *, rate: int = 44100, bits: int = 192_000
) -> bytes:
    """A file that PyAV writes: M4A, unless something else is said."""
    file = io.BytesIO()
    layout = {1: "mono", 2: "stereo"}[samples.shape[1]]
    with av.open(file, "w", format=kind) as container:
        stream: Any = container.add_stream(codec, rate=rate)
        stream.layout, stream.bit_rate = layout, bits
        stream.codec_context.open()
        planar = np.ascontiguousarray(samples.T.astype(np.float32))
        frame: Any = av.AudioFrame.from_ndarray(planar, format="fltp", layout=layout)
        frame.sample_rate, frame.pts = rate, 0
        context = stream.codec_context
        cutter = av.AudioResampler(context.format.name, layout, rate, context.frame_size or None)
        for cut in [*cutter.resample(frame), *cutter.resample(None), None]:
            for packet in stream.encode(cut):
                container.mux(packet)
    return file.getvalue()
