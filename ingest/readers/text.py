"""CSV and TSV: UTF-8, UTF-8 with BOM or GB18030; comma or tab; CRLF or LF."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ingest.readers.limits import CELL_LIMIT, COLUMN_LIMIT
from ingest.readers.records import Reading, Record, Unreadable

HEAD = 1 << 20
CHUNK = 1 << 22
PAGE = 1 << 18


def text_readings(path: Path, scratch: Path) -> list[Reading]:
    """The text of `path` cut at commas and cut at tabs; the header shows which of the two is right.

    Raises:
        Unreadable: empty, a NUL byte, or neither UTF-8 nor GB18030 throughout; the message names the line.
    """
    utf8 = utf8_copy(path, scratch)
    return [
        Reading(
            records=partial(read_records, utf8, delimiter),
            scan=partial(_scan, utf8, delimiter),
            count=partial(_count_lines, utf8),
            cells=partial(_cells_of_lines, utf8, delimiter),
            alternative=True,
            size=utf8.stat().st_size,
        )
        for delimiter in (",", "\t")
    ]


def read_records(path: Path, delimiter: str) -> Iterator[Record]:
    """Every record of a UTF-8 file, with the physical line it starts on.

    Raises:
        Unreadable: an unbalanced quote, a NUL byte, a cell over the limit, no UTF-8; the message names the line.
    """
    csv.field_size_limit(CELL_LIMIT)
    with open(path, encoding="utf-8-sig", newline="") as handle:
        reader = csv.reader(handle, delimiter=delimiter, strict=True)
        line = 1
        try:
            for cells in reader:
                if len(cells) > COLUMN_LIMIT:
                    raise Unreadable(f"unreadable: more than {COLUMN_LIMIT} cells on line {line}")
                if any("\0" in cell for cell in cells):
                    raise Unreadable(f"unreadable: a NUL byte on line {line}")
                yield Record(line, cells)
                line = reader.line_num + 1
        except csv.Error as error:
            raise Unreadable(f"unreadable: line {line}: {error}") from None
        except UnicodeDecodeError:
            raise _neither(path) from None


def utf8_copy(path: Path, scratch: Path) -> Path:
    """`path` itself where it is UTF-8, else a copy in UTF-8 below `scratch`. The first bytes decide where they can."""
    with open(path, "rb") as handle:
        head = handle.read(HEAD)
    if not head.strip(codecs.BOM_UTF8 + b" \t\r\n") and path.stat().st_size <= HEAD:
        raise Unreadable("empty: the file holds only blanks" if head else "empty: the file holds no bytes")
    if b"\0" in head:
        raise Unreadable(f"unreadable: a NUL byte on line {head.count(10, 0, head.index(0)) + 1}")
    if _is_utf8(head) and not head.isascii() or _decodes(path, "utf-8"):
        return path
    copy = scratch / "utf8.txt"
    with open(path, "rb") as source, open(copy, "wb") as target:
        decoder = codecs.getincrementaldecoder("gb18030")()
        try:
            for data in iter(partial(source.read, CHUNK), b""):
                target.write(decoder.decode(data).encode())
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            raise _neither(path) from None
    return copy


def _is_utf8(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=len(head) < HEAD)
    except UnicodeDecodeError:
        return False
    return True


def _decodes(path: Path, encoding: str) -> bool:
    return _undecodable_line(path, encoding) is None


def _undecodable_line(path: Path, encoding: str) -> int | None:
    """The line where `path` stops being text of `encoding`."""
    decoder, line = codecs.getincrementaldecoder(encoding)(), 1
    with open(path, "rb") as handle:
        while True:
            data = handle.read(CHUNK)
            try:
                decoder.decode(data, final=not data)
            except UnicodeDecodeError as error:
                return line + error.object.count(b"\n", 0, error.start)
            if not data:
                return None
            line += data.count(b"\n")


def _neither(path: Path) -> Unreadable:
    """The line that neither encoding gets beyond; the other one may stop at the first character that is not its own."""
    line = max(_undecodable_line(path, encoding) or 1 for encoding in ("utf-8", "gb18030"))
    return Unreadable(f"unreadable: neither UTF-8 nor GB18030 on line {line}")


def _scan(path: Path, delimiter: str, skip: int, width: int) -> str:
    """The file as a relation for DuckDB: every cell text, no quotes, one line one row (blank lines are left out)."""
    with open(path, "rb") as handle:
        newline = r"\r\n" if handle.readline(HEAD).endswith(b"\r\n") else r"\n"
    columns = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(width))
    quoted = str(path).replace("'", "''")
    return (
        f"read_csv('{quoted}', header = false, skip = {skip}, delim = '{delimiter}', columns = {{{columns}}}, "
        f"quote = '', escape = '', new_line = '{newline}', null_padding = true, auto_detect = false, "
        f"max_line_size = {CELL_LIMIT})"
    )


@lru_cache(maxsize=1)
def _newlines_before(path: Path) -> npt.NDArray[np.int64]:
    """How many newlines stand before each page of the file, and in all of it: an index by which a line is found."""
    with open(path, "rb") as handle:
        pages = iter(partial(handle.read, PAGE), b"")
        counts = [np.count_nonzero(np.frombuffer(data, np.uint8) == 10) for data in pages]
    return np.cumsum([0, *counts])


def _count_lines(path: Path) -> int:
    """How many lines the file has, without those at its end that are blank."""
    with open(path, "rb") as handle:
        handle.seek(max(0, path.stat().st_size - CHUNK))
        tail = handle.read()
    return int(_newlines_before(path)[-1]) + 1 - tail.count(10, len(tail.rstrip(b"\r\n")))


def _cells_of_lines(path: Path, delimiter: str, lines: Sequence[int]) -> Iterator[list[str]]:
    """The cells of single lines (ascending numbers) of a file whose every line is one record."""
    wanted, before = np.asarray(lines, np.int64), _newlines_before(path)
    # Line n begins behind newline n - 1; the first line begins the first page.
    pages = np.maximum(np.searchsorted(before, wanted - 1) - 1, 0)
    with open(path, "rb") as handle:
        for page in np.unique(pages):
            handle.seek(int(page) * PAGE)
            data = handle.read(PAGE) + handle.readline()
            ends = np.append(np.flatnonzero(np.frombuffer(data, np.uint8) == 10), len(data))
            starts = np.append(0, ends + 1)
            for line in wanted[pages == page] - before[page] - 1:
                yield data[starts[line] : ends[line]].decode().rstrip("\r").split(delimiter)
