"""Values computed again from the rows of the lake: each family against a small history worked out by hand."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

from deliveries import make_uscc

from hfc import pipeline
from hfc.explain import accounts
from hfc.explain import recompute as calculation
from hfc.explain.evidence import Evidence
from hfc.explain.lineage import model_path
from hfc.explain.tax import shared
from hfc.home import Home
from ingest.lake import known_deliveries

RNG = random.Random(1)
FIRM, FUND, STRANGER = (make_uscc(RNG) for _ in range(3))
REGISTER = f"""event_id,event_date,event_type,uscc,name,category
1,2024-01-10,admit,{FIRM},甲,fintech
2,2024-02-05,recategorise,{FIRM},甲,supporting
3,2024-03-01,leave,{FIRM},甲,
4,2024-03-20,admit,{FIRM},甲,licensed
5,2024-01-31,admit,{FUND},乙,fund
6,2024-01-31,leave,{FUND},乙,
7,2024-02-01,leave,{FUND},乙,
8,2024-05-02,deregister,{FIRM},甲,
"""
VOUCHERS = f"""voucher_no,uscc,tax_type,tax_period,treasury_date,kind,amount
V1,{FIRM},增值税,2024-01,2024-01-10,入库,100.01
V2,{FIRM},企业所得税,2024-01,2024-01-31,退库,-0.05
V3,{FIRM},增值税,2024-02,2024-02-04,入库,7
V4,{FIRM},增值税,2024-02,2024-02-05,入库,50
V5,{FUND},印花税,2024-04,2024-04-01,入库,20
V6,{STRANGER},契税,2024-04,2024-04-02,入库,3
"""


def write(landing: Path, feed: str, published_on: str, text: str) -> None:
    folder = landing / feed
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{feed}__{published_on}.csv").write_text(text, encoding="utf-8")


@contextmanager
def rows_known(home: Home, as_of: date = date(2024, 12, 31)) -> Iterator[Evidence]:
    """The evidence for a release made of what is in the landing folder."""
    outcomes = pipeline.ingest(home, home.landing)
    assert {(outcome.outcome, outcome.rows_quarantined) for outcome in outcomes} <= {("loaded", 0)}, outcomes
    with calculation.opened(home, {"as_of": str(as_of), "inputs": known_deliveries(home, as_of)}) as found:
        yield found


def values(found: Evidence, metric: str, measure: str, *asked: tuple[str, str, str]) -> list[str]:
    """Values of a metric by period, dimension and member, or what they lack."""
    family = calculation.family_of(metric)
    assert family is not None
    cells = []
    for period, dimension, member in asked:
        frequency = "A" if len(period) == 4 else "Q" if "Q" in period else "M"
        month = 12 if frequency == "A" else 3 * int(period[-1]) if frequency == "Q" else int(period[-2:])
        end = date(int(period[:4]) + month // 12, month % 12 + 1, 1) - timedelta(days=1)
        key = {"metric_id": metric, "frequency": frequency, "period": period, "dimension": dimension, "member": member}
        cells.append(calculation.cell_of({**key, "period_end": end}, measure))
    computed = calculation.recompute(found, family, cells)
    return [
        str(result.lacks or (result.value or Decimal(0)).normalize()) for result in map(computed.__getitem__, cells)
    ]


def totals(*periods: str) -> list[tuple[str, str, str]]:
    return [(period, "total", "total") for period in periods]


def prepared(found: Evidence, metric: str) -> Evidence:
    family = calculation.family_of(metric)
    assert family is not None
    calculation.prepare(found, [family])
    return found


def test_institutions_event_by_event(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write(home.landing, "institution_register", "20240601", REGISTER)
    with rows_known(home) as found:
        prepared(found, "institutions_resident")
        months = totals("2024-01", "2024-02", "2024-03", "2024-04", "2024-05")
        assert values(found, "institutions_admitted", "flow", *months, *totals("2024-Q1", "2024")) == list("2000022")
        assert values(found, "institutions_admitted_cumulative", "stock", *months) == list("22222")
        # Admitted and gone on one day: resident on none, but departed once.
        assert values(found, "institutions_resident", "stock", *months) == list("11110")
        assert values(found, "institutions_departed", "flow", *months, *totals("2024-Q1")) == list("101012")
        by_category = [("2024-01", "category", "fintech"), ("2024-02", "category", "supporting")]
        by_category += [("2024-03", "category", "licensed"), ("2024-03", "category", "supporting")]
        assert values(found, "institutions_resident", "stock", *by_category) == list("1110")
        # After leaving the last category holds on.
        assert values(found, "institutions_admitted_cumulative", "stock", ("2024-06", "category", "licensed")) == ["1"]


def test_taxes_by_what_the_taxpayer_is_on_the_day(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write(home.landing, "institution_register", "20240601", REGISTER)
    write(home.landing, "tax_collections", "20240601", VOUCHERS)
    silent = "tax_collections has no row of 2024-03"
    with rows_known(home) as found:
        prepared(found, "financial_tax_revenue")
        revenue = values(found, "financial_tax_revenue", "flow", *totals("2024-01", "2024-02", "2024-03", "2024-Q1"))
        assert revenue == ["9.996E-7", "7E-8", silent, silent]
        to_date = values(found, "financial_tax_revenue_ytd", "flow", *totals("2024-02", "2024-03", "2024-04"))
        assert to_date == ["0.0000010696", silent, silent]
        assert values(found, "financial_tax_revenue_gross", "flow", *totals("2024-01")) == ["0.0000010001"]
        # 50 % of 100.01 yuan is 50.005, rounded away from zero; the refund of corporate income tax shares 60 to 12 to 28.
        levels = [("2024-01", "fiscal_level", level) for level in ("central", "province", "city_district")]
        parts = {"central": "50.01", "province": "12.50", "city_district": "37.50"}
        refund = {"central": "-0.03", "province": "-0.01", "city_district": "-0.01"}
        expected = [Decimal(parts[level]) + Decimal(refund[level]) for _, _, level in levels]
        assert sum(expected) == Decimal("99.96")
        found_levels = values(found, "financial_tax_revenue", "flow", *levels)
        assert [Decimal(value) for value in found_levels] == [amount / 10**8 for amount in expected]
        reasons = [("2024-02", "reason", "category"), ("2024-04", "reason", "not_resident")]
        reasons += [("2024-04", "reason", "not_registered"), ("2024-04", "total", "total")]
        out_of_scope = values(found, "tax_revenue_out_of_scope", "flow", *reasons)
        assert [Decimal(value) * 10**8 for value in out_of_scope] == [50, 20, 3, 23]


def test_the_largest_share_takes_what_rounding_leaves() -> None:
    third = Decimal("33.3333")
    assert shared(Decimal("0.10"), [third, third, third]) == [
        ("central", Decimal("0.04")), ("province", Decimal("0.03")), ("city_district", Decimal("0.03")),
    ]  # fmt: skip
    assert [part for _, part in shared(Decimal("-0.05"), [Decimal(0), Decimal(30), Decimal(70)])] == [
        Decimal("0.00"), Decimal("-0.02"), Decimal("-0.03"),
    ]  # fmt: skip


def test_a_correction_replaces_and_a_withdrawal_removes(tmp_path: Path) -> None:
    home = Home(tmp_path)
    head = "change_id,fund_code,manager_code,change_date,subscribed_change(元),paid_in_change(元),void\n"
    row = f"{{}},SABC12,{FUND},{{}},{{}},0,{{}}\n"
    write(home.landing, "fund_commitments", "20240301", head + row.format("1", "2024-01-05", 500000000, "否"))
    later = row.format("1", "2024-02-05", 300000000, "否") + row.format("2", "2024-02-06", 100000000, "否")
    write(home.landing, "fund_commitments", "20240401", head + later)
    write(home.landing, "fund_commitments", "20240501", head + row.format("2", "2024-02-06", 100000000, "是"))
    write(home.landing, "fund_commitments", "20240601", head + row.format("1", "2024-02-05", 300000000, "否") * 1)
    with rows_known(home) as found:
        prepared(found, "fund_subscribed")
        assert values(found, "fund_subscribed", "flow", *totals("2024-01", "2024-02", "2024-Q1")) == ["0", "3", "3"]
        # What a later delivery repeats is credited to the one that brought it.
        ((delivery, amount),) = found.connection.execute(
            "SELECT delivery_id, subscribed_change_yuan FROM fund_commitments"
        ).fetchall()
        assert (found.deliveries[delivery]["file"], amount) == ("fund_commitments__20240401.csv", 300000000)
    with rows_known(home, date(2024, 4, 15)) as found:
        prepared(found, "fund_subscribed")
        assert values(found, "fund_subscribed_cumulative", "stock", *totals("2024-01", "2024-02")) == ["0", "4"]


def test_a_duty_report_holds_until_the_next_and_a_due_date_until_another(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write(
        home.landing,
        "duty_reports",
        "20240601",
        """duty_no,month,status,progress_pct,due_date,evidence,reporting_unit
1,2024-01,推进中,10,2024-01-31,,财政局
1,2024-02,推进中,20,,,财政局
1,2024-04,已完成,100,,文1号,财政局
2,2024-01,已完成,100,,文2号,财政局
""",
    )
    with rows_known(home) as found:
        prepared(found, "duties_done")
        months = totals("2024-01", "2024-02", "2024-03", "2024-04")
        silent = "duty_reports has no row of 2024-03"
        assert values(found, "duties_done", "stock", *months) == ["1", "1", silent, "2"]
        assert values(found, "duties_overdue", "stock", *months) == ["0", "1", silent, "0"]


def test_the_plan_version_approved_last_counts(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write(
        home.landing,
        "floor_space",
        "20260101",
        """plan_version,parcel,approved_on,area,kind
v1,a,2023-03-01,10,存量
v1,b,2024-03-01,5.5,新增
v2,a,2024-06-01,20,新增
v2,c,2025-02-01,1,存量
""",
    )
    with rows_known(home, date(2026, 1, 2)) as found:
        prepared(found, "floor_space_total")
        ends = totals("2023", "2024-05", "2024", "2025")
        assert values(found, "floor_space_total", "stock", *ends) == ["1E+1", "15.5", "2E+1", "21"]
        assert values(found, "floor_space_added", "stock", *ends) == ["0", "5.5", "2E+1", "2E+1"]


def test_days_and_weeks_count_once(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write(
        home.landing,
        "activities",
        "20250131",
        """activity_id,held_on,kind,title,organiser
1,2024-02-01,路演,一,甲
2,2024-02-01,路演,二,甲
3,2024-02-29,路演,三,甲
4,2024-12-30,活动,四,甲
5,2025-01-02,活动,五,甲
""",
    )
    with rows_known(home, date(2025, 2, 1)) as found:
        prepared(found, "roadshow_day_coverage")
        assert values(found, "roadshow_day_coverage", "ratio", *totals("2024-02")) == ["6.8965517241"]
        # 30 December 2024 and 2 January 2025 lie in the first of 52 weeks of 2025.
        weeks = values(found, "activity_week_coverage", "ratio", *totals("2024", "2025"))
        assert weeks == ["3.8461538462", "1.9230769231"]


def test_leads_are_open_from_the_day_found_until_the_day_closed(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write(
        home.landing,
        "risk_leads",
        "20240601",
        """lead_id,found_on,stage,severity,closed_on,is_incident,is_systemic
1,2024-01-31,招商对接,一般,2024-02-29,否,是
2,2024-02-01,招商对接,一般,,是,否
""",
    )
    with rows_known(home) as found:
        prepared(found, "risk_leads_open")
        assert values(found, "risk_leads_open", "stock", *totals("2024-01", "2024-02")) == ["1", "1"]
        assert values(found, "risk_incidents", "flow", *totals("2024-01", "2024-02")) == ["0", "1"]
        assert values(found, "systemic_risk_incidents", "flow", *totals("2024-01", "2024")) == ["1", "1"]


def test_growth_without_prices_says_which_are_missing() -> None:
    read = accounts.Accounts([], [], [{"quarter": "2024-Q1", "index_code": "cpi"}], {})
    quarter = {"frequency": "Q", "dimension": "total", "member": "total", "period_end": date(2024, 6, 30)}
    growth = {**quarter, "metric_id": "financial_value_added_volume_growth_ytd", "period": "2024-Q2"}
    assert read.missing(calculation.cell_of(growth, "growth")) == (
        "price_indices has no fixed_investment of 2024-Q1, cpi of 2024-Q2, fixed_investment of 2024-Q2"
    )


def test_the_path_leads_from_the_feeds_through_the_model() -> None:
    parents = {
        "staging.stg_a": ["lake.a"],
        "staging.stg_b": ["lake.b"],
        "intermediate.months": ["staging.stg_a", "staging.stg_b", "lake.context"],
        "intermediate.a": ["intermediate.months", "staging.stg_a"],
        "intermediate.b": ["intermediate.months", "staging.stg_b"],
        "published.metric_observation": ["intermediate.a", "intermediate.b"],
        "published.mart": ["published.metric_observation"],
    }
    assert model_path(parents, "intermediate.a", ["a"]) == [
        "lake.a", "staging.stg_a", "intermediate.months", "intermediate.a",
        "published.metric_observation",
    ]  # fmt: skip
