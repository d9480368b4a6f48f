"""The gate: each suite is seen accepting and refusing."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import duckdb
import pytest

from expectations import gate as gates
from hfc import pipeline
from hfc.home import GateFailed, HfcError, Home, UsageError, sha256_of, write_json
from tests.test_publish import hfc, make_candidate, published

OBSERVATION = "UPDATE published.metric_observation SET {} WHERE period = '2024-05'"

# What is broken; the suite and the column whose check has to say so; a text that the message has to hold.
FAULTS = [
    (OBSERVATION.format("value = 2000000"), "metric_observation", "plausible_fault", "fund_subscribed M 2024-05"),
    (OBSERVATION.format("value = NULL"), "metric_observation", "value_fault", "2024-05"),
    (OBSERVATION.format("conf_status = 'C'"), "metric_observation", "value_fault", "2024-05"),
    (OBSERVATION.format("obs_status = NULL"), "metric_observation", "obs_status", "1 of 12"),
    (OBSERVATION.format("obs_status = 'X'"), "metric_observation", "obs_status", "X"),
    (OBSERVATION.format("conf_status = 'N'"), "metric_observation", "conf_status", "N"),
    (OBSERVATION.format("frequency = 'W'"), "metric_observation", "frequency", "W"),
    (OBSERVATION.format("frequency = 'A'"), "metric_observation", "period_fault", "2024-05"),
    (OBSERVATION.format("period = '2024-5'"), "metric_observation", "period", "2024-5"),
    (OBSERVATION.format("metric_id = 'unknown'"), "metric_observation", "dictionary_fault", "unknown"),
    (
        "INSERT INTO published.metric_observation FROM published.metric_observation LIMIT 1",
        "metric_observation",
        "metric_id, frequency, period, dimension, member",
        "2024-01",
    ),
    (
        "ALTER TABLE published.metric_observation ADD COLUMN taxpayer VARCHAR",
        "metric_observation.columns",
        "metric_id, frequency, period, period_end, dimension, member, value, unit, obs_status, conf_status, as_of",
        "taxpayer",
    ),
    ("DELETE FROM published.plan_target WHERE target_id = '2026_tax'", "plan_target", None, "37"),
    ("UPDATE published.plan_target SET target_id = '2026_tax'", "plan_target", "target_id", "38 of 38"),
    ("DELETE FROM published.plan_attainment WHERE target_id = '2026_tax'", "plan_attainment", None, "37"),
    ("UPDATE published.plan_attainment SET status = 'fine'", "plan_attainment", "status", "fine"),
    ("UPDATE published.plan_attainment SET status = NULL", "plan_attainment", "status", "38 of 38"),
    (
        "UPDATE published.plan_attainment SET target_id = concat('x', target_id)",
        "plan_attainment",
        "target_fault",
        "x2",
    ),
    (
        "INSERT INTO published.duty_board FROM published.duty_board WHERE duty_no = 7",
        "duty_board",
        "duty_no, month",
        "7",
    ),
    ("UPDATE published.duty_board SET month = '2024-13'", "duty_board", "month", "2024-13"),
    ("UPDATE published.duty_board SET status = 'fine'", "duty_board", "status", "fine"),
    ("UPDATE published.duty_board SET status = NULL", "duty_board", "status", "25 of 25"),
    ("UPDATE published.duty_board SET measures_zh = NULL WHERE duty_no = 7", "duty_board", "measures_zh", "1 of 25"),
    ("UPDATE published.duty_board SET reported_month = '2025-01'", "duty_board", "report_fault", "2025-01"),
    ("UPDATE published.duty_board SET reported_month = NULL", "duty_board", "report_fault", "no month"),
    (
        "INSERT INTO published.duty_measure_observation FROM published.duty_measure_observation",
        "duty_measure_observation",
        "duty_no, measure_id, month",
        "firms_visited",
    ),
    (
        "UPDATE published.duty_measure_observation SET month = '2024'",
        "duty_measure_observation",
        "month",
        "2024",
    ),
    (
        "UPDATE published.duty_measure_observation SET printed_unit = NULL",
        "duty_measure_observation",
        "printed_unit",
        "1 of 1",
    ),
    (
        "UPDATE published.duty_measure_observation SET label_en = NULL",
        "duty_measure_observation",
        "label_fault",
        "firms_visited",
    ),
    (
        "INSERT INTO published.unit_scorecard FROM published.unit_scorecard",
        "unit_scorecard",
        "unit_name, month",
        "甲",
    ),
    ("UPDATE published.unit_scorecard SET month = '2024-1'", "unit_scorecard", "month", "2024-1"),
    ("UPDATE published.unit_scorecard SET lead_done = 25", "unit_scorecard", "overdue_fault", "甲 2024-12"),
    (
        "INSERT INTO published.official_reconciliation FROM published.official_reconciliation",
        "official_reconciliation",
        "metric_id, period",
        "fund_subscribed",
    ),
    (
        "UPDATE published.official_reconciliation SET citation = NULL",
        "official_reconciliation",
        "citation",
        "1 of 1",
    ),
    (
        "UPDATE published.official_reconciliation SET computed_value = official_value - 1",
        "official_reconciliation",
        "computed_fault",
        "fund_subscribed 2024-05",
    ),
    ("UPDATE published.delivery_outcome SET rows_in = 11", "delivery_outcome", "unaccounted", "1"),
    ("UPDATE published.delivery_outcome SET rows_duplicate = NULL", "delivery_outcome", "unaccounted", "-1"),
    ("UPDATE published.delivery_outcome SET outcome = 'lost'", "delivery_outcome", "outcome", "lost"),
    (
        "INSERT INTO published.public_series FROM published.public_series",
        "public_series",
        "provider, dataset, series_key, period",
        "gdp",
    ),
    ("UPDATE published.public_series SET obs_status = 'Z'", "public_series", "obs_status", "Z"),
    ("UPDATE published.public_series SET value = NULL", "public_series", "value_fault", "gdp"),
    ("INSERT INTO published.release FROM published.release", "release", None, "2"),
    ("DELETE FROM published.release", "release", None, "0"),
    ("UPDATE published.release SET release_id = 'r0'", "release", "release_id", "r0"),
]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home."""
    return Home(tmp_path / "home")


def assert_data_docs_are_whole(home: Home) -> None:
    """Data Docs have a start page, which leads to one page on each suite of this gate and no earlier one."""
    docs = gates.docs_folder(home)
    start = (docs / "index.html").read_text(encoding="utf-8")
    pages = list(docs.glob("validations/**/*.html"))
    assert {page.stem for page in pages} == {f"candidate-{suite.name}" for suite in gates.declared_suites("r1")}
    assert len(pages) == len(gates.declared_suites("r1"))
    assert all(page.relative_to(docs).as_posix() in start for page in pages)


def test_a_good_candidate_passes_and_can_be_published(home: Home) -> None:
    make_candidate(home)
    verdict = gates.gate(home)
    assert verdict.passed and verdict.declared == verdict.executed == len(verdict.checks) > 30
    kept = json.loads(gates.gate_file(home).read_text(encoding="utf-8"))
    assert kept["passed"] is True and kept["candidate_sha256"] == sha256_of(home.candidate)
    assert "passed" in gates.report_file(home).read_text(encoding="utf-8")
    assert_data_docs_are_whole(home)
    assert pipeline.publish(home).created
    gates.gate(home)
    assert_data_docs_are_whole(home)


@pytest.mark.parametrize(("statement", "suite", "column", "text"), FAULTS)
def test_each_fault_is_refused_by_its_check(
    home: Home, statement: str, suite: str, column: str | None, text: str
) -> None:
    make_candidate(home, extra=statement)
    with pytest.raises(GateFailed, match="report.html"):
        gates.gate(home)
    kept = json.loads(gates.gate_file(home).read_text(encoding="utf-8"))
    failed = [check for check in kept["checks"] if not check["success"]]
    assert any(c["suite"] == suite and c["column"] == column and text in c["observed"] for c in failed), failed
    assert kept["passed"] is False and kept["declared"] == kept["executed"]


def test_a_failed_gate_leaves_the_pointer(home: Home) -> None:
    published(home)
    make_candidate(home, "r2", extra="UPDATE published.delivery_outcome SET rows_in = 99")
    shown = hfc(home, "gate", "--json")
    assert shown.returncode == 3 and json.loads(shown.stdout)["passed"] is False
    assert "unaccounted" in shown.stderr and "report.html" in shown.stderr
    with pytest.raises(HfcError, match="nothing was published"):
        pipeline.publish(home)
    assert os.readlink(home.current) == "releases/r1"


def test_what_cannot_be_evaluated_is_not_passed(home: Home) -> None:
    make_candidate(home, extra="DROP TABLE published.public_series")
    with pytest.raises(GateFailed, match="declared checks could be executed"):
        gates.gate(home)
    kept = json.loads(gates.gate_file(home).read_text(encoding="utf-8"))
    assert kept["executed"] < kept["declared"] == len(kept["checks"])


def test_an_official_figure_that_ours_misses_is_told_and_stops_nothing(home: Home) -> None:
    missed = "UPDATE published.official_reconciliation SET official_value = 70, is_within_tolerance = false"
    make_candidate(home, extra=missed)
    failed = [check for check in gates.gate(home).checks if not check.success]
    assert [(check.suite, check.column) for check in failed] == [
        ("official_reconciliation.tolerance", "tolerance_fault")
    ]
    assert "fund_subscribed 2024-05: computed 62.5" in failed[0].observed


def test_a_warning_is_published_and_stops_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = gates.declared_suites
    monkeypatch.setattr(
        gates, "declared_suites", lambda name: [replace(suite, severity="warn", level=2) for suite in declared(name)]
    )
    make_candidate(home, extra=OBSERVATION.format("value = 2000000"))
    assert gates.gate(home).passed and "warned" in gates.report_file(home).read_text(encoding="utf-8")
    release = pipeline.publish(home).path
    rows = duckdb.sql(
        f"FROM '{release}/parquet/data_quality.parquet' WHERE outcome != 'passed' AND suite = 'metric_observation'"
    ).fetchall()
    assert [
        (check, level, severity, executed, outcome) for check, *_, level, severity, executed, outcome, _, _ in rows
    ] == [("metric_observation/expect_column_values_to_be_null/plausible_fault", 2, "warn", True, "warned")]


def test_every_declared_check_is_published(home: Home) -> None:
    make_candidate(home)
    verdict = gates.gate(home)
    release = pipeline.publish(home).path
    with duckdb.connect(str(release / "hfc.duckdb"), read_only=True) as connection:
        counts = connection.execute("SELECT count(*), count(DISTINCT check_id) FROM published.data_quality").fetchall()
        levels = connection.execute("SELECT DISTINCT level FROM published.data_quality ORDER BY level").fetchall()
        limits = connection.execute(
            "SELECT observed, \"limit\" FROM published.data_quality WHERE check_id LIKE 'plan_target/%row_count%'"
        ).fetchall()
        comments = connection.execute(
            "SELECT count(comment) = count(*) FROM duckdb_columns() WHERE table_name = 'data_quality'"
        ).fetchall()
    assert counts == [(verdict.declared, verdict.declared)] and {(0,), (1,)} < set(levels)
    assert limits == [("38", '{"value": 38}')] and comments == [(True,)]


@pytest.mark.parametrize("tests", [[], [{"success": False}], [{"executed": False}]])
def test_a_dbt_test_that_failed_or_never_ran_refuses(home: Home, tests: list[dict[str, bool]]) -> None:
    make_candidate(home)
    record = home.warehouse / "build.json"
    sound = asdict(gates.Check("dbt", "unique_key", None, True, "0 rows"))
    build = json.loads(record.read_text(encoding="utf-8")) | {"tests_declared": 1}
    write_json(record, build | {"tests": [sound | test for test in tests]})
    with pytest.raises(GateFailed):
        gates.gate(home)
    write_json(record, build | {"tests": [sound]})
    assert gates.gate(home).passed


def test_checks_that_were_left_out_are_not_passed(home: Home) -> None:
    make_candidate(home)
    suites = gates.declared_suites("r1")
    checks = gates.judge(home, suites[:-1], "r1")
    assert all(check.success for check in checks)
    declared = sum(len(suite.expectations) for suite in suites)
    assert gates.conclude("r1", "0", len(checks), checks).passed
    assert not gates.conclude("r1", "0", declared, checks).passed
    assert not gates.conclude("r1", "0", 0, []).passed


def test_a_suppressed_value_is_not_told(home: Home) -> None:
    make_candidate(home, extra=OBSERVATION.format("value = 7654321, conf_status = 'C'"))
    with pytest.raises(GateFailed) as refused:
        gates.gate(home)
    assert_data_docs_are_whole(home)
    written = [gates.gate_file(home), gates.report_file(home), *gates.docs_folder(home).rglob("*.html")]
    assert "7654321" not in str(refused.value) + "".join(path.read_text(encoding="utf-8") for path in written)


def test_without_a_candidate_the_way_out_is_named(home: Home) -> None:
    with pytest.raises(UsageError, match="run hfc build first"):
        gates.gate(home)
