"""When things happened and when offices delivered them: a backlog in large pieces, then delivery by delivery."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

START = date(2022, 1, 1)
RECENT = 12  # months that are delivered at the feed's own pace; what is older came in larger pieces
DELAY = 8  # days from the end of the last month to the last delivery


@dataclass(frozen=True)
class Window:
    """The months that one delivery is about, and the day it was published."""

    months: tuple[date, ...]
    published_on: date

    @property
    def first(self) -> date:
        return self.months[0]

    @property
    def last(self) -> date:
        return month_end(self.months[-1])


def month_after(first: date, months: int = 1) -> date:
    """First day of the month so many months after the one that begins on `first`."""
    index = first.year * 12 + first.month - 1 + months
    return date(index // 12, index % 12 + 1, 1)


def month_end(first: date) -> date:
    """Last day of the month that begins on `first`."""
    return month_after(first) - timedelta(days=1)


def last_day(months: int) -> date:
    """The day of the last delivery of a simulation of so many months."""
    return month_end(month_after(START, months - 1)) + timedelta(days=DELAY)


def windows(months: int, backlog: int, recent: int, delay: int = DELAY) -> Iterator[Window]:
    """The deliveries of a feed: of `backlog` months each at first, of `recent` months each in the last year."""
    begin = max(0, months - RECENT)
    edges = [*range(0, begin, backlog), *range(begin, months, recent)]
    for low, high in zip(edges, [*edges[1:], months], strict=True):
        covered = tuple(month_after(START, index) for index in range(low, high))
        yield Window(covered, month_end(covered[-1]) + timedelta(days=delay))


def quarters(first_year: int, last: date) -> Iterator[tuple[int, int, date]]:
    """Year, number and last day of every quarter from the beginning of `first_year` that ended by `last`."""
    year, number = first_year, 1
    while (end := month_end(date(year, number * 3, 1))) <= last:
        yield year, number, end
        year, number = (year, number + 1) if number < 4 else (year + 1, 1)


def some_day(rng: random.Random, first: date, last: date) -> date:
    """A day from `first` to `last`."""
    return first + timedelta(days=rng.randrange((last - first).days + 1))


def month_name(month: date, number: int) -> str:
    """A month in one of the spellings in use."""
    return (f"{month:%Y-%m}", f"{month:%Y%m}", f"{month.year}年{month.month}月")[number % 3]


def quarter_name(year: int, quarter: int, number: int) -> str:
    """A quarter in one of the spellings in use."""
    return (f"{year}Q{quarter}", f"{year}年第{'一二三四'[quarter - 1]}季度", f"{year}年{quarter}季度")[number % 3]
