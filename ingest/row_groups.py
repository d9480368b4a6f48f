"""One Parquet file of row groups that were encoded at the same time; byte for byte what one writer would write.

A writer encodes one row group after the other. Here each becomes a file of its own, in memory; its pages are put behind
those of the ones before it, and the places that its footer names are moved as far. A footer is a structure of Thrift in
the compact protocol, whose fields have the numbers of `parquet.thrift` (apache/parquet-format).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

MAGIC = b"PAR1"
_LENGTH_BYTES = 4
_FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _STRUCT = 2, 3, 7, 8, 9, 12
_ROW_GROUPS, _ORDINAL = (4,), (4, 7)
# Where a row group, a column's chunk, its first page, its index and its dictionary begin.
_PLACES = {(4, 5), (4, 1, 2), (4, 1, 3, 9), (4, 1, 3, 10), (4, 1, 3, 11)}


def encoded(table: pa.Table, **options: Any) -> pa.Buffer:
    """A Parquet file of one row group."""
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, table.schema, **options) as writer:
        writer.write_table(table, row_group_size=max(len(table), 1))
    return sink.getvalue()


def write_together(target: Path, files: Iterable[pa.Buffer]) -> None:
    """Write one file of the row groups of these files, which have the same schema."""
    whole, moves = None, []
    with open(target, "wb") as out:
        out.write(MAGIC)
        for file in files:
            metadata = pq.read_metadata(pa.BufferReader(file))
            moves.append(out.tell() - len(MAGIC))
            out.write(file[len(MAGIC) : len(file) - metadata.serialized_size - _LENGTH_BYTES - len(MAGIC)])
            if whole is None:
                whole = metadata
            else:
                whole.append_row_groups(metadata)
        assert whole
        footer = _Footer(_serialized(whole), moves).moved()
        out.write(footer + len(footer).to_bytes(_LENGTH_BYTES, "little") + MAGIC)


def _serialized(metadata: pq.FileMetaData) -> bytes:
    sink = pa.BufferOutputStream()
    metadata.write_metadata_file(sink)
    return bytes(sink.getvalue()[len(MAGIC) : -_LENGTH_BYTES - len(MAGIC)])


class _Footer:
    """A footer of row groups from several files, read once from its start to its end and copied."""

    def __init__(self, source: bytes, moves: list[int]) -> None:
        self.source, self.moves = source, moves
        self.at = self.group = 0
        self.copy = bytearray()

    def moved(self) -> bytes:
        """The copy, in which the places of row group n lie `moves[n]` bytes further on."""
        self._structure(())
        return bytes(self.copy)

    def _take(self, count: int) -> bytes:
        taken = self.source[self.at : self.at + count]
        self.at += count
        self.copy += taken
        return taken

    def _number(self, more: int = 0) -> int:
        """A number of seven bits a byte, the lowest first; the copy says `more`."""
        number = shift = 0
        while True:
            byte = self.source[self.at]
            self.at += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        rest = number + more
        while rest > 0x7F:
            self.copy.append(rest & 0x7F | 0x80)
            rest >>= 7
        self.copy.append(rest)
        return number

    def _structure(self, path: tuple[int, ...]) -> None:
        """Fields, each under how far its number is from the one before, and its type; a zero ends them."""
        field = 0
        while (head := self._take(1)[0]) != 0:
            field = field + (head >> 4) if head >> 4 else self._number() // 2
            self._value(head & 0xF, (*path, field))

    def _value(self, kind: int, path: tuple[int, ...]) -> None:
        if kind == _STRUCT:
            self._structure(path)
        elif kind == _LIST:
            self._list(path)
        elif kind == _BINARY:
            self._take(self._number())
        elif kind == _DOUBLE:
            self._take(8)
        elif kind == _BYTE:
            self._take(1)
        elif kind > _FALSE:
            # A number n that is not negative is written as 2n.
            self._number(2 * self._more(path))

    def _more(self, path: tuple[int, ...]) -> int:
        if path == _ORDINAL:
            return self.group
        return self.moves[self.group] if path in _PLACES and self.source[self.at] else 0

    def _list(self, path: tuple[int, ...]) -> None:
        head = self._take(1)[0]
        size = self._number() if head >> 4 == 0xF else head >> 4
        for number in range(size):
            if path == _ROW_GROUPS:
                self.group = number
            self._value(head & 0xF, path)
