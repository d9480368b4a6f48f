"""Figures of the board: a chart, which the script draws, and a table of the same numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from publish.site.content import Content, Row, SeriesKey
from publish.site.language import Language, exact, number


@dataclass(frozen=True)
class Cell:
    """A value as a reader sees it. `state` is empty, or `suppressed` or `missing`; `flag` a status worth telling."""

    text: str
    exact: str | None = None
    state: str = ""
    flag: str = ""
    metric_id: str | None = None


@dataclass(frozen=True)
class Figure:
    """A chart and its table: a row for each period, the newest first, and a column for each series."""

    identifier: str
    title: str
    unit: str
    metrics: tuple[str, ...]
    columns: list[str]
    table: list[tuple[str, list[Cell]]]
    chart: dict[str, Any] = field(repr=False)

    @property
    def has_suppressed(self) -> bool:
        """Whether a value of it is suppressed."""
        return any(cell.state == "suppressed" for _, cells in self.table for cell in cells)


def cell_of(language: Language, row: Row | None) -> Cell:
    """The value of an observation, or of none."""
    if row is None:
        return Cell(language.words["missing"], state="missing")
    if row["conf_status"] != "F":
        text = f"{language.words['suppressed']} {row['conf_status']}"
        return Cell(text, state="suppressed", metric_id=row["metric_id"])
    if row["value"] is None:
        return Cell(language.words["missing"], state="missing", metric_id=row["metric_id"])
    metric = language.content.metrics[row["metric_id"]]
    flag = "" if row["obs_status"] == "A" else row["obs_status"]
    return Cell(number(row["value"], metric["decimals"]), exact(row["value"]), flag=flag, metric_id=row["metric_id"])


def figure(
    language: Language,
    identifier: str,
    title: str,
    kind: str,
    lines: Sequence[tuple[str, SeriesKey]],
    stacked: bool = False,
) -> Figure | None:
    """A figure of some series, each with its name; None where the release has none of them.

    If `stacked`, the last one is the total of the others: it is told, not drawn.
    """
    content = language.content
    found = [(name, key) for name, key in lines if key in content.series]
    if not found:
        return None
    rows = [{row["period"]: row for row in content.series[key]} for _, key in found]
    ends = {period: row["period_end"] for series in rows for period, row in series.items()}
    periods = sorted(ends, key=lambda period: ends[period])
    columns = [[cell_of(language, series.get(period)) for period in periods] for series in rows]
    metrics = tuple(dict.fromkeys(key[0] for _, key in found))
    unit = language.unit(content.metrics[metrics[0]]["unit"])
    names = [name for name, _ in found]
    series = [_line(name, cells) for name, cells in zip(names, columns, strict=True)]
    table = [(period, [cells[at] for cells in columns]) for at, period in enumerate(periods)]
    chart: dict[str, Any] = {"kind": kind, "unit": unit, "periods": periods, "series": series}
    if stacked:
        *chart["series"], chart["total"] = series
    return Figure(identifier, title, unit, metrics, names, table[::-1], chart)


def by_member(language: Language, metric: str, frequency: str, dimension: str) -> list[tuple[str, SeriesKey]]:
    """The series of each member of a dimension."""
    return [
        (language.label(row), (metric, frequency, dimension, row["member"]))
        for row in language.content.members(dimension)
    ]


def with_total(language: Language, metric: str, frequency: str, dimension: str) -> list[tuple[str, SeriesKey]]:
    """The series of each member of a dimension, and of their total."""
    total = (language.member("total", "total"), (metric, frequency, "total", "total"))
    return [*by_member(language, metric, frequency, dimension), total]


def of_metrics(language: Language, metrics: Iterable[str], frequency: str) -> list[tuple[str, SeriesKey]]:
    """The totals of some metrics."""
    return [(language.metric(metric), (metric, frequency, "total", "total")) for metric in metrics]


def ranking(language: Language, identifier: str, title: str, metric: str, dimension: str) -> Figure | None:
    """The members of a dimension in the last year, the greatest first; those without a value last."""
    lines = by_member(language, metric, "A", dimension)
    found = [(name, language.content.series[key][-1]) for name, key in lines if key in language.content.series]
    found.sort(key=lambda item: (item[1]["value"] is None, -(item[1]["value"] or 0)))
    if not found:
        return None
    year = found[0][1]["period"]
    names = [name for name, _ in found]
    cells = [cell_of(language, row) for _, row in found]
    unit = language.unit(language.content.metrics[metric]["unit"])
    chart = {"kind": "ranking", "unit": unit, "periods": names, "series": [_line(year, cells)]}
    table = [(name, [cell]) for name, cell in zip(names, cells, strict=True)]
    return Figure(identifier, f"{title} · {year}", unit, (metric,), [year], table, chart)


def duties_over_time(language: Language) -> Figure:
    """How many duties had which status in each month."""
    content = language.content
    counts = Counter((row["month"], row["status"]) for row in content.rows["duty"])
    months = sorted({month for month, _ in counts})
    statuses = content.rows["duty_status"]
    names = [language.label(status) for status in statuses]
    columns = [[_count(counts[month, status["status"]]) for month in months] for status in statuses]
    series = [
        {**_line(name, cells), "tone": status["status"]}
        for name, cells, status in zip(names, columns, statuses, strict=True)
    ]
    unit = language.unit("duty")
    sums = [_count(sum(counts[month, status["status"]] for status in statuses)) for month in months]
    total = _line(language.member("total", "total"), sums)
    chart = {"kind": "bar", "unit": unit, "periods": months, "series": series, "total": total}
    table = [(month, [cells[at] for cells in columns]) for at, month in enumerate(months)]
    title = language.words["duties_over_time"]
    return Figure("duties-over-time", title, unit, ("duties_done",), names, table[::-1], chart)


def trajectory(language: Language, key: tuple[str, str, str], targets: list[Row]) -> Figure:
    """A metric's way to its targets: what was published, earlier values of it, the targets and the way to them.

    `key` is metric, dimension and member.
    """
    content = language.content
    metric = content.metrics[key[0]]
    frequency = shown_frequency(content, *key)
    rows = content.series.get((key[0], frequency, *key[1:]), [])
    cells = {row["period"]: cell_of(language, row) for row in rows}
    goals = [_goal(language, target, frequency) for target in targets]
    periods = _periods([*cells, *(goal["period"] for goal in goals)], frequency)
    unit = language.unit(metric["unit"])
    name = language.words["published"]
    columns = [cells.get(period) or Cell("", state="missing") for period in periods]
    earlier = [
        row for row in content.rows["superseded"]
        if (row["metric_id"], row["frequency"], row["dimension"], row["member"]) == (key[0], frequency, *key[1:])
        and row["value"] is not None
    ]  # fmt: skip
    chart = {
        "kind": "bar" if frequency == "A" else "line",
        "unit": unit,
        "periods": periods,
        "series": [_line(name, columns)],
        "goals": goals,
        "running": [_running(language, target) for target in targets if _is_running(target, frequency)],
        "paths": [path for target in targets for path in _paths(content, target, frequency)],
        "earlier": [
            {"period": row["period"], "value": exact(row["value"]),
             "text": f"{number(row['value'], metric['decimals'])} ({row['realtime_start']} – {row['realtime_end']})"}
            for row in earlier
        ],
    }  # fmt: skip
    table = [(period, [cells[period]]) for period in reversed(periods) if period in cells]
    label = language.series_label({"metric_id": key[0], "dimension": key[1], "member": key[2]})
    return Figure("-".join(key), label, unit, (key[0],), [name], table, chart)


def shown_frequency(content: Content, metric: str, dimension: str, member: str) -> str:
    """Years for flows; else the finest frequency that has at least three values."""
    frequencies = content.metrics[metric]["frequencies"].split()
    if content.metrics[metric]["measure"] == "flow" and "A" in frequencies:
        return "A"
    for frequency in frequencies:
        if len(content.series.get((metric, frequency, dimension, member), [])) >= 3:
            return str(frequency)
    return str(frequencies[-1])


def _line(name: str, cells: Iterable[Cell]) -> dict[str, Any]:
    """One series of a chart: exact values, and the texts that stand for them."""
    shown = list(cells)
    return {"name": name, "values": [cell.exact for cell in shown], "texts": [cell.text for cell in shown]}


def _count(count: int) -> Cell:
    return Cell(str(count), str(count), metric_id="duties_done")


def _goal(language: Language, target: Row, frequency: str) -> dict[str, str]:
    """A target as a point of a chart."""
    return {
        "period": _last_period(target["year"], frequency),
        "value": exact(target["low"]),
        "name": language.label(target),
        "text": f"{language.words['target']} {target['year']}: {language.goal(target)}",
    }


def _is_running(target: Row, frequency: str) -> bool:
    """Whether a target's actual value is of a part of its year, beside years."""
    year = str(target["year"])
    return frequency == "A" and target["actual"] is not None and target["actual_period"].startswith(f"{year}-")


def _running(language: Language, target: Row) -> dict[str, str]:
    """What a year that is not over has come to."""
    decimals = language.content.metrics[target["metric_id"]]["decimals"]
    text = f"{number(target['actual'], decimals)} ({language.words['until']} {target['actual_period']})"
    return {"period": str(target["year"]), "value": exact(target["actual"]), "text": text}


def _paths(content: Content, target: Row, frequency: str) -> list[list[list[str]]]:
    """The straight way to a stock's target from where it stood at the end of the milestone year before."""
    if target["measure"] != "stock" or target["operator"] == "=" or frequency == "A":
        return []
    before = max(
        (row["year"] for row in content.rows["target"] if row["year"] < target["year"]), default=target["year"] - 2
    )
    base = [
        row["value"]
        for row in content.series.get((target["metric_id"], "A", target["dimension"], target["member"]), [])
        if row["period"] == str(before) and row["value"] is not None
    ]
    first, last = (_last_period(year, frequency) for year in (before, target["year"]))
    return [[[first, exact(value)], [last, exact(target["low"])]] for value in base]


def _last_period(year: int, frequency: str) -> str:
    """The period with which a year ends."""
    return {"M": f"{year}-12", "Q": f"{year}-Q4", "A": str(year)}[frequency]


def _periods(known: list[str], frequency: str) -> list[str]:
    """Every period from the first to the last of some."""
    if frequency == "A":
        return [str(year) for year in range(int(min(known)), int(max(known)) + 1)]
    parts = (
        [f"Q{quarter}" for quarter in range(1, 5)] if frequency == "Q" else [f"{month:02}" for month in range(1, 13)]
    )
    every = [f"{year}-{part}" for year in range(int(min(known)[:4]), int(max(known)[:4]) + 1) for part in parts]
    return [period for period in every if min(known) <= period <= max(known)]
