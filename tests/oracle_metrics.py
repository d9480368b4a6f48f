"""Every published metric, computed once more from the current records: a part of `oracle`, see there.

Institutions, tax and value-added have modules of their own; here are the rest of the plan's numbers.

Decisions where the specification is silent:

- A firm's current stage is that of its last record by stage_date, then record_id as text; whether it is fintech is what
  that record says.
- An ISO week belongs to the year of its Thursday, so days of the neighbouring calendar years count in it.
- A systemic incident is a lead marked systemic, whether or not it is also marked an incident.
- A lead is closed on the day of closed_on.
- The latest plan version is that of the parcel approved last on or before period end (ties: the last version as text);
  its parcels approved later do not count yet.
- A duty's state is that of its latest report for the month or an earlier one; its due date is the last one stated until
  then. A due date on the month's last day has not passed. Reports are a record feed: a month without any is missing.
- Reports for months after the report month are not looked at.
- key_fintech_firms_admitted is a series of records, like tax: from the month of the measure's first record on, a month
  without a record of it is missing, and so is its year, also for months before the first record. It counts for the
  duties that have the measure in the seed duty_measure, and adds up over them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from oracle_institutions import fund_observations, institution_observations
from oracle_shared import months_between, observation, periods, read_seed, report_day
from oracle_tax_revenue import tax_observations
from oracle_value_added import value_added_observations

Records = dict[Any, dict[str, Any]]
Rows = Iterator[tuple[Any, ...]]

CANDIDATE_STAGES = ("reserve", "tutoring", "filed", "potential_unicorn")
KEY_FIRMS = "key_fintech_firms_admitted"
MEASURES = {(int(row["duty_no"]), row["measure_id"]) for row in read_seed("duty_measure")}


def all_observations(feeds: dict[str, Records], as_of: date, flags: list[tuple[str, str, str]]) -> Rows:
    """Every metric, from the current records of every feed; `flags` collects the register's odd events."""
    register = feeds["institution_register"]
    yield from institution_observations(register, as_of, flags)
    yield from fund_observations(feeds["fund_commitments"], as_of)
    yield from tax_observations(feeds["tax_collections"], register, as_of)
    yield from value_added_observations(
        feeds["value_added_accounts"], feeds["value_added_indicators"], feeds["price_indices"], as_of
    )
    yield from listing_observations(feeds["listing_pipeline"], as_of)
    yield from activity_observations(feeds["activities"], as_of)
    yield from risk_observations(feeds["risk_leads"], as_of)
    yield from floor_space_observations(feeds["floor_space"], as_of)
    yield from duty_observations(feeds["duty_reports"], as_of)
    yield from key_firm_observations(feeds["duty_measures"], as_of)


def listing_observations(records: Records, as_of: date) -> Rows:
    """Fintech firms by their current stage."""
    if not records:
        return
    changes = sorted(records.values(), key=lambda record: (record["stage_date"], record["record_id"]))
    for frequency, period, _, end in periods(changes[0]["stage_date"], as_of):
        if frequency != "Q":
            current = {change["uscc"]: change for change in changes if change["stage_date"] <= end}
            stages = [change["stage"] for change in current.values() if change["is_fintech"]]
            for metric, value in (
                ("fintech_listed_cumulative", stages.count("listed")),
                ("fintech_listing_candidates", sum(stage in CANDIDATE_STAGES for stage in stages)),
            ):
                yield observation(metric, frequency, period, end, "total", "total", value, "firm", as_of)


def iso_weeks(year: int) -> int:
    """How many ISO weeks a year has: 28 December is always in the last one."""
    return date(year, 12, 28).isocalendar().week


def activity_observations(records: Records, as_of: date) -> Rows:
    """How much of the calendar activities cover, and how many highlights there were."""
    if not records:
        return
    first = min(record["held_on"] for record in records.values())
    weeks = {record["held_on"].isocalendar()[:2] for record in records.values()}
    for frequency, period, start, end in periods(first, as_of):
        place = (frequency, period, end, "total", "total")
        within = [record for record in records.values() if start <= record["held_on"] <= end]
        kinds = [record["kind"] for record in within]
        days = {record["held_on"] for record in within if record["kind"] == "roadshow"}
        if frequency != "Q":
            percent = Fraction(100 * len(days), (end - start).days + 1)
            yield observation("roadshow_day_coverage", *place, percent, "percent", as_of)
        if frequency == "A":
            covered = sum(1 for year, _ in weeks if year == end.year)
            percent = Fraction(100 * covered, iso_weeks(end.year))
            yield observation("activity_week_coverage", *place, percent, "percent", as_of)
            yield observation("quarterly_highlights", *place, kinds.count("quarterly_highlight"), "event", as_of)
            yield observation("annual_highlights", *place, kinds.count("annual_highlight"), "event", as_of)


def risk_observations(records: Records, as_of: date) -> Rows:
    """Incidents found in a period, and leads open at its end."""
    if not records:
        return
    leads = list(records.values())
    for frequency, period, start, end in periods(min(lead["found_on"] for lead in leads), as_of):
        place = (frequency, period, end, "total", "total")
        found = [lead for lead in leads if start <= lead["found_on"] <= end]
        if frequency != "Q":
            value = sum(lead["is_incident"] for lead in found)
            yield observation("risk_incidents", *place, value, "incident", as_of)
            value = sum(lead["is_systemic"] for lead in found)
            yield observation("systemic_risk_incidents", *place, value, "incident", as_of)
        if frequency == "M":
            known = [lead for lead in leads if lead["found_on"] <= end]
            value = sum(1 for lead in known if lead["closed_on"] is None or lead["closed_on"] > end)
            yield observation("risk_leads_open", *place, value, "lead", as_of)


def floor_space_observations(records: Records, as_of: date) -> Rows:
    """The latest approved plan's floor space: at the end of every complete year, and of the report month."""
    if not records:
        return
    parcels = sorted(records.values(), key=lambda record: (record["approved_on"], record["plan_version"]))
    for frequency, period, _, end in periods(parcels[0]["approved_on"], as_of):
        if frequency == "A" or (frequency == "M" and end == report_day(as_of)):
            place = (frequency, period, end, "total", "total")
            approved = [parcel for parcel in parcels if parcel["approved_on"] <= end]
            plan = [parcel for parcel in approved if parcel["plan_version"] == approved[-1]["plan_version"]]
            for metric, areas in (
                ("floor_space_total", [parcel["area"] for parcel in plan]),
                ("floor_space_added", [parcel["area"] for parcel in plan if parcel["kind"] == "added"]),
            ):
                yield observation(metric, *place, sum(areas, Decimal(0)), "10k_m2", as_of)


def first_day(month: str) -> date:
    return date(int(month[:4]), int(month[5:]), 1)


def duty_observations(records: Records, as_of: date) -> Rows:
    """Duties done and overdue at the end of each month."""
    reports = sorted((record for record in records.values()), key=lambda record: record["month"])
    if not reports:
        return
    for frequency, period, _, end in periods(first_day(reports[0]["month"]), as_of):
        if frequency == "M":
            statuses: dict[int, str] = {}
            due: dict[int, date] = {}
            for report in reports:
                if report["month"] <= period:
                    statuses[report["duty_no"]] = report["status"]
                    if report["due_date"]:
                        due[report["duty_no"]] = report["due_date"]
            done = sum(1 for status in statuses.values() if status == "done")
            overdue = sum(1 for duty, status in statuses.items() if status != "done" and due.get(duty, end) < end)
            is_silent = all(report["month"] != period for report in reports)
            for metric, count in (("duties_done", done), ("duties_overdue", overdue)):
                value = None if is_silent else count
                yield observation(metric, "M", period, end, "total", "total", value, "duty", as_of)


def key_firm_observations(records: Records, as_of: date) -> Rows:
    """Leading fintech firms recruited, as reported among the measures of a duty."""
    reported: dict[str, Decimal] = {}
    for record in records.values():
        if record["measure_id"] == KEY_FIRMS and (record["duty_no"], KEY_FIRMS) in MEASURES:
            reported[record["month"]] = reported.get(record["month"], Decimal(0)) + record["value"]
    if not reported:
        return
    for frequency, period, start, end in periods(first_day(min(reported)), as_of):
        if frequency != "Q":
            place = (frequency, period, end, "total", "total")
            values = [reported.get(month) for month in months_between(start, end)]
            value = None if None in values else sum(values, Decimal(0))  # type: ignore[arg-type]
            yield observation(KEY_FIRMS, *place, value, "firm", as_of)
