"""What a page needs to show the pictures and sounds of a run: those that lie in no file, and where others do.

    runs/…/images/3f2a….jpg         what the bytes were, under the digest that the records name
    runs/…/sounds/90cd….flac        the same of a sound; what was samples in memory is FLAC, its first minutes
    run.json: "image_folders"       what the paths in the records are relative to; of sounds "sound_folders"

Only those of the first records are kept, as many as a page shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from steelyard.errors import StoreError, UsageError
from steelyard.media.images import Image, as_image
from steelyard.media.kinds import describe_bytes
from steelyard.media.pixels import is_picture
from steelyard.media.sounds import Sound, encode_sound
from steelyard.store import Run
from steelyard.types import Part, Prompt, Record

FOLDER, SOUNDS = "images", "sounds"
KEPT = 500
"""Of how many records pictures and sounds are kept and shown."""
_MOST_BYTES = 200 * 2**20
_SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "GIF": ".gif", "WebP": ".webp", "TIFF": ".tiff", "a PDF": ".pdf"}


class Album:
    """The pictures and sounds of a run; their folders are made when the first one is kept."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._kept = {path.stem for folder in (FOLDER, SOUNDS) for path in (run.path / folder).glob("*.*")}
        self._left = _MOST_BYTES

    def add(self, record: Record) -> None:
        """Keep the pictures and sounds of one record that can be had nowhere else."""
        if record.index >= KEPT or isinstance(record.request.prompt, str):
            return
        for given in pictures_of(record.request.prompt):
            if isinstance(given, Image) or is_picture(given):
                self._add_picture(as_image(given))
        for _, sound in sounds_of(record.request.prompt):
            if isinstance(sound, Sound):
                self._add_sound(sound)

    def _add_picture(self, image: Image) -> None:
        stem = stem_of(image.reference())
        if image.path is not None:
            self._note("image_folders", split_page(image.name)[0], image.path)
        elif stem is not None and stem not in self._kept:
            self._kept.add(stem)
            self._keep(FOLDER, stem, lambda: _encoded(image))

    def _add_sound(self, sound: Sound) -> None:
        stem = sound.reference().get("digest")
        if sound.path is not None:
            self._note("sound_folders", sound.name, sound.path)
        elif stem is not None and stem not in self._kept:
            self._kept.add(stem)
            self._keep(SOUNDS, stem, lambda: encode_sound(sound))

    def _note(self, kind: str, name: str, path: Path) -> None:
        """Note the folder that a name is relative to."""
        named = Path(name)
        homes = self._run.about.get(kind, [])
        home = path.parents[len(named.parts) - 1] if len(named.parts) <= len(path.parents) else path
        if home / named == path and not named.is_absolute() and str(home) not in homes:
            self._run.update(**{kind: [*homes, str(home)]})

    def _keep(self, folder: str, stem: str, encode: Callable[[], tuple[bytes, str]]) -> None:
        try:
            content, suffix = encode()
        except UsageError:
            # The answer to it says what is wrong with it.
            return
        if len(content) > self._left:
            return
        self._left -= len(content)
        path = self._run.path / folder / (stem + suffix)
        temporary = path.with_suffix(".new")
        try:
            path.parent.mkdir(exist_ok=True)
            temporary.write_bytes(content)
            temporary.replace(path)
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error.strerror or error}", hint="make room") from error


def _encoded(image: Image) -> tuple[bytes, str]:
    content = image.read()
    return content, _SUFFIXES.get(describe_bytes(content[:64]), ".image")


def pictures_of(prompt: Prompt) -> Iterator[Any]:
    """The pictures of a prompt in their order: Images, or what is stored of them."""
    if isinstance(prompt, (str, Mapping)):
        return
    for turn in prompt:
        content = turn.get("content") if isinstance(turn, Mapping) else None
        for part in content if isinstance(content, (list, tuple)) else ():
            if getattr(part, "kind", None) == "image":
                yield part.data
            elif isinstance(part, Mapping) and "image" in (part.get("kind"), part.get("type")):
                yield part.get("data", part.get("image"))


def sounds_of(prompt: Prompt) -> Iterator[tuple[str, Any]]:
    """The sounds of a prompt, Sounds or what is stored of them: as what each was given, and the sound."""
    if isinstance(prompt, Mapping):
        yield from ((name, found) for name, part in prompt.items() if (found := _sound(part)) is not None)
        prompt = prompt.get("messages", ())
    for turn in () if isinstance(prompt, str) else prompt:
        content = turn.get("content") if isinstance(turn, Mapping) else None
        for part in content if isinstance(content, (list, tuple)) else ():
            if (found := _sound(part)) is not None:
                yield "audio", found


def _sound(part: Any) -> Any:
    """The sound of a part, as it was asked or stored; None where it is no sound."""
    if isinstance(part, Part):
        return part.data if part.kind == "audio" else None
    return part.get("data") if isinstance(part, Mapping) and part.get("kind") == "audio" else None


def split_page(name: str) -> tuple[str, int | None]:
    """The path in the name of a picture, and which page of a document it is."""
    path, mark, page = name.rpartition("#page=")
    return (path, int(page)) if mark and page.isdecimal() else (name, None)


def stem_of(reference: Mapping[str, Any]) -> str | None:
    """What a picture is called in the folder; None for one that lies in a file or at an address."""
    digest = reference.get("digest")
    if "image" in reference or not isinstance(digest, str) or not digest.isalnum():
        return None
    page = reference.get("page")
    return digest if page is None else f"{digest}-{int(page)}"
