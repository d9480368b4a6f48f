"""Financial value-added, computed once more from accounts, indicators and prices: a part of `oracle`, see there.

Everything is a fraction until it is rounded for publication. Denton's problem is not solved by the matrix of the manual:
its stationary points are r_t = r_1 + d_1 + … + d_(t−1) with r = X/I and d_t = −Σ_(s≤t) I_s·μ_(year of s), which leaves
r_1 and one μ for each benchmarked year as the only unknowns.

Decisions where the specification is silent:

- Accounts and indicators of periods after the report month are not looked at.
- Annual: a division has a row for each complete year with an account; a year without an account whose four quarters are
  published has the sum of their rounded values, E. The total has a row where all four divisions have one. Nothing else has
  a row, missing or not.
- Deposits and loans count as end stocks only, the others as flows or YTD only; another basis is a missing value, and so
  is a unit that is none of 元, 万元, 亿元. A YTD's previous quarter is that of the same year, and must be a YTD too. Where
  an indicator has two components, both must be there.
- A series starts with the earliest first quarter that has an indicator, and that year is its "first year": a year known
  from its middle on only would mix balances and income where the method changes within it. A level of zero, or growth
  over zero, is a missing indicator. A series that has stopped does not start again.
- A year is benchmarked if it has an account and the series all its four quarters. Published are the quarters from the first
  benchmarked year on. Years without a benchmark between two are interpolated by the same minimum, and count as E.
- Annual values of the income approach are published at 6 decimals too; those of the production approach are not rounded.
  Totals and YTD add up the published values.
- The discrepancy is (production − income) / income, from unrounded values; an income of zero makes it missing.
- Volume growth has a row where the quarter and that of the year before are published, total and divisions apart; missing
  where a price is, where P is zero, or where the value of the year before is. Its YTD has a row where the
  quarter's growth has one, missing as soon as one quarter's growth is. Both are computed from unrounded values.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from oracle_shared import CNY_100M, month_end, observation, read_seed, report_day, rounded, weakest

Records = dict[Any, dict[str, Any]]
Series = dict[int, Fraction]  # by quarter: 4·year + 0…3

DIVISIONS = ("66", "67", "68", "69")
FACTORS = {"元": 1, "万元": 10**4, "亿元": 10**8}
STOCKS = ("deposits", "loans")
INCOME = ("compensation", "net_taxes_on_production", "depreciation", "operating_surplus")


@dataclass(frozen=True)
class Account:
    """One division's account of a year, in 100 million yuan."""

    income: Fraction
    production: Fraction
    status: str


@dataclass(frozen=True)
class Quarterly:
    """One division's published quarters: unrounded, at 6 decimals, and with their status."""

    exact: Series
    published: dict[int, Decimal]
    statuses: dict[int, str]


def quarter_number(text: str) -> int:
    """`2024-Q1` → 8096."""
    return 4 * int(text[:4]) + int(text[-1]) - 1


def quarter_end(number: int) -> date:
    return month_end(number // 4, 3 * (number % 4) + 3)


@dataclass(frozen=True)
class Rule:
    """By which indicators a division moves from a quarter to another, both included, and with which coefficient."""

    division: str
    first: str
    last: str
    indicators: tuple[str, ...]
    is_weighted: bool
    coefficient: Fraction

    def holds(self, division: str, number: int) -> bool:
        return self.division == division and is_valid(self.first, self.last, number)


def is_valid(first: str, last: str, number: int) -> bool:
    """Whether a quarter lies between two, each of which may be open."""
    return not (first and number < quarter_number(first)) and not (last and number > quarter_number(last))


RULES = [
    Rule(
        row["division"],
        row["valid_from"],
        row["valid_to"],
        tuple(row["indicators"].split()),
        row["growth_of"] == "weighted",
        Fraction(row["coefficient"]),
    )
    for row in read_seed("value_added_indicator")
]
WEIGHTS = read_seed("value_added_deflator")


def read_accounts(records: Records, last_day: date) -> dict[tuple[int, str], Account]:
    """(year, division) → account, of the complete years."""
    accounts = {}
    for record in records.values():
        if date(int(record["year"]), 12, 31) <= last_day:
            accounts[int(record["year"]), record["division"]] = Account(
                sum((Fraction(record[part]) for part in INCOME), Fraction(0)) / CNY_100M,
                (Fraction(record["gross_output"]) - Fraction(record["intermediate_consumption"])) / CNY_100M,
                "P" if record["stage"] == "preliminary" else "A",
            )
    return accounts


def read_indicators(records: Records, last_day: date) -> dict[str, Series]:
    """Indicator → end stocks or quarterly flows in yuan, of the complete quarters."""
    reported: dict[tuple[str, int], tuple[str, Fraction]] = {}
    for record in records.values():
        number = quarter_number(record["quarter"])
        if quarter_end(number) <= last_day and record["unit"] in FACTORS:
            value = Fraction(record["value"]) * FACTORS[record["unit"]]
            reported[record["indicator"], number] = (record["basis"], value)

    series: dict[str, Series] = {}
    for (indicator, number), (basis, value) in reported.items():
        if indicator in STOCKS:
            usable = basis == "end_stock"
        elif basis == "ytd" and number % 4:
            basis_before, before = reported.get((indicator, number - 1), ("", Fraction(0)))
            usable = basis_before == "ytd"
            value -= before
        else:
            usable = basis in ("ytd", "flow")
        if usable:
            series.setdefault(indicator, {})[number] = value
    return series


def rule_of(division: str, number: int) -> Rule:
    """The rule that holds for a division in a quarter."""
    (rule,) = (rule for rule in RULES if rule.holds(division, number))
    return rule


def values_in(indicators: dict[str, Series], names: tuple[str, ...], number: int) -> list[Fraction] | None:
    """The components' values in a quarter, None unless all are there."""
    values = [indicators.get(name, {}).get(number) for name in names]
    return None if None in values else values  # type: ignore[return-value]


def own_level(indicators: dict[str, Series], division: str, number: int) -> Fraction | None:
    """The indicator's own level in a quarter."""
    values = values_in(indicators, rule_of(division, number).indicators, number)
    return sum(values, Fraction(0)) if values else None


def growth(indicators: dict[str, Series], division: str, number: int) -> Fraction | None:
    """The indicator's growth over the same quarter of the year before, as a fraction of one."""
    rule = rule_of(division, number)
    now, before = (values_in(indicators, rule.indicators, when) for when in (number, number - 4))
    if now is None or before is None:
        return None
    if rule.is_weighted:
        if sum(now) == 0 or 0 in before:
            return None
        return sum(((new / old - 1) * new / sum(now) for new, old in zip(now, before, strict=True)), Fraction(0))
    return sum(now) / sum(before) - 1 if sum(before) else None


def indicator_series(indicators: dict[str, Series], division: str) -> Series:
    """I(t) of a division, from the first quarter of its first year to the last before one that is missing."""
    quarters = {number for values in indicators.values() for number in values}
    known = [number for number in quarters if number % 4 == 0 and own_level(indicators, division, number)]
    series: Series = {}
    if known:
        number = first = min(known)
        while True:
            if number < first + 4:
                level = own_level(indicators, division, number)
            else:
                rate = growth(indicators, division, number)
                level = (
                    None if rate is None else series[number - 4] * (1 + rule_of(division, number).coefficient * rate)
                )
            if not level:
                break
            series[number] = level
            number += 1
    return series


def solve(rows: list[list[Fraction]]) -> list[Fraction]:
    """The solution of a linear system whose last column is the right side (Gauss and Jordan)."""
    size = len(rows)
    for column in range(size):
        pivot = next(index for index in range(column, size) if rows[index][column])
        rows[column], rows[pivot] = rows[pivot], rows[column]
        rows[column] = [value / rows[column][column] for value in rows[column]]
        for index in range(size):
            if index != column and rows[index][column]:
                factor = rows[index][column]
                rows[index] = [a - factor * b for a, b in zip(rows[index], rows[column], strict=True)]
    return [row[-1] for row in rows]


def denton(series: Series, benchmarks: dict[int, Fraction]) -> Series:
    """X_t from the first benchmarked year to the end of the series: smallest Σ (X_t/I_t − X_(t−1)/I_(t−1))²."""
    years = sorted(benchmarks)
    unknowns = 1 + len(years)  # r_1, then one μ for each year
    ratio = [Fraction(1)] + [Fraction(0)] * len(years)  # r_t as a linear form of the unknowns
    step = [Fraction(0)] * unknowns  # d_t likewise
    ratios: dict[int, list[Fraction]] = {}
    sums = {year: [Fraction(0)] * unknowns for year in years}
    for number in range(4 * years[0], 4 * years[-1] + 4):
        ratios[number] = list(ratio)
        if number // 4 in sums:
            sums[number // 4] = [a + series[number] * b for a, b in zip(sums[number // 4], ratio, strict=True)]
            step[1 + years.index(number // 4)] -= series[number]
        ratio = [a + b for a, b in zip(ratio, step, strict=True)]
    system = [[*sums[year], benchmarks[year]] for year in years] + [[*step, Fraction(0)]]  # the last d is zero
    solution = solve(system)
    found = {
        number: series[number] * sum((a * b for a, b in zip(form, solution, strict=True)), Fraction(0))
        for number, form in ratios.items()
    }
    last = max(found)
    for number in range(last + 1, max(series) + 1):
        found[number] = series[number] * found[last] / series[last]
    return found


def quarterly(series: Series, accounts: dict[int, Account]) -> Quarterly:
    """The quarters of a division, benchmarked and extrapolated."""
    benchmarks = {year: account for year, account in accounts.items() if all(4 * year + i in series for i in range(4))}
    if not benchmarks:
        return Quarterly({}, {}, {})
    exact = denton(series, {year: account.income for year, account in benchmarks.items()})
    published = {number: rounded(value, 6) for number, value in exact.items()}
    for year, account in benchmarks.items():
        published[4 * year + 3] = rounded(account.income, 6) - sum(published[4 * year + i] for i in range(3))
    statuses = {n: benchmarks[n // 4].status if n // 4 in benchmarks else "E" for n in exact}
    return Quarterly(exact, published, statuses)


def add_total(divisions: dict[str, Quarterly]) -> Quarterly:
    """The sum of the divisions, in the quarters that all four have."""
    common = set.intersection(*(set(division.exact) for division in divisions.values()))
    return Quarterly(
        {n: sum((division.exact[n] for division in divisions.values()), Fraction(0)) for n in common},
        {n: sum((division.published[n] for division in divisions.values()), Decimal(0)) for n in common},
        {n: weakest(division.statuses[n] for division in divisions.values()) for n in common},
    )


def annual_values(
    accounts: dict[tuple[int, str], Account], division: str, quarters: Quarterly
) -> dict[int, tuple[Decimal, str]]:
    """Year → (income approach, status) of a division: its account, else the sum of its quarters."""
    values = {}
    for year in {number // 4 for number in quarters.exact}:
        numbers = range(4 * year, 4 * year + 4)
        if all(number in quarters.exact for number in numbers):
            values[year] = (
                sum((quarters.published[n] for n in numbers), Decimal(0)),
                weakest(quarters.statuses[n] for n in numbers),
            )
    for (year, account_division), account in accounts.items():
        if account_division == division:
            values[year] = (rounded(account.income, 6), account.status)
    return values


def read_deflators(records: Records) -> Series:
    """Quarter → P, same quarter of last year = 100, where all prices are there."""
    prices: dict[tuple[str, int], Fraction] = {}
    for record in records.values():
        prices[record["index_code"], quarter_number(record["quarter"])] = Fraction(record["yoy_index"])
    deflators = {}
    for number in {number for _, number in prices}:
        weights = [row for row in WEIGHTS if is_valid(row["valid_from"], row["valid_to"], number)]
        parts = [(Fraction(row["weight"]), prices.get((row["index_code"], number))) for row in weights]
        if all(price is not None for _, price in parts):
            deflators[number] = sum((weight * price for weight, price in parts if price), Fraction(0))
    return deflators


def volume_growth(exact: Series, deflators: Series) -> dict[int, Fraction | None]:
    """Growth at constant prices over the year, as a fraction of one; None where missing."""
    found: dict[int, Fraction | None] = {}
    for number, value in exact.items():
        if number - 4 in exact:
            before, deflator = exact[number - 4], deflators.get(number)
            found[number] = value / before / (deflator / 100) - 1 if before and deflator else None
    return found


def volume_growth_ytd(exact: Series, rates: dict[int, Fraction | None]) -> dict[int, Fraction | None]:
    """Growth from the first quarter on, weighted by the values of the year before."""
    found: dict[int, Fraction | None] = {}
    for number in rates:
        quarters = range(number - number % 4, number + 1)
        base = sum((exact[n - 4] for n in quarters), Fraction(0))
        parts = [rates[n] for n in quarters]
        if None in parts or not base:
            found[number] = None
        else:
            found[number] = sum((exact[n - 4] * (1 + rates[n]) for n in quarters), Fraction(0)) / base - 1  # type: ignore[operator]
    return found


def annual_observations(
    accounts: dict[tuple[int, str], Account], divisions: dict[str, Quarterly], as_of: date
) -> Iterator[tuple[Any, ...]]:
    """Income and production approach of every complete year, and their discrepancy."""
    income = {division: annual_values(accounts, division, divisions[division]) for division in DIVISIONS}
    for year in sorted({year for values in income.values() for year in values}):
        place = ("A", f"{year}", date(year, 12, 31))
        found = {division: income[division][year] for division in DIVISIONS if year in income[division]}
        if len(found) == len(DIVISIONS):
            found["total"] = (sum(value for value, _ in found.values()), weakest(s for _, s in found.values()))  # type: ignore[assignment]
        for member, (value, status) in found.items():
            dimension = "total" if member == "total" else "division"
            yield observation("financial_value_added", *place, dimension, member, value, "cny_100m", as_of, status)

        held = {division: accounts[year, division] for division in DIVISIONS if (year, division) in accounts}
        if len(held) == len(DIVISIONS):
            held["total"] = Account(
                sum((account.income for account in held.values()), Fraction(0)),
                sum((account.production for account in held.values()), Fraction(0)),
                weakest(account.status for account in held.values()),
            )
        for member, account in held.items():
            dimension = "total" if member == "total" else "division"
            yield observation(
                "financial_value_added_production", *place, dimension, member, account.production, "cny_100m",
                as_of, account.status,
            )  # fmt: skip
            percent = 100 * (account.production - account.income) / account.income if account.income else None
            yield observation(
                "financial_value_added_discrepancy", *place, dimension, member, percent, "percent", as_of,
                account.status,
            )  # fmt: skip


def quarterly_observations(
    member: str, quarters: Quarterly, deflators: Series, as_of: date
) -> Iterator[tuple[Any, ...]]:
    """The quarterly metrics of the total or of a division."""
    dimension = "total" if member == "total" else "division"
    rates = volume_growth(quarters.exact, deflators)
    rates_ytd = volume_growth_ytd(quarters.exact, rates)
    for number in sorted(quarters.exact):
        place = ("Q", f"{number // 4}-Q{number % 4 + 1}", quarter_end(number), dimension, member)
        so_far = range(number - number % 4, number + 1)
        value, status = quarters.published[number], quarters.statuses[number]
        yield observation("financial_value_added", *place, value, "cny_100m", as_of, status)
        value = sum((quarters.published[n] for n in so_far), Decimal(0))
        status_ytd = weakest(quarters.statuses[n] for n in so_far)
        yield observation("financial_value_added_ytd", *place, value, "cny_100m", as_of, status_ytd)
        for metric, series in (
            ("financial_value_added_volume_growth", rates),
            ("financial_value_added_volume_growth_ytd", rates_ytd),
        ):
            if number in series:
                rate = series[number]
                percent = None if rate is None else 100 * rate
                yield observation(metric, *place, percent, "percent", as_of, status)


def value_added_observations(
    accounts: Records, indicators: Records, prices: Records, as_of: date
) -> Iterator[tuple[Any, ...]]:
    """All metrics of the section "Financial value-added"."""
    last_day = report_day(as_of)
    read = read_accounts(accounts, last_day)
    reported = read_indicators(indicators, last_day)
    deflators = read_deflators(prices)
    divisions = {}
    for division in DIVISIONS:
        own = {year: account for (year, name), account in read.items() if name == division}
        divisions[division] = quarterly(indicator_series(reported, division), own)
    yield from annual_observations(read, divisions, as_of)
    for member, quarters in (*divisions.items(), ("total", add_total(divisions))):
        yield from quarterly_observations(member, quarters, deflators, as_of)
