"""Corrections of delivered values: rows of a seed, each with the bad value that it expects to find.

A correction is applied where a build reads the lake; the lake and the archive keep what was delivered.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

from hfc.home import SEEDS, UsageError
from ingest.columns import lake_name, lake_type, text_literal
from ingest.contract import Contract, load_contracts

# A lake file is named after its delivery.
DELIVERY_ID = "parse_filename(filename, true) AS delivery_id"
SEED = SEEDS / "correction.csv"


@dataclass(frozen=True)
class Correction:
    """One value of one row; `expected` and `corrected` are texts of the lake's type, empty for a missing value."""

    correction_id: str
    feed: str
    key: dict[str, str]
    column_name: str
    expected: str
    corrected: str

    @property
    def row(self) -> str:
        """SQL of: this is the row."""
        return " AND ".join(f"{name}::VARCHAR = {text_literal(value)}" for name, value in sorted(self.key.items()))

    def value(self, text: str) -> str:
        """SQL of a value of the column."""
        return (
            f"CAST({text_literal(text) if text else 'NULL'} AS {_types(load_contracts()[self.feed])[self.column_name]})"
        )

    @property
    def is_bad(self) -> str:
        """SQL of: the row holds the value that is expected to be wrong."""
        return f"{self.column_name} IS NOT DISTINCT FROM {self.value(self.expected)}"


def in_force(as_of: date, seed: Path | None = None) -> list[Correction]:
    """The corrections that hold on `as_of`.

    Raises:
        UsageError: a row names no feed, key or column of a contract, or a value or day that can't be read.
    """
    found = []
    with open(seed or SEED, encoding="utf-8", newline="") as handle:
        for row in csv.DictReader(handle):
            correction = _read(row)
            decided, withdrawn = _day(row, "decided_on"), _day(row, "withdrawn_on")
            if decided is None:
                raise UsageError(f"correction {row['correction_id']}: decided_on is missing; write it as YYYY-MM-DD")
            if decided <= as_of and (withdrawn is None or as_of < withdrawn):
                found.append(correction)
    return found


def _read(row: dict[str, str]) -> Correction:
    place = f"correction {row['correction_id']}"
    contract = load_contracts().get(row["feed"])
    if contract is None:
        raise UsageError(f"{place}: no feed {row['feed']}; known feeds: {', '.join(load_contracts())}")
    keys = sorted(lake_name(column) for column in contract.keys)
    try:
        key = json.loads(row["key"])
    except ValueError:
        key = None
    if not isinstance(key, dict) or sorted(key) != keys:
        raise UsageError(f"{place}: key has to be JSON with {', '.join(keys)}")
    if row["column_name"] not in _types(contract):
        raise UsageError(f"{place}: no column {row['column_name']}; the lake has {', '.join(_types(contract))}")
    correction = Correction(
        row["correction_id"], contract.feed, {name: str(value) for name, value in key.items()}, row["column_name"],
        row["expected"], row["corrected"],
    )  # fmt: skip
    try:
        duckdb.execute(f"SELECT {correction.value(row['expected'])}, {correction.value(row['corrected'])}").fetchall()
    except duckdb.Error:
        kind = _types(contract)[correction.column_name]
        raise UsageError(f"{place}: expected and corrected have to be values of type {kind}") from None
    return correction


def _day(row: dict[str, str], name: str) -> date | None:
    try:
        return date.fromisoformat(row[name]) if row[name] else None
    except ValueError:
        raise UsageError(f"correction {row['correction_id']}: {name} is no day; write it as YYYY-MM-DD") from None


def _types(contract: Contract) -> dict[str, str]:
    return {lake_name(column): lake_type(column) for column in contract.columns}


def corrected_sql(corrections: list[Correction], rows: str) -> str:
    """`rows` of a feed with its corrections applied wherever a row holds the expected value."""
    cases: dict[str, list[str]] = {}
    for correction in corrections:
        case = f"WHEN {correction.row} AND {correction.is_bad} THEN {correction.value(correction.corrected)}"
        cases.setdefault(correction.column_name, []).append(case)
    if not cases:
        return rows
    replaced = ", ".join(f"CASE {' '.join(whens)} ELSE {name} END AS {name}" for name, whens in cases.items())
    return f"(SELECT * REPLACE ({replaced}) FROM {rows})"


def is_found(connection: duckdb.DuckDBPyConnection, correction: Correction, rows: str) -> bool:
    """Whether the current version of the row still holds the value that is expected to be wrong."""
    found = connection.execute(
        f"SELECT arg_max({correction.is_bad}, (published_on, seq, line)) FROM (SELECT *, {DELIVERY_ID} FROM {rows}) "
        f"INNER JOIN lake.delivery USING (delivery_id) WHERE {correction.row}"
    ).fetchall()
    return found[0][0] is True
