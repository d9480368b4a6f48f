"""A delivery's rows in DuckDB: those in a machine's plain spelling already typed, all others as raw cells.

    plain   block, position, line, v_<column> …          rows that break no rule that one row alone can break
    loose   block, position, line, cells                 rows to be judged with care, as they arrived

`position` orders the rows of a delivery; `line` is their place in the file or sheet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ingest.columns import breaches, plain_sql, plain_type
from ingest.contract import MONEY_UNITS, Column, Contract, normalise
from ingest.readers.records import Reading, Record, Unreadable
from ingest.readers.table import CONTINUED, HEADER_SEARCH, TOTALS, Block, find_header, split

# Below this size reading record by record is as fast as a scan.
SCAN_BYTES = 8 << 20
BATCH = 20_000
# Notes, as many as a table may have; what stands before them is not looked at.
TAIL = 1000
_LOOSE = pa.schema(
    [("block", pa.int32()), ("position", pa.int64()), ("line", pa.int64()), ("cells", pa.list_(pa.string()))]
)


@dataclass
class Staged:
    """The blocks of a delivery, whose rows are now in `plain` and `loose`; its control totals; what was passed over."""

    blocks: list[Block] = field(default_factory=list)
    totals: list[tuple[Block, Record]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    scanned: Reading | None = None

    @property
    def header(self) -> dict[str, list[str]]:
        """The printed headers by column id, those of unknown columns under ""."""
        found: dict[str, list[str]] = {}
        for block in self.blocks:
            names = {index: name for name, index in block.positions.items()}
            for index, text in enumerate(block.header):
                printed = found.setdefault(names.get(index, ""), [])
                if normalise(text) and normalise(text) not in printed:
                    printed.append(normalise(text))
        return found


class _NotPlain(Exception):
    """A scan is not to be trusted here: read record by record."""


def stage(
    connection: duckdb.DuckDBPyConnection, contract: Contract, readings: list[Reading], published_on: Any
) -> Staged:
    """Create tables `plain` and `loose` from the readings of a delivery.

    Raises:
        Unreadable: no table, a required column missing or named twice, an unknown unit, or no row.
    """
    _create(connection, contract)
    staged = Staged()
    for reading in _tables(contract, readings, staged):
        try:
            if not reading.scan or reading.size < SCAN_BYTES:
                raise _NotPlain
            _scan(connection, contract, reading, staged, published_on)
        except _NotPlain:
            _feed(connection, contract, reading, staged)
    _part(connection, contract, staged)
    if connection.execute("SELECT 1 FROM plain UNION ALL SELECT 1 FROM loose LIMIT 1").fetchall() == []:
        raise Unreadable("empty: a header without a row")
    return staged


def normalised(values: pa.Array) -> pa.Array:
    """NFKC, then trimmed."""
    return pc.utf8_trim_whitespace(pc.utf8_normalize(values, form="NFKC"))


def _create(connection: duckdb.DuckDBPyConnection, contract: Contract) -> None:
    connection.execute("CREATE OR REPLACE TABLE loose (block INTEGER, position BIGINT, line BIGINT, cells VARCHAR[])")
    values = ", ".join(f"v_{column.id} {plain_type(column)}" for column in contract.columns)
    connection.execute(f"CREATE OR REPLACE TABLE scanned ({values}, cells VARCHAR[])")
    _view_plain(connection, contract, 0)


def _view_plain(connection: duckdb.DuckDBPyConnection, contract: Contract, first_line: int) -> None:
    """`plain` shows the scanned rows that need no care; a scan keeps the order of the file, so rowid tells the line."""
    values = ", ".join(f"v_{column.id}" for column in contract.columns)
    connection.execute(
        f"CREATE OR REPLACE VIEW plain AS SELECT 0 AS block, rowid AS position, rowid + {first_line} AS line, {values} "
        "FROM scanned WHERE cells IS NULL"
    )


def _tables(contract: Contract, readings: list[Reading], staged: Staged) -> Iterator[Reading]:
    """The readings that hold the feed's table: the best of alternatives, every sheet with a header."""
    scored = []
    failures: list[Unreadable] = []
    for reading in readings:
        try:
            scored.append((find_header(contract, list(islice(reading.records(), HEADER_SEARCH)))[0], reading))
        except Unreadable as error:
            if not reading.alternative:
                raise
            failures.append(error)
    if not scored:
        raise failures[0]
    best = max(count for count, _ in scored)
    if failures and not best:
        raise failures[0]
    if not best or scored[0][1].alternative:
        yield next(reading for count, reading in scored if count == best)
        return
    for count, reading in scored:
        if count:
            yield reading
        else:
            name = "a sheet" if contract.confidential else f"sheet {reading.sheet}"
            staged.remarks.append(f"{name} holds no table of this feed")


def _feed(connection: duckdb.DuckDBPyConnection, contract: Contract, reading: Reading, staged: Staged) -> None:
    """Every record of a reading into `loose`."""
    (start,) = connection.execute("SELECT coalesce(max(position) + 1, 0) FROM loose").fetchall()[0]
    for batch in _batches(contract, reading, staged, start):
        connection.register("batch", batch)
        connection.execute("INSERT INTO loose FROM batch")
        connection.unregister("batch")


def _batches(contract: Contract, reading: Reading, staged: Staged, start: int) -> Iterator[pa.Table]:
    def located() -> Iterator[tuple[int, Record]]:
        for item in split(contract, reading):
            if isinstance(item, Block):
                staged.blocks.append(item)
            else:
                yield len(staged.blocks) - 1, item

    rows = located()
    while batch := list(islice(rows, BATCH)):
        columns = [
            [block for block, _ in batch],
            range(start, start + len(batch)),
            [record.line for _, record in batch],
            [record.cells for _, record in batch],
        ]
        start += len(batch)
        yield pa.table(
            [pa.array(values, kind.type) for values, kind in zip(columns, _LOOSE, strict=True)], schema=_LOOSE
        )


def _scan(
    connection: duckdb.DuckDBPyConnection, contract: Contract, reading: Reading, staged: Staged, published_on: Any
) -> None:
    """The whole table by DuckDB's own parallel reader; what is not plain goes to `loose`.

    Raises:
        _NotPlain: quotes, blank lines, ragged rows or bytes that DuckDB and a record by record reading may see in
            two ways.
    """
    assert reading.scan and reading.count
    items = split(contract, reading)
    block, first = next(items), next(items, None)
    if not isinstance(block, Block) or not isinstance(first, Record):
        raise _NotPlain
    width, skip = len(block.header), first.line - 1
    values = [f"{_plain_value(block, column)} AS v_{column.id}" for column in contract.columns]
    unread = [f"c{i}" for i in range(width) if i not in block.positions.values()]
    careful = " OR ".join(
        [_careful(block, column) for column in contract.columns]
        + [f"coalesce(regexp_matches({source}, '[\"\\x00]'), false)" for source in unread]
    )
    try:
        connection.execute(
            f"CREATE OR REPLACE TABLE scanned AS SELECT {', '.join(f'v_{c.id}' for c in contract.columns)}, "
            f"CASE WHEN {careful} THEN [{', '.join(f'c{i}' for i in range(width))}] END AS cells FROM "
            f"(SELECT *, {', '.join(values)} FROM {reading.scan(skip, width)})",
            {"published_on": published_on} if "$published_on" in careful else {},
        )
    except duckdb.Error:
        _create(connection, contract)
        raise _NotPlain from None
    key = block.positions[contract.keys[0].id]
    rows, doubtful = connection.execute(
        "SELECT count(*), count(*) FILTER (cells IS NOT NULL AND (list_any_value(list_filter(cells, "
        """lambda cell: contains(cell, '"') OR contains(cell, chr(0)))) IS NOT NULL OR cells[$key] = $header)) """
        "FROM scanned",
        {"key": key + 1, "header": block.header[key]},
    ).fetchall()[0]
    if doubtful or not rows or skip + rows != reading.count():
        _create(connection, contract)
        raise _NotPlain
    _view_plain(connection, contract, first.line)
    connection.execute(
        "INSERT INTO loose SELECT 0, rowid, rowid + $first, list_transform(cells, lambda cell: coalesce(cell, '')) "
        "FROM scanned WHERE cells IS NOT NULL",
        {"first": first.line},
    )
    staged.blocks.append(block)
    staged.scanned = reading


def _source(block: Block, column: Column) -> str | None:
    return f"c{block.positions[column.id]}" if column.id in block.positions else None


def _plain_value(block: Block, column: Column) -> str:
    source = _source(block, column)
    value = plain_sql(column, source, block.powers.get(column.id, 0)) if source else f"NULL::{plain_type(column)}"
    return (
        f"CASE WHEN coalesce({source or 'NULL'}, '') = '' THEN false ELSE {value} END" if column.id == "void" else value
    )


def _careful(block: Block, column: Column) -> str:
    """SQL of: the column's cell is not plain, or its plain value breaks a rule."""
    source = _source(block, column)
    missing = f"v_{column.id} IS NULL"
    if column.optional and not column.required_when:
        missing = f"coalesce({missing} AND {source} <> '', false)" if source else "false"
    return " OR ".join([missing, *(f"coalesce({breach}, false)" for _, breach in breaches(column))])


def _part(connection: duckdb.DuckDBPyConnection, contract: Contract, staged: Staged) -> None:
    """Take control totals, the notes behind each table and blank rows out of `loose`."""
    for number, block in enumerate(staged.blocks):
        keys = [block.positions[column.id] + 1 for column in contract.keys if column.id in block.positions]
        reads_total = " OR ".join(
            f"regexp_replace(normalised(cells[{key}]), '\\s', '', 'g') IN {TOTALS}" for key in keys
        )
        found = connection.execute(
            f"DELETE FROM loose WHERE block = ? AND ({reads_total}) RETURNING position, line, cells", [number]
        ).fetchall()
        staged.totals += [(block, Record(line, cells)) for _, line, cells in sorted(found)]
        totals = {position for position, _, _ in found}
        end = _end(connection, contract, block, number, totals, is_last=number == len(staged.blocks) - 1)
        connection.execute("DELETE FROM loose WHERE block = ? AND position >= ?", [number, end])
    connection.execute(
        r"DELETE FROM loose WHERE regexp_full_match(array_to_string(cells, ''), '[\s\x{00A0}\x{3000}]*')"
    )


def _end(
    connection: duckdb.DuckDBPyConnection,
    contract: Contract,
    block: Block,
    number: int,
    totals: set[int],
    is_last: bool,
) -> int:
    """The position where the notes behind a block begin: lines of one cell count where a note stands above them.

    Control totals, which are taken out already, may stand between notes.
    """
    rows = connection.execute(
        "SELECT position, cells FROM loose WHERE block = ? ORDER BY position DESC LIMIT ?", [number, TAIL]
    ).fetchall()
    (last,) = connection.execute(
        "SELECT max(position) FROM (SELECT position FROM loose WHERE block = $block "
        "UNION ALL SELECT max(position) FROM plain WHERE block = $block)",
        {"block": number},
    ).fetchall()[0]
    end = expected = (-1 if last is None else last) + 1
    for position, cells in rows:
        while expected - 1 in totals:
            expected -= 1
        if position != expected - 1 or not (kind := _tail_kind(contract, block, cells, is_last)):
            break
        expected = position
        end = position if kind == "note" else end
    return end


def _tail_kind(contract: Contract, block: Block, cells: list[str], is_last: bool) -> str | None:
    """What a record may be besides a row: a note, or what can stand between notes (a blank, a single cell)."""
    texts = {text for text in map(normalise, cells) if text}  # a merged cell says the same over and over
    if not texts:
        return "blank"
    words = [text for text in texts if text.strip("()") not in MONEY_UNITS]
    if block.is_note(contract, cells) or (not is_last and words and all(map(CONTINUED.match, words))):
        return "note"
    return "single" if len(texts) == 1 else None
