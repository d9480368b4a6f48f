"""Financial tax revenue, computed once more from the current vouchers and the register: a part of `oracle`, see there.

Decisions where the specification is silent:

- A month has records where a current, non-void voucher was received in it, whatever its taxpayer, amount and kind.
- The months of a quarter or year before the feed's first record have no records either: the quarter, the year and every
  year-to-date value of that year are missing, as with any other month without records. They are published, since the
  period contains the first record; months before it are not.
- After the last record, months are missing up to the report month.
- A taxpayer is registered if the register holds any current event of its code, whatever its date and kind; one that is
  not admitted yet, or was never admitted, is not resident.
- Only resident taxpayers can be out of scope by category.
- Scope and rates are those in force on the day of receipt; the first ones also hold before their valid_from. The
  categories that have rows are those that are in scope at any time. Money of one month, tax type and scheme is shared as
  one sum as long as its rates hold.
- A contribution to a cell is what a taxpayer's vouchers in it come to, over the whole period, without its sign; to a
  level its share, not rounded. Which other cells are suppressed to protect a sensitive one is not for this calculation
  to say: see `accepting_complements`.
- Of equal largest shares, the first of central, province, city_district takes the rest. A sum that is not whole fen leaves
  its fraction there too, so that levels always add up to the total.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from oracle_institutions import CATEGORIES, Institution, follow_institutions
from oracle_shared import CNY_100M, in_force, month_of, months_between, observation, periods, read_seed, rounded

TAX_TYPES = (
    "vat", "corporate_income", "individual_income", "urban_construction", "stamp", "securities_stamp", "property",
    "land_use", "land_appreciation", "deed", "vehicle", "environment", "other",
)  # fmt: skip
LEVELS = ("central", "province", "city_district")
REASONS = ("not_registered", "not_resident", "category")
SCOPE = read_seed("metric_scope")
SHARING = read_seed("tax_sharing")
RULE = tuple(Fraction(row[name]) for row in read_seed("disclosure_rule") for name in ("taxpayers", "percent"))
OVERRIDES = {(row["uscc"], row["tax_type"]): row["scheme"] for row in read_seed("tax_sharing_override")}
IN_SCOPE = tuple(
    category for category in CATEGORIES if any(r["category"] == category and r["in_scope"] == "true" for r in SCOPE)
)

Shares = tuple[Decimal, Decimal, Decimal]


@dataclass
class Sums:
    """Amounts in yuan by month: of each member of each published series, and the months that have records at all."""

    amounts: dict[tuple[str, str, str], dict[str, Fraction]] = field(default_factory=dict)
    recorded: set[str] = field(default_factory=set)
    paid: dict[tuple[str, str, str], list[tuple[str, str, Fraction]]] = field(default_factory=dict)  # month, USCC, yuan

    def add(self, metric: str, dimension: str, member: str, month: str, yuan: Fraction, uscc: str | None) -> None:
        series = self.amounts.setdefault((metric, dimension, member), {})
        series[month] = series.get(month, Fraction(0)) + yuan
        if uscc:
            self.pay(metric, dimension, member, month, yuan, uscc)

    def pay(self, metric: str, dimension: str, member: str, month: str, yuan: Fraction, uscc: str) -> None:
        self.paid.setdefault((metric, dimension, member), []).append((month, uscc, yuan))

    def is_sensitive(self, series: tuple[str, str, str], months: list[str]) -> bool:
        """Whether the sum would tell too much of one taxpayer."""
        taxpayers, percent = RULE
        contributions: dict[str, Fraction] = {}
        for month, uscc, yuan in self.paid.get(series, []):
            if month in months:
                contributions[uscc] = contributions.get(uscc, Fraction(0)) + yuan
        if not contributions:
            return False
        first, *others = sorted((abs(yuan) for yuan in contributions.values()), reverse=True)
        return len(contributions) < taxpayers or sum(others[1:]) < percent / 100 * first

    def over(self, series: tuple[str, str, str], months: list[str]) -> Fraction | None:
        """The sum in 100 million yuan, None where a month has no records."""
        if not self.recorded.issuperset(months):
            return None
        found = self.amounts.get(series, {})
        return sum((found.get(month, Fraction(0)) for month in months), Fraction(0)) / CNY_100M


def out_of_scope(institutions: dict[str, Institution], uscc: str, day: date) -> tuple[str | None, str | None]:
    """(reason why money of this taxpayer on this day is out of scope, or None; its category)."""
    if uscc not in institutions:
        return "not_registered", None
    is_resident, category = institutions[uscc].state(day)
    if not is_resident:
        return "not_resident", None
    scope = in_force([row for row in SCOPE if row["category"] == category], day)
    return (None if scope["in_scope"] == "true" else "category"), category


def share(yuan: Fraction, shares: Shares) -> list[Fraction]:
    """What each level gets, in yuan: whole fen but for the level with the largest share, which takes the rest."""
    parts = [Fraction(rounded(yuan * Fraction(percent) / 100, 2)) for percent in shares]
    largest = shares.index(max(shares))
    parts[largest] += yuan - sum(parts)
    return parts


def add_up(vouchers: dict[str, dict[str, Any]], institutions: dict[str, Institution]) -> Sums:
    """The sums of all vouchers."""
    sums = Sums()
    shared: dict[tuple[str, str, str, Shares], Fraction] = {}
    for voucher in vouchers.values():
        day, tax_type, yuan = voucher["treasury_date"], voucher["tax_type"], Fraction(voucher["amount"])
        month = month_of(day)
        sums.recorded.add(month)
        reason, category = out_of_scope(institutions, voucher["uscc"], day)
        if reason:
            sums.add("tax_revenue_out_of_scope", "total", "total", month, yuan, voucher["uscc"])
            sums.add("tax_revenue_out_of_scope", "reason", reason, month, yuan, voucher["uscc"])
            continue
        assert category is not None
        sums.add("financial_tax_revenue", "total", "total", month, yuan, voucher["uscc"])
        sums.add("financial_tax_revenue", "category", category, month, yuan, voucher["uscc"])
        sums.add("financial_tax_revenue", "tax_type", tax_type, month, yuan, voucher["uscc"])
        if voucher["kind"] == "collection":
            sums.add("financial_tax_revenue_gross", "total", "total", month, yuan, voucher["uscc"])
        scheme, shares = find_shares(voucher["uscc"], tax_type, day)
        group = (month, tax_type, scheme, shares)
        shared[group] = shared.get(group, Fraction(0)) + yuan
        for level, percent in zip(LEVELS, shares, strict=True):
            if percent:
                part = yuan * Fraction(percent) / 100
                sums.pay("financial_tax_revenue", "fiscal_level", level, month, part, voucher["uscc"])
    for (month, _, _, shares), yuan in shared.items():
        for level, part in zip(LEVELS, share(yuan, shares), strict=True):
            sums.add("financial_tax_revenue", "fiscal_level", level, month, part, None)
    return sums


def find_shares(uscc: str, tax_type: str, day: date) -> tuple[str, Shares]:
    """(scheme, shares in percent) by which the levels share a voucher."""
    scheme = OVERRIDES.get((uscc, tax_type), "standard")
    row = in_force([row for row in SHARING if (row["scheme"], row["tax_type"]) == (scheme, tax_type)], day)
    return scheme, (Decimal(row["central"]), Decimal(row["province"]), Decimal(row["city_district"]))


def tax_observations(
    vouchers: dict[str, dict[str, Any]], register: dict[str, dict[str, Any]], as_of: date
) -> Iterator[tuple[Any, ...]]:
    """All metrics of the section "Financial tax revenue"."""
    if not vouchers:
        return
    sums = add_up(vouchers, follow_institutions(register, []))
    members = {
        "total": ("total",),
        "category": IN_SCOPE,
        "tax_type": TAX_TYPES,
        "fiscal_level": LEVELS,
        "reason": REASONS,
    }
    dimensions = {
        "financial_tax_revenue": ("total", "category", "tax_type", "fiscal_level"),
        "financial_tax_revenue_gross": ("total",),
        "tax_revenue_out_of_scope": ("total", "reason"),
    }
    first_record = min(voucher["treasury_date"] for voucher in vouchers.values())
    for frequency, period, start, end in periods(first_record, as_of):
        for metric, names in dimensions.items():
            for dimension in names:
                for member in members[dimension]:
                    series = (metric, dimension, member)
                    months = months_between(start, end)
                    yield cell(sums, series, months, (metric, frequency, period, end, dimension, member), as_of)
                    if frequency == "M" and metric == "financial_tax_revenue":
                        months = months_between(date(end.year, 1, 1), end)
                        yield cell(sums, series, months, (f"{metric}_ytd", "M", period, end, dimension, member), as_of)


def cell(sums: Sums, series: tuple[str, str, str], months: list[str], place: Any, as_of: date) -> tuple[Any, ...]:
    """One published row, without its value where that is sensitive."""
    value = sums.over(series, months)
    row = observation(*place, value, "cny_100m", as_of)
    if value is not None and sums.is_sensitive(series, months):
        return (*row[:6], None, *row[7:9], "C", as_of)
    return row


def accepting_complements(expected: list[tuple[Any, ...]], found: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The expected rows, those of tax suppressed that are published as suppressed to protect others (D)."""
    protecting = {row[:6] for row in found if row[9] == "D" and row[6] is None and "tax_revenue" in row[0]}
    return [
        (*row[:6], None, *row[7:9], "D", row[10]) if row[:6] in protecting and row[9] == "F" else row
        for row in expected
    ]
