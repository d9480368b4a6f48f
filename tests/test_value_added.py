"""Financial value-added: the series in detail, the reference example, and a whole landing against a second reading."""

from __future__ import annotations

import os
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from accounts import ACCOUNTS, INDICATORS, PRICES, account, land, land_reference
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner

from hfc import pipeline
from hfc.home import Home
from hfc.value_added import DIVISIONS, Indicator, growth_over_the_year, indicator_series, quarterly, volume
from hfc.warehouse import PROJECT

Q1 = 4 * 2022
ONE = Decimal(1)
Observations = dict[tuple[str, str, str], tuple[Decimal | None, str]]


def indicator(now: str, before: str = "", growth_of: str = "sum", coefficient: str = "1") -> Indicator:
    """An indicator whose components are told as words, `-` for a missing one."""
    parts = [tuple(None if word == "-" else Decimal(word) for word in text.split()) for text in (now, before)]
    return Indicator(parts[0], parts[1] or (None,) * len(parts[0]), growth_of, Decimal(coefficient))


def numbered(*indicators: Indicator | None, start: int = Q1) -> dict[int, Indicator]:
    return {t: found for t, found in enumerate(indicators, start=start) if found is not None}


# --- The indicator series -------------------------------------------------------------------------------------------


def test_growth_of_balances_is_weighted_by_this_quarters_balances() -> None:
    found = indicator("1080 880", "1000 800", growth_of="weighted").growth()
    assert found is not None and round(100 * found, 5) == Decimal("8.89796")


def test_growth_of_income_is_that_of_the_sum() -> None:
    assert indicator("60 -10", "20 20").growth() == Decimal("0.25")


@pytest.mark.parametrize("growth_of", ["sum", "weighted"])
@pytest.mark.parametrize(
    ("now", "before"), [("5 -", "1 1"), ("5 5", "1 -"), ("5 -5", "1 1"), ("5 5", "1 -1"), ("5 5", "")]
)
def test_growth_from_or_of_what_is_missing_or_not_positive_is_missing(now: str, before: str, growth_of: str) -> None:
    assert indicator(now, before, growth_of).growth() is None


def test_growth_from_a_component_of_nothing_has_no_meaning() -> None:
    assert indicator("5 5", "1 0", "weighted").growth() is None


def test_the_first_year_is_the_level_and_then_growth_times_the_coefficient() -> None:
    first_year = [indicator(f"{value} 1") for value in (10, 20, 30, 40)]
    found = indicator_series(numbered(*first_year, indicator("22 0", "10 1", coefficient="0.5"), start=Q1))
    assert [float(value) for value in found.values()] == [11, 21, 31, 41, 16.5]


def test_a_missing_quarter_stops_the_series() -> None:
    years = [indicator("10", "10")] * 12
    for gap in (None, indicator("-", "10"), indicator("10", "-"), indicator("0", "10")):
        assert list(indicator_series(numbered(*years[:6], gap, *years[7:]))) == list(range(Q1, Q1 + 6))
    assert list(indicator_series(numbered(*years[:2], None, *years[3:]))) == [Q1, Q1 + 1]


def test_growth_that_leaves_nothing_stops_the_series() -> None:
    years = [indicator("10", "10")] * 4 + [indicator("1", "10", coefficient="2")]
    assert list(indicator_series(numbered(*years))) == list(range(Q1, Q1 + 4))


def test_a_series_begins_with_a_first_quarter() -> None:
    late = numbered(*[indicator("10", "10")] * 6, start=Q1 + 2)
    assert list(indicator_series(late)) == list(range(Q1 + 4, Q1 + 8))
    assert indicator_series(numbered(indicator("10"), start=Q1 + 1)) == {}


# --- Volume and totals ----------------------------------------------------------------------------------------------


def test_growth_to_date_weighs_quarters_and_needs_all_of_them() -> None:
    values = {t: Decimal(v) for t, v in enumerate([10, 30, 20, 20, 11, 30, 22, 20], start=Q1)}
    volumes = volume(values, {Q1 + 4: Decimal(100), Q1 + 5: Decimal("120"), Q1 + 7: Decimal(100)})
    growth = [growth_over_the_year(volumes, values, range(t, t + 1)) for t in range(Q1 + 4, Q1 + 8)]
    to_date = [growth_over_the_year(volumes, values, range(Q1 + 4, t + 1)) for t in range(Q1 + 4, Q1 + 8)]
    assert [g and float(round(g, 10)) for g in growth] == [10, -16.6666666667, None, 0]
    assert [g and float(round(g, 10)) for g in to_date] == [10, -10, None, None]
    assert growth_over_the_year(volumes, values, range(Q1, Q1 + 1)) is None


def test_growth_from_nothing_is_missing() -> None:
    values = {Q1: Decimal(0), Q1 + 4: ONE}
    assert growth_over_the_year(values, values, range(Q1 + 4, Q1 + 5)) is None


def quarters_of(divisions: Iterable[str], years: int = 2) -> list[dict[str, Any]]:
    components = [(d, t, "sum", ONE, ONE, ONE) for d in divisions for t in range(Q1, Q1 + 4 * years)]
    return quarterly(components, [(d, 2022, Decimal(4)) for d in divisions], {})


def test_a_total_needs_all_four_divisions() -> None:
    assert {row["member"] for row in quarters_of(DIVISIONS[:3])} == set(DIVISIONS[:3])
    total = [row for row in quarters_of(DIVISIONS) if row["member"] == "total"]
    assert [row["value"] for row in total] == [Decimal(4)] * 8


# --- The reference example ------------------------------------------------------------------------------------------


def build(home: Home, landing: Path) -> None:
    pipeline.ingest(home, landing)
    pipeline.build(home)


def rebuild_from_seeds(home: Home, statement: str) -> None:
    """What a change of a seed does to the published values."""
    with duckdb.connect(str(home.candidate)) as candidate:
        candidate.execute(statement)
    os.environ["HFC_CANDIDATE"] = str(home.candidate)
    places = ["--target-path", str(home.warehouse / "dbt"), "--log-path", str(home.warehouse / "logs")]
    project = ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
    selected = ["--select", "int_value_added_component+,+metric_observation"]
    assert dbtRunner().invoke(["--quiet", "run", *selected, *project, *places]).success
    DuckDBConnectionManager.close_all_connections()


def published(home: Home) -> Observations:
    """(metric, period, member) → (value, status)."""
    with duckdb.connect(str(home.candidate), read_only=True) as candidate:
        rows = candidate.execute(
            "SELECT metric_id, period, member, value, obs_status FROM published.metric_observation ORDER BY ALL"
        ).fetchall()
    return {(metric_id, period, member): (value, status) for metric_id, period, member, value, status in rows}


def test_the_reference_example(tmp_path: Path) -> None:
    """Quarterly extrapolation as the specification prints it: coefficients are an edit of the seed, one line each."""
    home = Home(tmp_path / "home")
    land_reference(tmp_path / "landing")
    build(home, tmp_path / "landing")
    before = published(home)["financial_value_added", "2023-Q1", "total"]
    rebuild_from_seeds(
        home,
        "UPDATE seeds.value_added_indicator SET coefficient = CASE division WHEN '67' THEN 0.5 WHEN '68' THEN 1 ELSE 0.9 END",
    )
    found = published(home)
    nominal, status = found["financial_value_added", "2023-Q1", "total"]
    growth, growth_status = found["financial_value_added_volume_growth", "2023-Q1", "total"]
    assert found["financial_value_added", "2022-Q1", "total"] == (25, "A")
    assert nominal is not None and growth is not None
    assert (round(nominal, 4), status, growth_status) == (Decimal("26.9114"), "E", "E")
    assert round(100 * (nominal / 25 - 1), 5) == Decimal("7.64555")
    assert round(25 * (1 + growth / 100), 4) == Decimal("26.4876")
    assert before == (Decimal("27.362653"), "E")


# --- A whole landing, against a second reading in binary floating point ------------------------------------------------

YEARS = range(2021, 2025)
NAMES = {
    "deposits": "存款余额",
    "loans": "贷款余额",
    "net_interest_income": "利息净收入",
    "fee_income": "手续费及佣金净收入",
    "securities_turnover": "证券交易额",
    "premium_income": "保费收入",
}
INCOME = {  # division → year → account
    "66": {2022: 60.1234567, 2023: 66.5},
    "67": {2022: 12.3, 2023: 11.1},
    "68": {2022: 20.0000001, 2023: 23.4},
    "69": {2022: 5.5, 2023: 7.7},
}


def levels() -> dict[str, list[float]]:
    """Sixteen quarters from 2021 of each indicator, in 100 million yuan; of turnover 2024-Q2 is not known."""
    generator = np.random.default_rng(7)
    start = {
        "deposits": 1000,
        "loans": 800,
        "net_interest_income": 9,
        "fee_income": 3,
        "securities_turnover": 500,
        "premium_income": 40,
    }
    return {
        name: [round(float(level * 1.02**t * generator.uniform(0.9, 1.1)), 2) for t in range(16)]
        for name, level in start.items()
    }


def land_world(landing: Path) -> None:
    rows = []
    for name, values in levels().items():
        for t, value in enumerate(values[:14]):
            quarter = f"{YEARS[t // 4]}年第{'一二三四'[t % 4]}季度"
            basis, figure, unit = "期末", value, "亿元"
            if name in ("net_interest_income", "fee_income"):
                basis, figure, unit = "累计", sum(values[t - t % 4 : t + 1]) * 1e4, "万元"
            elif name in ("securities_turnover", "premium_income"):
                basis, figure, unit = "当季", value * 1e8, "元"
            if (name, t) != ("securities_turnover", 13):
                rows.append(f"{quarter},{NAMES[name]},{basis},{figure:.2f},{unit}")
    land(landing, "value_added_indicators", "20240731", INDICATORS, rows)
    land(landing, "value_added_accounts", "20230228", ACCOUNTS, [account(2022, d, "1", "初步核算") for d in INCOME])
    final = [account(2022, d, str(values[2022]), "最终核实", "30") for d, values in INCOME.items()]
    latest = [account(2023, d, str(values[2023]), "初步核算", "30") for d, values in INCOME.items()]
    land(landing, "value_added_accounts", "20240228", ACCOUNTS, [*final, *latest])
    prices = [
        f"{year}-Q{q},{name},10{q}"
        for year in YEARS
        for q in range(1, 5)
        for name in ("居民消费价格", "固定资产投资价格")
    ]
    land(landing, "price_indices", "20240731", PRICES, [row for row in prices if row != "2023-Q3,固定资产投资价格,103"])


def second_reading() -> dict[str, np.ndarray]:
    """Division → its quarters from 2022 on, unrounded."""
    known = {name: np.array(values) for name, values in levels().items()}
    deposits, loans = known["deposits"], known["loans"]
    income = known["net_interest_income"] + known["fee_income"]
    bank = list((deposits + loans)[:4])
    for t in range(4, 14):
        weights = deposits[t] + loans[t]
        growth = (deposits[t] / deposits[t - 4] - 1) * deposits[t] / weights
        growth += (loans[t] / loans[t - 4] - 1) * loans[t] / weights
        bank.append(bank[t - 4] * (1 + growth if t < 12 else income[t] / income[t - 4]))
    series = {"66": bank, "67": known["securities_turnover"][:13], "68": known["premium_income"][:14], "69": bank}
    found = {}
    for division, values in series.items():
        level = np.array(values[4:12])
        change = np.diff(np.eye(8), axis=0) / level
        adding_up = np.kron(np.eye(2), np.ones(4))
        scale = level.mean() ** -2
        system = np.block([[change.T @ change, scale * adding_up.T], [scale * adding_up, np.zeros((2, 2))]])
        constants = [0.0] * 8 + [scale * account for account in INCOME[division].values()]
        benchmarked = np.linalg.solve(system, constants)[:8]
        found[division] = np.array([*benchmarked, *(benchmarked[-1] / values[11] * np.array(values[12:]))])
    found["total"] = sum(values[:9] for values in found.values())
    return found


def test_a_whole_landing_agrees_with_a_second_reading(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    land_world(tmp_path / "landing")
    build(home, tmp_path / "landing")
    found = published(home)
    expected: dict[tuple[str, str, str], tuple[float | None, str]] = {}
    for member, values in second_reading().items():
        for year, status in ((2022, "A"), (2023, "P")):
            accounts = [income[year] for division, income in INCOME.items() if member in (division, "total")]
            output = 30 * len(accounts)
            expected["financial_value_added", str(year), member] = (sum(accounts), status)
            expected["financial_value_added_production", str(year), member] = (output, status)
            discrepancy = 100 * (output / sum(accounts) - 1)
            expected["financial_value_added_discrepancy", str(year), member] = (discrepancy, status)
        volumes = [value / (1 + (t % 4 + 1) / 100) for t, value in enumerate(values)]
        for t, value in enumerate(values):
            first = t - t % 4
            quarter, status = f"{2022 + t // 4}-Q{t % 4 + 1}", "APE"[t // 4]
            expected["financial_value_added", quarter, member] = (value, status)
            expected["financial_value_added_ytd", quarter, member] = (sum(values[first : t + 1]), status)
            if t >= 4:
                growth = 100 * (volumes[t] / values[t - 4] - 1)
                to_date = 100 * (sum(volumes[first : t + 1]) / sum(values[first - 4 : t - 3]) - 1)
                for metric_id, number, gaps in (("", growth, [6]), ("_ytd", to_date, [6, 7])):
                    key = (f"financial_value_added_volume_growth{metric_id}", quarter, member)
                    expected[key] = (None, "M") if t in gaps else (number, status)
    assert set(found) == set(expected)
    assert {key: status for key, (_, status) in found.items()} == {key: status for key, (_, status) in expected.items()}
    for key, (number, _) in expected.items():
        value = found[key][0]
        if number is None:
            assert value is None, key
        else:
            assert value is not None and float(value) == pytest.approx(number, rel=1e-9, abs=2e-6), key
    for member in (*DIVISIONS, "total"):
        of_2022 = [found["financial_value_added", f"2022-Q{q}", member][0] or 0 for q in range(1, 5)]
        assert sum(of_2022) == found["financial_value_added", "2022", member][0]
