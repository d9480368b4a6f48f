"""Published values computed again from the rows of the lake, and the rows that each is made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

import duckdb

from hfc.benchmarking import EXACT
from hfc.explain import accounts
from hfc.explain.evidence import PLACE, Evidence, arrow, evidence
from hfc.explain.sums import FAMILIES, Cell, Family
from hfc.home import Home
from hfc.warehouse import report_month

PUBLISHED = Decimal("1e-10")
# Entries that meet the days of a cell. Levels of government are parts of sums, which no single row contributes.
MEETS = "e.valid_from <= c.last AND e.valid_to > c.first"
SAME = "e.metric_id = c.metric_id AND e.dimension = c.dimension AND e.member = c.member"
WINDOW = "v.treasury_date >= r.valid_from AND v.treasury_date < r.valid_to"
LEVELS = """
    UNION ALL
    SELECT metric_id, 'fiscal_level' AS dimension, member, month AS valid_from, month + 1 AS valid_to, amount,
        NULL AS delivery_id, NULL AS sheet, NULL AS line
    FROM level_part CROSS JOIN (VALUES ('financial_tax_revenue'), ('financial_tax_revenue_ytd')) AS m (metric_id)"""


@dataclass(frozen=True)
class Recomputed:
    """A value computed again, None with what it lacks where it is missing."""

    value: Decimal | None
    lacks: str | None = None


def cell_of(observation: dict[str, Any], measure: str) -> Cell:
    """The days that a published value is about: those of its period; for a stock the last one; to date the year's; for
    ISO weeks those of the whole weeks."""
    last: date = observation["period_end"]
    months = {"M": 1, "Q": 3, "A": 12}[observation["frequency"]]
    first = last.replace(day=1, month=last.month - months + 1)
    if observation["metric_id"].endswith("_ytd"):
        first = first.replace(month=1)
    elif measure == "stock":
        first = last
    elif observation["metric_id"] == "activity_week_coverage":
        # 4 January always lies in the first week of its ISO year.
        first, following = (
            day - timedelta(days=day.weekday()) for day in (date(last.year, 1, 4), date(last.year + 1, 1, 4))
        )
        last = following - timedelta(days=1)
    key = {name: observation[name] for name in ("metric_id", "frequency", "period", "dimension", "member")}
    return Cell(**key, first=first, last=last)


@contextmanager
def opened(home: Home, manifest: dict[str, Any]) -> Iterator[Evidence]:
    """The evidence for the release of a manifest; what does not fit in memory is kept in the home."""
    home.scratch.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(config={"temp_directory": str(home.scratch)}) as connection:
        yield evidence(home, manifest, connection)


def family_of(metric: str) -> Family | None:
    """The family of a metric; None for those of value-added."""
    return next((family for family in FAMILIES if metric in family.metrics), None)


def feeds_of(metric: str) -> tuple[str, ...]:
    """The feeds whose rows make a metric, the one that it counts or adds up first."""
    family = family_of(metric)
    return family.feeds if family else accounts.FEEDS


def prepare(found: Evidence, families: Iterable[Family], first: date | None = None, last: date | None = None) -> None:
    """Show the rows that families need; of taxes, with days, those in between."""
    families = list(families)
    for feed in dict.fromkeys(feed for family in families for feed in family.feeds):
        found.show(feed, first, last)
    for family in families:
        family.prepare(found)


def recompute(found: Evidence, family: Family, cells: list[Cell]) -> dict[Cell, Recomputed]:
    """The values of cells of a family, whose rows are shown."""
    names = ("number", "metric_id", "dimension", "member", "first", "last")
    records = [{**vars(cell), "number": number} for number, cell in enumerate(cells)]
    found.connection.register("cell", arrow(names, records))
    sums = found.connection.execute(
        f"WITH entry AS ({entries(family)}) SELECT c.number, sum(e.amount) "
        f"FROM cell AS c INNER JOIN entry AS e ON {SAME} AND {MEETS} GROUP BY c.number"
    ).fetchall()
    totals = dict(sums)
    spoken = {month for (month,) in found.connection.execute(family.months).fetchall()} if family.months else None
    result = {}
    for number, cell in enumerate(cells):
        silent = [month for month in months(cell) if spoken is not None and month not in spoken]
        value = published(Decimal(totals.get(number, 0)), family.scale(cell))
        listed = ", ".join(f"{month:%Y-%m}" for month in silent)
        result[cell] = Recomputed(None, f"{family.feeds[0]} has no row of {listed}") if silent else Recomputed(value)
    return result


def entries(family: Family) -> str:
    """SQL of everything that a family adds up."""
    return family.entries + (LEVELS if "tax_collections" in family.feeds else "")


def months(cell: Cell) -> list[date]:
    """The first days of the months that a cell is about."""
    count = (cell.last.year - cell.first.year) * 12 + cell.last.month - cell.first.month + 1
    start = 12 * cell.first.year + cell.first.month - 1
    return [date(n // 12, n % 12 + 1, 1) for n in range(start, start + count)]


def published(total: Decimal | None, scale: Decimal = Decimal(1)) -> Decimal | None:
    """A value as it is published: ten decimals, halves away from zero."""
    if total is None:
        return None
    with localcontext(EXACT):
        return (total * scale).quantize(PUBLISHED, ROUND_HALF_UP)


def rows_of(found: Evidence, family: Family, cell: Cell) -> list[dict[str, Any]]:
    """The rows that enter a cell, with what each contributes in the metric's unit; of taxes, then also the events that
    say what the taxpayers count as."""
    dimension, member = ("total", "total") if cell.dimension == "fiscal_level" else (cell.dimension, cell.member)
    record = {**vars(cell), "dimension": dimension, "member": member}
    found.connection.register("cell", arrow(("metric_id", "dimension", "member", "first", "last"), [record]))
    found.connection.execute(
        f"CREATE OR REPLACE TEMP TABLE entered AS WITH entry AS ({family.entries}) "
        f"SELECT e.amount, e.delivery_id, e.sheet, e.line FROM cell AS c INNER JOIN entry AS e ON {SAME} AND {MEETS}"
    )
    rows = _details(found, family.feeds[0], "entered")
    for row in rows:
        row["contribution"] = (
            None if cell.dimension == "fiscal_level" else published(Decimal(row.pop("amount")), family.scale(cell))
        )
    if "tax_collections" in family.feeds:
        found.connection.execute(
            f"CREATE OR REPLACE TEMP TABLE counted AS SELECT DISTINCT NULL AS amount, "
            f"{', '.join(f'r.{name}' for name in PLACE.split(', '))} FROM institution_entry AS r "
            f"INNER JOIN voucher AS v ON v.uscc = r.uscc AND {WINDOW} "
            f"INNER JOIN entered AS e ON {_same_place('v', 'e')} WHERE r.metric_id = 'institutions_resident'"
        )
        rows += [{**row, "contribution": None} for row in _details(found, "institution_register", "counted")]
    return rows


def _same_place(one: str, other: str) -> str:
    return " AND ".join(f"{one}.{name} IS NOT DISTINCT FROM {other}.{name}" for name in PLACE.split(", "))


def _details(found: Evidence, feed: str, table: str) -> list[dict[str, Any]]:
    """The rows of a feed whose places a table lists, with the amount it gives them."""
    return found.records(
        f"SELECT e.amount, '{feed}' AS feed, f.* EXCLUDE (recency, content, seq, published_on) "
        f"FROM {feed} AS f INNER JOIN {table} AS e ON {_same_place('f', 'e')} "
        f"ORDER BY f.published_on, f.seq, f.sheet, f.line"
    )


def read_accounts(found: Evidence) -> accounts.Accounts:
    """The rows of value-added, and every value that they give."""
    return accounts.read_accounts(found, f"{report_month(found.as_of):%Y-%m}")


def recompute_accounts(read: accounts.Accounts, cells: list[Cell]) -> dict[Cell, Recomputed]:
    """The values of cells of value-added."""
    result = {}
    for cell in cells:
        value = published(read.values.get((cell.metric_id, cell.period, cell.dimension, cell.member)))
        result[cell] = Recomputed(value, read.missing(cell) if value is None else None)
    return result


def recompute_all(found: Evidence, cells: list[Cell]) -> dict[Cell, Recomputed]:
    """The values of any cells, family by family."""
    prepare(found, FAMILIES)
    by_family: dict[str, list[Cell]] = {}
    for cell in cells:
        family = family_of(cell.metric_id)
        by_family.setdefault(family.model if family else accounts.MODEL, []).append(cell)
    result = recompute_accounts(read_accounts(found), by_family.get(accounts.MODEL, []))
    for family in FAMILIES:
        result |= recompute(found, family, by_family.get(family.model, []))
    return result
