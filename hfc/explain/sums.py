"""The metrics that add up what single rows contribute, each family with the rows that enter.

An entry is a row of the lake with the amount it contributes to a metric's member, and the half-open window of days in
which it counts: an event its own day, a change of a stock all days from its own on. A value is the sum of the entries
whose window meets the days the value is about: those of the period, or for a stock the period's last day.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from hfc.explain import institutions, tax
from hfc.explain.evidence import PLACE, Evidence
from hfc.home import SEEDS
from ingest.columns import text_literal

ONE = Decimal(1)
YUAN = Decimal("1e-8")  # in 100 million
UNIT_SPELLING = text_literal(str(SEEDS / "unit_spelling.csv"))
DUTY = text_literal(str(SEEDS / "duty.csv"))
DUTY_MEASURE = text_literal(str(SEEDS / "duty_measure.csv"))


@dataclass(frozen=True)
class Cell:
    """One published value's key, and the days it is about."""

    metric_id: str
    frequency: str
    period: str
    dimension: str
    member: str
    first: date
    last: date


def whole(_: Cell) -> Decimal:
    """Amounts as they are."""
    return ONE


def in_100_million_yuan(_: Cell) -> Decimal:
    """Amounts are in yuan."""
    return YUAN


def in_percent(cell: Cell) -> Decimal:
    """Days in percent of all days; weeks of all weeks."""
    days = (cell.last - cell.first).days + 1
    return Decimal(100) / (days // 7 if cell.metric_id == "activity_week_coverage" else days)


@dataclass(frozen=True)
class Family:
    """Metrics that are made of the same rows.

    `entries` is SQL on the current rows: metric_id, dimension, member, valid_from, valid_to, amount, and the row's
    place. `months` is SQL of the months that a record feed speaks for: a value about any other month is missing.
    `model` is the model of the dbt project in which these metrics are made.
    """

    metrics: tuple[str, ...]
    feeds: tuple[str, ...]
    model: str
    entries: str
    scale: Callable[[Cell], Decimal] = whole
    months: str | None = None
    prepare: Callable[[Evidence], None] = lambda evidence: None


TOTAL = "'total' AS dimension, 'total' AS member"


def flow(metric: str, feed: str, day: str, amount: str = "1", where: str = "true") -> str:
    """Entries that count on a day of their own."""
    return (
        f"SELECT '{metric}' AS metric_id, {TOTAL}, {day} AS valid_from, {day} + 1 AS valid_to, "
        f"{amount} AS amount, {PLACE} FROM {feed} WHERE {where}"
    )


def stock(
    metric: str, feed: str, first: str, until: str = "DATE 'infinity'", amount: str = "1", where: str = "true"
) -> str:
    """Entries that count from a day until before another."""
    return (
        f"SELECT '{metric}' AS metric_id, {TOTAL}, {first} AS valid_from, {until} AS valid_to, "
        f"{amount} AS amount, {PLACE} FROM {feed} WHERE {where}"
    )


def union(*parts: str) -> str:
    return " UNION ALL ".join(parts)


def first_of(days: str) -> str:
    """1 for the first row of a day or week, 0 for the others."""
    return f"(row_number() OVER (PARTITION BY {days} ORDER BY held_on, {PLACE}) = 1)::INTEGER"


INSTITUTIONS = Family(
    metrics=(
        "institutions_admitted", "institutions_admitted_cumulative", "institutions_resident", "institutions_departed",
    ),
    feeds=("institution_register",),
    model="intermediate.int_institution_monthly",
    prepare=institutions.show_entries,
    entries=f"""
        SELECT e.metric_id, d.dimension, d.member, valid_from, valid_to, 1 AS amount, {PLACE}
        FROM institution_entry AS e
        CROSS JOIN LATERAL (VALUES ('total', 'total'), ('category', e.category)) AS d (dimension, member)""",
)  # fmt: skip

FUNDS = Family(
    metrics=("fund_subscribed", "fund_subscribed_cumulative", "fund_paid_in_cumulative"),
    feeds=("fund_commitments",),
    model="intermediate.int_fund_monthly",
    scale=in_100_million_yuan,
    entries=union(
        flow("fund_subscribed", "fund_commitments", "change_date", "subscribed_change_yuan"),
        stock("fund_subscribed_cumulative", "fund_commitments", "change_date", amount="subscribed_change_yuan"),
        stock("fund_paid_in_cumulative", "fund_commitments", "change_date", amount="paid_in_change_yuan"),
    ),
)

TAX = Family(
    metrics=tax.METRICS,
    feeds=("tax_collections", "institution_register"),
    model="intermediate.int_tax_metric_period",
    scale=in_100_million_yuan,
    prepare=tax.show_vouchers,
    entries=tax.ENTRIES,
    months="SELECT DISTINCT date_trunc('month', treasury_date)::DATE FROM voucher",
)

# The last record of a firm by a day, by date and then by identifier, says both its stage and whether it is fintech.
FIRM = """(
    SELECT *, lead(stage_date, 1, DATE 'infinity') OVER (PARTITION BY uscc ORDER BY stage_date, record_id) AS until
    FROM listing_pipeline)"""
LISTING = Family(
    metrics=("fintech_listed_cumulative", "fintech_listing_candidates"),
    feeds=("listing_pipeline",),
    model="intermediate.int_listing_monthly",
    entries=union(
        stock("fintech_listed_cumulative", FIRM, "stage_date", "until", where="is_fintech AND stage = 'listed'"),
        stock(
            "fintech_listing_candidates", FIRM, "stage_date", "until",
            where="is_fintech AND stage IN ('reserve', 'tutoring', 'filed', 'potential_unicorn')",
        ),
    ),
)  # fmt: skip

HIGHLIGHTS = Family(
    metrics=("quarterly_highlights", "annual_highlights"),
    feeds=("activities",),
    model="intermediate.int_activity_monthly",
    entries=union(
        flow("quarterly_highlights", "activities", "held_on", where="kind = 'quarterly_highlight'"),
        flow("annual_highlights", "activities", "held_on", where="kind = 'annual_highlight'"),
    ),
)

COVERAGE = Family(
    metrics=("roadshow_day_coverage", "activity_week_coverage"),
    feeds=("activities",),
    model="intermediate.int_activity_coverage",
    scale=in_percent,
    entries=union(
        flow("roadshow_day_coverage", "activities", "held_on", first_of("held_on"), "kind = 'roadshow'"),
        flow("activity_week_coverage", "activities", "held_on", first_of("date_trunc('week', held_on)")),
    ),
)

RISK = Family(
    metrics=("risk_incidents", "systemic_risk_incidents", "risk_leads_open"),
    feeds=("risk_leads",),
    model="intermediate.int_risk_monthly",
    entries=union(
        flow("risk_incidents", "risk_leads", "found_on", where="is_incident"),
        flow("systemic_risk_incidents", "risk_leads", "found_on", where="is_systemic"),
        stock("risk_leads_open", "risk_leads", "found_on", "coalesce(closed_on, DATE 'infinity')"),
    ),
)

# On a day the plan version of the parcel approved last is in force, of two of one day the later as text.
PARCEL = """(
    WITH in_force AS (
        SELECT approved_on AS since, max(plan_version) AS plan_version,
            lead(approved_on, 1, DATE 'infinity') OVER (ORDER BY approved_on) AS until
        FROM floor_space GROUP BY approved_on
    )
    SELECT * FROM floor_space INNER JOIN in_force USING (plan_version) WHERE approved_on < until)"""
FLOOR_SPACE = Family(
    metrics=("floor_space_total", "floor_space_added"),
    feeds=("floor_space",),
    model="intermediate.int_floor_space_period",
    entries=union(
        stock("floor_space_total", PARCEL, "greatest(approved_on, since)", "until", "area"),
        stock("floor_space_added", PARCEL, "greatest(approved_on, since)", "until", "area", "kind = 'added'"),
    ),
)

# A report holds until the next one of its duty; a due date until another is stated.
REPORT = f"""(
    SELECT *, (month || '-01')::DATE AS since,
        lead((month || '-01')::DATE, 1, DATE 'infinity') OVER (PARTITION BY duty_no ORDER BY month) AS until,
        last_value(due_date IGNORE NULLS) OVER (PARTITION BY duty_no ORDER BY month ROWS UNBOUNDED PRECEDING) AS due
    FROM duty_reports WHERE duty_no IN (SELECT duty_no FROM read_csv({DUTY})))"""
DUTIES = Family(
    metrics=("duties_done", "duties_overdue"),
    feeds=("duty_reports",),
    model="intermediate.int_duty_monthly",
    months="SELECT DISTINCT (month || '-01')::DATE FROM duty_reports",
    entries=union(
        stock("duties_done", REPORT, "since", "until", where="status = 'done'"),
        stock(
            "duties_overdue", REPORT, "greatest(since, due + 1)", "until", where="status != 'done' AND due IS NOT NULL"
        ),
    ),
)

KEY_FIRMS = f"""(
    SELECT r.*, (r.month || '-01')::DATE AS since, r.value * u.factor::DECIMAL(9, 8) AS firms
    FROM duty_measures AS r
    INNER JOIN read_csv({DUTY_MEASURE}, all_varchar = true) AS m
        ON r.duty_no = m.duty_no::BIGINT AND r.measure_id = m.measure_id
    LEFT JOIN read_csv({UNIT_SPELLING}, all_varchar = true) AS u ON m.unit = u.unit AND r.unit = u.printed
    WHERE r.measure_id = 'key_fintech_firms_admitted')"""
KEY_FINTECH = Family(
    metrics=("key_fintech_firms_admitted",),
    feeds=("duty_measures",),
    model="intermediate.int_key_fintech_period",
    entries=flow("key_fintech_firms_admitted", KEY_FIRMS, "since", "firms"),
    # A report in another unit is no report of it.
    months=f"SELECT since FROM {KEY_FIRMS} GROUP BY since HAVING count(firms) = count(*)",
)

FAMILIES = (
    INSTITUTIONS, FUNDS, TAX, LISTING, HIGHLIGHTS, COVERAGE, RISK, FLOOR_SPACE, DUTIES, KEY_FINTECH,
)  # fmt: skip
