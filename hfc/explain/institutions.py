"""The institution register read event by event: what each event adds to which series, and from when until when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from itertools import groupby
from typing import Any

from hfc.explain.evidence import PLACE, Evidence, arrow

END = date.max
NAMES = ("metric_id", "uscc", "category", "valid_from", "valid_to", "delivery_id", "sheet", "line")


def show_entries(evidence: Evidence) -> None:
    """Make the table `institution_entry`: a row for each event and series, with the window in which it counts."""
    events = evidence.records(
        f"SELECT uscc, event_date, event_type, category, {PLACE} FROM institution_register "
        "ORDER BY uscc, event_date, event_id"
    )
    entries = [
        {**entry, "uscc": uscc}
        for uscc, own in groupby(events, key=lambda event: event["uscc"])
        for entry in walk(list(own))
    ]
    evidence.connection.register("institution_entry", arrow(NAMES, entries))


def walk(events: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The entries of one institution, whose events come in order."""
    ever: dict[str, Any] | None = None
    resident: dict[str, Any] | None = None
    for event in events:
        day, kind = event["event_date"], event["event_type"]
        if kind == "admit" and resident is None and ever is None:
            yield _on_the_day("institutions_admitted", event, event["category"])
        if kind in ("leave", "deregister") and resident:
            yield _on_the_day("institutions_departed", event, resident["category"])
            yield {**resident, "valid_to": day}
            resident = None
        elif (kind == "admit" and resident is None) or (kind == "recategorise" and resident):
            yield from ({**entry, "valid_to": day} for entry in (ever, resident) if entry)
            ever = _from_then_on("institutions_admitted_cumulative", event)
            resident = _from_then_on("institutions_resident", event)
    yield from (entry for entry in (ever, resident) if entry)


def _on_the_day(metric: str, event: dict[str, Any], category: str) -> dict[str, Any]:
    return {**_from_then_on(metric, event), "category": category, "valid_to": event["event_date"] + timedelta(days=1)}


def _from_then_on(metric: str, event: dict[str, Any]) -> dict[str, Any]:
    return {**event, "metric_id": metric, "valid_from": event["event_date"], "valid_to": END}
