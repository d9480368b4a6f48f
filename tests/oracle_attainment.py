"""A second, independent judgement of the plan's targets, to compare `plan_attainment` with.

It reads the seeds (targets, metrics), the contracts, observations and the outcomes of deliveries, and judges every target by the
section "Plan targets and their attainment". It shares no code with the warehouse, uses the standard library (and YAML) only and
computes in fractions, rounded once at the end.

Decisions where the specification is silent:

- A finished year's data are complete once a delivery of every feed has been loaded on or after its last day; what became
  of the feeds later (stale, rejected) matters to years that still run.
- Three points are observations at the ends of three periods, whatever their year and frequency.
- The latest value of a stock or a ratio is that of the latest period end, by the finest frequency that has it.
- The previous milestone of a year lies two years before it. Ratios are expected to be at their target all year.
- The actual value of a year with a suppressed observation that it is, or adds up, is not known.
- Last year's share counts where last year is complete and its sum above zero.
- The values compared are the published ones: rounded to ten places, halves away from zero.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import yaml
from oracle_shared import read_seed

MONTHS_BETWEEN_MILESTONES = 24
PERIODS_OF_YEAR = {"M": 12, "Q": 4, "A": 1}


@dataclass(frozen=True)
class Feed:
    """What is known of a feed: the day of its latest loaded delivery, and whether it is rejected or stale."""

    last_loaded_on: date | None
    is_interrupted: bool


@dataclass(frozen=True)
class Point:
    """One observation of a target's series."""

    period: str
    period_end: date
    value: Fraction


@dataclass(frozen=True)
class Clock:
    """The report month, seen from the year of a target."""

    year: int
    report_year: int
    report_month: int

    @property
    def is_over(self) -> bool:
        return (self.report_year, self.report_month) >= (self.year, 12)

    @property
    def months_left(self) -> int:
        return 12 * (self.year - self.report_year) + 12 - self.report_month


def ten_places(value: Fraction | None) -> Decimal | None:
    """The value as it is published."""
    if value is None:
        return None
    whole = (abs(value) * 10**10 + Fraction(1, 2)) // 1
    return Decimal(whole if value >= 0 else -whole).scaleb(-10)


def read_contracts() -> list[dict[str, Any]]:
    """Every feed's contract as it is written."""
    folder = Path(__file__).resolve().parent.parent / "ingest" / "contracts"
    return [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.yaml"))]


def follow_feed(feed: dict[str, Any], outcomes: Iterable[dict[str, Any]], as_of: date) -> Feed:
    """The state of a feed on a day, from its deliveries in the order in which they are processed."""
    news = [o for o in outcomes if o["feed"] == feed["feed"] and o["outcome"] in ("loaded", "rejected")]
    loaded = [o["published_on"] for o in news if o["outcome"] == "loaded"]
    if not loaded:
        return Feed(None, False)
    is_stale = (as_of - max(loaded)).days >= int(feed["stale_after_days"])
    return Feed(max(loaded), is_stale or news[-1]["outcome"] == "rejected")


def judge(
    observations: list[tuple[Any, ...]], outcomes: list[dict[str, Any]], as_of: date
) -> list[tuple[str, str | None, Decimal | None, Decimal | None, Decimal | None, Decimal | None, Decimal | None, str]]:
    """All targets on a day, by target_id, from the observations of that day and the deliveries up to it.

    A target is (target_id, actual_period, actual, expected, attainment_pct, gap, required_pace, status).
    """
    known = [o for o in outcomes if o["published_on"] <= as_of]
    feeds = {feed["feed"]: follow_feed(feed, known, as_of) for feed in read_contracts()}
    metrics = {metric["metric_id"]: metric for metric in read_seed("metric")}
    last_day = (as_of + timedelta(days=1)).replace(day=1) - timedelta(days=1)
    judged = []
    for target in read_seed("plan_target"):
        metric = metrics[target["metric_id"]]
        wanted = (target["metric_id"], target["dimension"], target["member"])
        series: dict[str, list[Point]] = {"M": [], "Q": [], "A": []}
        for metric_id, frequency, period, period_end, dimension, member, value, *_ in observations:
            if (metric_id, dimension, member) == wanted and value is not None:
                series[frequency].append(Point(period, period_end, Fraction(value)))
        clock = Clock(int(target["year"]), last_day.year, last_day.month)
        held = "A" if clock.is_over else metric["frequencies"].split()[0]
        is_suppressed = any(
            row[1] == held and (row[0], row[4], row[5]) == wanted and row[3].year == clock.year and row[9] != "F"
            for row in observations
        )
        inputs = [feeds.get(name, Feed(None, False)) for name in metric["source_feeds"].split()]
        judged.append(judge_target(target, metric, series, inputs, clock, is_suppressed))
    return sorted(judged)


def judge_target(
    target: dict[str, str],
    metric: dict[str, str],
    series: dict[str, list[Point]],
    inputs: list[Feed],
    clock: Clock,
    is_suppressed: bool = False,
) -> tuple[Any, ...]:
    """One target, from the series of its metric and the feeds this is computed from."""
    finest = metric["frequencies"].split()[0]
    points = sorted(series[finest], key=lambda point: point.period_end)
    low = Fraction(target["low"])
    is_bound = target["operator"] == "="
    ends = {point.period_end: point for frequency in ("A", "Q", "M") for point in series[frequency]}
    latest = [ends[max(ends)]] if ends else []
    period, actual = (None, None) if is_suppressed else find_actual(target, points, latest, series["A"], clock)
    unrounded = find_expected(target, finest, points, series["A"], clock) if actual is not None else None
    rounded = ten_places(unrounded)
    expected = None if rounded is None else Fraction(rounded)

    is_met = actual is not None and (actual <= low if is_bound else actual >= low)
    if actual is None or metric["computed"] != "true" or not can_be_judged(target, len(ends), inputs, clock):
        status = "no_data"
    elif clock.is_over:
        status = "achieved" if is_met else "missed"
    elif is_bound:
        status = "on_track" if is_met else "missed"
    elif is_met:
        status = "achieved" if target["measure"] == "stock" else "on_track"
    elif expected is None:
        status = "no_data"
    elif actual >= expected:
        status = "on_track"
    else:
        status = "at_risk" if 10 * actual >= 9 * expected else "off_track"

    pace = None
    if actual is not None and not clock.is_over and not is_bound and target["measure"] != "ratio":
        pace = Fraction(0) if is_met else (low - actual) / clock.months_left
    percent = None if actual is None or low == 0 else 100 * actual / low
    gap = None if actual is None else low - actual
    numbers = (actual, expected, percent, gap, pace)
    return (target["target_id"], period, *map(ten_places, numbers), status)


def find_actual(
    target: dict[str, str], points: list[Point], latest: list[Point], years: list[Point], clock: Clock
) -> tuple[str | None, Fraction | None]:
    """(period, value) held against the target: the year's, else the latest stock or the year's flow so far."""
    if clock.is_over:
        held = [point for point in years if point.period_end.year == clock.year]
    elif target["measure"] == "flow":
        held = [point for point in points if point.period_end.year == clock.year]
    else:
        held = latest
    if not held:
        return None, None
    return held[-1].period, sum((point.value for point in held), Fraction(0))


def find_expected(
    target: dict[str, str], finest: str, points: list[Point], years: list[Point], clock: Clock
) -> Fraction | None:
    """What the actual value should be by now, if that is known."""
    low = Fraction(target["low"])
    if clock.is_over or target["operator"] == "=" or target["measure"] == "ratio":
        return low
    if target["measure"] == "stock":
        base = [point.value for point in years if point.period_end.year == clock.year - 2]
        elapsed = Fraction(MONTHS_BETWEEN_MILESTONES - clock.months_left, MONTHS_BETWEEN_MILESTONES)
        return base[0] + (low - base[0]) * elapsed if base else None
    month = max(point.period_end.month for point in points if point.period_end.year == clock.year)
    last_year = [point for point in points if point.period_end.year == clock.year - 1]
    total = sum(point.value for point in last_year)
    if len(last_year) < PERIODS_OF_YEAR[finest] or total <= 0:
        return low * Fraction(month, 12)
    return low * sum(point.value for point in last_year if point.period_end.month <= month) / total


def can_be_judged(target: dict[str, str], points: int, inputs: list[Feed], clock: Clock) -> bool:
    """Whether the input is there, recent, accepted and long enough."""
    loaded_on = [feed.last_loaded_on for feed in inputs]
    if None in loaded_on or points < 3:
        return False
    if clock.is_over:
        return all(day >= date(clock.year, 12, 31) for day in loaded_on if day)
    if target["measure"] == "flow" and clock.report_year < clock.year:
        return False
    return not any(feed.is_interrupted for feed in inputs)
