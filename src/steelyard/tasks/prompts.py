"""What is asked, in text, pictures and sounds: templates filled with the fields of a sample.

    compose("What is the capital of {input}?", sample)      a text
    compose("{image 2}\\nWhat does {input} show?", sample)    Parts, where the sample has pictures

{images} stands for all pictures of a sample, {image 1} for its first; {audios} and {audio 1} for its sounds.
Where a template names none, the marks <image> and <image 1>, <audio> and <audio 1> in the sample's own texts
stand for them, as data sets write them, if there are as many; those that have no place come first.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from typing import Any, Union, cast

from steelyard.errors import DataError
from steelyard.media.images import Image, as_image, as_images
from steelyard.media.shapes import looks_like_picture, looks_like_sound
from steelyard.media.sounds import Sound, as_sound, as_sounds
from steelyard.metrics.extraction import LETTERS
from steelyard.types import Message, Part, Prompt, Request, Sample

Content = Union[str, list[Part]]
"""What a turn says: a text, or Parts where there are pictures or sounds."""

_FIELD = re.compile(r"\{\{|\}\}|\{(\w[\w -]*)\}")
_SHOWN = re.compile(r"(image|audio)(?:(s)|[ _]?(\d+))?")
_MARK = re.compile(r"<(image|audio)(?:[ _]?(\d+))?>", re.I)
_TEXTS = ("text", "input_text")
_PICTURES = ("image", "image_url", "input_image")
_WORDS = {"image": "picture", "audio": "sound"}


def fill(template: str, sample: Sample) -> str:
    """Put a sample's fields into a template; {{ and }} stand for braces."""
    literals, names = _parts(template)
    if not names:
        return literals[0]
    texts = [literals[0]]
    for name, literal in zip(names, literals[1:]):
        found = _field(sample, name)
        if found is None:
            raise _missing(sample, name)
        texts += (str(found), literal)
    return "".join(texts)


def compose(template: str, sample: Sample) -> Content:
    """A template filled with a sample's fields, pictures and sounds; a text where it has none of these."""
    media = _media_of(sample)
    if not media:
        return fill(template, sample)
    literals, names = _parts(template)
    shown = [_shown(name, sample, media) for name in names]
    texts = [fill(f"{{{name}}}", sample) if found is None else "" for name, found in zip(names, shown)]
    # A template that names places for pictures has said all about them, and likewise for sounds.
    said = {found[0] for found in shown if found is not None}
    places = _Places([part for part in media if part.kind not in said], texts)
    pieces: list[str | Part] = [literals[0]]
    for text, found, literal in zip(texts, shown, literals[1:]):
        pieces += [*(places.fill(text) if found is None else found[1]), literal]
    return _join([*places.left(), *pieces])


def compose_turns(turns: Sequence[Any], sample: Sample) -> Prompt:
    """The turns of a chat with their pictures and sounds as Parts; as they are where there are none.

    Turns that only a service understands (a video, a tool's call) become the body of a question to one.
    """
    media = _media_of(sample)
    if media or any(_has_parts(turn) for turn in turns):
        turns = _place(turns, media, sample)
    return {"messages": turns} if any(map(_is_foreign, turns)) else turns


def _place(turns: Sequence[Any], media: Sequence[Part], sample: Sample) -> Sequence[Message]:
    """Turns with pictures and sounds as Parts, those that have no place first."""
    texts = [text for turn in turns if _is_asked(turn) for text in _texts(turn["content"])]
    places = _Places(media, texts)
    made = [_turn(turn, places) for turn in turns]
    if rest := places.left():
        first = next((n for n, turn in enumerate(made) if _is_asked(turn)), None)
        if first is None:
            raise DataError(f"sample {sample.id!r} has {_WORDS[rest[0].kind]}s, but no turn of a user")
        content = made[first]["content"]
        after = [Part("text", content)] if isinstance(content, str) else list(content)
        made[first] = {**made[first], "content": [*rest, *after]}
    return made


def with_media(sample: Sample, request: Request) -> tuple[Sample, Request]:
    """Both with an Image or a Sound in the place of whatever else stands for one: none is stored whole."""
    meta: dict[str, Any] = {}
    for field, find in (("images", images_of), ("audios", sounds_of)):
        given = sample.meta.get(field)
        if given is not None:
            with suppress(DataError):
                found = find(sample)
                if found and found is not given:
                    meta[field] = tuple(found)
    if meta:
        sample = replace(sample, meta={**sample.meta, **meta})
    if isinstance(sample.input, Mapping):
        sample = replace(sample, input=_with_media_in(sample.input))
    prompt = request.prompt
    if isinstance(prompt, Mapping):
        request = replace(request, prompt=_with_media_in(prompt))
    elif not isinstance(prompt, str) and any(map(_has_parts, prompt)):
        request = replace(request, prompt=[_with_media(turn) for turn in prompt])
    return sample, request


def images_of(sample: Sample) -> Sequence[Image]:
    """The pictures of a sample."""
    given = sample.meta.get("images")
    if given is None:
        return ()
    if isinstance(given, (list, tuple)) and all(isinstance(one, Image) for one in given):
        return given
    return as_images(given) if looks_like_picture(given) else ()


def sounds_of(sample: Sample) -> Sequence[Sound]:
    """The sounds of a sample."""
    given = sample.meta.get("audios")
    if given is None:
        return ()
    if isinstance(given, (list, tuple)) and all(isinstance(one, Sound) for one in given):
        return given
    return as_sounds(given) if looks_like_sound(given) else ()


def _media_of(sample: Sample) -> list[Part]:
    """The pictures and the sounds of a sample."""
    images = images_of(sample) if "images" in sample.meta else ()
    sounds = sounds_of(sample) if "audios" in sample.meta else ()
    return [*(Part("image", image) for image in images), *(Part("audio", sound) for sound in sounds)]


def join_text(system: str, examples: Sequence[tuple[Content, str]], question: Content) -> str | None:
    """System text, worked examples and a question as one text; None where one of them has pictures."""
    if not isinstance(question, str):
        return None
    texts = [system] if system else []
    for asked, answered in examples:
        if not isinstance(asked, str):
            return None
        texts.append(asked + answered)
    return "\n\n".join([*texts, question]) if texts else question


def join_turns(system: str, examples: Sequence[tuple[Content, str]], question: Content) -> list[Message]:
    """System text, worked examples and a question as the turns of a chat."""
    turns: list[Message] = [{"role": "system", "content": system}] if system else []
    for asked, answered in examples:
        turns.append({"role": "user", "content": asked})
        turns.append({"role": "assistant", "content": answered.strip()})
    return [*turns, {"role": "user", "content": question}]


def lettered(choices: Sequence[str]) -> str:
    """Options on lines of their own, each with its letter."""
    return "\n".join(f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices))


class _Places:
    """Pictures and sounds that marks stand for, and what is left of them."""

    def __init__(self, media: Sequence[Part], texts: Sequence[str]) -> None:
        self._media = {kind: [part for part in media if part.kind == kind] for kind in _WORDS}
        self._placed: set[tuple[str, int]] = set()
        self._next = dict.fromkeys(_WORDS, 0)
        marks = (mark for text in texts for mark in _MARK.finditer(text))
        unnumbered = Counter(mark[1].lower() for mark in marks if mark[2] is None)
        self._fits = {kind: unnumbered[kind] == len(found) for kind, found in self._media.items()}

    def fill(self, text: str) -> Iterator[str | Part]:
        """A text with pictures and sounds in the place of those marks that stand for one."""
        end = 0
        for mark in _MARK.finditer(text):
            kind = mark[1].lower()
            place = int(mark[2]) - 1 if mark[2] else self._next[kind] if self._fits[kind] else -1
            if 0 <= place < len(self._media[kind]):
                yield text[end : mark.start()]
                yield self._take(kind, place)
                self._next[kind] += mark[2] is None
                end = mark.end()
        yield text[end:]

    def following(self, kind: str) -> Part:
        """The next one of a kind that has no place yet."""
        place = next((n for n in range(len(self._media[kind])) if (kind, n) not in self._placed), None)
        if place is None:
            raise DataError(f"a part of a message stands for a {_WORDS[kind]} that the sample does not have")
        return self._take(kind, place)

    def left(self) -> list[Part]:
        """Those that have no place."""
        return [
            part
            for kind, found in self._media.items()
            for place, part in enumerate(found)
            if (kind, place) not in self._placed
        ]

    def _take(self, kind: str, place: int) -> Part:
        self._placed.add((kind, place))
        return self._media[kind][place]


@lru_cache(maxsize=64)
def _parts(template: str) -> tuple[list[str], list[str]]:
    """The texts of a template and the names of the fields between them."""
    literals, names, end = [""], [], 0
    for match in _FIELD.finditer(template):
        literals[-1] += template[end : match.start()]
        end = match.end()
        if match.group(1) is None:
            literals[-1] += match.group()[0]
        else:
            names.append(match.group(1))
            literals.append("")
    literals[-1] += template[end:]
    return literals, names


def _missing(sample: Sample, name: str) -> DataError:
    columns = ", ".join(["input", "target", "options", "id", *sample.meta])
    hint = f"there are: {columns}; a brace that is none is written twice"
    return DataError(f"sample {sample.id!r} has no field {name!r} for the template", hint=hint)


def _field(sample: Sample, name: str) -> Any:
    if name in ("input", "target", "id"):
        return getattr(sample, name)
    if name == "options" and sample.choices is not None:
        return lettered(sample.choices)
    if name in ("images", "image", "audios", "audio") and sample.meta.get(f"{name.rstrip('s')}s") == ():
        # Where rows have pictures and this one has none, nothing stands there.
        return sample.meta.get(name.rstrip("s"), "")
    return sample.meta.get(name)


def _shown(name: str, sample: Sample, media: Sequence[Part]) -> tuple[str, Sequence[Part]] | None:
    """The kind and the pictures or sounds that a field stands for; None where it is one of text."""
    found = _SHOWN.fullmatch(name)
    if found is None or (name in sample.meta and not found[2]):
        return None
    kind = found[1]
    of_kind = [part for part in media if part.kind == kind]
    if found[3] is None:
        # Without one it may still be a column of a text.
        return (kind, of_kind) if of_kind or f"{kind}s" in sample.meta else None
    if not 1 <= int(found[3]) <= len(of_kind):
        raise DataError(f"sample {sample.id!r} has no {name}", hint=f"it has {len(of_kind)}, counted from 1")
    return kind, [of_kind[int(found[3]) - 1]]


def _join(pieces: Sequence[str | Part]) -> list[Part]:
    """Parts of texts and others, texts that touch put together, those without a word left out."""
    parts: list[Part] = []
    text = ""
    for piece in [*pieces, None]:
        if isinstance(piece, str):
            text += piece
            continue
        if text.strip():
            parts.append(Part("text", text))
        text = ""
        if piece is not None:
            parts.append(piece)
    return parts


def _turn(turn: Any, places: _Places) -> Message:
    content = turn["content"] if isinstance(turn, Mapping) else None
    if not isinstance(content, (str, list, tuple)):
        return cast(Message, turn)
    marked = _is_asked(turn)
    if isinstance(content, str):
        pieces = list(places.fill(content)) if marked else [content]
        made: Any = content if len(pieces) == 1 else _join(pieces)
    else:
        made = [part for given in content for part in _part(given, places, marked=marked)]
    return cast(Message, {**turn, "content": made})


def _part(given: Any, places: _Places, *, marked: bool) -> list[Any]:
    """What a part of a message is; one of a kind that is not known here stays as it is."""
    kind = _get(given, "kind") or _get(given, "type")
    if isinstance(given, str) or kind in _TEXTS:
        text = given if isinstance(given, str) else str(_get(given, "data") or _get(given, "text") or "")
        return _join(list(places.fill(text))) if marked else [Part("text", text)]
    if kind not in (*_PICTURES, "audio"):
        return [given]
    is_empty = isinstance(given, Mapping) and all(
        value is None or (isinstance(value, (str, Mapping)) and not value)
        for name, value in given.items()
        if name != "type"
    )
    if kind == "audio":
        return [places.following("audio") if is_empty else Part("audio", as_sound(given))]
    return [places.following("image") if is_empty else Part("image", as_image(given))]


def _with_media(turn: Message) -> Message:
    return {**turn, "content": [*map(_made, turn["content"])]} if _has_parts(turn) else turn


def _with_media_in(prompt: Mapping[str, Any]) -> Mapping[str, Any]:
    """A mapping with what it holds of pictures and sounds made so; itself where that is nothing."""
    made = {name: _made(part) for name, part in prompt.items()}
    return made if any(made[name] is not part for name, part in prompt.items()) else prompt


def _made(part: Any) -> Any:
    if not isinstance(part, Part) or part.kind == "text" or isinstance(part.data, (Image, Sound)):
        return part
    try:
        return Part(part.kind, as_image(part.data) if part.kind == "image" else as_sound(part.data))
    except DataError:
        # Whoever is to look at it says so, in the answer to this question.
        return part


def _get(part: Any, name: str) -> Any:
    return part.get(name) if isinstance(part, Mapping) else getattr(part, name, None)


def _has_parts(turn: Any) -> bool:
    return isinstance(turn, Mapping) and isinstance(turn.get("content"), (list, tuple))


def _is_foreign(turn: Any) -> bool:
    """Whether a turn says something that is neither text nor a picture, or nothing (a tool is called)."""
    if isinstance(turn, Mapping) and turn.get("content") is None:
        return True
    return _has_parts(turn) and not all(isinstance(part, Part) for part in turn["content"])


def _is_asked(turn: Any) -> bool:
    """Whether a turn is one of the user, in which pictures may be asked about."""
    return isinstance(turn, Mapping) and turn.get("role") == "user" and turn.get("content") is not None


def _texts(content: Any) -> list[str]:
    if isinstance(content, str):
        return [content]
    return [str(_get(part, "data") or _get(part, "text") or "") for part in content if _is_text(part)]


def _is_text(part: Any) -> bool:
    return (_get(part, "kind") or _get(part, "type")) in _TEXTS
