"""Seeds, periods, rounding and the form of a published row: what the parts of `oracle` share."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

SEEDS = Path(__file__).resolve().parent.parent / "dbt_project" / "seeds"
CNY_100M = 10**8
STATUSES = "APEM"  # from the strongest to the weakest


def read_seed(name: str) -> list[dict[str, str]]:
    """The rows of a seed."""
    with open(SEEDS / f"{name}.csv", encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def in_force(rows: list[dict[str, str]], day: date) -> dict[str, str]:
    """Of rows that replace each other from their valid_from on, the one of a day; before the first, the first."""
    dated = sorted(rows, key=lambda row: row["valid_from"])
    begun = [row for row in dated if row["valid_from"] <= day.isoformat()]
    return begun[-1] if begun else dated[0]


def month_end(year: int, month: int) -> date:
    """The last day of a month."""
    if month == 12:
        return date(year, 12, 31)
    return date(year, month + 1, 1) - timedelta(days=1)


def month_of(day: date) -> str:
    """`2024-03`."""
    return f"{day.year}-{day.month:02}"


def months_between(first: date, last: date) -> list[str]:
    """The months from that of the first day to that of the last."""
    return [
        f"{number // 12}-{number % 12 + 1:02}"
        for number in range(12 * first.year + first.month - 1, 12 * last.year + last.month)
    ]


def report_day(as_of: date) -> date:
    """The last day of the report month: the last month that ended on or before as_of."""
    return (as_of + timedelta(days=1)).replace(day=1) - timedelta(days=1)


def periods(first_event: date, as_of: date) -> Iterator[tuple[str, str, date, date]]:
    """(frequency, period, first day, last day) of all complete periods from the one with the first event on."""
    for year in range(first_event.year, as_of.year + 1):
        for month in range(1, 13):
            start, end = date(year, month, 1), month_end(year, month)
            if first_event <= end <= as_of:
                yield "M", f"{year}-{month:02}", start, end
        for quarter in range(1, 5):
            start, end = date(year, 3 * quarter - 2, 1), month_end(year, 3 * quarter)
            if first_event <= end <= as_of:
                yield "Q", f"{year}-Q{quarter}", start, end
        if date(year, 12, 31) <= as_of:
            yield "A", f"{year}", date(year, 1, 1), date(year, 12, 31)


def weakest(statuses: Iterable[str]) -> str:
    """The status of a sum of parts of these statuses."""
    return max(statuses, key=STATUSES.index)


def rounded(value: Decimal | Fraction | int, places: int) -> Decimal:
    """The value at so many decimals, halves away from zero."""
    fraction = Fraction(value)
    whole = (abs(fraction) * 10**places + Fraction(1, 2)) // 1
    return Decimal(whole if fraction >= 0 else -whole).scaleb(-places)


def observation(
    metric: str,
    frequency: str,
    period: str,
    end: date,
    dimension: str,
    member: str,
    value: Decimal | Fraction | int | None,
    unit: str,
    as_of: date,
    status: str = "A",
) -> tuple[Any, ...]:
    """One published row; a value that is None is missing, whatever its status would have been."""
    if value is None:
        return (metric, frequency, period, end, dimension, member, None, unit, "M", "F", as_of)
    return (metric, frequency, period, end, dimension, member, rounded(value, 10), unit, status, "F", as_of)
