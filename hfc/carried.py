"""What a build of the warehouse carries over from the one before, so that a new month of tax is not ten years of it.

The candidate is always made afresh. If the last one was whole and read the same code, seeds, corrections and files, the
few small tables that add up its tax deliveries are copied over, and only the other deliveries are read. Whatever is in
doubt is not carried: a build from scratch gives the same tables.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import duckdb

from hfc.home import Home
from ingest.columns import text_literal
from ingest.lake import lake_file

FEED = "tax_collections"
# The tables by their place in a candidate, with the columns that the next build reads.
TABLES = {
    "staging.stg_tax_collections_repeated": (
        "delivery_id VARCHAR, line BIGINT, voucher_no VARCHAR, uscc VARCHAR, tax_type VARCHAR, tax_period VARCHAR, "
        "treasury_date DATE, kind VARCHAR, amount_yuan DECIMAL(18, 6), void BOOLEAN"
    ),
    "intermediate.int_tax_window": (
        "uscc VARCHAR, valid_from DATE, valid_to DATE, category VARCHAR, reason VARCHAR"
    ),
    "intermediate.int_tax_taxpayer": (
        "uscc VARCHAR, calendar_year INTEGER, first_day DATE, last_day DATE, turnover_yuan DECIMAL(38, 6)"
    ),
    "intermediate.int_tax_delivered_cell": (
        "month DATE, category VARCHAR, reason VARCHAR, tax_type VARCHAR, scheme VARCHAR, kind VARCHAR, "
        "vouchers BIGINT, amount_yuan DECIMAL(38, 6)"
    ),
    "intermediate.int_tax_measured": (
        "metric_id VARCHAR, frequency VARCHAR, last_month DATE, dimension VARCHAR, member VARCHAR, "
        "taxpayers BIGINT, largest_yuan DECIMAL(38, 12), rest_yuan DECIMAL(38, 12)"
    ),
}  # fmt: skip


def basis(home: Home, code_version: str, corrections: list[str], deliveries: list[dict[str, Any]]) -> dict[str, Any]:
    """What the carried tables follow from: code (with seeds and contracts), corrections in force, files of the lake."""
    loaded = [d for d in deliveries if d["feed"] == FEED and d["outcome"] == "loaded"]
    return {
        "code_version": code_version,
        "corrections": sorted(corrections),
        "files": {d["delivery_id"]: _stamp(lake_file(home, d)) for d in loaded},
    }


def record(home: Home, basis: dict[str, Any]) -> dict[str, Any]:
    """The basis of a finished candidate, which must not change before the next build."""
    return {**basis, "candidate": _stamp(home.candidate)}


def set_aside(home: Home, basis: dict[str, Any]) -> set[str]:
    """Make room for a new candidate; keep the last one aside if it serves, and give the deliveries it has counted."""
    counted = _counted(home, basis)
    # Without its record the last candidate serves nobody: a build killed from here on is followed by one from scratch.
    for leftover in ("build.json", "gate.json", "candidate.duckdb.wal"):
        (home.warehouse / leftover).unlink(missing_ok=True)
    if counted:
        os.replace(home.candidate, _aside(home))
    else:
        home.candidate.unlink(missing_ok=True)
        _aside(home).unlink(missing_ok=True)
    return counted


def near(
    connection: duckdb.DuckDBPyConnection, home: Home, part: list[dict[str, Any]], others: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Those deliveries of `part` in which a voucher of another of the `others` can stand, by the least and the greatest
    of each row group.

    Where vouchers are numbered in the order of time these are the last few, and the rest need not be read.
    """
    if not part or not others:
        return []
    groups = (
        "SELECT file_name, stats_min_value AS low, stats_max_value AS high "
        "FROM parquet_metadata(?) WHERE path_in_schema = 'voucher_no' AND row_group_num_rows > 0"
    )
    found = connection.execute(
        f"""SELECT DISTINCT one.file_name FROM ({groups}) AS one, ({groups}) AS other
            WHERE one.file_name != other.file_name
            AND coalesce(one.low <= other.high AND other.low <= one.high, true)""",
        [[str(lake_file(home, d)) for d in deliveries] for deliveries in (part, others)],
    ).fetchall()
    files = {name for (name,) in found}
    return [d for d in part if str(lake_file(home, d)) in files]


def load(connection: duckdb.DuckDBPyConnection, home: Home) -> None:
    """Fill the schema `carried` of a new candidate from the one set aside, if there is one, and remove that."""
    aside = _aside(home)
    if aside.exists():
        connection.execute(f"ATTACH {text_literal(str(aside))} AS aside (READ_ONLY)")
    for table, columns in TABLES.items():
        name = table.partition(".")[2]
        connection.execute(f"CREATE TABLE carried.{name} ({columns})")
        if aside.exists():
            connection.execute(f"INSERT INTO carried.{name} BY NAME FROM aside.{table}")
    if aside.exists():
        connection.execute("DETACH aside")
        aside.unlink()


def _counted(home: Home, basis: dict[str, Any]) -> set[str]:
    """The deliveries whose rows the last candidate has added up as this build would; none if there is any doubt."""
    try:
        before = json.loads((home.warehouse / "build.json").read_text(encoding="utf-8"))["carried"]
        same = all(before[name] == basis[name] for name in ("code_version", "corrections"))
        if same and before["candidate"] == _stamp(home.candidate) and before["files"].items() <= basis["files"].items():
            return set(before["files"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no last build, a killed one, or one of another version
    return set()


def _aside(home: Home) -> Path:
    return home.warehouse / "previous.duckdb"


def _stamp(path: Path) -> list[int]:
    """Size and time of the last change: a file of the lake is only ever replaced as a whole."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]
