"""The accepted rows of a delivery, written as its lake file."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ingest.columns import USCC_ALPHABET, lake_name
from ingest.contract import Contract
from ingest.plain import CODES, value_type
from ingest.readers.pieces import in_order
from ingest.row_groups import encoded, write_together
from ingest.rows import sheet_sql
from ingest.staging import Staged

FLAG = "uscc_check"


def write_accepted(connection: duckdb.DuckDBPyConnection, contract: Contract, staged: Staged, target: Path) -> None:
    """Write the accepted rows, plain rows first.

    A piece is a group of rows of its own and they stand one after the other, so that the bytes are always the same.
    """
    failing = _failing_codes(connection, contract, staged)
    judged = _judged(connection, contract, staged)
    others = connection.execute(
        "SELECT position FROM verdict WHERE conflicts OR repeats ORDER BY position"
    ).fetchnumpy()["position"]
    schema = judged.schema
    # By the least and greatest key a build finds the deliveries that a key can stand in.
    measured = {*_names(schema, pa.types.is_primitive), *map(lake_name, contract.keys)}
    codes = _names(schema, lambda kind: kind == CODES)
    encode = partial(
        encoded, compression="zstd", store_schema=False, store_decimal_as_integer=True,
        use_dictionary=[*codes, *_names(schema, pa.types.is_date), "flags.list.element"],
        column_encoding={"line": "DELTA_BINARY_PACKED"}, write_statistics=sorted(measured),
    )  # fmt: skip

    def of_piece(piece: pa.Table) -> pa.Buffer:
        return encode(_finished(contract, schema, failing, others, piece))

    with ThreadPoolExecutor(os.cpu_count()) as executor:
        pieces = in_order(executor, of_piece, staged.scanned.tables())
        write_together(target, chain(pieces, map(encode, [judged])))


def _names(schema: pa.Schema, of_kind: Callable[[pa.DataType], bool]) -> list[str]:
    return [name for name, kind in zip(schema.names, schema.types, strict=True) if of_kind(kind)]


def _finished(
    contract: Contract, schema: pa.Schema, failing: pa.Array, others: npt.NDArray[np.int64], piece: pa.Table
) -> pa.Table:
    """The plain rows of a piece as the lake keeps them, without the lines of `others`."""
    values = [piece[f"v_{column.id}"].combine_chunks() for column in contract.columns]
    codes = [array for column, array in zip(contract.columns, values, strict=True) if column.type.startswith("uscc")]
    columns = [pa.nulls(len(piece), pa.string()), piece["line"], *values, _flags(len(piece), codes, failing)]
    accepted, lines = piece["plain"].to_numpy(), piece["line"].to_numpy()
    rows = np.searchsorted(lines, others)
    accepted[rows[np.take(lines, rows, mode="clip") == others]] = False
    return pa.table(columns, schema=schema).filter(pa.array(accepted))


def _flags(rows: int, codes: list[pa.DictionaryArray], failing: pa.Array) -> pa.Array:
    """A list of one flag where the check character of one of a row's codes fails, else NULL."""
    wrong = pa.repeat(False, rows)
    for column in codes:
        wrong = pc.or_(wrong, pc.is_in(column.dictionary, failing).take(column.indices).fill_null(False))
    flagged = wrong.to_numpy(zero_copy_only=False)
    ends = np.append(0, np.cumsum(flagged, dtype=np.int32))
    flags = pa.DictionaryArray.from_arrays(pa.array(np.zeros(ends[-1], np.int32)), [FLAG])
    return pa.ListArray.from_arrays(pa.array(ends), flags, mask=pc.invert(wrong))


def _judged(connection: duckdb.DuckDBPyConnection, contract: Contract, staged: Staged) -> pa.Table:
    """The accepted ones of the rows that were read with care."""
    kinds = {lake_name(column): value_type(column) for column in contract.columns}
    values = ", ".join(
        f"CASE WHEN {'v_void' if contract.has_void and not (c.key or c.id == 'void') else 'false'} "
        f"THEN NULL ELSE v_{c.id} END AS {lake_name(c)}"
        for c in contract.columns
    )
    codes = [f"v_{column.id} IN (FROM failing)" for column in contract.columns if column.type.startswith("uscc")]
    wrong = " OR ".join(f"coalesce({code}, false)" for code in codes) or "false"
    rows = connection.sql(
        f"""
        SELECT {sheet_sql(staged)} AS sheet, line, {values},
            CASE WHEN {wrong} THEN ['{FLAG}'] END AS flags
        FROM judged
        WHERE len(faults) = 0 AND position NOT IN (SELECT position FROM verdict WHERE conflicts OR repeats)
        ORDER BY position
        """
    ).to_arrow_table()
    place = {"sheet": pa.string(), "line": pa.int64()}
    return rows.cast(pa.schema({**place, **kinds, "flags": pa.list_(CODES)}))


def _failing_codes(connection: duckdb.DuckDBPyConnection, contract: Contract, staged: Staged) -> pa.Array:
    """The codes whose check character is wrong, also as table `failing`; each is checked once."""
    names = [f"v_{column.id}" for column in contract.columns if column.type.startswith("uscc")]
    judged = [connection.sql(f"SELECT {name} FROM judged").to_arrow_table()[name] for name in names]
    plain = [piece[name].combine_chunks().dictionary for piece in staged.scanned.tables() for name in names]
    codes = pa.chunked_array([*plain, *(chunk for column in judged for chunk in column.chunks)], pa.string())
    connection.register("codes", pa.table({"code": codes.unique()}))
    connection.execute(
        "CREATE OR REPLACE TABLE failing AS SELECT code FROM codes "
        f"WHERE length(code) = 18 AND {_check_character('code')} <> code[18]"
    )
    connection.unregister("codes")
    return connection.sql("FROM failing").to_arrow_table()["code"].combine_chunks()


def _check_character(code: str) -> str:
    terms = " + ".join(f"(strpos('{USCC_ALPHABET}', {code}[{i + 1}]) - 1) * {pow(3, i, 31)}" for i in range(17))
    return f"'{USCC_ALPHABET}'[((31 - ({terms}) % 31) % 31) + 1]"
