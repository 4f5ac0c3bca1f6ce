"""The published music reward model for any purpose: a checkpoint in, scores of music out.

inference = RewardModelInference("cmi-rm/model.safetensors", device="cpu")
inference.score("song.mp3", text="a cheerful pop song")         {"alignment": 0.41, "quality": 0.27}
inference.score_batch([{"audio": "a.wav", "text": "jazz"}, {"audio": waveform, "ref_audio": "b.wav"}])

python -m baselines.inference -c cmi-rm/model.safetensors -a song.mp3 -t "a cheerful pop song"
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steelyard.cli.progress import bar_of
from steelyard.cli.screen import printable, tell
from steelyard.errors import SteelyardError, UsageError
from steelyard.media.sounds import Sound, is_samples
from steelyard.models.music.opening import load_music_reward
from steelyard.models.rewards import Piece, score_pieces

if TYPE_CHECKING:
    import numpy as np

_FIELDS = tuple(Piece.__dataclass_fields__)


class RewardModelInference:
    """A checkpoint with `config.yaml` beside it or one level above, ready to score music.

    Music is a path, or samples at `sr` as an array or a tensor. `mode` is final (the first `max_dur` seconds
    in one pass) or standard (windows of `max_dur` seconds, one every `dur_step`, whose scores are averaged).
    `bf16` counts on CUDA alone.
    """

    def __init__(  # noqa: PLR0917 - in the documented order
        self,
        checkpoint: str | Path,
        config: str | Path | None = None,
        device: str = "cuda:0",
        sr: int = 24000,
        mode: str = "final",
        bf16: bool = True,
    ) -> None:
        self.sr, self.mode = sr, mode
        self.model: Any = load_music_reward(checkpoint, config=config, device=device, mode=mode, bf16=bf16)

    def score(  # noqa: PLR0917 - in the documented order
        self,
        audio: Any,
        text: str = "",
        lyrics: str = "",
        ref_audio: Any = None,
        max_dur: float | None = 30,
        dur_step: float | None = None,
    ) -> dict[str, float]:
        """How well one piece of music goes with what was asked for, and how good it is."""
        item = {"audio": audio, "text": text, "lyrics": lyrics, "ref_audio": ref_audio}
        alignment, quality = self.score_batch([item], max_dur=max_dur, dur_step=dur_step)[0]
        return {"alignment": float(alignment), "quality": float(quality)}

    def score_batch(
        self,
        batch: Sequence[Mapping[str, Any]],
        batch_size: int = 4,
        max_dur: float | None = 30,
        dur_step: float | None = None,
        show_progress: bool = False,
    ) -> np.ndarray[Any, Any]:
        """The scores of several pieces, as [N, 2]: alignment and quality; an error where one has none."""
        import numpy as np

        self.model.listen(max_dur=max_dur, dur_step=dur_step)
        pieces = [self._read(item, number) for number, item in enumerate(batch)]
        watch = partial(_draw, total=len(pieces)) if show_progress else None
        scores = score_pieces(self.model, pieces, batch_size=batch_size, watch=watch)
        return np.array([(one["alignment"], one["musicality"]) for one in scores]).reshape(-1, 2)

    def close(self) -> None:
        """Give back memory and threads."""
        self.model.close()

    def _read(self, item: Mapping[str, Any], number: int) -> Piece:
        if not isinstance(item, Mapping):
            hint = 'as {"audio": "song.mp3", "text": "jazz"}'
            raise UsageError(f"item {number} is a {type(item).__name__} and no mapping", hint=hint)
        unknown = [name for name in item if name not in _FIELDS]
        if unknown or item.get("audio") is None:
            what = f"has {unknown[0]!r}" if unknown else "has no audio"
            raise UsageError(f"item {number} {what}", hint=f"it may have {', '.join(_FIELDS)}")
        given = {name: value for name, value in item.items() if value is not None}
        for name in ("audio", "ref_audio"):
            if is_samples(given.get(name)):
                given[name] = Sound(given[name], rate=self.sr)
        return Piece(**given)


def main(arguments: Sequence[str] | None = None) -> int:
    """Score one piece from the command line."""
    options = _read_arguments(arguments)
    try:
        with warnings.catch_warnings():
            # What they say is told as a remark.
            warnings.filterwarnings("ignore", message="there is no cuda")
            inference = RewardModelInference(
                options.checkpoint, config=options.config, device=options.device, mode=options.mode
            )
        for remark in inference.model.remarks:
            tell(printable(remark))
        heard = {"max_dur": options.max_dur, "dur_step": options.dur_step}
        scores = inference.score(options.audio, options.text, options.lyrics, options.ref_audio, **heard)
        inference.close()
    except SteelyardError as error:
        tell(printable(f"inference.py: error: {error}"))
        return error.exit_code
    print(json.dumps(scores))  # noqa: T201 - the one line that is asked for
    return 0


def _read_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="inference.py", description="Score a piece of music.")
    add = parser.add_argument
    add("-c", "--checkpoint", required=True, help="model.safetensors")
    add("--config", help="config.yaml, where it is neither beside the checkpoint nor one level above")
    add("-a", "--audio", required=True, help="the piece")
    add("-t", "--text", default="", help="what was asked for")
    add("-l", "--lyrics", default="", help="its lyrics")
    add("-r", "--ref_audio", "--ref", help="music that it was to be like")
    add("--device", default="cuda:0", help="cpu, cuda:0, … (cuda:0)")
    add("--mode", choices=("final", "standard"), default="final", help="in one pass, or in windows")
    add("--max_dur", type=float, default=30, metavar="SECONDS", help="how much is heard (30)")
    add("--dur_step", type=float, metavar="SECONDS", help="with --mode standard: a window every so often")
    return parser.parse_args(arguments)


def _draw(done: int, total: int) -> None:
    end = "\n" if done == total else ""
    sys.stderr.write(f"\r{bar_of(done / total, 24)} {done}/{total}{end}")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
