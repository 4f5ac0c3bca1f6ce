"""A vision-language model's own processor and chat template, whatever its family calls things.

processor = read_processor(source, config, options={})
seer = Seer(processor, config, name="Qwen2-VL-2B-Instruct")
text, special = seer.render(turns)          turns with Parts, each picture's mark in its place
seer.feed([text], [[picture]], special=special)     what the network is fed
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from threading import Lock
from typing import Any

import transformers
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING
from transformers.utils import is_torchvision_available

from steelyard.errors import ModelError, UsageError, describe, need
from steelyard.models.chat import read_json
from steelyard.models.checkpoints import Source, explained

# Where a folder says which class its processor is of, the first that does.
_SAYING = ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json")
_MARK_NAMES = re.compile(r"\w*(image|img|video|vision|audio|boi|eoi)\w*_token(_id|_index)?")
# Where a processor does not tell how many tokens a picture becomes: one for so many pixels, within limits.
_PIXELS_A_TOKEN = 28 * 28
_FEWEST_TOKENS, _MOST_TOKENS = 64, 2048

Turn = dict[str, Any]


class _NoVideo(dict[str, Any]):
    """Stands where a processor wants a video processor, which cannot be had without torchvision."""

    model_input_names = ()
    num_frames = fps = None


def read_processor(source: Source, config: Any, *, options: Mapping[str, Any]) -> Any:
    """The processor beside the weights; without torchvision all of it but what is for videos."""
    need("PIL", extra="vlm")
    with explained(source, "processor"):
        kind = None if is_torchvision_available() else _kind_without_video(source, config)
        processor = (kind or transformers.AutoProcessor).from_pretrained(**source.where, **options)
    if getattr(processor, "image_processor", None) is None or getattr(processor, "tokenizer", None) is None:
        raise ModelError(
            f"{source.path} has no processor for pictures and text",
            hint="preprocessor_config.json and tokenizer.json belong beside config.json",
        )
    if processor.tokenizer.pad_token is None:
        # Nobody looks at what rows are filled up with, but something it has to be.
        processor.tokenizer.pad_token = processor.tokenizer.eos_token or processor.tokenizer.bos_token
    return processor


def _kind_without_video(source: Source, config: Any) -> Any:
    """The class of the folder's processor, made to do without videos; None where it does not ask for them."""
    said = [read_json(source.folder / file).get("processor_class") for file in _SAYING]
    name = next(filter(None, said), None)
    kind = getattr(transformers, str(name), None) if name else PROCESSOR_MAPPING.get(type(config), None)
    if kind is None or "video_processor" not in kind.get_attributes():
        return None

    class Blindfolded(kind):  # type: ignore[misc, valid-type]
        """The same, with a stand-in for its video processor."""

        @classmethod
        def _get_arguments_from_pretrained(cls, path: Any, *_: Any, **options: Any) -> list[Any]:
            loaders = {
                "tokenizer": transformers.AutoTokenizer,
                "image_processor": transformers.AutoImageProcessor,
            }
            return [
                loaders[name].from_pretrained(path, **options) if name in loaders else _NoVideo()
                for name in cls.get_attributes()
            ]

        def check_argument_for_proper_class(self, name: str, given: Any) -> Any:
            if isinstance(given, _NoVideo):
                return _NoVideo
            return super().check_argument_for_proper_class(name, given)

    Blindfolded.__name__ = kind.__name__
    return Blindfolded


def limit_pixels(processor: Any, *, least: int | None, most: int | None) -> bool:
    """Have the image processor keep to so many pixels a picture, if it knows how; says whether it does."""
    for name, value in (("min_pixels", least), ("max_pixels", most)):
        if value is not None and value < 1:
            raise UsageError(f"{name}={value} is less than one pixel")
    if least is not None and most is not None and least > most:
        raise UsageError(f"min_pixels={least} is more than max_pixels={most}")
    ours = processor.image_processor
    known = getattr(getattr(ours, "valid_kwargs", None), "__annotations__", {})
    if not {"min_pixels", "max_pixels"} <= set(known):
        return False
    wanted = {"min_pixels": least, "max_pixels": most}
    told = {name: value for name, value in wanted.items() if value is not None}
    if told:
        processor.image_processor = type(ours).from_dict(ours.to_dict(), **told)
    return True


class Seer:
    """Turns with pictures as text with marks, and both as what the network is fed."""

    def __init__(self, processor: Any, config: Any, *, name: str) -> None:
        self._processor, self._name = processor, name
        # A tokenizer is set up anew by each use of it, and two threads use the processor.
        self._lock = Lock()
        self._mark: str | None = getattr(processor, "image_token", None)
        self._marks = _find_marks(processor, config)
        self._template = getattr(processor, "chat_template", None) or processor.tokenizer.chat_template
        self._takes_parts = self._template is not None and self._probe()
        self._count = lru_cache(maxsize=4096)(self._count_tokens)

    @property
    def has_template(self) -> bool:
        """Whether there is a chat template."""
        return self._template is not None

    def settings(self) -> dict[str, Any]:
        """What shapes pictures on their way to the network."""
        told: dict[str, Any] = json.loads(self._processor.image_processor.to_json_string())
        return {"class": type(self._processor.image_processor).__name__, **told}

    def count(self, size: tuple[int, int]) -> int:
        """How many tokens a picture of a width and height becomes, or about so many."""
        return self._count(*size)

    def plain(self, text: str) -> str:
        """A user's text with a blank inside whatever the model would take for the mark of a picture."""
        return self._marks.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text) if self._marks else text

    def render(self, turns: Sequence[Turn]) -> tuple[str, bool]:
        """Turns as one text, at the end of which the model answers; and whether special tokens are missing.

        A content is a list of {"type": "image"} and {"type": "text", "text": …}. A last turn of the
        assistant is the beginning of its answer.
        """
        if self._template is None:
            return self._render_plainly(turns), True
        text = self._render_system(list(turns))
        pictures = sum(part["type"] == "image" for turn in turns for part in turn["content"])
        if self._mark is not None and text.count(self._mark) != pictures:
            raise UsageError(
                f"the chat template of {self._name} shows {text.count(self._mark)} of {pictures} images",
                hint="it may want them in the turns of the user",
            )
        begin = self._processor.tokenizer.bos_token
        return text, not (begin and text.startswith(begin))

    def feed(
        self, texts: Sequence[str], pictures: Sequence[Sequence[Any]], *, special: bool
    ) -> dict[str, Any]:
        """What the network is fed: rows of tokens padded on the left, and the pictures as numbers."""
        seen = {"images": [list(row) for row in pictures]} if any(pictures) else {}
        with self._lock:
            fed = self._processor(
                text=list(texts),
                return_tensors="pt",
                padding=True,
                padding_side="left",
                add_special_tokens=special,
                **seen,
            )
        # Some are made for training as well.
        return {name: value for name, value in fed.items() if name != "labels"}

    def tokens(self, text: str, *, special: bool) -> list[int]:
        """A text without pictures in tokens."""
        with self._lock:
            ids: list[int] = self._processor.tokenizer(text, add_special_tokens=special)["input_ids"]
        return ids

    def _render_system(self, turns: list[Turn]) -> str:
        """Render turns; where the template shows no system turn, the user's first begins with its words."""
        system = turns[0]["content"] if turns and turns[0]["role"] == "system" else []
        words = "".join(part["text"] for part in system if part["type"] == "text").strip()
        try:
            text = self._apply(turns)
            if words in text:
                return text
        except UsageError:
            if not words:
                raise
        if len(turns) < 2 or turns[1]["role"] != "user":
            raise UsageError(f"the chat template of {self._name} has no place for a system turn alone")
        first = {**turns[1], "content": [*system, {"type": "text", "text": "\n\n"}, *turns[1]["content"]]}
        return self._apply([first, *turns[2:]])

    def _apply(self, turns: Sequence[Turn]) -> str:
        begun = bool(turns) and turns[-1]["role"] == "assistant"
        shown = list(turns)
        if not self._takes_parts:
            mark = f"{self._mark}\n" if self._mark else ""
            shown = [{**turn, "content": self._flatten(turn, mark)} for turn in turns]
        try:
            text: str = self._processor.apply_chat_template(
                shown,
                chat_template=self._template if isinstance(self._template, str) else None,
                tokenize=False,
                add_generation_prompt=not begun,
                continue_final_message=begun,
            )
        except Exception as error:
            raise UsageError(
                f"the chat template of {self._name} refuses these turns: {describe(error)}"
            ) from error
        return text

    def _probe(self) -> bool:
        """Whether the template knows contents that are lists of parts."""
        parts = [{"type": "image"}, {"type": "text", "text": "probe"}]
        self._takes_parts = True
        try:
            text = self._apply([{"role": "user", "content": parts}])
        except UsageError:
            return False
        return "probe" in text and "'probe'" not in text and (self._mark or "") in text

    def _flatten(self, turn: Turn, mark: str) -> str:
        return "".join(mark if part["type"] == "image" else part["text"] for part in turn["content"])

    def _render_plainly(self, turns: Sequence[Turn]) -> str:
        """Without a template: what the turns say, a line each, the marks of pictures where they stand."""
        return "\n".join(self._flatten(turn, self._mark or "") for turn in turns)

    def _count_tokens(self, width: int, height: int) -> int:
        tell = getattr(self._processor, "_get_num_multimodal_tokens", None)
        if tell is not None:
            try:
                return int(tell(image_sizes=[(height, width)])["num_image_tokens"][0])
            except Exception:  # noqa: BLE001 - only for cutting batches; the processor complains where it matters
                return _MOST_TOKENS
        return min(max(width * height // _PIXELS_A_TOKEN, _FEWEST_TOKENS), _MOST_TOKENS)


def _find_marks(processor: Any, config: Any) -> re.Pattern[str] | None:
    """What finds the marks of pictures, videos and sounds in a text."""
    tokenizer = processor.tokenizer
    named = {**vars(processor), **tokenizer.special_tokens_map}
    marks = {value for name, value in named.items() if _MARK_NAMES.fullmatch(name) and isinstance(value, str)}
    numbered = {name: value for name, value in config.to_dict().items() if _MARK_NAMES.fullmatch(name)}
    marks |= {tokenizer.convert_ids_to_tokens(value) for value in numbered.values() if isinstance(value, int)}
    longest = sorted((mark for mark in marks if mark), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest))) if longest else None
