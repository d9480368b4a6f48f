"""CSV and TSV: UTF-8, UTF-8 with BOM or GB18030; comma or tab; CRLF or LF."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv_in_bulk

from ingest.readers.limits import CELL_LIMIT, COLUMN_LIMIT
from ingest.readers.pieces import Doubtful, Piece, in_order
from ingest.readers.records import Reading, Record, Unreadable

HEAD = 1 << 20
CHUNK = 1 << 22
PAGE = 1 << 18
# A block's text and its columns fit into a processor's cache.
BLOCK = 1 << 23


def text_readings(path: Path, scratch: Path) -> list[Reading]:
    """The text of `path` cut at commas and cut at tabs; the header shows which of the two is right.

    Raises:
        Unreadable: empty, a NUL byte, or neither UTF-8 nor GB18030 throughout; the message names the line.
    """
    utf8 = utf8_copy(path, scratch)
    return [
        Reading(
            records=partial(read_records, utf8, delimiter),
            pieces=partial(_pieces, utf8, delimiter),
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


def _pieces(
    path: Path, delimiter: str, executor: Executor, first_line: int, types: Sequence[pa.DataType]
) -> Iterator[Piece]:
    """The lines from the given one on, each a row; they are cut into blocks of a size that depends on nothing else."""
    line = first_line
    for piece in in_order(executor, partial(_piece, path, delimiter, types), _blocks(path, first_line)):
        ragged = [Record(line + record.line, record.cells) for record in piece.ragged]
        yield Piece(piece.cells, pc.add(piece.lines, line), ragged)
        line += len(piece.lines) + len(ragged)


def _blocks(path: Path, first_line: int) -> Iterator[tuple[int, int]]:
    """(offset, size) of every block of whole lines."""
    with open(path, "rb") as handle:
        for _ in range(first_line - 1):
            if b"\r" in handle.readline().removesuffix(b"\r\n"):
                raise Doubtful
        start, end = handle.tell(), path.stat().st_size
        while start < end:
            handle.seek(min(start + BLOCK, end))
            handle.readline()
            yield start, handle.tell() - start
            start = handle.tell()


def _piece(path: Path, delimiter: str, types: Sequence[pa.DataType], block: tuple[int, int]) -> Piece:
    """One block, its lines numbered from 0.

    Raises:
        Doubtful: a NUL byte, no UTF-8, CR alone, a line that may hold too long a cell, or quotes that are not just
            around whole cells of one line.
    """
    data = _text(path, delimiter, *block)
    ragged: list[Record] = []

    def keep(row: csv_in_bulk.InvalidRow) -> str:
        ragged.append(Record(row.number - 1, _cells(row.text, delimiter)))
        return "skip"

    names = [f"c{index}" for index in range(len(types))]
    try:
        cells = csv_in_bulk.read_csv(
            pa.BufferReader(data),
            csv_in_bulk.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=names),
            csv_in_bulk.ParseOptions(
                delimiter=delimiter,
                quote_char=b'"' in data and '"',
                ignore_empty_lines=False,
                invalid_row_handler=keep,
            ),
            csv_in_bulk.ConvertOptions(
                column_types=dict(zip(names, types, strict=True)), strings_can_be_null=False, check_utf8=False
            ),
        )
        for column in cells.columns:
            for chunk in column.chunks:
                getattr(chunk, "dictionary", chunk).validate(full=True)  # UTF-8, each text once
    except (pa.ArrowInvalid, UnicodeDecodeError):
        raise Doubtful from None
    if any(len(record.cells) > COLUMN_LIMIT for record in ragged):
        raise Doubtful
    lines = np.delete(np.arange(cells.num_rows + len(ragged)), [record.line for record in ragged])
    return Piece(cells, pa.array(lines), ragged)


def _text(path: Path, delimiter: str, start: int, size: int) -> bytes:
    """The block's bytes.

    Raises:
        Doubtful: as `_piece`, but for UTF-8.
    """
    with open(path, "rb") as handle:
        handle.seek(start)
        data = handle.read(size)
    half = CELL_LIMIT // 2
    if any(data.find(b"\n", at, at + half) < 0 for at in range(0, size - half + 1, half)):
        raise Doubtful
    if any(byte in data for byte in (b"\0", b"\r", b'"')) and not _is_regular(data, delimiter):
        raise Doubtful
    return data


def _is_regular(data: bytes, delimiter: str) -> bool:
    """Whether quotes stand around whole cells of one line only, in which a quote is doubled; no NUL, no CR alone."""
    cell = rf'(?:"(?:[^"\r\n\0]|"")*"|[^"{delimiter}\r\n\0]*)'
    lines = rf"\A(?:{cell}(?:{delimiter}|\r?\n))*{cell}\z"
    return bool(pc.match_substring_regex(pa.scalar(data, pa.large_binary()), lines).as_py())


def _cells(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter)) if '"' in line else line.split(delimiter)


@lru_cache(maxsize=1)
def _newlines_before(path: Path) -> npt.NDArray[np.int64]:
    """How many newlines stand before each page of the file, and in all of it: an index by which a line is found."""
    with open(path, "rb") as handle:
        pages = iter(partial(handle.read, PAGE), b"")
        counts = [np.count_nonzero(np.frombuffer(data, np.uint8) == 10) for data in pages]
    return np.cumsum([0, *counts])


def _cells_of_lines(path: Path, delimiter: str, lines: Sequence[int]) -> Iterator[list[str]]:
    """The cells of single lines (ascending numbers) of a file whose pieces are not doubtful."""
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
                yield _cells(data[starts[line] : ends[line]].decode().rstrip("\r"), delimiter)
