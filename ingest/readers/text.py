"""CSV and TSV: UTF-8, UTF-8 with BOM or GB18030; comma or tab; CRLF or LF."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

# A cell longer than this is a broken quote or an attack, not a statistic.
CELL_LIMIT = 1 << 20

_BINARY = {
    b"PK\x03\x04": "a zip archive (.xlsx?)",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook (.xls)",
    b"\x1f\x8b": "gzip",
    b"PAR1": "Parquet",
}


class Unreadable(Exception):
    """The delivery can't be read at all; the message names the place."""


@dataclass(frozen=True)
class Record:
    """One record: the 1-based line it starts on, and its cells as text."""

    line: int
    cells: list[str]


def decode(data: bytes) -> str:
    """The text of `data`: UTF-8 (with or without BOM), else GB18030.

    Raises:
        Unreadable: empty, binary, or neither encoding throughout.
    """
    if not data.strip():
        raise Unreadable("empty: the file holds no bytes" if not data else "empty: the file holds only blanks")
    for magic, kind in _BINARY.items():
        if data.startswith(magic):
            raise Unreadable(f"unreadable: the bytes are {kind}; this feed takes CSV or TSV text")
    if b"\0" in data:
        line = data.count(b"\n", 0, data.index(b"\0")) + 1
        raise Unreadable(f"unreadable: a NUL byte on line {line}")
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError as error:
            place = data.count(b"\n", 0, error.start) + 1
    raise Unreadable(f"unreadable: neither UTF-8 nor GB18030 on line {place}")


def records(text: str, delimiter: str) -> list[Record]:
    """All records of delimited text, with the physical line each starts on.

    Raises:
        Unreadable: an unbalanced quote, or a cell over the limit; the message names the line.
    """
    csv.field_size_limit(CELL_LIMIT)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    result, line = [], 1
    try:
        for cells in reader:
            result.append(Record(line, cells))
            line = reader.line_num + 1
    except csv.Error as error:
        raise Unreadable(f"unreadable: line {line}: {error}") from None
    return result
