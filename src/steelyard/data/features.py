"""Data sets of the `datasets` library, whose pictures and sounds are left encoded while rows are read."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from copy import copy
from typing import Any


def undecoded(rows: Any) -> Any:
    """The same rows, the pictures and sounds in them as {"bytes", "path"}; anything else as it is."""
    library = sys.modules.get("datasets")
    if library is None or not isinstance(rows, (library.Dataset, library.IterableDataset)):
        return rows
    features = {name: _plain(feature, library) for name, feature in (rows.features or {}).items()}
    changed = {name: feature for name, feature in features.items() if feature is not rows.features[name]}
    if isinstance(rows, library.Dataset) and not all(
        isinstance(f, (library.Image, library.Audio)) for f in changed.values()
    ):
        # A data set in memory would be written anew for a cast of what holds pictures inside.
        rows = rows.to_iterable_dataset()
    for name, feature in changed.items():
        rows = rows.cast_column(name, feature)
    return _whole(rows, changed) if changed else rows


def _whole(rows: Iterable[Any], columns: Collection[str]) -> Iterator[dict[str, Any]]:
    """Rows whose pictures and sounds have their bytes also where they lie on the hub or in an archive."""
    for row in rows:
        yield {name: _fetch(value) if name in columns else value for name, value in row.items()}


def _fetch(value: Any) -> Any:
    if isinstance(value, list):
        return [_fetch(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    path = value.get("path")
    if value.get("bytes") is not None or not isinstance(path, str) or "://" not in path:
        return value if "bytes" in value else {name: _fetch(part) for name, part in value.items()}
    from datasets.utils.file_utils import xopen

    with xopen(path, "rb") as file:
        return {**value, "bytes": file.read()}


def _plain(feature: Any, library: Any) -> Any:
    """A feature without decoding; itself where there is nothing to decode."""
    if isinstance(feature, library.Image):
        return library.Image(mode=feature.mode, decode=False)
    if isinstance(feature, library.Audio):
        return library.Audio(decode=False)
    if isinstance(feature, Mapping):
        inner = {name: _plain(part, library) for name, part in feature.items()}
        return inner if any(inner[name] is not feature[name] for name in inner) else feature
    if isinstance(feature, list):
        parts = [_plain(part, library) for part in feature]
        return parts if any(one is not other for one, other in zip(parts, feature)) else feature
    if hasattr(feature, "feature"):
        part = _plain(feature.feature, library)
        if part is not feature.feature:
            feature = copy(feature)
            feature.feature = part
    return feature
