"""The independent calculation judges the pipeline; here it is judged itself, by the specification's example and by hand."""

from __future__ import annotations

import dataclasses
import random
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import oracle
import oracle_metrics
import oracle_tax_revenue
import oracle_value_added as value_added
import pytest
import worlds
from oracle_shared import read_seed

DAY = date(2024, 7, 10)
Rows = list[tuple[Any, ...]]


@pytest.fixture(autouse=True)
def nothing_is_suppressed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The values are looked at here, however few taxpayers a test needs."""
    monkeypatch.setattr(oracle_tax_revenue, "RULE", (0, 0))


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def find(rows: Rows, metric: str, period: str, member: str = "total") -> tuple[Any, str] | None:
    """(value, status) of one published row, None if there is none."""
    found = [row for row in rows if (row[0], row[2], row[5]) == (metric, period, member)]
    assert len(found) <= 1
    return (found[0][6], found[0][8]) if found else None


def numbered(records: list[dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    return dict(enumerate(records))


def flat_account(level: Fraction) -> value_added.Account:
    """A year whose quarters are all at a level."""
    return value_added.Account(4 * level, 4 * level, "A")


def test_the_reference_example_of_the_specification(monkeypatch: pytest.MonkeyPatch) -> None:
    coefficients = {"66": Fraction(9, 10), "67": Fraction(1, 2), "68": Fraction(1), "69": Fraction(1)}
    rules = [dataclasses.replace(rule, coefficient=coefficients[rule.division]) for rule in value_added.RULES]
    monkeypatch.setattr(value_added, "RULES", rules)
    growing = {
        "deposits": (1000, 1080),
        "loans": (800, 880),
        "securities_turnover": (5, 6),
        "premium_income": (100, 105),
    }
    before, now = range(4 * 2021, 4 * 2022), 4 * 2022
    indicators = {
        name: {**{number: Fraction(old) for number in before}, now: Fraction(new)}
        for name, (old, new) in growing.items()
    }
    assert round(float(100 * value_added.growth(indicators, "66", now)), 5) == 8.89796
    shares = {"66": Fraction(68, 100), "67": Fraction(12, 100), "68": Fraction(20, 100)}
    divisions = {
        division: value_added.quarterly(
            value_added.indicator_series(indicators, division), {2021: flat_account(25 * share)}
        )
        for division, share in shares.items()
    }
    total = value_added.add_total(divisions)
    assert (float(total.exact[now - 4]), total.statuses[now - 4], total.statuses[now]) == (25.0, "A", "E")
    assert round(float(total.exact[now]), 4) == 26.9114
    assert round(100 * float(total.exact[now] / 25 - 1), 5) == 7.64555
    prices = [
        {"quarter": "2022-Q1", "index_code": code, "yoy_index": Decimal(index)}
        for code, index in (("cpi", 102), ("fixed_investment", 101))
    ]
    deflators = value_added.read_deflators(numbered(prices))
    assert float(deflators[now]) == 101.6
    real = 25 * (1 + value_added.volume_growth(total.exact, deflators)[now])
    assert round(float(real), 4) == 26.4876


def test_benchmarked_quarters_add_up_and_no_others_are_smoother() -> None:
    rng = random.Random(4)
    series = {number: Fraction(rng.randint(80, 120)) for number in range(4 * 2020, 4 * 2024 + 2)}
    benchmarks = {2020: Fraction(500), 2021: Fraction(560), 2023: Fraction(610)}

    def roughness(values: dict[int, Fraction]) -> Fraction:
        ratios = [values[number] / series[number] for number in range(4 * 2020, 4 * 2024)]
        return sum(((b - a) ** 2 for a, b in zip(ratios, ratios[1:], strict=False)), Fraction(0))

    found = value_added.denton(series, benchmarks)
    for year, total in benchmarks.items():
        assert sum(found[4 * year + quarter] for quarter in range(4)) == total
    assert found[4 * 2024 + 1] / series[4 * 2024 + 1] == found[4 * 2023 + 3] / series[4 * 2023 + 3]
    for _ in range(50):
        year = rng.choice((2020, 2021, 2022, 2023))
        gains, loses = rng.sample(range(4 * year, 4 * year + 4), 2)
        other = {**found, gains: found[gains] + Fraction(1, 100)}
        if year != 2022:  # which is bound by no account
            other[loses] -= Fraction(1, 100)
        assert roughness(other) > roughness(found)


def test_one_year_is_distributed_by_its_indicator_and_its_last_quarter_takes_the_rounding() -> None:
    series = {4 * 2023 + quarter: Fraction(1 + quarter) for quarter in range(4)}
    account = value_added.Account(Fraction(1), Fraction(1), "P")
    assert value_added.denton(series, {2023: Fraction(100)}) == {4 * 2023 + q: 10 * (q + 1) for q in range(4)}
    flat = dict.fromkeys(series, Fraction(1))
    flat[4 * 2023] = Fraction(7)
    published = value_added.quarterly(flat, {2023: account}).published
    assert list(published.values()) == [Decimal("0.7")] + [Decimal("0.1")] * 3
    third = value_added.quarterly(dict.fromkeys(list(series), Fraction(3)), {2023: account})
    assert sum(third.published.values()) == 1 and set(third.statuses.values()) == {"P"}
    thirds = value_added.Account(Fraction(10, 3), Fraction(1), "A")
    rounded = list(value_added.quarterly(flat | {4 * 2023: Fraction(1)}, {2023: thirds}).published.values())
    assert rounded == [Decimal("0.833333")] * 3 + [Decimal("0.833334")]


def indicator(quarter: str, name: str, basis: str, value: int, unit: str = "亿元") -> dict[str, Any]:
    return {"quarter": quarter, "indicator": name, "basis": basis, "value": Decimal(value), "unit": unit}


def test_indicators_become_quarterly_flows_in_yuan() -> None:
    records = [
        indicator("2023-Q1", "premium_income", "ytd", 5),
        indicator("2023-Q2", "premium_income", "ytd", 120_000, "万元"),
        indicator("2023-Q4", "premium_income", "ytd", 30),  # the third quarter is missing
        indicator("2024-Q1", "premium_income", "flow", 9),
        indicator("2024-Q2", "premium_income", "ytd", 19),  # the first quarter is no YTD
        indicator("2023-Q1", "deposits", "end_stock", 1, "元"),
        indicator("2023-Q2", "deposits", "flow", 1),
        indicator("2023-Q3", "deposits", "end_stock", 1, "万美元"),
        indicator("2024-Q3", "deposits", "end_stock", 1),  # after the report month
    ]
    found = value_added.read_indicators(numbered(records), date(2024, 6, 30))
    in_yuan = {4 * 2023: 5 * 10**8, 4 * 2023 + 1: 7 * 10**8, 4 * 2024: 9 * 10**8}
    assert found == {"premium_income": in_yuan, "deposits": {4 * 2023: 1}}


def test_a_missing_quarter_stops_a_series_and_the_banks_change_in_2024() -> None:
    stocks = {number: Fraction(10) for number in range(4 * 2022, 4 * 2025)}
    flows = {number: Fraction(number - 8000) for number in range(4 * 2023, 4 * 2024 + 2)}
    banks = {"deposits": stocks, "loans": stocks, "net_interest_income": flows, "fee_income": flows}
    series = value_added.indicator_series(banks, "66")
    assert max(series) == 4 * 2024 + 1  # from 2024 on income and fees count, and they end there
    assert series[4 * 2023 + 3] == 20 and series[4 * 2024] == 20 * Fraction(96, 92)
    del stocks[4 * 2022 + 5]
    assert list(value_added.indicator_series(banks, "69")) == [4 * 2022 + quarter for quarter in range(5)]


def register(*events: tuple[str, str, str, str | None]) -> dict[Any, dict[str, Any]]:
    return {
        f"{number}": {
            "event_id": f"{number}",
            "uscc": uscc,
            "event_date": date.fromisoformat(day),
            "event_type": kind,
            "category": category,
        }
        for number, (uscc, day, kind, category) in enumerate(events)
    }


def voucher(uscc: str, day: str, tax_type: str, amount: str) -> dict[str, Any]:
    kind = "refund" if amount.startswith("-") else "collection"
    return {
        "uscc": uscc,
        "treasury_date": date.fromisoformat(day),
        "tax_type": tax_type,
        "kind": kind,
        "amount": Decimal(amount),
    }


def yuan(amount: str) -> tuple[Decimal, str]:
    return Decimal(amount) / 10**8, "A"


def test_tax_by_scope_category_type_and_level() -> None:
    events = register(
        ("A", "2024-01-05", "admit", "licensed"),
        ("A", "2024-03-05", "recategorise", "supporting"),
        ("B", "2024-01-01", "admit", "fund"),
        ("B", "2024-02-10", "leave", None),
    )
    vouchers = [
        voucher("A", "2024-01-04", "vat", "1000"),  # the day before its admission
        voucher("A", "2024-01-05", "vat", "100.01"),
        voucher("A", "2024-03-05", "vat", "7"),  # supporting from this day on
        voucher("B", "2024-02-09", "land_use", "-0.05"),
        voucher("B", "2024-02-10", "vat", "9"),
        voucher("C", "2024-02-10", "vat", "5"),
        voucher("B", "2024-05-01", "other", "0"),
    ]
    rows: Rows = list(oracle_tax_revenue.tax_observations(numbered(vouchers), events, DAY))
    missing = (None, "M")
    net, gross, outside = "financial_tax_revenue", "financial_tax_revenue_gross", "tax_revenue_out_of_scope"
    assert find(rows, net, "2024-01") == yuan("100.01") and find(rows, gross, "2024-02") == yuan("0")
    assert [find(rows, net, "2024-01", level) for level in oracle_tax_revenue.LEVELS] == [
        yuan("50.01"),
        yuan("12.50"),
        yuan("37.50"),
    ]
    # 0.05 × 70 % takes the rest of 0.05 × 30 % = 0.015, away from zero.
    assert [find(rows, net, "2024-02", level) for level in oracle_tax_revenue.LEVELS] == [
        yuan("0"),
        yuan("-0.02"),
        yuan("-0.03"),
    ]
    assert find(rows, net, "2024-Q1", "fund") == yuan("-0.05") and find(rows, net, "2024-Q1", "licensed") == yuan(
        "100.01"
    )
    assert find(rows, net, "2024-Q1", "supporting") is None and find(rows, net, "2024-Q1", "deed") == yuan("0")
    assert find(rows, outside, "2024-01", "not_resident") == yuan("1000")
    assert find(rows, outside, "2024-02", "not_registered") == yuan("5")
    assert find(rows, outside, "2024-Q1", "category") == yuan("7") and find(rows, outside, "2024-Q1") == yuan("1021")
    # Nothing was received in April.
    assert find(rows, net, "2024-04", "vat") == missing == find(rows, net, "2024-Q2") == find(rows, gross, "2024-06")
    assert find(rows, f"{net}_ytd", "2024-03") == yuan("99.96") and find(rows, f"{net}_ytd", "2024-05") == missing
    assert find(rows, net, "2024-05") == yuan("0") and find(rows, net, "2024-07") is None is find(rows, net, "2023-12")


def test_an_overridden_tax_and_a_rate_that_changes_are_shared_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oracle_tax_revenue, "OVERRIDES", {("A", "corporate_income"): "head_office"})
    changed = {
        "scheme": "standard",
        "tax_type": "vat",
        "valid_from": "2024-01-20",
        "central": "20",
        "province": "40",
        "city_district": "40",
    }
    monkeypatch.setattr(oracle_tax_revenue, "SHARING", [*oracle_tax_revenue.SHARING, changed])
    events = register(("A", "2024-01-01", "admit", "licensed"), ("B", "2024-01-01", "admit", "licensed"))
    vouchers = [
        voucher("A", "2024-01-05", "corporate_income", "0.03"),
        voucher("B", "2024-01-05", "corporate_income", "0.03"),
        voucher("A", "2024-01-05", "individual_income", "0.01"),
        voucher("A", "2024-01-19", "vat", "0.04"),
        voucher("A", "2024-01-20", "vat", "0.05"),
    ]
    rows: Rows = list(oracle_tax_revenue.tax_observations(numbered(vouchers), events, DAY))
    # 3 + 0 + 0 and 2 + 0 + 1, then 1 + 0 + 0, then 1 + 1 + 2 (the largest takes the rest), then 1 + 2 + 2
    levels = [find(rows, "financial_tax_revenue", "2024-01", level) for level in oracle_tax_revenue.LEVELS]
    assert levels == [yuan("0.08"), yuan("0.03"), yuan("0.05")]


def test_cells_of_few_taxpayers_and_those_that_one_or_two_make_up_are_sensitive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(oracle_tax_revenue, "RULE", (3, 10))
    payers = ("A", "B", "C", "D")
    events = register(*((uscc, "2024-01-01", "admit", "fund") for uscc in payers))
    paid = {
        "2024-01": ("100", "50", "10", "0"),  # ten of 100 are 10 %
        "2024-02": ("100", "50", "9.99", "0"),
        "2024-03": ("100", "50"),
        "2024-04": ("-100", "50", "9.99"),
        "2024-05": ("100", "-40", "10"),
    }
    vouchers = [
        voucher(uscc, f"{month}-05", "stamp", amount)
        for month, amounts in paid.items()
        for uscc, amount in zip(payers, amounts, strict=False)
    ]
    rows: Rows = list(oracle_tax_revenue.tax_observations(numbered(vouchers), events, DAY))
    found = {row[2]: row[9] for row in rows if (row[0], row[5]) == ("financial_tax_revenue", "city_district")}
    assert found == {
        "2024-01": "F", "2024-02": "C", "2024-03": "C", "2024-04": "C", "2024-05": "F", "2024-06": "F",
        "2024-Q1": "C", "2024-Q2": "F",
    }  # fmt: skip
    assert find(rows, "financial_tax_revenue", "2024-03", "stamp") == (None, "A")
    assert find(rows, "financial_tax_revenue", "2024-03", "deed") == yuan("0")


def test_a_year_that_begins_before_its_first_record_is_missing() -> None:
    rows: Rows = list(
        oracle_tax_revenue.tax_observations(numbered([voucher("A", "2023-11-03", "vat", "8")]), {}, date(2024, 1, 31))
    )
    outside = "tax_revenue_out_of_scope"
    assert find(rows, outside, "2023-11") == yuan("8") and find(rows, outside, "2023-10") is None
    assert find(rows, outside, "2023-Q4") == (None, "M") == find(rows, outside, "2023")
    assert find(rows, "financial_tax_revenue_ytd", "2023-11") == (None, "M")


def test_listing_activities_risks_and_floor_space() -> None:
    def stage(record_id: str, day: str, name: str, is_fintech: bool = True) -> dict[str, Any]:
        when = date.fromisoformat(day)
        return {"record_id": record_id, "uscc": "F", "stage_date": when, "stage": name, "is_fintech": is_fintech}

    changes = [
        stage("10", "2023-12-01", "filed"),
        stage("9", "2024-02-01", "listed"),
        stage("8", "2024-02-01", "filed"),
    ]
    rows: Rows = list(oracle_metrics.listing_observations(numbered(changes), DAY))
    assert (
        find(rows, "fintech_listing_candidates", "2023")
        == (1, "A")
        == find(rows, "fintech_listing_candidates", "2024-01")
    )
    assert find(rows, "fintech_listed_cumulative", "2024-02") == (1, "A")  # as text 9 comes after 10 and 8
    assert find(rows, "fintech_listing_candidates", "2024-06") == (0, "A")

    held = [("2023-01-01", "event"), ("2023-01-02", "roadshow"), ("2023-01-02", "roadshow"), ("2023-12-31", "summit")]
    activities = [{"held_on": date.fromisoformat(day), "kind": kind} for day, kind in held]
    rows = list(oracle_metrics.activity_observations(numbered(activities), DAY))
    assert find(rows, "roadshow_day_coverage", "2023-01") == (Decimal("3.2258064516"), "A")
    assert find(rows, "activity_week_coverage", "2023") == (Decimal("3.8461538462"), "A")  # 1 January is of 2022
    assert find(rows, "annual_highlights", "2023") == (0, "A") and find(rows, "annual_highlights", "2022") is None

    lead = {"found_on": date(2024, 3, 31), "closed_on": date(2024, 5, 31), "is_incident": False, "is_systemic": True}
    rows = list(oracle_metrics.risk_observations(numbered([lead]), DAY))
    assert [find(rows, "risk_leads_open", f"2024-{month:02}") for month in range(2, 6)] == [
        None,
        (1, "A"),
        (1, "A"),
        (0, "A"),
    ]
    assert find(rows, "systemic_risk_incidents", "2024-03") == (1, "A") and find(rows, "risk_incidents", "2024-03") == (
        0,
        "A",
    )

    def parcel(version: str, day: str, area: int, kind: str) -> dict[str, Any]:
        return {"plan_version": version, "approved_on": date.fromisoformat(day), "area": Decimal(area), "kind": kind}

    plans = [
        parcel("V1", "2022-12-31", 5, "existing"),
        parcel("V2", "2024-01-01", 7, "existing"),
        parcel("V2", "2024-01-01", 2, "added"),
    ]
    rows = list(oracle_metrics.floor_space_observations(numbered(plans), DAY))
    assert [row[1:3] for row in rows if row[0] == "floor_space_total"] == [
        ("A", "2022"),
        ("A", "2023"),
        ("M", "2024-06"),
    ]
    assert find(rows, "floor_space_total", "2023") == (5, "A") and find(rows, "floor_space_added", "2024-06") == (
        2,
        "A",
    )


def test_duties_and_their_measures() -> None:
    def report(duty: int, month: str, status: str, due: date | None = None) -> dict[str, Any]:
        return {"duty_no": duty, "month": month, "status": status, "due_date": due}

    reports = [
        report(1, "2024-01", "in_progress", date(2024, 2, 29)),
        report(1, "2024-02", "in_progress"),
        report(1, "2024-04", "done"),
        report(2, "2024-03", "blocked"),
        report(3, "2025-01", "done"),
    ]
    rows: Rows = list(oracle_metrics.duty_observations(numbered(reports), DAY))
    assert [find(rows, "duties_overdue", f"2024-{m:02}")[0] for m in range(1, 6)] == [0, 0, 1, 0, None]  # type: ignore[index]
    assert [find(rows, "duties_done", f"2024-{m:02}")[0] for m in range(1, 6)] == [0, 0, 0, 1, None]  # type: ignore[index]
    assert find(rows, "duties_done", "2024-06") == (None, "M")
    assert find(rows, "duties_done", "2024-07") is None

    measures = [
        {"duty_no": duty, "measure_id": "key_fintech_firms_admitted", "month": month, "value": Decimal(2)}
        for duty, month in ((1, "2023-12"), (2, "2023-12"), (1, "2024-02"))  # no measure of the second duty
    ]
    rows = list(oracle_metrics.key_firm_observations(numbered(measures), DAY))
    assert find(rows, "key_fintech_firms_admitted", "2023-12") == (2, "A")
    assert (
        find(rows, "key_fintech_firms_admitted", "2024-01")
        == (None, "M")
        == find(rows, "key_fintech_firms_admitted", "2023")
    )


def test_random_zones_show_every_metric_in_every_state(tmp_path: Path) -> None:
    metrics, states, quarters = set(), set(), set()
    for seed in range(1, 5):
        worlds.write_zone(tmp_path / f"{seed}", seed)
        for row in oracle.compute(tmp_path / f"{seed}").observations:
            metrics.add(row[0])
            states.add((row[0].startswith("financial_value_added"), row[8]))
            if row[0] == "financial_value_added":
                quarters.add((row[2], row[5]))
    assert metrics == {row["metric_id"] for row in read_seed("metric")}
    assert states == {(True, status) for status in "APEM"} | {(False, "A"), (False, "M")}
    assert {
        (quarter, member) for quarter in ("2023-Q4", "2024-Q1") for member in ("66", "67", "68", "69", "total")
    } < quarters


def test_the_same_zone_is_the_same_files(tmp_path: Path) -> None:
    for name, seed in (("one", 3), ("again", 3), ("other", 4)):
        worlds.write_zone(tmp_path / name, seed, size=1)
    assert content(tmp_path / "one") == content(tmp_path / "again") != content(tmp_path / "other")
