"""Institutions and fund capital, computed once more from the current records: a part of `oracle`, see there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from oracle_shared import CNY_100M, observation, periods

CATEGORIES = ("licensed", "fintech", "supporting", "fund")


@dataclass
class Institution:
    """The life of one USCC: its state after each day with events, first admission and departures."""

    states: dict[date, tuple[bool, str | None]] = field(default_factory=dict)
    first_admit: tuple[date, str] | None = None
    departures: list[tuple[date, str]] = field(default_factory=list)

    def state(self, day: date) -> tuple[bool, str | None]:
        """(resident, category in force or the last one) at the end of a day."""
        latest: tuple[bool, str | None] = (False, None)
        for event_day in sorted(self.states):
            if event_day <= day:
                latest = self.states[event_day]
        return latest


def follow_institutions(
    records: dict[str, dict[str, Any]], flags: list[tuple[str, str, str]]
) -> dict[str, Institution]:
    """Replays the events of every USCC by event_date, then event_id as text."""
    institutions: dict[str, Institution] = {}
    events = sorted(records.values(), key=lambda r: (r["uscc"], r["event_date"], r["event_id"]))
    resident = False
    category: str | None = None
    for event in events:
        if event["uscc"] not in institutions:
            institutions[event["uscc"]] = Institution()
            resident, category = False, None
        institution = institutions[event["uscc"]]
        day, kind, flag = event["event_date"], event["event_type"], None
        if kind == "admit":
            if institution.first_admit is None:
                institution.first_admit = (day, event["category"])
            if resident:
                flag = "admit_during_residence"
            else:
                resident, category = True, event["category"]
        elif kind in ("leave", "deregister"):
            if resident:
                assert category is not None
                institution.departures.append((day, category))
                resident = False
            else:
                flag = "leave_without_residence"
        elif kind == "recategorise":
            if resident:
                category = event["category"]
            else:
                flag = "recategorise_without_residence"
        if flag:
            flags.append(("institution_register", event["event_id"], flag))
        institution.states[day] = (resident, category)
    return institutions


def institution_observations(
    records: dict[str, dict[str, Any]], as_of: date, flags: list[tuple[str, str, str]]
) -> Iterator[tuple[Any, ...]]:
    """The four institution metrics, total and by category."""
    if not records:
        return
    institutions = follow_institutions(records, flags)
    first_event = min(record["event_date"] for record in records.values())
    for frequency, period, start, end in periods(first_event, as_of):
        admitted: Counter[str | None] = Counter()
        cumulative: Counter[str | None] = Counter()
        resident: Counter[str | None] = Counter()
        departed: Counter[str | None] = Counter()
        for institution in institutions.values():
            is_resident, category = institution.state(end)
            if institution.first_admit and institution.first_admit[0] <= end:
                cumulative[category] += 1
                if institution.first_admit[0] >= start:
                    admitted[institution.first_admit[1]] += 1
            if is_resident:
                resident[category] += 1
            for day, category_before in institution.departures:
                if start <= day <= end:
                    departed[category_before] += 1
        metrics = {
            "institutions_admitted": admitted,
            "institutions_admitted_cumulative": cumulative,
            "institutions_resident": resident,
            "institutions_departed": departed,
        }
        for metric, counts in metrics.items():
            total = Decimal(sum(counts.values()))
            yield observation(metric, frequency, period, end, "total", "total", total, "institution", as_of)
            for member in CATEGORIES:
                value = Decimal(counts[member])
                yield observation(metric, frequency, period, end, "category", member, value, "institution", as_of)


# ---------------------------------------------------------------------------------------------------------------------
# Fund capital


def fund_observations(records: dict[str, dict[str, Any]], as_of: date) -> Iterator[tuple[Any, ...]]:
    """Subscribed (flow and cumulative) and paid-in capital in 100 million yuan."""
    if not records:
        return
    first_event = min(record["change_date"] for record in records.values())
    for frequency, period, start, end in periods(first_event, as_of):
        flow = subscribed = paid_in = Decimal(0)
        for record in records.values():
            if record["change_date"] <= end:
                subscribed += record["subscribed_change"]
                paid_in += record["paid_in_change"]
                if record["change_date"] >= start:
                    flow += record["subscribed_change"]
        metrics = {
            "fund_subscribed": flow,
            "fund_subscribed_cumulative": subscribed,
            "fund_paid_in_cumulative": paid_in,
        }
        for metric, yuan in metrics.items():
            value = yuan / CNY_100M
            yield observation(metric, frequency, period, end, "total", "total", value, "cny_100m", as_of)
