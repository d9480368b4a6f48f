"""Financial value-added from the accounts, indicators and prices of a release: every published value, and its rows.

The quarterly method is `hfc.value_added`, which the warehouse uses too; what goes into it and what is made of its
results is computed here from the rows.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

from hfc.benchmarking import EXACT
from hfc.explain.evidence import Evidence
from hfc.explain.sums import YUAN, Cell
from hfc.home import SEEDS
from hfc.value_added import DIVISIONS, Series, quarterly

METRICS = tuple(
    f"financial_value_added{suffix}"
    for suffix in ("", "_ytd", "_production", "_discrepancy", "_volume_growth", "_volume_growth_ytd")
)
FEEDS = ("value_added_accounts", "value_added_indicators", "price_indices")
MODEL = "intermediate.int_value_added"
INCOME = ("compensation", "net_taxes_on_production", "depreciation", "operating_surplus")
BALANCES = ("deposits", "loans")
# The largest number, in 100 million yuan, that the warehouse takes for an indicator.
LARGEST = Decimal(10) ** 14

Key = tuple[str, str, str, str]
Row = dict[str, Any]


def quarter_number(text: str) -> int:
    """`2024-Q1` as 4 · 2024, and so on."""
    return 4 * int(text[:4]) + int(text[-1]) - 1


def seed(name: str) -> list[dict[str, str]]:
    with open(SEEDS / f"{name}.csv", encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def valid(line: dict[str, str], quarter: str) -> bool:
    """Whether a line of a seed holds in a quarter."""
    return (line["valid_from"] or "0000") <= quarter <= (line["valid_to"] or "9999")


@dataclass(frozen=True)
class Accounts:
    """The current rows of the three feeds, and what was computed from them: values by (metric, period, dimension,
    member)."""

    accounts: list[Row]
    indicators: list[Row]
    prices: list[Row]
    values: dict[Key, Decimal | None]

    def rows(self, cell: Cell) -> list[Row]:
        """The rows that a value is made of."""
        divisions = [cell.member] if cell.dimension == "division" else list(DIVISIONS)
        own = [row for row in self.accounts if row["division"] in divisions]
        of_year = [row for row in own if row["year"] == cell.period]
        if cell.frequency == "A" and (of_year or cell.metric_id != "financial_value_added"):
            return of_year
        names = {name for line in seed("value_added_indicator") if line["division"] in divisions
                 for name in line["indicators"].split()}  # fmt: skip
        last = max([cell.period if cell.frequency == "Q" else f"{cell.period}-Q4", *(f"{r['year']}-Q4" for r in own)])
        rows = own + [row for row in self.indicators if row["indicator"] in names and row["quarter"] <= last]
        return rows + [row for row in self.prices if row["quarter"] in price_quarters(cell)]

    def missing(self, cell: Cell) -> str:
        """What a missing value lacks."""
        known = {(row["quarter"], row["index_code"]) for row in self.prices}
        lacking = [
            f"{line['index_code']} of {quarter}"
            for quarter in price_quarters(cell)
            for line in seed("value_added_deflator")
            if valid(line, quarter) and (quarter, line["index_code"]) not in known
        ]
        if lacking:
            return f"price_indices has no {', '.join(lacking)}"
        return "there is no value of the year before to grow from"


def how(cell: Cell) -> str:
    """How the rows become a value."""
    if cell.metric_id == "financial_value_added_production":
        return "Gross output less intermediate consumption of the accounts"
    if cell.metric_id == "financial_value_added_discrepancy":
        return "Production approach less income approach of the accounts, in percent of the latter"
    if cell.metric_id in ("financial_value_added_volume_growth", "financial_value_added_volume_growth_ytd"):
        return (
            "The quarters' value-added, divided by the deflator (seed value_added_deflator), over that of the same "
            "quarters of the year before"
        )
    quarters = (
        "each division's indicator (seed value_added_indicator) by growth over the year, benchmarked to the annual "
        "accounts by proportional first differences"
    )
    if cell.frequency == "A":
        return f"The account of the year by the income approach; without one the sum of four quarters: {quarters}"
    return f"{quarters[0].upper()}{quarters[1:]}"


def price_quarters(cell: Cell) -> list[str]:
    """The quarters whose prices a value needs: none but for growth."""
    if cell.metric_id == "financial_value_added_volume_growth":
        return [cell.period]
    if cell.metric_id == "financial_value_added_volume_growth_ytd":
        return [f"{cell.period[:-1]}{number}" for number in range(1, int(cell.period[-1]) + 1)]
    return []


def read_accounts(evidence: Evidence, last_month: str) -> Accounts:
    """Everything about value-added that the rows say of the periods that end by a month (`2024-03`)."""
    for feed in FEEDS:
        evidence.show(feed)
    last_quarter = f"{last_month[:4]}-Q{int(last_month[5:]) // 3}"
    years = int(last_month[:4]) - (last_month[5:] != "12")
    rows = {
        feed: evidence.records(
            f"SELECT '{feed}' AS feed, NULL AS contribution, * EXCLUDE (recency, content, seq, published_on) "
            f"FROM {feed} ORDER BY published_on, seq, sheet, line"
        )
        for feed in FEEDS
    }
    accounts = [row for row in rows["value_added_accounts"] if int(row["year"]) <= years]
    indicators = [row for row in rows["value_added_indicators"] if row["quarter"] <= last_quarter]
    return Accounts(accounts, indicators, rows["price_indices"], calculate(accounts, indicators, rows["price_indices"]))


def calculate(accounts: list[Row], indicators: list[Row], prices: list[Row]) -> dict[Key, Decimal | None]:
    """Every value of the metrics of value-added, in 100 million yuan or percent."""
    with localcontext(EXACT):
        income = {division: of_division(accounts, division, *INCOME) for division in DIVISIONS}
        output = {division: of_division(accounts, division, "gross_output") for division in DIVISIONS}
        consumption = {division: of_division(accounts, division, "intermediate_consumption") for division in DIVISIONS}
        production = {d: {year: output[d][year] - consumption[d][year] for year in output[d]} for d in DIVISIONS}
        flat = [(division, year, value) for division, by_year in income.items() for year, value in by_year.items()]
        exact = {
            (row["member"], row["quarter_no"]): row
            for row in quarterly(components(indicators), flat, deflators(prices))
        }
        levels, years = {}, {}
        for division in DIVISIONS:
            rounded = {t: six(row["value"]) for (member, t), row in exact.items() if member == division}
            years[division], levels[division] = of_accounts(rounded, income[division])
        found: dict[Key, Decimal | None] = {}
        for member in (*DIVISIONS, "total"):
            key = ("total" if member == "total" else "division", member)
            for year, value in series(years, member).items():
                found["financial_value_added", str(year), *key] = value
            of_quarter = series(levels, member)
            for t, value in of_quarter.items():
                period = f"{t // 4}-Q{t % 4 + 1}"
                to_date = [of_quarter[n] for n in range(t - t % 4, t + 1) if n in of_quarter]
                found["financial_value_added", period, *key] = value
                found["financial_value_added_ytd", period, *key] = sum(to_date, Decimal(0))
                if (member, t - 4) in exact:
                    for growth in ("volume_growth", "volume_growth_ytd"):
                        found[f"financial_value_added_{growth}", period, *key] = exact[member, t][growth]
            by_income = series(income, member)
            for year, value in series(production, member).items():
                base = by_income[year]
                found["financial_value_added_production", str(year), *key] = value
                found["financial_value_added_discrepancy", str(year), *key] = (
                    (value - base) * 100 / base if base else None
                )
        return found


def of_division(accounts: list[Row], division: str, *columns: str) -> Series:
    """Amounts of a division's accounts together by year, in 100 million yuan."""
    return {
        int(row["year"]): sum((row[f"{column}_yuan"] or Decimal(0) for column in columns), Decimal(0)) * YUAN
        for row in accounts
        if row["division"] == division
    }


def series(divisions: Mapping[str, Series], member: str) -> Series:
    """The series of a division, or of the total: where all four are."""
    if member != "total":
        return divisions[member]
    common = set.intersection(*(set(part) for part in divisions.values()))
    return {n: sum((part[n] for part in divisions.values()), Decimal(0)) for n in sorted(common)}


def six(value: Decimal) -> Decimal:
    return value.quantize(Decimal("1e-6"), ROUND_HALF_UP)


def of_accounts(rounded: Series, income: Series) -> tuple[Series, Series]:
    """A division's years and quarters at six decimals: a year's last quarter takes the rounding."""
    whole = {t // 4 for t in rounded if all(4 * (t // 4) + n in rounded for n in range(4))}
    years = {year: sum((rounded[4 * year + n] for n in range(4)), Decimal(0)) for year in whole}
    years |= {year: six(value) for year, value in income.items()}
    quarters = dict(rounded)
    for year in whole:
        quarters[4 * year + 3] = years[year] - sum((rounded[4 * year + n] for n in range(3)), Decimal(0))
    return years, quarters


def components(indicators: list[Row]) -> list[tuple[str, int, str, Decimal, Decimal | None, Decimal | None]]:
    """What each division's indicator consists of by quarter, and the same of the year before."""
    flows = quarterly_flows(indicators)
    return [
        (
            division, t, line["growth_of"], Decimal(line["coefficient"]),
            flows.get((name, t)), flows.get((name, t - 4)),
        )
        for division in DIVISIONS
        for t, quarter in sorted({(quarter_number(row["quarter"]), row["quarter"]) for row in indicators})
        for line in seed("value_added_indicator")
        if line["division"] == division and valid(line, quarter)
        for name in sorted(line["indicators"].split())
    ]  # fmt: skip


def quarterly_flows(indicators: list[Row]) -> dict[tuple[str, int], Decimal]:
    """Every usable indicator by quarter, in 100 million yuan: balances at its end, all others in the quarter alone."""
    factors = {row["printed"]: Decimal(row["factor"]) for row in seed("unit_spelling") if row["unit"] == "cny_100m"}
    usable = {
        (row["indicator"], quarter_number(row["quarter"])): (row["basis"], row["value"] * factors[row["unit"]])
        for row in indicators
        if row["unit"] in factors
        and (row["basis"] == "end_stock") == (row["indicator"] in BALANCES)
        and abs(row["value"] * factors[row["unit"]]) < LARGEST
    }
    flows = {}
    for (name, t), (basis, value) in usable.items():
        before = usable.get((name, t - 1), ("", Decimal(0)))
        if basis != "ytd" or t % 4 == 0:
            flows[name, t] = value
        elif before[0] == "ytd":
            flows[name, t] = value - before[1]
    return flows


def deflators(prices: list[Row]) -> dict[int, Decimal]:
    """The deflator of each quarter that has every price it weighs, same quarter of last year = 100."""
    known = {(row["quarter"], row["index_code"]): row["yoy_index"] for row in prices}
    found = {}
    for quarter in {quarter for quarter, _ in known}:
        lines = [line for line in seed("value_added_deflator") if valid(line, quarter)]
        if lines and all((quarter, line["index_code"]) in known for line in lines):
            weighed = (Decimal(line["weight"]) * known[quarter, line["index_code"]] for line in lines)
            found[quarter_number(quarter)] = sum(weighed, Decimal(0))
    return found
