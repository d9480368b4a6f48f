"""Cells in the spellings that machines write, read in bulk; everything else is read with care (`ingest.columns`).

Both give the same value. A cell is plain where its column's value below is not NULL.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ingest.columns import USCC_ALPHABET, USCC_LENGTH, decimals_of
from ingest.contract import Column

CODES = pa.dictionary(pa.int32(), pa.string())
_PART = "([0-9]{1,2})"
_DAY = re.compile(f"([0-9]{{4}})(?:([0-9]{{2}})([0-9]{{2}})|-{_PART}-{_PART}|/{_PART}/{_PART}|年{_PART}月{_PART}日)")
_MONTH = re.compile(f"([0-9]{{4}})(?:-?([0-9]{{2}})|年{_PART}月)")
# Four printable characters without a quote: none of the spellings of a missing value.
_TEXT = "[0-9A-Za-z][!#-~]{3,}"
# An amount of so few decimals is a machine's number.
_DIGITS = 18
_MACHINE_DECIMALS = 6


def value_type(column: Column) -> pa.DataType:
    """The Arrow type of a column's values; those that repeat are a dictionary's."""
    match column.type:
        case "date":
            return pa.date32()
        case "flag":
            return pa.bool_()
        case "integer":
            return pa.int64()
        case "money" | "number":
            decimals = decimals_of(column)
            return pa.decimal64(_DIGITS, decimals) if decimals <= _MACHINE_DECIMALS else pa.decimal128(38, decimals)
    return text_type(column)


def text_type(column: Column | None) -> pa.DataType:
    """The Arrow type in which a column's cells are best read: a dictionary where few texts repeat."""
    return pa.string() if column is None or column.type in ("text", "money", "number", "integer") else CODES


def plain_values(column: Column, cells: pa.Array, power: int = 0) -> pa.Array:
    """The value of every plain cell, NULL of the others; each text of a dictionary is read once."""
    kind = value_type(column)
    if not pa.types.is_dictionary(cells.type):
        return _values(column, cells, power).cast(kind)
    values, codes = _values(column, cells.dictionary, power), cells.indices
    if kind != CODES:
        return values.cast(kind).take(codes)
    encoded = values.dictionary_encode()
    return pa.DictionaryArray.from_arrays(encoded.indices.take(codes), encoded.dictionary)


def _values(column: Column, texts: pa.Array, power: int) -> pa.Array:
    match column.type:
        case "money" if decimals_of(column) <= _MACHINE_DECIMALS:
            return _amounts(texts, decimals_of(column), power)
        case "date":
            return _looked_up(texts, _date, pa.date32())
        case "enum":
            ids = {text: name for name, zh in column.values.items() for text in (zh, name)}
            return _looked_up(texts, ids.get, pa.string())
        case "flag":
            # A row that is void needs care, for the rest of it need not validate.
            values = {"": False, "否": False} if column.id == "void" else {"否": False}
            return _looked_up(texts, values.get, pa.bool_())
        case "period" if column.frequency in (None, "M"):
            return _looked_up(texts, _month, pa.string())
        case "period_range":
            return _looked_up(texts, _months, pa.string())
        case "uscc" | "uscc_or_organisation_code":
            fits = pc.and_(pc.equal(pc.binary_length(texts), USCC_LENGTH), _are_of(texts, USCC_ALPHABET))
            return pc.if_else(fits, texts, None)
        case "text" if not column.pattern:
            return texts if _are_words(texts) else _matching(texts, _TEXT)
    return pa.nulls(len(texts), pa.string())


def _looked_up(texts: pa.Array, read: Callable[[str], Any], kind: pa.DataType) -> pa.Array:
    return pa.array(map(read, texts.to_pylist()), kind)


def _date(text: str) -> date | None:
    found = _DAY.fullmatch(text)
    try:
        return date(*map(int, filter(None, found.groups()))) if found else None
    except ValueError:
        return None


def _month(text: str) -> str | None:
    found = _MONTH.fullmatch(text)
    year, month = filter(None, found.groups()) if found else ("", "0")
    return f"{year}-{int(month):02}" if 1 <= int(month) <= 12 else None


def _months(text: str) -> str | None:
    first, tilde, last = text.partition("~")
    start, end = _month(first), _month(last) if tilde else ""
    if not start or end is None or "" < end < start:
        return None
    return f"{start}~{end}" if tilde else start


def _matching(texts: pa.Array, pattern: str) -> pa.Array:
    return pc.if_else(pc.match_substring_regex(texts, rf"\A(?:{pattern})\z"), texts, None)


def _are_of(texts: pa.Array, characters: str) -> pa.Array:
    """Whether each text is made of these ASCII characters alone: told faster than by a pattern."""
    return pc.equal(pc.binary_length(pc.ascii_ltrim(texts, characters)), 0)


def _are_words(texts: pa.Array) -> bool:
    """Whether every text is letters and digits, four or more: the usual case, told faster than by a pattern."""
    shortest = pc.min(pc.binary_length(texts)).as_py()
    return shortest is not None and shortest >= 4 and pc.all(pc.ascii_is_alnum(texts)).as_py()


def _amounts(texts: pa.Array, decimals: int, power: int) -> pa.Array:
    """Amounts times ten to `power`: read with so many decimals more, and the point moved; nothing is rounded."""
    kind = pa.decimal64(_DIGITS, decimals + power)
    try:
        if not pc.all(_are_of(texts, "-.0123456789")).as_py():
            raise pa.ArrowInvalid
        amounts = texts.cast(kind)
    except pa.ArrowInvalid:
        plain = rf"-?[0-9]{{1,{_DIGITS - decimals - power}}}([.][0-9]{{0,{decimals + power}}})?"
        amounts = _matching(texts, plain).cast(kind)
    moved = pa.decimal64(_DIGITS, decimals)
    return pa.Array.from_buffers(moved, len(amounts), amounts.buffers(), offset=amounts.offset)
