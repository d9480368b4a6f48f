"""Row rules in set-based SQL, generated from a contract: typed values, faults, conflicting keys, duplicates, totals.

judged    every loose row with its normalised cells (`n_`), typed values (`v_`), content and own faults
verdict   the rows, plain or loose, whose key the delivery holds with other content, or that repeat an earlier row
refused   every row that quarantine gets, with its faults in rule order and its raw cells
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from ingest.columns import MISSING, faults, lake_type, text_literal, value_sql
from ingest.contract import RULES, Column, Contract
from ingest.scan import parted, repeated, several
from ingest.staging import BATCH, Staged, normalised

SURPLUS = "(beyond the header)"
_FAULTS = 'STRUCT(rule VARCHAR, "column" VARCHAR, value VARCHAR)[]'


def judge(connection: duckdb.DuckDBPyConnection, contract: Contract, staged: Staged, published_on: Any) -> None:
    """Create `judged`, `verdict` and `refused` from the staged rows."""
    connection.execute("DROP TABLE IF EXISTS judged")
    for number in range(len(staged.blocks)):
        statement = "INSERT INTO judged BY NAME" if number else "CREATE TABLE judged AS"
        sql = _judged(contract, staged, number)
        connection.execute(f"{statement} {sql}", {"published_on": published_on} if "$published_on" in sql else {})
    _compare_keys(connection, contract, staged)
    key = text_literal(contract.keys[0].id)
    connection.execute(
        f"""
        CREATE OR REPLACE TABLE refused AS
        SELECT * FROM (
            SELECT block, position, line, cells, list_concat(faults, CASE WHEN conflicts
                THEN [{{'rule': 'conflicting_key', 'column': {key}, 'value': n_{contract.keys[0].id}}}] ELSE []
                END) AS faults
            FROM judged LEFT JOIN verdict USING (position)
        ) WHERE len(faults) > 0
        """
    )
    plain = (
        f"SELECT block, position, line, [{{'rule': 'conflicting_key', 'column': {key}, "
        f"'value': v_{contract.keys[0].id}::VARCHAR}}]::{_FAULTS} AS faults "
        "FROM twice INNER JOIN verdict USING (position) WHERE conflicts"
    )
    _refuse_plain(connection, staged, plain)


def refuse_everything(connection: duckdb.DuckDBPyConnection, staged: Staged) -> None:
    """Add the rows without a fault of their own to `refused`: the delivery is refused whole."""
    connection.execute(
        f"INSERT INTO refused SELECT block, position, line, cells, []::{_FAULTS} FROM judged "
        "ANTI JOIN refused USING (position)"
    )
    _refuse_plain(
        connection, staged,
        f"SELECT block, position, line, []::{_FAULTS} AS faults FROM plain ANTI JOIN refused USING (position)",
    )  # fmt: skip


def _judged(contract: Contract, staged: Staged, number: int) -> str:
    """The loose rows of one block, each column read at its place and in its unit."""
    block = staged.blocks[number]
    texts, values = [], []
    for column in contract.columns:
        index = block.positions.get(column.id)
        text = f"normalised(coalesce(cells[{index + 1}], ''))" if index is not None else "''"
        texts.append(f"{text} AS n_{column.id}")
        value = value_sql(column, block.powers.get(column.id, 0))[0]
        values.append(f"CASE WHEN n_void IS NULL THEN false ELSE {value} END AS v_void" if column.id == "void"
                      else f"({value})::{lake_type(column)} AS v_{column.id}")  # fmt: skip
    present = ", ".join(
        f"CASE WHEN n_{c.id} IN ({', '.join(map(text_literal, MISSING))}) THEN NULL ELSE n_{c.id} END AS n_{c.id}"
        for c in contract.columns
    )
    broken = [
        (rule, f"CASE WHEN {condition} THEN {{'rule': '{rule}', 'column': '{column.id}', 'value': n_{column.id}}} END")
        for rule, column, condition in faults(contract, block.powers)
    ]
    if block.sheet is None:
        broken.append(("format", _surplus(contract, len(block.header))))
    found = ", ".join(sql for _, sql in sorted(broken, key=lambda fault: RULES.index(fault[0])))
    content = _content(contract, lambda c: f"coalesce(v_{c.id}::VARCHAR, 'text:' || n_{c.id}, chr(30))")
    place = "block, position, line, cells"
    return f"""
        SELECT *, {content} AS content, list_filter([{found}], lambda fault: fault IS NOT NULL) AS faults
        FROM (SELECT *, {", ".join(values)} FROM (SELECT {place}, {present} FROM (
            SELECT {place}, {", ".join(texts)} FROM loose WHERE block = {number})))
    """


def _surplus(contract: Contract, width: int) -> str:
    """The fault of a line with cells beyond the header: a comma inside a number has shifted what follows.

    Beside the table of a sheet anything may stand, such as a remark of the sender's.
    """
    cells = f"list_filter(cells[{width + 1}:], lambda cell: trim(cell) <> '')"
    alive = " AND NOT coalesce(v_void, false)" if contract.has_void else ""
    fault = f"{{'rule': 'format', 'column': '{SURPLUS}', 'value': array_to_string({cells}, ',')}}"
    return f"CASE WHEN len({cells}) > 0{alive} THEN {fault} END"


def _content(contract: Contract, part: Callable[[Column], str]) -> str:
    """Digest of what a row says: its values, its text where there is no value; of a void row its key alone."""
    parts = []
    for column in contract.columns:
        always = column.key or column.id == "void" or not contract.has_void
        parts.append(part(column) if always else f"CASE WHEN v_void THEN '' ELSE {part(column)} END")
    return f"md5(concat_ws(chr(31), {', '.join(parts)}))"


def _compare_keys(connection: duckdb.DuckDBPyConnection, contract: Contract, staged: Staged) -> None:
    """Find what stands twice: a 64-bit hash first, then the keys and contents of the few rows that remain, `twice`."""
    keys = ", ".join(f"v_{column.id}" for column in contract.keys)
    keyed = " AND ".join(f"v_{column.id} IS NOT NULL" for column in contract.keys)
    content = _content(contract, lambda c: f"coalesce(v_{c.id}::VARCHAR, chr(30))")
    judged = connection.execute(f"SELECT hash({keys}) AS digest FROM judged WHERE {keyed}").fetchnumpy()["digest"]
    scanned = staged.scanned.digests
    digests = repeated([parted(judged), *scanned]) if scanned else several(judged)
    connection.register("repeated", pa.table({"digest": digests}))
    connection.register("found", staged.scanned.among(digests))
    connection.execute("CREATE OR REPLACE TABLE twice AS SELECT 0 AS block, line AS position, * FROM found")
    connection.execute(
        f"""
        CREATE OR REPLACE TABLE verdict AS
        SELECT position, conflicts, is_whole AND NOT conflicts AND row_number() OVER same_row > 1 AS repeats
        FROM (
            SELECT *, min(content) OVER same_key <> max(content) OVER same_key AS conflicts
            FROM (
                SELECT position, {keys}, {content} AS content, true AS is_whole FROM twice
                UNION ALL
                SELECT position, {keys}, content, len(faults) = 0
                FROM judged WHERE {keyed} AND hash({keys}) IN (FROM repeated)
            )
            WINDOW same_key AS (PARTITION BY {keys})
        )
        WINDOW same_row AS (PARTITION BY {keys}, content, is_whole ORDER BY position)
        """
    )
    connection.unregister("repeated")
    connection.unregister("found")


def _refuse_plain(connection: duckdb.DuckDBPyConnection, staged: Staged, rows: str) -> None:
    """Add plain rows to `refused`, their raw cells read again at their lines."""
    reading = staged.scanned.reading
    if not reading or not reading.cells:
        return
    connection.execute(f"CREATE OR REPLACE TABLE recalled AS SELECT * FROM ({rows}) ORDER BY line")
    lines = [line for (line,) in connection.execute("SELECT line FROM recalled ORDER BY line").fetchall()]
    cells = reading.cells(lines)
    for start in range(0, len(lines), BATCH):
        chosen = lines[start : start + BATCH]
        raw = pa.table({"line": chosen, "cells": pa.array(islice(cells, len(chosen)), pa.list_(pa.string()))})
        connection.register("raw", raw)
        connection.execute(
            "INSERT INTO refused SELECT block, position, line, cells, faults FROM recalled JOIN raw USING (line)"
        )
        connection.unregister("raw")


def counts(connection: duckdb.DuckDBPyConnection) -> tuple[int, int, int]:
    """(rows, refused rows, duplicate rows) of the delivery."""
    return connection.execute(
        """SELECT (SELECT count(*) FROM plain) + (SELECT count(*) FROM judged), (SELECT count(*) FROM refused),
                  (SELECT count(*) FROM verdict WHERE repeats)"""
    ).fetchall()[0]


def main_faults(connection: duckdb.DuckDBPyConnection) -> str:
    """The three most frequent main faults, in words."""
    found = connection.execute(
        """SELECT faults[1].rule || ' in ' || faults[1]."column" || ' (' || count(*) || ')' AS fault FROM refused
           GROUP BY faults[1].rule, faults[1]."column" ORDER BY count(*) DESC, fault LIMIT 3"""
    ).fetchall()
    return ", ".join(fault for (fault,) in found)


def sheet_sql(staged: Staged) -> str:
    """SQL of the sheet that a row's block stands on."""
    named = {number: block.sheet for number, block in enumerate(staged.blocks) if block.sheet is not None}
    cases = " ".join(f"WHEN {number} THEN {text_literal(sheet)}" for number, sheet in named.items())
    return f"CASE block {cases} END" if cases else "NULL::VARCHAR"


def write_quarantined(connection: duckdb.DuckDBPyConnection, staged: Staged, delivery_id: str, target: Path) -> None:
    """Write the refused rows."""
    connection.execute(
        f"""
        COPY (SELECT {text_literal(delivery_id)} AS delivery_id, {sheet_sql(staged)} AS sheet, line,
                faults[1]."column" AS "column", coalesce(faults[1].rule, 'rejected_delivery') AS rule,
                faults[1].value AS value,
                CASE WHEN len(faults) = 0 THEN ['rejected_delivery']
                     ELSE list_filter(broken, lambda rule, i: list_position(broken, rule) = i) END AS rules,
                faults, cells AS raw
              FROM (SELECT *, list_transform(faults, lambda fault: fault.rule) AS broken FROM refused)
              ORDER BY position)
        TO {text_literal(str(target))} (FORMAT parquet, COMPRESSION zstd)
        """
    )


def control_totals(connection: duckdb.DuckDBPyConnection, contract: Contract, staged: Staged) -> list[str]:
    """A sentence for each control total that the accepted rows do not add up to."""
    findings = []
    summed = {c.id: c for c in contract.columns if c.type in ("money", "number", "integer") and not c.key}
    for block, record in staged.totals:
        for name in (name for name in summed if name in block.positions):
            column, index = summed[name], block.positions[name]
            cell = record.cells[index] if index < len(record.cells) else ""
            stated, whole, rest = connection.execute(
                f"""SELECT (SELECT {value_sql(column, block.powers.get(name, 0))[0]}
                            FROM (SELECT $cell AS n_{name})),
                           coalesce(sum(trunc(v)::HUGEINT), 0), coalesce(sum(v - trunc(v)), 0)
                    FROM (SELECT v_{name} AS v, position FROM plain UNION ALL
                          SELECT v_{name}, position FROM judged WHERE len(faults) = 0)
                    WHERE position NOT IN (SELECT position FROM verdict WHERE conflicts OR repeats)""",
                {"cell": normalised(pa.array([cell]))[0].as_py()},
            ).fetchall()[0]
            # The sum of a column may have more digits than one amount: whole yuan and decimals are added apart.
            if stated is not None and Fraction(stated) != whole + Fraction(rest):
                findings.append(f"control total on line {record.line}: {column.header} differs from the accepted rows")
    return findings
