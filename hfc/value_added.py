"""Quarterly value-added of the financial divisions: indicators carry the annual accounts, prices deflate the growth.

Quarters are numbers, 4 · year + quarter − 1. Arithmetic is that of `hfc.benchmarking`; nothing is rounded here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext
from itertools import groupby
from typing import Any

from hfc.benchmarking import EXACT, denton

DIVISIONS = ("66", "67", "68", "69")
STORED = Decimal(1).scaleb(-24)  # the last decimal that DECIMAL(38, 24) keeps
Series = dict[int, Decimal]


@dataclass(frozen=True)
class Indicator:
    """A division's indicator in one quarter: its components and the same a year before, None where missing.

    `growth_of` says how growth is made of several components: `sum` is the growth of their sum; `weighted` weighs the
    growth of each by its share in this quarter's sum. `coefficient` is what growth is multiplied by.
    """

    now: tuple[Decimal | None, ...]
    before: tuple[Decimal | None, ...]
    growth_of: str
    coefficient: Decimal

    def level(self) -> Decimal | None:
        """The sum of the components; None where one is missing or all come to nothing."""
        return _sum(self.now)

    def growth(self) -> Decimal | None:
        """Growth over the year as a fraction, before the coefficient; None where it is missing or has no meaning."""
        level, base = self.level(), _sum(self.before)
        if level is None or base is None:
            return None
        if self.growth_of == "sum":
            return level / base - 1
        pairs = [(now, before) for now, before in zip(self.now, self.before, strict=True) if now is not None and before]
        if len(pairs) < len(self.now):
            return None
        return sum((now * (now / before - 1) for now, before in pairs), Decimal(0)) / level


def _sum(values: tuple[Decimal | None, ...]) -> Decimal | None:
    known = [value for value in values if value is not None]
    return (sum(known, Decimal(0)) or None) if len(known) == len(values) else None


def indicator_series(indicators: Mapping[int, Indicator]) -> Series:
    """The division's series I: its own level in the first year, then I(t) = I(t−4) · (1 + coefficient · growth).

    It starts with the earliest first quarter that has a level and stops before the first quarter that lacks what it
    needs: a year that is known from its middle on only is no first year.
    """
    series: Series = {}
    start = min((t for t, indicator in indicators.items() if t % 4 == 0 and indicator.level()), default=None)
    while start is not None and (indicator := indicators.get(start + len(series))):
        t = start + len(series)
        growth = indicator.growth()
        if len(series) < 4:
            value = indicator.level()
        else:
            value = None if growth is None else series[t - 4] * (1 + indicator.coefficient * growth)
        if not value:
            break
        series[t] = value
    return series


def volume(values: Mapping[int, Decimal], deflators: Mapping[int, Decimal]) -> dict[int, Decimal | None]:
    """Each quarter's value at the prices of the year before; None without a deflator (same quarter last year = 100)."""
    return {t: value * 100 / deflators[t] if deflators.get(t) else None for t, value in values.items()}


def growth_over_the_year(
    volumes: Mapping[int, Decimal | None], values: Mapping[int, Decimal], quarters: range
) -> Decimal | None:
    """Volume growth, in percent, of the quarters together over the same quarters of the year before.

    Σ volume / Σ value of the year before − 1: with one quarter its growth, with several the growth weighted by the
    values of the year before. None where a quarter is missing or there was nothing to grow from.
    """
    total, base = Decimal(0), Decimal(0)
    for t in quarters:
        part = volumes.get(t)
        before = values.get(t - 4)
        if part is None or not before:
            return None
        total, base = total + part, base + before
    return (total / base - 1) * 100 if base else None


def total(divisions: Iterable[Series]) -> Series:
    """The sum of the divisions, in the quarters that all four have."""
    series = list(divisions)
    common = set.intersection(*(set(part) for part in series)) if len(series) == len(DIVISIONS) else set()
    return {t: sum((part[t] for part in series), Decimal(0)) for t in sorted(common)}


def quarterly(
    components: Iterable[tuple[str, int, str, Decimal, Decimal | None, Decimal | None]],
    accounts: Iterable[tuple[str, int, Decimal]],
    deflators: Mapping[int, Decimal],
) -> list[dict[str, Any]]:
    """Value-added of each division and in total by quarter, with volume growth over the year in percent.

    To 24 decimals. The total is there where all four divisions are.

    Args:
        components: (division, quarter, growth_of, coefficient, value, value of the year before), by division, quarter.
        accounts: (division, year, value-added).
        deflators: quarter → price index, same quarter of last year = 100.
    """
    with localcontext(EXACT):
        indicators: dict[str, dict[int, Indicator]] = {division: {} for division in DIVISIONS}
        for (division, quarter), found in groupby(components, key=lambda row: row[:2]):
            rows = list(found)
            now, before = tuple(row[4] for row in rows), tuple(row[5] for row in rows)
            indicators[division][quarter] = Indicator(now, before, rows[0][2], rows[0][3])
        benchmarks: dict[str, dict[int, Decimal]] = {division: {} for division in DIVISIONS}
        for division, year, value in accounts:
            benchmarks[division][year] = value
        values = {d: denton(indicator_series(indicators[d]), benchmarks[d]) for d in DIVISIONS}
        members = {("division", division): series for division, series in values.items()}
        members[("total", "total")] = total(values.values())
        return [
            {"dimension": dimension, "member": member, "quarter_no": quarter, **row}
            for (dimension, member), series in members.items()
            for quarter, row in _rows(series, volume(series, deflators))
        ]


def _rows(values: Series, volumes: Mapping[int, Decimal | None]) -> Iterator[tuple[int, dict[str, Decimal | None]]]:
    for t, value in values.items():
        row = {
            "value": value,
            "volume_growth": growth_over_the_year(volumes, values, range(t, t + 1)),
            "volume_growth_ytd": growth_over_the_year(volumes, values, range(t - t % 4, t + 1)),
        }
        yield t, {name: None if number is None else number.quantize(STORED) for name, number in row.items()}
