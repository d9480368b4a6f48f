"""Financial value-added: the series in detail, the reference example, and a whole landing against a second reading."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import oracle
import pytest
import worlds
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
def test_growth_from_or_of_what_is_missing_or_nothing_is_missing(now: str, before: str, growth_of: str) -> None:
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
    years = [indicator("10", "10")] * 4 + [indicator("5", "10", coefficient="2")]
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


# --- Whole landings, against the independent calculation --------------------------------------------------------------

COLUMNS = "metric_id, frequency, period, period_end, dimension, member, value, unit, obs_status, conf_status, as_of"


def land_three_years(landing: Path) -> None:
    """Growing indicators from 2021 to 2024-Q2 in all units and bases, without the last turnover and one price."""
    flows = {"利息净收入": 9, "手续费及佣金净收入": 3, "证券交易额": 500, "保费收入": 40}
    rows = []
    for t in range(14):
        quarter = f"{2021 + t // 4}年第{'一二三四'[t % 4]}季度"
        rows += [
            f"{quarter},存款余额,期末,{1000 + 17 * t},亿元",
            f"{quarter},贷款余额,期末,{8000000 + 210000 * t},万元",
        ]
        for name, start in flows.items():
            values = [start * (100 + 3 * u + 7 * (u % 4)) for u in range(t - t % 4, t + 1)]
            ytd = name not in ("证券交易额", "保费收入")
            rows.append(
                f"{quarter},{name},累计,{sum(values)},万元" if ytd else f"{quarter},{name},当季,{values[-1]},亿元"
            )
    land(
        landing,
        "value_added_indicators",
        "20240731",
        INDICATORS,
        [row for row in rows if "2024年第二季度,证券" not in row],
    )
    income = {"66": ("60.1234567", "66.5"), "67": ("12.3", "11.1"), "68": ("20.0000001", "23.4"), "69": ("5.5", "7.7")}
    first = [account(2022, division, "1", "初步核算") for division in income]
    final = [account(2022, division, values[0], "最终核实", "30") for division, values in income.items()]
    latest = [account(2023, division, values[1], "初步核算", "30") for division, values in income.items()]
    land(landing, "value_added_accounts", "20230228", ACCOUNTS, first)
    land(landing, "value_added_accounts", "20240228", ACCOUNTS, [*final, *latest])
    names = ("居民消费价格", "固定资产投资价格")
    prices = [f"{year}-Q{q},{name},10{q}" for year in (2022, 2023, 2024) for q in range(1, 5) for name in names]
    land(landing, "price_indices", "20240731", PRICES, [row for row in prices if row != "2023-Q3,固定资产投资价格,103"])


def assert_agrees(home: Home, landing: Path) -> None:
    """Every row of value-added, exactly as calculated independently."""
    with duckdb.connect(str(home.candidate), read_only=True) as candidate:
        rows = candidate.execute(
            f"SELECT {COLUMNS} FROM published.metric_observation WHERE metric_id LIKE 'financial_value_added%'"
        ).fetchall()
    expected = [row for row in oracle.compute(landing).observations if row[0].startswith("financial_value_added")]
    assert sorted(rows) == sorted(expected)


def test_three_years_of_every_case(tmp_path: Path) -> None:
    home, landing = Home(tmp_path / "home"), tmp_path / "landing"
    land_three_years(landing)
    build(home, landing)
    assert_agrees(home, landing)
    found = published(home)
    quarters = {
        member: [period for metric_id, period, of in found if (metric_id, of) == ("financial_value_added_ytd", member)]
        for member in ("66", "67", "total")
    }
    # Nothing before the first account; turnover ends with 2024-Q1, and the total with it.
    assert (quarters["66"][0], quarters["66"][-1], quarters["67"][-1]) == ("2022-Q1", "2024-Q2", "2024-Q1")
    assert quarters["total"] == quarters["67"]
    statuses = [found["financial_value_added", period, "66"][1] for period in ("2022", "2022-Q4", "2023-Q1", "2024-Q1")]
    assert statuses == ["A", "A", "P", "E"]
    growth = [found["financial_value_added_volume_growth", f"2023-Q{q}", "total"][1] for q in (2, 3, 4)]
    to_date = [found["financial_value_added_volume_growth_ytd", f"2023-Q{q}", "total"][1] for q in (2, 3, 4)]
    assert (growth, to_date) == (["P", "M", "P"], ["P", "M", "M"])
    of_2022 = [found["financial_value_added", f"2022-Q{q}", "66"][0] or 0 for q in range(1, 5)]
    assert sum(of_2022) == found["financial_value_added", "2022", "66"][0] == Decimal("60.123457")


def test_a_random_zone(tmp_path: Path) -> None:
    home, landing = Home(tmp_path / "home"), tmp_path / "landing"
    worlds.write_zone(landing, seed=2, size=3)
    for folder in landing.iterdir():
        if folder.name not in ("value_added_accounts", "value_added_indicators", "price_indices"):
            shutil.rmtree(folder)
    build(home, landing)
    assert_agrees(home, landing)
