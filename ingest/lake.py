"""Archive, deliveries, outcomes: what arrived, what became of it, and where its rows are.

`receive` keeps the bytes and registers a delivery before anything is parsed; `load` turns one delivery into its lake
file, its quarantine and, last, its outcome, which is the commit point. Both can be killed anywhere and run again.
A lake file is a function of the bytes, the contract and the publication date alone, so the order of arrival and
parallel loading change nothing; versions and repetitions across deliveries are resolved in the warehouse.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import yaml

from hfc.home import Home, UsageError, replacing, sha256_of, write_json
from ingest import rows
from ingest.contract import Contract, load_contracts
from ingest.readers import open_readings
from ingest.readers.records import Unreadable
from ingest.staging import normalised, stage

SIDECAR = ".meta.yaml"
QUARANTINE_LIMIT = 0.20
MEMORY_LIMIT = "2GB"
_SHANGHAI = timedelta(hours=8)


@dataclass(frozen=True)
class Outcome:
    """What became of one delivery. Always rows_in = rows_accepted + rows_quarantined + rows_duplicate."""

    delivery_id: str
    feed: str
    file: str
    sha256: str
    bytes: int
    published_on: str
    outcome: str
    reason: str | None = None
    rows_in: int = 0
    rows_accepted: int = 0
    rows_quarantined: int = 0
    rows_duplicate: int = 0
    contract_sha256: str | None = None

    def summary(self) -> str:
        counts = f"{self.rows_accepted} accepted, {self.rows_quarantined} quarantined, {self.rows_duplicate} duplicate"
        return f"{self.feed}/{self.file}: {self.outcome}, {counts}" + (f" ({self.reason})" if self.reason else "")


def receive(home: Home, landing: Path) -> list[str]:
    """Archive every new file of `landing/<feed>/`, register it, and return the deliveries that wait to be loaded.

    Raises:
        UsageError: the landing folder does not exist.
    """
    if not landing.is_dir():
        raise UsageError(f"no landing folder at {landing}: create it, or name another with --landing")
    known = {(d["feed"], d["file"], d["sha256"]) for d in _registered(home)}
    arrivals = []
    for path in sorted(landing.glob("*/*")):
        if path.name.startswith((".", "~$")) or path.name.endswith(SIDECAR):
            continue
        arrival = _describe(path)
        if (arrival["feed"], arrival["file"], arrival["sha256"]) not in known:
            arrivals.append((arrival, path))
    for arrival, path in sorted(arrivals, key=lambda a: (a[0]["published_on"], a[0]["file"], a[0]["feed"])):
        _archive(home, arrival, path)
        _register(home, arrival)
    return pending(home)


def pending(home: Home) -> list[str]:
    """Deliveries without an outcome, oldest publication first."""
    done = {path.stem for path in home.outcomes.glob("*.json")}
    waiting = [d for d in _registered(home) if d["delivery_id"] not in done]
    return [d["delivery_id"] for d in sorted(waiting, key=lambda d: (d["published_on"], d["seq"]))]


def _describe(path: Path) -> dict[str, Any]:
    """Feed, bytes, publication date and sidecar of one landed file."""
    meta, problem = {}, None
    sidecar = path.with_name(path.name + SIDECAR)
    if path.is_dir():
        problem = "unreadable: a folder where a file was expected"
    elif sidecar.is_file():
        try:
            meta = yaml.safe_load(sidecar.read_text(encoding="utf-8")) or {}
            if not isinstance(meta, dict):
                raise ValueError("not a mapping")
        except (ValueError, yaml.YAMLError) as error:
            meta, problem = {}, f"unreadable sidecar {sidecar.name}: {str(error).splitlines()[0]}"
    published_on, bad_date = _published_on(path, meta)
    return {
        "feed": path.parent.name,
        "file": path.name,
        "sha256": "" if path.is_dir() else sha256_of(path),
        "bytes": 0 if path.is_dir() else path.stat().st_size,
        "published_on": published_on.isoformat(),
        "problem": problem or bad_date,
        "synthetic": meta.get("synthetic") is True,
        **{name: None if meta.get(name) is None else str(meta[name]) for name in ("source_url", "licence", "note")},
    }


def _published_on(path: Path, meta: dict[str, Any]) -> tuple[date, str | None]:
    """The vintage: the last date in the file name, else the sidecar's, else the modification date in Shanghai."""
    for digits in reversed(re.findall(r"(?<!\d)\d{8}(?!\d)", path.name)):
        try:
            return date(int(digits[:4]), int(digits[4:6]), int(digits[6:])), None
        except ValueError:
            continue
    modified = (datetime.fromtimestamp(path.stat().st_mtime, UTC) + _SHANGHAI).date()
    stated = meta.get("published_on")
    try:
        return (date.fromisoformat(str(stated)), None) if stated is not None else (modified, None)
    except ValueError:
        return modified, f"unreadable sidecar: published_on {stated} is not a date (YYYY-MM-DD)"


def archived(home: Home, delivery: dict[str, Any]) -> Path:
    """Where a delivery's bytes are kept for ever."""
    suffix = re.sub(r"[^A-Za-z0-9.]", "", Path(delivery["file"]).suffix) or ".bin"
    return home.archive / delivery["feed"] / (delivery["sha256"] + suffix)


def _archive(home: Home, arrival: dict[str, Any], path: Path) -> None:
    target = archived(home, arrival)
    if not arrival["sha256"] or target.exists():
        return
    with replacing(target) as temporary:
        shutil.copyfile(path, temporary)
        if sha256_of(temporary) != arrival["sha256"]:
            raise UsageError(f"{path} changed while it was read: run again once it is complete")
        os.chmod(temporary, 0o444)


def _register(home: Home, arrival: dict[str, Any]) -> None:
    """Give the arrival the next number; a hard link makes taking a number exclusive."""
    home.deliveries.mkdir(parents=True, exist_ok=True)
    seq = max((int(path.stem) for path in home.deliveries.glob("*.json")), default=0) + 1
    while True:
        delivery_id = f"{seq:06d}"
        staging = home.deliveries / f".{os.getpid()}-{delivery_id}"
        write_json(staging, {**arrival, "delivery_id": delivery_id, "seq": seq})
        try:
            os.link(staging, home.deliveries / f"{delivery_id}.json")
            return
        except FileExistsError:
            seq += 1
        finally:
            staging.unlink()


def _registered(home: Home) -> list[dict[str, Any]]:
    paths = sorted(home.deliveries.glob("*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths if not path.name.startswith(".")]


def _precedence(delivery: dict[str, Any]) -> tuple[Any, ...]:
    """Which of two deliveries of the same bytes counts: the earlier publication, then the name, then the arrival."""
    return delivery["published_on"], delivery["file"], delivery["seq"]


def lake_file(home: Home, delivery: dict[str, Any]) -> Path:
    return home.lake / delivery["feed"] / f"{delivery['delivery_id']}.parquet"


def quarantine_file(home: Home, delivery: dict[str, Any]) -> Path:
    return home.quarantine / delivery["feed"] / f"{delivery['delivery_id']}.parquet"


def load(home: Home, delivery_id: str) -> Outcome:
    """Parse and validate one delivery into the lake, its refused rows into quarantine, and write its outcome.

    Raises:
        UsageError: no such delivery.
    """
    registered = {d["delivery_id"]: d for d in _registered(home)}
    if delivery_id not in registered:
        raise UsageError(f"no delivery {delivery_id}; see hfc status")
    delivery = registered[delivery_id]
    first = min(
        (d for d in registered.values() if (d["feed"], d["sha256"]) == (delivery["feed"], delivery["sha256"])),
        key=_precedence,
    )
    if first is not delivery:
        outcome = _outcome(delivery, "unchanged", reason=f"the same bytes as {first['file']}")
    else:
        try:
            outcome = _load_rows(home, delivery)
        except Unreadable as error:
            outcome = _outcome(delivery, "rejected", reason=str(error))
    write_json(home.outcomes / f"{delivery_id}.json", asdict(outcome))
    return outcome


def _outcome(delivery: dict[str, Any], outcome: str, **facts: Any) -> Outcome:
    same = {name: delivery[name] for name in ("delivery_id", "feed", "file", "sha256", "bytes", "published_on")}
    return Outcome(**same, outcome=outcome, **facts)


def _contract_of(delivery: dict[str, Any]) -> Contract:
    contract = load_contracts().get(delivery["feed"])
    if contract is None:
        raise Unreadable(f"no contract for feed {delivery['feed']}; known feeds: {', '.join(load_contracts())}")
    if delivery["problem"]:
        raise Unreadable(delivery["problem"])
    return contract


def _load_rows(home: Home, delivery: dict[str, Any]) -> Outcome:
    contract = _contract_of(delivery)
    path, published_on = archived(home, delivery), date.fromisoformat(delivery["published_on"])
    with _engine() as connection, TemporaryDirectory(prefix="hfc-") as scratch:
        readings = open_readings(contract, path, Path(scratch))
        staged = stage(connection, contract, readings, path.stat().st_size, published_on)
        rows.judge(connection, contract, staged, published_on)
        total, bad, duplicate = rows.counts(connection)
        rejected = bad > QUARANTINE_LIMIT * total
        reason = f"{bad} of {total} rows quarantined (limit 20 %): {rows.main_faults(connection)}" if rejected else None
        if rejected:
            rows.refuse_everything(connection, staged)
        if bad:
            with replacing(quarantine_file(home, delivery)) as temporary:
                rows.write_quarantined(connection, staged, delivery["delivery_id"], temporary)
        if rejected:
            same = {"rows_in": total, "rows_quarantined": total}
            return _outcome(delivery, "rejected", reason=reason, contract_sha256=contract.sha256, **same)
        with replacing(lake_file(home, delivery)) as temporary:
            rows.write_accepted(connection, contract, staged, temporary)
        remarks = [*staged.remarks, *rows.control_totals(connection, contract, staged)]
    unknown = dict.fromkeys(header for block in staged.blocks for header in block.unknown)
    if unknown:
        remarks.append(f"unknown columns: {', '.join(unknown)}")
    return _outcome(
        delivery, "loaded", reason="; ".join(remarks) or None, contract_sha256=contract.sha256, rows_in=total,
        rows_accepted=total - bad - duplicate, rows_quarantined=bad, rows_duplicate=duplicate,
    )  # fmt: skip


@contextmanager
def _engine() -> Iterator[duckdb.DuckDBPyConnection]:
    """This process's in-memory database, empty again afterwards: opening one costs more than a small delivery."""
    connection = _database()
    try:
        yield connection
    finally:
        connection.execute("DROP VIEW IF EXISTS plain")
        for table in ("scanned", "loose", "judged", "repeated", "verdict", "refused", "recalled", "codes", "failing"):
            connection.execute(f"DROP TABLE IF EXISTS {table}")


@cache
def _database() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"memory_limit": MEMORY_LIMIT})
    connection.create_function("normalised", normalised, ["VARCHAR"], "VARCHAR", type="arrow")  # type: ignore[list-item, arg-type]
    return connection


def known_deliveries(home: Home, as_of: date | None = None) -> list[dict[str, Any]]:
    """Every delivery with an outcome and `published_on <= as_of`, oldest first.

    Of identical bytes the earliest publication counts, whatever the order of arrival; the others are `unchanged`.
    """
    outcomes = [json.loads(p.read_text(encoding="utf-8")) for p in home.outcomes.glob("[0-9]*.json")]
    by_id = {outcome["delivery_id"]: outcome for outcome in outcomes}
    merged = [{**d, **by_id[d["delivery_id"]]} for d in _registered(home) if d["delivery_id"] in by_id]
    seen: dict[tuple[str, str], str] = {}
    result = []
    for delivery in sorted(merged, key=_precedence):
        if as_of and delivery["published_on"] > as_of.isoformat():
            continue
        identity = (delivery["feed"], delivery["sha256"])
        if identity in seen:
            nothing = dict.fromkeys(("rows_in", "rows_accepted", "rows_quarantined", "rows_duplicate"), 0)
            delivery |= {**nothing, "outcome": "unchanged", "reason": f"the same bytes as {seen[identity]}"}
        seen.setdefault(identity, delivery["file"])
        result.append(delivery)
    return result


def quarantined_rows(home: Home, feed: str | None = None) -> list[dict[str, Any]]:
    """Every refused row with its delivery, place, main rule, all rules, offending value and raw cells."""
    result = []
    for delivery in known_deliveries(home):
        path = quarantine_file(home, delivery)
        if (feed and delivery["feed"] != feed) or not delivery["rows_quarantined"] or not path.exists():
            continue
        with duckdb.connect() as connection:
            table = connection.sql(
                'SELECT line, "column", rule, rules, value, raw FROM read_parquet(?)', params=[str(path)]
            ).to_arrow_table()
        same = {name: delivery[name] for name in ("delivery_id", "feed", "file")}
        result += [{**same, **row} for row in table.to_pylist()]
    return result
