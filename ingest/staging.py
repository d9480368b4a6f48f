"""A delivery's rows in DuckDB: those in a machine's plain spelling already typed, all others as raw cells.

    plain   block, position, line, v_<column> …          rows that break no rule that one row alone can break
    loose   block, position, line, cells                 rows to be judged with care, as they arrived

`position` orders the rows of a delivery; `line` is their place in the file or sheet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ingest.contract import MONEY_UNITS, Contract, normalise
from ingest.readers.pieces import Doubtful
from ingest.readers.records import Reading, Record, Unreadable
from ingest.readers.table import CONTINUED, HEADER_SEARCH, TOTALS, Block, find_header, split
from ingest.scan import LOOSE, Scan, scan

# Below this size reading record by record is as fast as a scan.
SCAN_BYTES = 8 << 20
BATCH = 20_000
# Notes, as many as a table may have; what stands before them is not looked at.
TAIL = 1000


@dataclass
class Staged:
    """The blocks of a delivery, whose rows are now in `plain` and `loose`; its control totals; what was passed over."""

    scanned: Scan
    blocks: list[Block] = field(default_factory=list)
    totals: list[tuple[Block, Record]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

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


def stage(
    connection: duckdb.DuckDBPyConnection, contract: Contract, readings: list[Reading], published_on: Any, scratch: Path
) -> Staged:
    """Create `plain` and `loose` from the readings of a delivery; large ones leave files below `scratch`.

    Raises:
        Unreadable: no table, a required column missing or named twice, an unknown unit, or no row.
    """
    connection.execute("CREATE OR REPLACE TABLE loose (block INTEGER, position BIGINT, line BIGINT, cells VARCHAR[])")
    staged = Staged(Scan.nothing(contract))
    for reading in _tables(contract, readings, staged):
        try:
            if not reading.pieces or reading.size < SCAN_BYTES:
                raise Doubtful
            _scan(connection, contract, reading, staged, published_on, scratch)
        except Doubtful:
            _feed(connection, contract, reading, staged)
    connection.register("scanned", staged.scanned.table())
    connection.execute(
        "CREATE OR REPLACE TEMP VIEW plain AS "
        "SELECT 0 AS block, line AS position, * EXCLUDE (digest, plain) FROM scanned WHERE plain"
    )
    _part(connection, contract, staged)
    if connection.execute("SELECT 1 FROM plain UNION ALL SELECT 1 FROM loose LIMIT 1").fetchall() == []:
        raise Unreadable("empty: a header without a row")
    return staged


def normalised(values: pa.Array) -> pa.Array:
    """NFKC, then trimmed."""
    return pc.utf8_trim_whitespace(pc.utf8_normalize(values, form="NFKC"))


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
        yield pa.table([pa.array(values, kind.type) for values, kind in zip(columns, LOOSE, strict=True)], schema=LOOSE)


def _scan(
    connection: duckdb.DuckDBPyConnection,
    contract: Contract,
    reading: Reading,
    staged: Staged,
    published_on: Any,
    scratch: Path,
) -> None:
    """The whole table in bulk; what is not plain goes to `loose`, its line its position.

    Raises:
        Doubtful: the rows may be seen in two ways.
    """
    items = split(contract, reading)
    block, first = next(items), next(items, None)
    if not isinstance(block, Block) or not isinstance(first, Record):
        raise Doubtful
    scanned = scan(connection, contract, reading, block, first.line, published_on, scratch)
    connection.register("batch", pa.concat_tables([LOOSE.empty_table(), *scanned.loose]))
    connection.execute("INSERT INTO loose FROM batch")
    connection.unregister("batch")
    staged.blocks.append(block)
    staged.scanned = scanned


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
