"""Tables, batch by batch: Parquet and Arrow files, pandas, polars and Arrow tables in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any

from steelyard.data.memory import content
from steelyard.data.rows import Origin, Row
from steelyard.errors import DataError, describe, need

_BATCH = 1024
# Rows with pictures in them are large: fewer of them at once.
_BATCH_BYTES = 32 << 20


def read_parquet(file: IO[bytes], name: str) -> Iterator[Row]:
    """The rows of a Parquet file."""
    need("pyarrow", extra="arrow")
    import pyarrow
    import pyarrow.parquet

    try:
        # Read ahead, what was read would stay in memory to the end of the file.
        opened = pyarrow.parquet.ParquetFile(file, pre_buffer=False)
        _check_columns(opened.schema_arrow.names, name)
        yield from _number(opened.iter_batches(batch_size=_fitting(opened.metadata)), name)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{name} cannot be read as Parquet: {describe(error)}") from error


def read_arrow(file: IO[bytes], name: str) -> Iterator[Row]:
    """The rows of an Arrow or Feather file, whether written as a file or as a stream."""
    need("pyarrow", extra="arrow")
    import pyarrow

    begin = file.read(6)
    file.seek(0)
    try:
        opened = pyarrow.ipc.open_file(file) if begin == b"ARROW1" else pyarrow.ipc.open_stream(file)
        _check_columns(opened.schema.names, name)
        batches: Iterable[Any] = opened
        if begin == b"ARROW1":
            batches = (opened.get_batch(index) for index in range(opened.num_record_batches))
        yield from _number(batches, name)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{name} cannot be read as Arrow: {describe(error)}") from error


def parquet_size(path: str) -> int | None:
    """How many rows a Parquet file says it has; None where it cannot be read."""
    need("pyarrow", extra="arrow")
    import pyarrow
    import pyarrow.parquet

    try:
        return int(pyarrow.parquet.read_metadata(path).num_rows)
    except (pyarrow.ArrowException, OSError):
        # Reading the rows will say what is wrong.
        return None


class Frame(Origin):
    """A pandas or polars frame, or an Arrow table, batch, data set or reader."""

    def __init__(self, frame: Any) -> None:
        self.frame = frame
        self.name = type(frame).__name__
        columns = frame.schema.names if _is_arrow(frame) else frame.columns
        _check_columns([str(column) for column in columns], f"the {self.name}")
        self._spent = False

    def rows(self) -> Iterator[Row]:
        """Every row, as a mapping."""
        if hasattr(self.frame, "read_next_batch"):
            if self._spent:
                raise DataError(f"the {self.name} can be read only once", hint="give its table instead")
            self._spent = True
        for number, row in enumerate(self._mappings()):
            yield f"{self.name}, row", number, row

    def size(self) -> int | None:
        """How many rows it has, unless it is a reader."""
        if hasattr(self.frame, "count_rows"):
            return int(self.frame.count_rows())
        return len(self.frame) if hasattr(self.frame, "__len__") else None

    def identity(self) -> Mapping[str, Any]:
        """Its type and a digest of its rows."""
        if hasattr(self.frame, "read_next_batch"):
            return {"stream": self.name}
        return {"frame": self.name, "content": content(self._mappings())}

    def _mappings(self) -> Iterator[dict[str, Any]]:
        frame = self.frame
        if _is_pandas(frame):
            for start in range(0, len(frame), _BATCH):
                part = frame.iloc[start : start + _BATCH].astype(object)
                # NaN, NaT and NA all mean that the cell is empty.
                part = part.where(part.notna(), None)
                yield from part.rename(columns=str).to_dict("records")
        elif _is_polars(frame):
            yield from frame.iter_rows(named=True)
        else:
            yield from _mappings(_batches(frame))


def is_frame(source: Any) -> bool:
    """Whether this is a table, of a library that need not be installed."""
    if hasattr(source, "collect_schema") and not _is_polars(source):
        raise DataError("a LazyFrame has no rows yet", hint="frame.collect()")
    return _is_pandas(source) or _is_polars(source) or _is_arrow(source)


def _is_pandas(source: Any) -> bool:
    return hasattr(source, "iloc") and hasattr(source, "columns")


def _is_polars(source: Any) -> bool:
    return hasattr(source, "iter_rows") and hasattr(source, "columns")


def _is_arrow(source: Any) -> bool:
    marks = ("to_batches", "to_pylist", "read_next_batch")
    return hasattr(source, "schema") and any(hasattr(source, mark) for mark in marks)


def _batches(table: Any) -> Iterable[Any]:
    if hasattr(table, "read_next_batch"):
        return table  # type: ignore[no-any-return]
    return table.to_batches() if hasattr(table, "to_batches") else [table]


def _mappings(batches: Iterable[Any]) -> Iterator[dict[str, Any]]:
    for batch in batches:
        # A table in memory may be one single batch.
        size = _at_once(batch.nbytes, batch.num_rows)
        for start in range(0, batch.num_rows, size):
            yield from batch.slice(start, size).to_pylist()


def _number(batches: Iterable[Any], name: str) -> Iterator[Row]:
    where = f"{name}, row"
    for number, row in enumerate(_mappings(batches)):
        yield where, number, row


def _fitting(metadata: Any) -> int:
    """How many rows of a Parquet file are read at once."""
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    return _at_once(sum(group.total_byte_size for group in groups), metadata.num_rows)


def _at_once(size: int, rows: int) -> int:
    """How many rows of so many bytes may be in memory."""
    return max(1, min(_BATCH, _BATCH_BYTES * rows // max(size, 1)))


def _check_columns(columns: list[str], name: str) -> None:
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise DataError(f"{name} has several columns named {', '.join(map(repr, twice))}")
