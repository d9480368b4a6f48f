"""A large table in bulk: every column typed at once; the few rows that are not plain are told from the others.

Of a very large table the typed pieces go to Arrow files of their own, so that memory does not grow with the rows.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ingest.columns import breaches
from ingest.contract import Column, Contract
from ingest.plain import plain_values, text_type, value_type
from ingest.readers.pieces import Doubtful, Piece, in_order
from ingest.readers.records import Reading
from ingest.readers.table import Block

LOOSE = pa.schema(
    [("block", pa.int32()), ("position", pa.int64()), ("line", pa.int64()), ("cells", pa.list_(pa.string()))]
)
Digests = npt.NDArray[np.uint64]
# Digests are compared in so many parts, by their first bits: one part fits into a processor's cache.
PARTS = 64
# So many pieces stay in memory.
KEPT = 128


@dataclass
class Scan:
    """A reading's rows, typed piece by piece; the raw cells of those that are not plain; digests of the others' keys.

    A piece, in memory or in a file, has `line`, `digest` (of the key), `plain` (whether its row is) and `v_<column>`,
    NULL where a cell was not understood. `digests` has those of each piece in PARTS arrays, by their first bits.
    """

    schema: pa.Schema
    reading: Reading | None = None
    pieces: list[pa.Table | Path] = field(default_factory=list)
    digests: list[list[Digests]] = field(default_factory=list)
    loose: list[pa.Table] = field(default_factory=list)

    @classmethod
    def nothing(cls, contract: Contract) -> Scan:
        place = {"line": pa.int64(), "digest": pa.uint64(), "plain": pa.bool_()}
        return cls(pa.schema({**place, **{f"v_{column.id}": value_type(column) for column in contract.columns}}))

    def tables(self) -> Iterator[pa.Table]:
        """The pieces, in order."""
        for piece in self.pieces:
            yield pa.ipc.open_file(pa.memory_map(str(piece))).read_all() if isinstance(piece, Path) else piece

    def table(self) -> pa.Table:
        """All pieces, not copied."""
        return pa.concat_tables([self.schema.empty_table(), *self.tables()])

    def among(self, digests: Digests) -> pa.Table:
        """The plain rows with these digests of keys."""
        wanted = pa.array(digests)

        def chosen(table: pa.Table) -> pa.Table:
            return table.filter(pc.and_(pc.is_in(table["digest"], wanted), table["plain"]))

        with ThreadPoolExecutor(os.cpu_count()) as executor:
            return pa.concat_tables([self.schema.empty_table(), *in_order(executor, chosen, self.tables())])


@dataclass(frozen=True)
class _Task:
    """What every piece is judged by."""

    connection: duckdb.DuckDBPyConnection
    contract: Contract
    block: Block
    published_on: Any
    folder: Path


def scan(
    connection: duckdb.DuckDBPyConnection,
    contract: Contract,
    reading: Reading,
    block: Block,
    first_line: int,
    published_on: Any,
    folder: Path,
) -> Scan:
    """Read the rows from `first_line` on; of very many, the later pieces go to files in `folder`.

    Raises:
        Doubtful: the rows may be seen in two ways.
    """
    assert reading.pieces
    task, found = _Task(connection, contract, block, published_on, folder), Scan.nothing(contract)
    found.reading = reading
    named = {index: contract.column(name) for name, index in block.positions.items()}
    types = [text_type(named.get(index)) for index in range(len(block.header))]
    with ThreadPoolExecutor(os.cpu_count()) as executor:
        pieces = enumerate(reading.pieces(executor, first_line, types))
        for piece, digests, loose in in_order(executor, partial(_judge, task), pieces):
            found.pieces.append(piece)
            found.digests.append(digests)
            found.loose.append(loose)
    return found


def _judge(task: _Task, numbered: tuple[int, Piece]) -> tuple[pa.Table | Path, list[Digests], pa.Table]:
    """(the piece with its columns typed, digests of the keys of its plain rows, the other rows)."""
    number, piece = numbered
    columns = {f"v_{column.id}": _values(task.block, column, piece.cells) for column in task.contract.columns}
    values = pa.table(columns)
    digests, broken = _by_rules(task, values)
    for column in (c for c in task.contract.columns if values[f"v_{c.id}"].null_count):
        broken |= _is_unread(task.block, column, piece.cells, values[f"v_{column.id}"])
    typed = pa.table({"line": piece.lines, "digest": digests, "plain": ~broken, **columns})
    rows = np.flatnonzero(broken)
    return _kept(task, number, typed), parted(np.delete(digests, rows)), _loose(task, piece, rows)


def _kept(task: _Task, number: int, typed: pa.Table) -> pa.Table | Path:
    """The piece itself, or the file where it is kept if there are many."""
    if number < KEPT:
        return typed
    path = task.folder / f"{number:06d}.arrow"
    with pa.ipc.new_file(str(path), typed.schema) as target:
        target.write_table(typed)
    return path


def _cells(block: Block, column: Column, cells: pa.Table) -> pa.Array | None:
    position = block.positions.get(column.id)
    return None if position is None else cells.column(position).combine_chunks()


def _values(block: Block, column: Column, cells: pa.Table) -> pa.Array:
    texts = _cells(block, column, cells)
    if texts is None:
        return pa.repeat(False, len(cells)) if column.id == "void" else pa.nulls(len(cells), value_type(column))
    return plain_values(column, texts, block.powers.get(column.id, 0))


def _by_rules(task: _Task, typed: pa.Table) -> tuple[Digests, npt.NDArray[np.bool_]]:
    """(digest of each row's key, whether its values break a rule)."""
    keys = ", ".join(f"v_{column.id}" for column in task.contract.keys)
    broken = " OR ".join(sql for column in task.contract.columns for _, sql in breaches(column))
    query = f"SELECT hash({keys}) AS digest, coalesce({broken or 'false'}, false) AS broken FROM typed"
    parameters = {"published_on": task.published_on} if "$published_on" in query else {}
    with task.connection.cursor() as cursor:
        found = cursor.register("typed", typed).execute(query, parameters).fetchnumpy()
        cursor.unregister("typed")
    return found["digest"], found["broken"]


def _is_unread(block: Block, column: Column, cells: pa.Table, values: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Rows whose cell is not plain; an optional cell may also be missing."""
    unread: npt.NDArray[np.bool_] = values.is_null().to_numpy()
    if column.optional and not column.required_when:
        texts = _cells(block, column, cells)
        unread &= False if texts is None else pc.not_equal(texts.cast(pa.string()), "").to_numpy(zero_copy_only=False)
    return unread


def _loose(task: _Task, piece: Piece, rows: npt.NDArray[np.int64]) -> pa.Table:
    """The raw cells of these rows of a piece, and of those that are not as wide as the header.

    Raises:
        Doubtful: a repeated header.
    """
    texts = [column.to_pylist() for column in piece.cells.take(rows).columns]
    lines = piece.lines.take(pa.array(rows)).to_pylist()
    found = sorted([*zip(lines, map(list, zip(*texts, strict=True)), strict=True),
                    *((record.line, record.cells) for record in piece.ragged)])  # fmt: skip
    key = task.block.positions[task.contract.keys[0].id]
    if any(cells[key : key + 1] == [task.block.header[key]] for _, cells in found):
        raise Doubtful
    lines = [line for line, _ in found]
    columns = [[0] * len(found), lines, lines, [cells for _, cells in found]]
    return pa.table([pa.array(values, kind.type) for values, kind in zip(columns, LOOSE, strict=True)], schema=LOOSE)


def parted(digests: Digests) -> list[Digests]:
    """The digests in PARTS arrays, by their first bits."""
    part = (digests // np.uint64((1 << 64) // PARTS)).astype(np.uint8)
    ordered = digests[np.argsort(part, kind="stable")]  # of bytes, a sort that only counts
    return np.split(ordered, np.cumsum(np.bincount(part, minlength=PARTS))[:-1])


def repeated(digests: list[list[Digests]]) -> Digests:
    """The digests that stand more than once in all these parted arrays together."""

    def of_part(part: int) -> Digests:
        return several(np.concatenate([one[part] for one in digests]))

    with ThreadPoolExecutor(os.cpu_count()) as executor:
        return np.concatenate(list(executor.map(of_part, range(PARTS))))


def several(digests: Digests) -> Digests:
    """The digests that stand more than once in one array."""
    ordered = np.sort(digests)
    return np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
