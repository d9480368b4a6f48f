"""JSON: a list of flat objects, or one object with exactly one such list somewhere inside, as web services answer.

Numbers keep the digits they are written with; true and false read as 是 and 否. A record's line is its number.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from ingest.readers.records import Record, Unreadable
from ingest.readers.text import utf8_copy

_WORDS = {None: "", True: "是", False: "否"}


@dataclass(slots=True)
class _Object:
    """An object as it is written: which of its keys stands twice is not lost."""

    keys: tuple[str, ...]
    values: list[Any]


def sheets(path: Path, scratch: Path) -> Iterator[tuple[None, Iterator[Record]]]:
    """The one table of a JSON text: a header of all keys in the order of their first appearance, then the records.

    Raises:
        Unreadable: no JSON, none or several lists of objects, a key twice in an object, or a nested value.
    """
    found: list[tuple[str, list[Any]]] = []
    _lists_of_objects(_parsed(utf8_copy(path, scratch)), "$", found)
    if len(found) != 1:
        places = ", ".join(place for place, _ in found[:5])
        raise Unreadable(f"unreadable: JSON with {len(found)} lists of objects ({places}) where one is expected"
                         if found else "unreadable: JSON without a list of objects")  # fmt: skip
    yield None, _rows(*found[0])


def _parsed(path: Path) -> Any:
    shapes: dict[tuple[str, ...], tuple[str, ...]] = {}

    def shaped(pairs: list[tuple[str, Any]]) -> _Object:
        keys = tuple(key for key, _ in pairs)
        return _Object(shapes.setdefault(keys, keys), [value for _, value in pairs])

    try:
        return json.loads(
            path.read_bytes().removeprefix(codecs.BOM_UTF8).decode(),
            object_pairs_hook=shaped,
            parse_float=str,
            parse_int=str,
            parse_constant=_no_constant,
        )
    except json.JSONDecodeError as error:
        raise Unreadable(f"unreadable: no JSON on line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise Unreadable("unreadable: JSON nested too deeply") from None


def _no_constant(word: str) -> NoReturn:
    raise Unreadable(f"unreadable: JSON knows no {word}")


def _lists_of_objects(value: Any, place: str, found: list[tuple[str, list[Any]]]) -> None:
    """Collect every outermost list of objects below `value`; a record's own values are not searched."""
    if isinstance(value, _Object):
        if len(set(value.keys)) < len(value.keys):
            raise Unreadable(f"unreadable: a key stands twice in the object {place}")
        for key, inner in zip(value.keys, value.values, strict=True):
            _lists_of_objects(inner, f"{place}.{key}", found)
    elif isinstance(value, list):
        if any(isinstance(item, _Object) for item in value):
            found.append((place, value))
        else:
            for number, inner in enumerate(value):
                _lists_of_objects(inner, f"{place}[{number}]", found)


def _rows(place: str, records: list[Any]) -> Iterator[Record]:
    header = list(dict.fromkeys(key for shape in dict.fromkeys(_keys(place, records)) for key in shape))
    positions = {key: position for position, key in enumerate(header)}
    yield Record(0, header)
    for number, record in enumerate(records, 1):
        cells = [""] * len(header)
        for key, value in zip(record.keys, record.values, strict=True):
            if isinstance(value, (_Object, list)):
                raise Unreadable(f"unreadable: a nested value in record {number} of {place}, key {key}")
            cells[positions[key]] = value if isinstance(value, str) else _WORDS[value]
        yield Record(number, cells)


def _keys(place: str, records: list[Any]) -> Iterator[tuple[str, ...]]:
    for number, record in enumerate(records, 1):
        if not isinstance(record, _Object):
            raise Unreadable(f"unreadable: record {number} of {place} is no object")
        if len(set(record.keys)) < len(record.keys):
            raise Unreadable(f"unreadable: a key stands twice in record {number} of {place}")
        yield record.keys
