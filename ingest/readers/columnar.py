"""Parquet: typed columns as the text that their values have in a CSV file, read by DuckDB in bulk or row by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from ingest.readers.child import run
from ingest.readers.limits import CELL_LIMIT, COLUMN_LIMIT, RATIO_LIMIT, UNPACKED_FLOOR
from ingest.readers.records import Reading, Record, Unreadable

if TYPE_CHECKING:
    from concurrent.futures import Executor

    # Not for the child, which would take a moment longer.
    import pyarrow as pa

    from ingest.readers.pieces import Piece

BATCH = 20_000
PIECE_ROWS = 100_000
# So many rows are sorted in memory; more would go to disk.
SORTED_ROWS = 500_000
MEMORY_LIMIT = "1GB"
# What a cell takes unpacked, at least: a file may repeat one value a billion times in a few bytes.
CELL_BYTES = 8
_NESTED = ("STRUCT", "MAP", "UNION", "LIST", "ARRAY", "VARIANT")
_DAY = "CASE WHEN {0} = date_trunc('day', {0}) THEN {0}::DATE::VARCHAR ELSE {0}::VARCHAR END"
_TEXT = {
    "BOOLEAN": "CASE {0} WHEN true THEN '是' WHEN false THEN '否' END",
    # As Excel shows it: 0.1 + 0.2 is 0.3.
    "DOUBLE": "printf('%.15g', {0})",
    "TIMESTAMP": _DAY,
    "TIMESTAMP_S": _DAY,
    "TIMESTAMP_MS": _DAY,
    "TIMESTAMP_NS": _DAY,
    # An instant is no day: which one depends on the zone.
    "TIMESTAMP WITH TIME ZONE": "({0} AT TIME ZONE 'UTC')::VARCHAR || '+00'",
}


def parquet_readings(path: Path, scratch: Path) -> list[Reading]:
    """The one table of a Parquet file; its columns' names are the header, a row's line is its number.

    Raises:
        Unreadable: a damaged file, nested values, or more rows than the file's size can mean.
    """
    return readings_of(path, *run("Parquet", path, scratch))


def readings_of(path: Path, header: list[str], columns: list[tuple[str, str]], rows: int) -> list[Reading]:
    """The readings of a file whose `facts` are known."""
    query = f"{_select(columns)} FROM {_source(path)}"
    wanted = (
        "SEMI JOIN wanted ON file_row_number + 1 = wanted.number "
        "WHERE file_row_number BETWEEN $first - 1 AND $last - 1 ORDER BY file_row_number"
    )
    return [
        Reading(
            records=partial(_records, header, query),
            pieces=partial(_pieces, query),
            size=rows * len(columns) * CELL_BYTES,
            cells=partial(_cells, f"{query} {wanted}"),
        )
    ]


def facts(path: Path) -> list[Any]:
    """The header, names and types of the columns, and how many rows there are; every value is decoded once.

    A damaged file can make DuckDB give up the whole database: this runs in a child (see `ingest.readers.child`).

    Raises:
        Unreadable: as `parquet_readings`.
    """
    cursor, source = _cursor(), _source(path)
    columns = [(name, kind) for name, kind, *_ in cursor.execute(f"DESCRIBE FROM {source}").fetchall()[:-1]]
    (rows,) = cursor.execute(f"SELECT count(*) FROM {source}").fetchall()[0]
    for name, kind in columns:
        if kind.endswith("]") or kind.startswith(_NESTED):
            raise Unreadable(f"unreadable: column {name} holds nested values ({kind})")
    if len(columns) > COLUMN_LIMIT:
        raise Unreadable(f"unreadable: more than {COLUMN_LIMIT} columns")
    if rows * len(columns) * CELL_BYTES > max(UNPACKED_FLOOR, RATIO_LIMIT * path.stat().st_size):
        raise Unreadable(f"unreadable: {path.stat().st_size} bytes of Parquet hold {rows} rows")
    lengths = ", ".join(f"max(strlen(c{index}))" for index in range(len(columns)))
    longest = cursor.execute(f"SELECT {lengths} FROM ({_select(columns)} FROM {source})").fetchall()[0]
    if any(length and length > CELL_LIMIT for length in longest):
        raise Unreadable(f"unreadable: a cell of more than {CELL_LIMIT} bytes")
    # As the file names them: DuckDB gives the second of two equal names another one.
    schema = cursor.execute(f"SELECT name FROM parquet_schema({_literal(str(path))})").fetchall()
    return [[name for (name,) in schema[1:]], columns, rows]


def _source(path: Path) -> str:
    """The file for DuckDB, its last column the row's number. Text without an annotation is text all the same."""
    return f"read_parquet({_literal(str(path))}, binary_as_string = true, file_row_number = true)"


def _select(columns: list[tuple[str, str]]) -> str:
    """Every column as text, under the names c0, c1, …"""
    texts = (_TEXT.get(kind, "{0}::VARCHAR").format(_name(name)) for name, kind in columns)
    return "SELECT " + ", ".join(f"{text} AS c{index}" for index, text in enumerate(texts))


@cache
def _database() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"memory_limit": MEMORY_LIMIT})


def _cursor() -> duckdb.DuckDBPyConnection:
    """A connection of its own: several readings may be open at once."""
    return _database().cursor()


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _records(header: list[str], query: str) -> Iterator[Record]:
    """The header as line 0, then every row."""
    yield Record(0, header)
    line = 0
    for batch in _batches(_cursor(), query):
        for cells in batch:
            line += 1
            if any("\0" in cell for cell in cells):
                raise Unreadable(f"unreadable: a NUL character in row {line}")
            yield Record(line, cells)


def _pieces(query: str, executor: Executor, first_line: int, types: Sequence[pa.DataType]) -> Iterator[Piece]:
    """Every row, in pieces of one size; blank ones, too."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from ingest.readers.pieces import Doubtful, Piece

    line = 1
    try:
        for batch in _cursor().sql(query).to_arrow_reader(PIECE_ROWS):
            texts = [column.fill_null("") for column in batch.columns]
            if any(pc.any(pc.match_substring(column, "\0")).as_py() for column in texts):
                raise Doubtful
            columns = [column.cast(kind) for column, kind in zip(texts, types, strict=True)]
            lines = pa.array(range(line, line + len(batch)), pa.int64())
            yield Piece(pa.table(columns, names=batch.schema.names), lines)
            line += len(batch)
    except (duckdb.Error, pa.ArrowInvalid):
        raise Doubtful from None


def _cells(query: str, lines: Sequence[int]) -> Iterator[list[str]]:
    """The cells of the rows with given ascending numbers."""
    import pyarrow as pa

    cursor = _cursor()
    for start in range(0, len(lines), SORTED_ROWS):
        chosen = lines[start : start + SORTED_ROWS]
        cursor.register("wanted", pa.table({"number": pa.array(chosen, pa.int64())}))
        for batch in _batches(cursor, query, {"first": chosen[0], "last": chosen[-1]}):
            yield from batch


def _batches(
    cursor: duckdb.DuckDBPyConnection, query: str, parameters: dict[str, int] | None = None
) -> Iterator[list[list[str]]]:
    try:
        result = cursor.execute(query, parameters or {})
        while rows := result.fetchmany(BATCH):
            yield [[cell or "" for cell in row] for row in rows]
    except duckdb.Error as error:
        raise Unreadable(f"unreadable: the Parquet is damaged: {type(error).__name__}") from None
