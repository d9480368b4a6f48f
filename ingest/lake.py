"""Deliveries and outcomes: what became of what arrived, and where its rows are.

`load` turns one archived delivery into its lake file, its quarantine and, last, its outcome, which is the commit point.
It can be killed anywhere and run again.
A lake file is a function of the bytes, the contract and the publication date alone, so the order of arrival and
parallel loading change nothing; versions and repetitions across deliveries are resolved in the warehouse.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from hfc.home import Home, UsageError, json_text, replacing
from ingest import archive, shared
from ingest.archive import registered
from ingest.contract import load_contracts

SMALL_BYTES = 8 << 20


@dataclass(frozen=True)
class Outcome:
    """What became of one delivery. Always rows_in = rows_accepted + rows_quarantined + rows_duplicate.

    `header` holds the printed headers by column id; those of columns that the contract does not know under "".
    """

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
    header: dict[str, list[str]] = field(default_factory=dict)

    def summary(self) -> str:
        counts = f"{self.rows_accepted} accepted, {self.rows_quarantined} quarantined, {self.rows_duplicate} duplicate"
        return f"{self.feed}/{self.file}: {self.outcome}, {counts}" + (f" ({self.reason})" if self.reason else "")


def receive(home: Home, landing: Path) -> list[str]:
    """Archive what is new in the landing folder; the deliveries that wait to be loaded.

    Raises:
        UsageError: the landing folder does not exist.
    """
    archive.receive(home, landing)
    return pending(home)


def pending(home: Home) -> list[str]:
    """Deliveries without an outcome, oldest publication first."""
    arrived = registered(home)
    done = {path.stem for path in home.outcomes.glob("*.json")}
    waiting = [d for d in arrived if d["delivery_id"] not in done]
    return [d["delivery_id"] for d in sorted(waiting, key=lambda d: (d["published_on"], d["seq"]))]


def _precedence(delivery: dict[str, Any]) -> tuple[Any, ...]:
    """Which of two deliveries of the same bytes counts: the earlier publication, then the name, then the arrival."""
    return delivery["published_on"], delivery["file"], delivery["seq"]


def _identity(delivery: dict[str, Any]) -> tuple[str, str]:
    """What two deliveries of the same content share; what was never read (a link, a bad sidecar) is only itself."""
    return delivery["feed"], delivery["file"] if delivery["problem"] else delivery["sha256"]


def is_small(delivery: dict[str, Any]) -> bool:
    """Whether a delivery takes so little that one core does for it, and others can be loaded beside it."""
    return bool(delivery["bytes"] < SMALL_BYTES)


def lake_file(home: Home, delivery: dict[str, Any]) -> Path:
    return home.lake / str(delivery["feed"]) / f"{delivery['delivery_id']}.parquet"


def quarantine_file(home: Home, delivery: dict[str, Any]) -> Path:
    return home.quarantine / str(delivery["feed"]) / f"{delivery['delivery_id']}.parquet"


def load(home: Home, delivery_id: str) -> Outcome:
    """Parse and validate one delivery into the lake, its refused rows into quarantine, and write its outcome.

    Raises:
        UsageError: no such delivery.
    """
    return next(load_all(home, [delivery_id]))


def load_all(home: Home, delivery_ids: list[str]) -> Iterator[Outcome]:
    """Load several deliveries: large ones, which need all cores, one after the other, and small ones beside them.

    Raises:
        UsageError: no such delivery.
    """
    deliveries = {d["delivery_id"]: d for d in registered(home)}
    if unknown := [i for i in delivery_ids if i not in deliveries]:
        raise UsageError(f"no delivery {', '.join(unknown)}; see hfc status")
    first: dict[tuple[str, str], dict[str, Any]] = {}
    for delivery in sorted(deliveries.values(), key=_precedence):
        first.setdefault(_identity(delivery), delivery)
    waiting = [deliveries[delivery_id] for delivery_id in delivery_ids]

    def one(delivery: dict[str, Any]) -> Outcome:
        return _load(home, delivery, first[_identity(delivery)])

    with ThreadPoolExecutor(os.cpu_count()) as executor:
        small = executor.map(one, [d for d in waiting if is_small(d)])
        yield from map(one, [d for d in waiting if not is_small(d)])
        yield from small


def _load(home: Home, delivery: dict[str, Any], first: dict[str, Any]) -> Outcome:
    """Load a delivery, unless `first`, the one of the same content that counts, is another."""
    if first is not delivery:
        outcome = _outcome(delivery, outcome="unchanged", reason=f"the same bytes as {first['file']}")
    else:
        from ingest.parsing import parse  # only loading needs the readers and their libraries

        outcome = _outcome(delivery, **parse(home, delivery))
    if not outcome.rows_accepted:
        lake_file(home, delivery).unlink(missing_ok=True)
    if not outcome.rows_quarantined:
        quarantine_file(home, delivery).unlink(missing_ok=True)
    for path in (lake_file(home, delivery), quarantine_file(home, delivery)):
        shared.push(home, path)
    target = _outcome_file(home, delivery["delivery_id"])
    with replacing(target) as temporary:
        temporary.write_text(json_text(asdict(outcome)), encoding="utf-8")
        shared.push(home, target, temporary)
    return outcome


def forget(home: Home, feed: str) -> list[str]:
    """Withdraw the outcomes of a feed, so that its deliveries wait to be loaded again; the archive is not touched.

    Raises:
        UsageError: no delivery of that feed has arrived.
    """
    found = [d["delivery_id"] for d in registered(home) if d["feed"] == feed]
    if not found:
        raise UsageError(f"no delivery of feed {feed} has arrived; see hfc status")
    for delivery_id in found:
        path = _outcome_file(home, delivery_id)
        path.unlink(missing_ok=True)
        shared.push(home, path)
    return found


def _outcome_file(home: Home, delivery_id: str) -> Path:
    return home.outcomes / f"{delivery_id}.json"


def _outcome(delivery: dict[str, Any], **facts: Any) -> Outcome:
    same = {name: delivery[name] for name in ("delivery_id", "feed", "file", "sha256", "bytes", "published_on")}
    return Outcome(**same, **facts)


def known_deliveries(home: Home, as_of: date | None = None) -> list[dict[str, Any]]:
    """Every delivery with an outcome and `published_on <= as_of`, oldest first.

    Of identical bytes the earliest publication counts, whatever the order of arrival; the others are `unchanged`.
    """
    arrived = registered(home)
    outcomes = [json.loads(p.read_text(encoding="utf-8")) for p in home.outcomes.glob("[0-9]*.json")]
    by_id = {outcome["delivery_id"]: outcome for outcome in outcomes}
    merged = [{**d, **by_id[d["delivery_id"]]} for d in arrived if d["delivery_id"] in by_id]
    seen: dict[tuple[str, str], str] = {}
    result = []
    for delivery in sorted(merged, key=_precedence):
        if as_of and delivery["published_on"] > as_of.isoformat():
            continue
        identity = _identity(delivery)
        if identity in seen:
            nothing = dict.fromkeys(("rows_in", "rows_accepted", "rows_quarantined", "rows_duplicate"), 0)
            delivery |= {**nothing, "outcome": "unchanged", "reason": f"the same bytes as {seen[identity]}"}
        seen.setdefault(identity, delivery["file"])
        result.append(delivery)
    return result


def quarantined_rows(home: Home, feed: str | None = None, confidential: bool = False) -> list[dict[str, Any]]:
    """Every refused row with its delivery, place, main rule, all rules, offending value and raw cells.

    Of taxpayer-level feeds the value and the cells are left out, unless `confidential`.

    Raises:
        UsageError: there is no such feed.
    """
    _check_feed(feed)
    shared.pull(home, everything=True)
    result = []
    with duckdb.connect() as connection:
        for delivery in known_deliveries(home):
            path = quarantine_file(home, delivery)
            if (feed and delivery["feed"] != feed) or not delivery["rows_quarantined"] or not path.exists():
                continue
            table = connection.sql(
                'SELECT sheet, line, "column", rule, rules, value, raw FROM read_parquet(?)', params=[str(path)]
            ).to_arrow_table()
            same = {name: delivery[name] for name in ("delivery_id", "feed", "file")}
            contract = load_contracts().get(delivery["feed"])
            hidden = {"value": None, "raw": None} if not confidential and contract and contract.confidential else {}
            result += [{**same, **row, **hidden} for row in table.to_pylist()]
    return result


def _check_feed(feed: str | None) -> None:
    if feed is not None and feed not in load_contracts():
        raise UsageError(f"there is no feed {feed}; the feeds are {', '.join(load_contracts())}")


def drift(home: Home, feed: str | None = None) -> list[dict[str, Any]]:
    """How the columns of each feed's loaded deliveries changed, from one publication to the next.

    `unknown`: a header that the contract does not know and the delivery before did not have; `missing`: a column that
    the delivery before had; `renamed`: a known column under another header than before. Of a taxpayer-level feed, an
    unknown header is not shown: it may be a cell.

    Raises:
        UsageError: there is no such feed.
    """
    _check_feed(feed)
    before: dict[str, dict[str, list[str]]] = {}
    changes = []
    for delivery in sorted(known_deliveries(home), key=lambda d: (d["published_on"], d["seq"])):
        if (feed and delivery["feed"] != feed) or not delivery.get("header"):
            continue
        header, old = delivery["header"], before.get(delivery["feed"], {})
        same = {name: delivery[name] for name in ("feed", "file", "published_on")}
        unknown = [text for text in header.get("", []) if text not in old.get("", [])]
        contract = load_contracts().get(delivery["feed"])
        shown = ["(not shown)"] * len(unknown) if contract and contract.confidential else unknown
        found: list[tuple[str | None, ...]] = [("unknown", None, text, None) for text in shown]
        for column in sorted({*header, *old} - {""}) if old else []:
            new, past = " / ".join(header.get(column, [])), " / ".join(old.get(column, []))
            if past and not new:
                found.append(("missing", column, None, past))
            elif past and new != past:
                found.append(("renamed", column, new, past))
        names = ("change", "column", "header", "before")
        changes += [{**same, **dict(zip(names, values, strict=True))} for values in found]
        before[delivery["feed"]] = header
    return changes


def punctuality(home: Home, today: date) -> list[dict[str, Any]]:
    """By feed: how often a delivery is expected, the latest one, the day the last expected one was due, and whether it
    is `on time`, `due` or `late` on `today`; and how many deliveries were read under another contract than today's."""
    known = known_deliveries(home, today)
    result = []
    for contract in load_contracts().values():
        own = [d for d in known if d["feed"] == contract.feed and d["outcome"] != "unchanged"]
        published = [date.fromisoformat(d["published_on"]) for d in own if d["outcome"] == "loaded"]
        state, due = contract.calendar.punctuality(published, today) if contract.calendar else (None, None)
        result.append({
            "feed": contract.feed,
            "every": contract.calendar.every if contract.calendar else None,
            "latest": max(published, default=None),
            "due": due,
            "state": state,
            "to_replay": sum(d.get("contract_sha256") != contract.sha256 for d in own),
        })  # fmt: skip
    return result
