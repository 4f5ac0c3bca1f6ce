"""The fields of a document: a JSON object in an answer against the target's, field by field.

    >>> scores = fields(Sample("1", "", target={"total": 1250, "seller": {"name": "Acme"}}),
    ...                 Response('{"total": "1,250.00", "seller": {"name": "Axme"}, "tax": 5}'))
    >>> scores["share"], scores["f1"], scores["whole"], scores["field.total"], scores["field.seller.name"]
    (0.5, 0.4, False, 1.0, 0.0)

share           of the target's fields, how many are right
f1              of pairs of field and value, over all of both: fields left out and fields invented count
whole           all fields are right, and none is invented
field.NAME      the share of right values of one field

Names are compared without case and signs; one of an object in an object is "seller.name". Values are
the same as `same_value` has it. null, "", [] and "N/A" mean that there is no such field. The items of a list
(the lines of an invoice) are matched with those of the target so that most is right, in any order;
a field of all of them is called "items.price". An answer without an object has nothing right.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Union

from steelyard.errors import DataError
from steelyard.metrics.assignment import assign
from steelyard.metrics.extraction.objects import read_object
from steelyard.metrics.values import Value, same_value
from steelyard.types import Response, Sample, Score

Flat = dict[str, Union[Value, list["Flat"]]]
"""An object without objects in it: names with dots; values are plain or lists of such objects."""

_LONE = "*"
"""What a plain item of a list is called, for it has no name."""

_SIGNS = re.compile(r"[^\w.]|_")
_NOTHING = ("", "null", "none", "n/a", "{}")
_DEEPEST = 50


class FieldMatch:
    """How much of the target's fields an answer has right; of several acceptable targets the best."""

    name = ref = "fields"

    def __call__(self, sample: Sample, response: Response) -> dict[str, Score] | None:
        targets = target_objects(sample)
        if not targets:
            return None
        read = read_object(response.text)
        if read is None:
            return {**dict.fromkeys(self.parts(sample), 0.0), "whole": False}
        answer = _read(read)
        scores = [_score(_read(target), answer) for target in targets]
        return max(scores, key=lambda one: (one["f1"], one["share"]))

    def parts(self, sample: Sample) -> list[str]:
        """The names of the scores that an answer to this sample has."""
        targets = target_objects(sample)
        return list(_score(_read(targets[0]), {})) if targets else []


fields = FieldMatch()


def target_objects(sample: Sample) -> list[Mapping[str, Any]]:
    """The acceptable objects of a sample, which may be written as JSON."""
    target = sample.target
    several = target if isinstance(target, (list, tuple)) else [] if target is None else [target]
    return [_as_object(one, sample) for one in several]


def field_names(target: Mapping[str, Any]) -> list[str]:
    """The names of an object's fields; a list of objects is "items (a list: name, price)"."""
    names = []
    for name, value in _read(target).items():
        inner = dict.fromkeys(key for item in _items(value) for key in item if key != _LONE)
        told = " (a list: " + ", ".join(inner) + ")" if inner else " (a list)"
        names.append(name + (told if isinstance(value, list) else ""))
    return names


def flatten(value: Mapping[str, Any]) -> dict[str, Any]:
    """An object with the objects in it laid flat: {"a": {"b": 1}} is {"a.b": 1}."""
    flat: dict[str, Any] = {}
    rest: list[tuple[str, Any]] = [("", value)]
    while rest:
        name, one = rest.pop()
        if isinstance(one, Mapping) and one:
            rest += [(f"{name}.{key}" if name else str(key), part) for key, part in reversed([*one.items()])]
        elif name:
            flat[name] = one
    return flat


def _read(value: Mapping[str, Any], depth: int = 0) -> Flat:
    """An object laid flat, its values read; what is nested too deep to mean anything is nothing."""
    flat: Flat = {}
    for name, one in flatten(value).items():
        if isinstance(one, (list, tuple)):
            items = [
                _read(item if isinstance(item, Mapping) else {_LONE: item}, depth + 1)
                for item in (one if depth < _DEEPEST else ())
            ]
            flat[name] = [item for item in items if _count(item)]
        else:
            flat[name] = Value("" if one is None else one)
    return flat


@dataclass
class _Tally:
    """How many values are right; and of each field of the target how many of how many."""

    right: int = 0
    by_name: dict[str, tuple[int, int]] = field(default_factory=dict)

    def note(self, name: str, right: int, wanted: int = 1) -> None:
        """Count values of a field."""
        before = self.by_name.get(name, (0, 0))
        self.by_name[name] = (before[0] + right, before[1] + wanted)

    def add(self, item: _Tally, name: str) -> None:
        """Count an item of a list of this name."""
        self.right += item.right
        for inner, counts in item.by_name.items():
            self.note(name if inner == _LONE else f"{name}.{inner}", *counts)


def _score(target: Flat, answer: Flat) -> dict[str, Any]:
    tally, wanted, given = _compare(target, answer), _count(target), _count(answer)
    right, of = (sum(counts[place] for counts in tally.by_name.values()) for place in (0, 1))
    return {
        "share": right / of if of else float(not given),
        "f1": 2 * tally.right / (wanted + given) if wanted + given else 1.0,
        "whole": tally.right == wanted == given,
        **{f"field.{name}": right / of for name, (right, of) in tally.by_name.items()},
    }


def _compare(target: Flat, answer: Flat) -> _Tally:
    tally = _Tally()
    for name, wanted, given in _side_by_side(target, answer):
        if isinstance(wanted, list) or isinstance(given, list):
            _compare_lists(tally, name, _items(wanted), _items(given))
            continue
        absent, missing = _is_nothing(wanted), _is_nothing(given)
        right = missing if absent else not missing and same_value(wanted, given)
        tally.right += right and not absent
        tally.note(name, int(right))
    return tally


def _compare_lists(tally: _Tally, name: str, wanted: list[Flat], given: list[Flat]) -> None:
    """Match the items so that most values are right; those left over are missing or invented."""
    if not wanted:
        tally.note(name, int(not given))
    left, others = [], list(given)
    for item in wanted:
        # An item that is all right belongs to its like whatever becomes of the rest.
        like = next((n for n, other in enumerate(others) if _is_like(item, other)), None)
        if like is None:
            left.append(item)
        else:
            tally.add(_compare(item, others.pop(like)), name)
    pairs = [[_compare(item, other) for other in others] for item in left]
    matched = dict(assign([[one.right for one in row] for row in pairs]))
    for place, item in enumerate(left):
        tally.add(pairs[place][matched[place]] if place in matched else _compare(item, {}), name)


def _is_like(item: Flat, other: Flat) -> bool:
    wanted = _count(item)
    return wanted == _count(other) and wanted == _compare(item, other).right


def _side_by_side(target: Flat, answer: Flat) -> Iterator[tuple[str, Any, Any]]:
    """Each field of the target with the answer's value: of the very name, else of one that is alike."""
    alike: dict[str, list[str]] = {}
    if not answer.keys() <= target.keys():
        for name in answer:
            if name not in target:
                alike.setdefault(_fold_name(name), []).append(name)
    for name, wanted in target.items():
        others = alike.get(_fold_name(name), []) if alike and name not in answer else []
        yield name, wanted, answer[others.pop(0)] if others else answer.get(name)


def _items(value: Value | list[Flat] | None) -> list[Flat]:
    """The items of a list, a plain value standing for a list of one."""
    if isinstance(value, list):
        return value
    return [] if value is None or _is_nothing(value) else [{_LONE: value}]


def _count(flat: Flat) -> int:
    """How many values there are in an object and in its lists."""
    count = 0
    for value in flat.values():
        count += sum(map(_count, value)) if isinstance(value, list) else not _is_nothing(value)
    return count


def _is_nothing(value: Value | None) -> bool:
    return value is None or value.text in _NOTHING


def _fold_name(name: str) -> str:
    return _SIGNS.sub("", name.casefold()).strip(".")


def _as_object(target: Any, sample: Sample) -> Mapping[str, Any]:
    if isinstance(target, str):
        try:
            target = json.loads(target)
        except ValueError as error:
            raise DataError(f"the target of sample {sample.id!r} is not JSON: {error}") from error
    if not isinstance(target, Mapping):
        message = f"the target of sample {sample.id!r} is no object with fields: {target!r}"
        raise DataError(message, hint="target=COLUMN names a column that holds one")
    return target
