"""Data: Samples from anywhere, one by one.

    Data("questions.csv.gz", input="question", target="answer", limit=100)
    Data([{"input": "cat", "target": "CAT"}])
    Data("hub:openai/gsm8k:main", split="test", sample=200, seed=1)

What can be a source stands in `references`, which column is taken for what in `columns`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from steelyard.data.columns import Columns
from steelyard.data.layouts.base import LaidOut, lay_out
from steelyard.data.references import open_origin
from steelyard.data.rows import BadRow, Origin, Row
from steelyard.data.selection import choose
from steelyard.errors import DataError, UsageError
from steelyard.types import Sample

_REMEMBERED = 10


class Data:
    """The samples of a source, read anew by every loop over it, never whole in memory.

    `input`, `target`, `id`, `choices` (one column or one for each option) and `group` (what
    makes samples depend on each other) name columns, `images` those of pictures and `audios` those
    of sounds: paths in them are relative to the file of the data, or to `image_root` and `audio_root`;
    addresses of pictures are refused unless `allow_remote_images`. Of the rows, the first `offset` are
    passed over, the next `limit` are taken, and `sample` of these are chosen by `seed`, in
    their order; it makes no difference to their ids. A bad row is a DataError; with
    `on_bad_row="skip"` it is counted in `skipped`, and the first few are told in `bad_rows`.
    `layout` is the name of a known data set whose files these are: it says which they are, and which
    column is what.

    Sources that can be read once only (a generator, stdin) raise a DataError the second time.
    """

    def __init__(
        self,
        source: Any,
        *,
        input: str | None = None,  # noqa: A002
        target: str | None = None,
        id: str | None = None,  # noqa: A002
        choices: str | Sequence[str] | None = None,
        group: str | None = None,
        images: str | Sequence[str] | None = None,
        image_root: str | Path | None = None,
        audios: str | Sequence[str] | None = None,
        audio_root: str | Path | None = None,
        allow_remote_images: bool = False,
        layout: str | None = None,
        split: str | None = None,
        limit: int | None = None,
        offset: int = 0,
        sample: int | None = None,
        seed: int = 0,
        on_bad_row: Literal["stop", "skip"] = "stop",
        format: str | None = None,  # noqa: A002
        delimiter: str | None = None,
        quotes: bool | None = None,
    ) -> None:
        _check(limit=limit, offset=offset, sample=sample, on_bad_row=on_bad_row)
        cells = {"delimiter": delimiter, "quotes": quotes}
        cells = {option: given for option, given in cells.items() if given is not None}
        self._named: dict[str, str | Sequence[str] | None]
        self._named = {"input": input, "target": target, "id": id, "choices": choices, "group": group}
        self._named.update(images=images, audios=audios)
        self._roots = {"images": _root("image_root", image_root), "audios": _root("audio_root", audio_root)}
        self._origin = _open(
            source, layout, self._named, self._roots["audios"], split=split, format=format, cells=cells
        )
        self._remote = allow_remote_images
        self._limit, self._offset = limit, offset
        self._sample, self._seed = sample, seed
        self._skip = on_bad_row == "skip"
        files = {"split": split, "format": format, **cells}
        rows = {"limit": limit, "offset": offset or None, "sample": sample, "seed": sample and seed}
        # Not on_bad_row: a run that stopped at a bad row may be resumed without it. Nor where the
        # pictures and sounds lie: the digest of each is stored.
        self._options = {**self._named, **files, **rows}
        self.skipped = 0
        self.bad_rows: list[str] = []

    @property
    def name(self) -> str:
        """What reports call this data."""
        return self._origin.name

    def __iter__(self) -> Iterator[Sample]:
        """Read the samples."""
        self.skipped = 0
        self.bad_rows = []
        folder_of, roots = self._origin.folder, self._roots
        make = Columns(self._named, folder_of=folder_of, roots=roots, remote=self._remote).sample
        empty = True
        for place, (where, number, row) in self._rows():
            try:
                sample = make(row, place, where)
            except BadRow as bad:
                self._note(bad, f"{where} {number}")
                continue
            empty = False
            yield sample
        if empty:
            raise self._empty()

    def size(self) -> int | None:
        """How many rows a loop would read, where that is cheap to know."""
        size = self._origin.size()
        if size is None:
            return None
        rest = max(0, size - self._offset)
        return min(rest, *(most for most in (rest, self._limit, self._sample) if most is not None))

    def identity(self) -> Mapping[str, Any]:
        """What makes this data this data: its content, as far as it can be known, and its options."""
        options = {option: given for option, given in self._options.items() if given is not None}
        return {**self._origin.identity(), "options": options}

    def examples(self) -> Data | None:
        """The samples that worked examples are taken from, where the layout knows such files beside these."""
        found = self._origin.examples() if isinstance(self._origin, LaidOut) else None
        return None if found is None else Data(found)

    def __repr__(self) -> str:
        return f"<Data {self.name}>"

    def _rows(self) -> Iterable[tuple[int, Row]]:
        stop = None if self._limit is None else self._offset + self._limit
        rows = islice(enumerate(self._origin.rows()), self._offset, stop)
        return rows if self._sample is None else choose(rows, self._sample, seed=self._seed)

    def _note(self, bad: BadRow, where: str) -> None:
        error = bad.at(where)
        if not self._skip:
            raise error from bad
        self.skipped += 1
        if len(self.bad_rows) < _REMEMBERED:
            self.bad_rows.append(str(error.args[0]))

    def _empty(self) -> DataError:
        if self.skipped:
            return DataError(f"every row of {self.name} is bad; the first: {self.bad_rows[0]}")
        if self._offset:
            return DataError(
                f"{self.name} has no row after the first {self._offset}", hint="a smaller offset"
            )
        return DataError(f"{self.name} is empty", hint="it must have at least one row")


def _root(option: str, folder: str | Path | None) -> Path | None:
    """The folder that paths in rows are relative to, where one is named."""
    if folder is None:
        return None
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise UsageError(f"{option} is {str(folder)!r}", hint="a folder that is there")
    return path


def _open(
    source: Any, layout: str | None, named: Mapping[str, Any], home: Path | None, **options: Any
) -> Origin:
    if isinstance(source, Origin):
        return source
    if layout is None:
        return open_origin(source, **options)
    if given := [role for role, column in named.items() if column]:
        raise UsageError(f"{given[0]}= beside layout={layout}", hint="the layout says which column is what")
    return lay_out(layout, source, home=home, **options)


def _check(*, limit: int | None, offset: int, sample: int | None, on_bad_row: str) -> None:
    for option, value, least in (("limit", limit, 1), ("offset", offset, 0), ("sample", sample, 1)):
        if value is not None and (not isinstance(value, int) or value < least):
            raise UsageError(f"{option} is {value!r}", hint=f"a whole number, at least {least}")
    if on_bad_row not in ("stop", "skip"):
        raise UsageError(f"on_bad_row is {on_bad_row!r}", hint="stop or skip")
