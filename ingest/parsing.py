"""One delivery from its archived bytes to its lake file and its quarantine."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import get_ident
from typing import Any

import duckdb
import pyarrow as pa

from hfc.home import Home, on_disk, replacing, temporary_name
from ingest import rows, shared
from ingest.accepted import write_accepted
from ingest.archive import archived
from ingest.contract import Contract, load_contracts
from ingest.lake import is_small, lake_file, quarantine_file
from ingest.readers import open_readings
from ingest.readers.records import Unreadable
from ingest.staging import normalised, stage

QUARANTINE_LIMIT = 0.20
MEMORY_LIMIT = "2GB"
CORES = os.cpu_count() or 1


def parse(home: Home, delivery: dict[str, Any]) -> dict[str, Any]:
    """Write the delivery's accepted rows to the lake and its refused ones to quarantine; the facts of its outcome.

    Raises:
        DiskTrouble: the disk failed, which says nothing of the delivery, whatever a reader made of it.
    """
    contract = load_contracts().get(delivery["feed"])
    facts = {"contract_sha256": contract.sha256 if contract else None}
    try:
        if contract is None:
            raise Unreadable(f"no contract for feed {delivery['feed']}; known feeds: {', '.join(load_contracts())}")
        if delivery["problem"]:
            raise Unreadable(delivery["problem"])
        with on_disk(home.scratch):
            return facts | _parse_rows(home, contract, delivery)
    except Unreadable as error:
        reason = str(error)
        if contract and contract.confidential:
            reason = re.sub(r"\$.*", "$…", reason, flags=re.DOTALL)  # a path in JSON may name a taxpayer
        return facts | {"outcome": "rejected", "reason": reason}


def _parse_rows(home: Home, contract: Contract, delivery: dict[str, Any]) -> dict[str, Any]:
    path, published_on = archived(home, delivery), date.fromisoformat(delivery["published_on"])
    shared.fetch(home, path)
    with _scratch(home) as scratch, _engine(scratch.parent, is_small(delivery)) as connection:
        readings = open_readings(contract, path, scratch)
        staged = stage(connection, contract, readings, published_on, scratch)
        rows.judge(connection, contract, staged, published_on)
        total, bad, duplicate = rows.counts(connection)
        facts = {"header": staged.header, "rows_in": total}
        rejected = bad > QUARANTINE_LIMIT * total
        reason = f"{bad} of {total} rows quarantined (limit 20 %): {rows.main_faults(connection)}" if rejected else None
        if rejected:
            rows.refuse_everything(connection, staged)
        if bad:
            with replacing(quarantine_file(home, delivery)) as temporary:
                rows.write_quarantined(connection, staged, delivery["delivery_id"], temporary)
        if rejected:
            return {"outcome": "rejected", "reason": reason, "rows_quarantined": total, **facts}
        with replacing(lake_file(home, delivery)) as temporary:
            write_accepted(connection, contract, staged, temporary)
        remarks = [*staged.remarks, *rows.control_totals(connection, contract, staged)]
    unknown = dict.fromkeys(header for block in staged.blocks for header in block.unknown)
    if unknown:
        # Of a taxpayer-level feed, what looks like a header may be a cell.
        remarks.append(f"unknown columns: {len(unknown) if contract.confidential else ', '.join(unknown)}")
    counts = {"rows_accepted": total - bad - duplicate, "rows_quarantined": bad, "rows_duplicate": duplicate}
    return {"outcome": "loaded", "reason": "; ".join(remarks) or None, **counts, **facts}


@contextmanager
def _scratch(home: Home) -> Iterator[Path]:
    """A folder of this delivery's own below the home: nothing of a delivery is ever written elsewhere."""
    home.scratch.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=home.scratch) as folder:
        yield Path(folder)


@contextmanager
def _engine(scratch: Path, small: bool) -> Iterator[duckdb.DuckDBPyConnection]:
    """This thread's in-memory database, empty again afterwards: opening one costs more than a small delivery."""
    connection = _database(scratch, small, get_ident())
    try:
        yield connection
    finally:
        connection.execute("DROP VIEW IF EXISTS plain")
        connection.unregister("scanned")
        for table in ("loose", "judged", "twice", "verdict", "refused", "recalled", "codes", "failing"):
            connection.execute(f"DROP TABLE IF EXISTS {table}")


@lru_cache(maxsize=2 * CORES)
def _database(scratch: Path, small: bool, thread: int) -> duckdb.DuckDBPyConnection:
    # Pieces of one size come and go: this allocator keeps their pages, where Arrow's own gives them back each time.
    pa.set_memory_pool(pa.system_memory_pool())
    folder = scratch / temporary_name("duckdb")
    connection = duckdb.connect(config={"memory_limit": MEMORY_LIMIT, "temp_directory": str(folder)})
    connection.execute("SET enable_progress_bar = false")
    connection.create_function("normalised", normalised, ["VARCHAR"], "VARCHAR", type="arrow")  # type: ignore[call-overload]
    if small:
        # To make a better plan for a statement takes longer than to carry it out; other deliveries use the other cores.
        connection.execute("PRAGMA disable_optimizer")
        connection.execute("SET threads = 1")
    return connection
