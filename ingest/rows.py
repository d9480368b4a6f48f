"""Row rules in set-based SQL, generated from a contract: typed values, faults, duplicates, control totals.

Every column gives a value expression and its faults; a row without a fault is accepted. Text reaches SQL already
normalised (NFKC, trimmed), beside the raw cells that quarantine keeps.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ingest.contract import RULES, Column, Contract
from ingest.readers.table import Table

# After NFKC an ellipsis is three dots.
MISSING = ("", "-", "—", "–", "...", "......", "/", "空", "不详", "NA", "N/A")
ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
MONEY = "DECIMAL(38,16)"
_NUMBER = r"[+-]?(\d{1,3}(,\d{3})+|\d+)(\.\d*)?([eE][+-]?\d{1,3})?|[+-]?\.\d+"
_USCC = "[0-9A-HJ-NPQRTUWXY]{18}"
_ORGANISATION = "[0-9A-Z]{8}-?[0-9X]"
_DATES = {
    r"\d{4}-\d{1,2}-\d{1,2}": "try_cast({0} AS DATE)",
    r"\d{4}/\d{1,2}/\d{1,2}": "try_cast(replace({0}, '/', '-') AS DATE)",
    r"\d{8}": "try_cast({0}[1:4] || '-' || {0}[5:6] || '-' || {0}[7:8] AS DATE)",
    r"\d{4}年\d{1,2}月\d{1,2}日": "try_cast(regexp_replace({0}, '年|月|日', '-', 'g')[:-2] AS DATE)",
    r"\d{5}": "DATE '1899-12-30' + try_cast({0} AS INTEGER)",
}
_QUARTER = {"一": 1, "二": 2, "三": 3, "四": 4, "A": 1, "B": 2, "C": 3, "D": 4}


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _number(source: str) -> str:
    return f"replace(replace({source}, ' ', ''), '−', '-')"


def _decimal(source: str, power: int) -> str:
    """An exact decimal times ten to `power`; NULL where it is no number or has more digits than the type."""
    plain = f"replace({_number(source)}, ',', '')"
    exponent = f"coalesce(try_cast(nullif(regexp_extract({plain}, '[eE](.*)$', 1), '') AS INTEGER), 0) + {power}"
    mantissa = f"regexp_replace({plain}, '[eE].*$', '')"
    decimals = f"length(rtrim(regexp_extract({plain}, '[.](\\d*)', 1), '0'))"
    return (
        f"CASE WHEN regexp_full_match({_number(source)}, '{_NUMBER}') AND {decimals} - ({exponent}) <= 16 "
        f"THEN try_cast({mantissa} || 'e' || ({exponent}) AS {MONEY}) END"
    )


def _date(source: str) -> str:
    cases = " ".join(f"WHEN regexp_full_match({source}, '{p}') THEN {e.format(source)}" for p, e in _DATES.items())
    return f"CASE {cases} END"


def _period(source: str) -> str:
    """A month, quarter or year in its canonical spelling: 2024-03, 2024-Q1, 2024."""
    year = f"{source}[1:4]"
    month = f"lpad(regexp_extract({source}, '^\\d{{4}}(?:-|年)?(\\d{{1,2}})月?$', 1), 2, '0')"
    quarter = f"regexp_extract({source}, '^\\d{{4}}(?:-?Q|年第?)?([1-4一二三四ABCD])(?:季度)?$', 1)"
    digits = " ".join(f"WHEN '{key}' THEN '{value}'" for key, value in _QUARTER.items())
    return (
        f"CASE WHEN regexp_full_match({source}, '\\d{{4}}年?') THEN {year} "
        f"WHEN regexp_full_match({source}, '\\d{{4}}(-\\d{{2}}|\\d{{2}}|年\\d{{1,2}}月)') "
        f"AND {month} BETWEEN '01' AND '12' THEN {year} || '-' || {month} "
        f"WHEN regexp_full_match({source}, '\\d{{4}}(-?Q[1-4]|年第?[1-4一二三四]季度|[ABCD])') "
        f"THEN {year} || '-Q' || CASE {quarter} {digits} ELSE {quarter} END END"
    )


def _choice(source: str, values: dict[str, str]) -> str:
    cases = " ".join(f"WHEN {_text(p)} THEN {_text(i)}" for i, zh in values.items() for p in {i, zh})
    return f"CASE {source} {cases} END"


def _matching(source: str, pattern: str) -> str:
    return f"CASE WHEN regexp_full_match({source}, {_text(pattern)}) THEN {source} END"


def value_sql(column: Column, power: int) -> tuple[str, str]:
    """(SQL of the typed value, the rule a present but unusable cell breaks)."""
    source = f"n_{column.id}"
    match column.type:
        case "money":
            return _decimal(source, power), "number"
        case "number":
            return _decimal(source, 0), "number"
        case "date":
            return _date(source), "date"
        case "period":
            return _period(source), "period"
        case "enum":
            return _choice(source, column.values), "enum"
        case "flag":
            return f"CASE {source} WHEN '是' THEN true WHEN '否' THEN false END", "enum"
        case "uscc":
            return _matching(source, _USCC), "uscc_format"
        case "uscc_or_organisation_code":
            return _matching(source, f"{_USCC}|{_ORGANISATION}"), "uscc_format"
    return (_matching(source, column.pattern), "format") if column.pattern else (source, "format")


def lake_name(column: Column) -> str:
    """The warehouse's name of a column: an amount carries its unit."""
    return f"{column.id}_yuan" if column.type == "money" else column.id


def _faults(contract: Contract, powers: dict[str, int]) -> Iterator[tuple[str, Column, str]]:
    for column in contract.columns:
        text, value = f"n_{column.id}", f"v_{column.id}"
        alive = "" if column.key or column.id == "void" or not contract.has_void else "NOT coalesce(v_void, false) AND "
        if column.required_when:
            when = " OR ".join(
                f"v_{other} IN ({', '.join(map(_text, allowed))})" for other, allowed in column.required_when.items()
            )
            yield "required", column, f"{alive}{text} IS NULL AND ({when})"
        elif not column.optional:
            yield "required", column, f"{alive}{text} IS NULL"
        yield value_sql(column, powers.get(column.id, 0))[1], column, f"{alive}{text} IS NOT NULL AND {value} IS NULL"
        if column.not_after_publication:
            yield "future_date", column, f"{alive}{value} > $published_on"


def _check_character(code: str) -> str:
    terms = " + ".join(f"(strpos('{ALPHABET}', {code}[{i + 1}]) - 1) * {pow(3, i, 31)}" for i in range(17))
    return f"'{ALPHABET}'[((31 - ({terms}) % 31) % 31) + 1]"


def _flags(contract: Contract) -> str:
    codes = [f"v_{c.id}" for c in contract.columns if c.type.startswith("uscc")]
    wrong = " OR ".join(f"(length({c}) = 18 AND {_check_character(c)} <> {c}[18])" for c in codes) or "false"
    return f"CASE WHEN {wrong} THEN ['uscc_check'] ELSE []::VARCHAR[] END"


def judge(connection: duckdb.DuckDBPyConnection, contract: Contract, table: Table, published_on: Any) -> None:
    """Create table `judged`: every row with raw cells, typed values, faults in rule order, content, duplicate mark."""
    connection.register("raw", _arrow(contract, table))
    values = ", ".join(f"{value_sql(c, table.powers.get(c.id, 0))[0]} AS v_{c.id}" for c in contract.columns)
    connection.execute(f"CREATE OR REPLACE TABLE typed AS SELECT *, {values} FROM raw")
    if contract.has_void:
        connection.execute("UPDATE typed SET v_void = false WHERE n_void IS NULL")
    ordered = sorted(_faults(contract, table.powers), key=lambda fault: RULES.index(fault[0]))
    faults = ", ".join(
        f"CASE WHEN {condition} THEN {{'rule': '{rule}', 'column': '{column.id}', 'value': n_{column.id}}} END"
        for rule, column, condition in ordered
    )
    keys = ", ".join(f"v_{column.id}" for column in contract.keys)
    keyed = " AND ".join(f"v_{column.id} IS NOT NULL" for column in contract.keys)
    conflict = (
        f"CASE WHEN {keyed} AND min(content_hash) OVER same_key <> max(content_hash) OVER same_key "
        f"THEN [{{'rule': 'conflicting_key', 'column': '{contract.keys[0].id}', 'value': n_{contract.keys[0].id}}}] "
        "ELSE [] END"
    )
    connection.execute(
        f"""
        CREATE OR REPLACE TABLE judged AS
        WITH content AS (
            SELECT *, {_content(contract)} AS content_hash,
                list_filter([{faults}], lambda fault: fault IS NOT NULL) AS own
            FROM typed
        ), faulted AS (
            SELECT *, list_concat(own, {conflict}) AS faults FROM content WINDOW same_key AS (PARTITION BY {keys})
        )
        SELECT *, {_flags(contract)} AS flags,
            len(faults) = 0 AND row_number() OVER (PARTITION BY {keys}, content_hash, len(faults) = 0 ORDER BY line) > 1
                AS is_duplicate
        FROM faulted
        """,
        {"published_on": published_on} if "$published_on" in faults else {},
    )


def _content(contract: Contract) -> str:
    """Digest of what a row says: its values, its text where there is no value; of a void row its key alone."""
    parts = []
    for column in contract.columns:
        part = f"coalesce(v_{column.id}::VARCHAR, 'text:' || n_{column.id}, chr(30))"
        always = column.key or column.id == "void" or not contract.has_void
        parts.append(part if always else f"CASE WHEN v_void THEN '' ELSE {part} END")
    return f"md5(concat_ws(chr(31), {', '.join(parts)}))"


def _arrow(contract: Contract, table: Table) -> pa.Table:
    """Raw cells (one list a row) and the contract's columns as normalised text, missing ones NULL."""
    columns: dict[str, Any] = {
        "line": pa.array([record.line for record in table.rows], pa.int64()),
        "position": pa.array(range(len(table.rows)), pa.int64()),
        "raw": pa.array([record.cells for record in table.rows], pa.list_(pa.string())),
    }
    for column in contract.columns:
        index = table.positions.get(column.id)
        cells = [
            record.cells[index] if index is not None and index < len(record.cells) else "" for record in table.rows
        ]
        text = pc.utf8_trim_whitespace(pc.utf8_normalize(pa.array(cells, pa.string()), form="NFKC"))
        missing = pc.is_in(text, value_set=pa.array(MISSING))
        columns[f"n_{column.id}"] = pc.if_else(missing, pa.scalar(None, pa.string()), text)
    return pa.table(columns)


def write_accepted(connection: duckdb.DuckDBPyConnection, contract: Contract, delivery_id: str, target: Path) -> None:
    """Write the accepted rows of `judged` as the delivery's lake file."""
    values = ", ".join(
        f"CASE WHEN {'v_void' if contract.has_void and not (c.key or c.id == 'void') else 'false'} "
        f"THEN NULL ELSE v_{c.id} END AS {lake_name(c)}"
        for c in contract.columns
    )
    connection.execute(
        f"""
        COPY (SELECT {_text(delivery_id)} AS delivery_id, line, {values}, flags, content_hash
              FROM judged WHERE len(faults) = 0 AND NOT is_duplicate ORDER BY position)
        TO {_text(str(target))} (FORMAT parquet, COMPRESSION zstd)
        """
    )


def write_quarantined(connection: duckdb.DuckDBPyConnection, delivery_id: str, everything: bool, target: Path) -> None:
    """Write the refused rows; `everything` when the delivery is refused whole."""
    connection.execute(
        f"""
        COPY (SELECT {_text(delivery_id)} AS delivery_id, line, faults[1]."column" AS "column",
                coalesce(faults[1].rule, 'rejected_delivery') AS rule, faults[1].value AS value,
                CASE WHEN len(faults) = 0 THEN ['rejected_delivery']
                     ELSE list_filter(broken, lambda rule, i: list_position(broken, rule) = i) END AS rules, faults, raw
              FROM (SELECT *, list_transform(faults, lambda fault: fault.rule) AS broken FROM judged)
              WHERE len(faults) > 0 OR {everything} ORDER BY position)
        TO {_text(str(target))} (FORMAT parquet, COMPRESSION zstd)
        """
    )


def control_totals(connection: duckdb.DuckDBPyConnection, contract: Contract, table: Table) -> list[str]:
    """A sentence for each control total that the accepted rows do not add up to."""
    findings = []
    for column in (c for c in contract.columns if c.type in ("money", "number") and c.id in table.positions):
        power = table.powers.get(column.id, 0)
        index = table.positions[column.id]
        for record in table.totals:
            cell = record.cells[index] if index < len(record.cells) else ""
            stated, actual = connection.execute(
                f"""SELECT (SELECT {_decimal("n", power)} FROM (SELECT nfc_normalize($cell) AS n)),
                       coalesce(sum(v_{column.id}), 0) FROM judged WHERE len(faults) = 0 AND NOT is_duplicate""",
                {"cell": pc.utf8_normalize(pa.scalar(cell.strip()), form="NFKC").as_py()},
            ).fetchone()  # type: ignore[misc]
            if stated is not None and stated != actual:
                findings.append(f"control total on line {record.line}: {column.header} differs from the accepted rows")
    return findings
