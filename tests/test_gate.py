"""The gate: each suite is seen accepting and refusing."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import duckdb
import pytest

from expectations import gate as gates
from expectations.observations import COLUMNS
from expectations.rules import Rule, rules_of_suites
from hfc import pipeline
from hfc.home import GateFailed, HfcError, Home, UsageError, sha256_of, write_json
from tests.test_publish import hfc, make_candidate, published

OBSERVATION = "UPDATE published.metric_observation SET {} WHERE period = '2024-05'"
# The last delivery of a feed with amounts.
LATEST = """delivery_id = (
    SELECT delivery_id FROM lake.delivery
    WHERE feed IN ('fund_commitments', 'tax_collections') AND outcome = 'loaded'
    ORDER BY feed DESC, published_on DESC LIMIT 1
)"""
FIRST_FILE = "file = (SELECT min(file) FROM published.delivery_outcome)"
NULL, SET, FORM = "values_to_be_null", "values_to_be_in_set", "values_to_match_regex"

# By suite, rule and column: what breaks the rule, and a text that its check has to say.
FAULTS = {
    ("batch", NULL, "share_fault"): (
        f"UPDATE lake.delivery SET rows_quarantined = rows_in // 5 + 1 WHERE {LATEST}",
        "fund_commitments/7",
    ),
    ("batch", NULL, "future_fault"): (
        f"UPDATE lake.batch SET last_day = (SELECT published_on + 1 FROM lake.delivery WHERE {LATEST}) WHERE {LATEST}",
        "fund_commitments/7",
    ),
    ("batch.mirror", NULL, "rows_fault"): (f"DELETE FROM lake.batch WHERE {LATEST}", "fund_commitments/7.csv"),
    ("batch.history", NULL, "size_fault"): (
        f"UPDATE lake.batch SET lake_rows = (SELECT 10001 + 20 * sum(lake_rows) FROM lake.batch) WHERE {LATEST}; "
        f"UPDATE lake.delivery SET rows_accepted = (SELECT max(lake_rows) FROM lake.batch) WHERE {LATEST}",
        "1 of 1 rows: fund_commitments/7.csv",
    ),
    ("batch.history", NULL, "unit_fault"): (
        f"UPDATE lake.batch SET greatest_yuan = 1000 * (SELECT max(greatest_yuan) FROM lake.batch) WHERE {LATEST}",
        "1 of 1 rows: fund_commitments/7.csv",
    ),
    ("metric_observation.columns", "columns_to_match_ordered_list", ", ".join(COLUMNS)): (
        "ALTER TABLE published.metric_observation ADD COLUMN taxpayer VARCHAR",
        "taxpayer",
    ),
    ("metric_observation", NULL, "plausible_fault"): (
        OBSERVATION.format("value = 2000000"),
        "fund_subscribed M 2024-05",
    ),
    ("metric_observation", NULL, "value_fault"): (OBSERVATION.format("value = NULL"), "2024-05"),
    ("metric_observation", NULL, "period_fault"): (OBSERVATION.format("frequency = 'A'"), "2024-05"),
    ("metric_observation", NULL, "dictionary_fault"): (OBSERVATION.format("metric_id = 'unknown'"), "unknown"),
    ("metric_observation", SET, "obs_status"): (OBSERVATION.format("obs_status = 'X'"), "X"),
    ("metric_observation", SET, "conf_status"): (OBSERVATION.format("conf_status = 'N'"), "N"),
    ("metric_observation", SET, "frequency"): (OBSERVATION.format("frequency = 'W'"), "W"),
    ("metric_observation", FORM, "period"): (OBSERVATION.format("period = '2024-5'"), "2024-5"),
    ("metric_observation.domains", NULL, "taxpayer_fault"): (
        OBSERVATION.format("metric_id = 'financial_tax_revenue'"),
        "financial_tax_revenue 2024-05",
    ),
    ("plan_target", "row_count_to_equal", None): (
        "DELETE FROM published.plan_target WHERE target_id = '2026_tax'",
        "37",
    ),
    ("plan_target", "be_unique", "target_id"): ("UPDATE published.plan_target SET target_id = '2026_tax'", "38 of 38"),
    ("plan_attainment", "row_count_to_equal", None): (
        "DELETE FROM published.plan_attainment WHERE target_id = '2026_tax'",
        "37",
    ),
    ("plan_attainment", "be_unique", "target_id"): (
        "UPDATE published.plan_attainment SET target_id = '2026_tax'",
        "38 of 38",
    ),
    ("plan_attainment", SET, "status"): ("UPDATE published.plan_attainment SET status = 'fine'", "fine"),
    ("plan_attainment", NULL, "target_fault"): (
        "UPDATE published.plan_attainment SET target_id = concat('x', target_id)",
        "x2",
    ),
    ("duty_board", FORM, "month"): ("UPDATE published.duty_board SET month = '2024-13'", "2024-13"),
    ("duty_board", SET, "status"): ("UPDATE published.duty_board SET status = 'fine'", "fine"),
    ("duty_board", NULL, "report_fault"): ("UPDATE published.duty_board SET reported_month = '2025-01'", "2025-01"),
    ("duty_measure_observation", FORM, "month"): (
        "UPDATE published.duty_measure_observation SET month = '2024'",
        "2024",
    ),
    ("duty_measure_observation", NULL, "label_fault"): (
        "UPDATE published.duty_measure_observation SET label_en = NULL",
        "firms_visited",
    ),
    ("unit_scorecard", FORM, "month"): ("UPDATE published.unit_scorecard SET month = '2024-1'", "2024-1"),
    ("unit_scorecard", NULL, "overdue_fault"): ("UPDATE published.unit_scorecard SET lead_done = 25", "甲 2024-12"),
    ("official_reconciliation", NULL, "computed_fault"): (
        "UPDATE published.official_reconciliation SET computed_value = official_value - 1",
        "fund_subscribed 2024-05",
    ),
    ("official_reconciliation", NULL, "compared_fault"): (
        "UPDATE published.official_reconciliation SET is_within_tolerance = NULL",
        "fund_subscribed 2024-05",
    ),
    ("delivery_outcome", "to_be_between", "unaccounted"): (
        f"UPDATE published.delivery_outcome SET rows_in = rows_in + 1 WHERE {FIRST_FILE}",
        "1 of 7 rows: 1",
    ),
    ("delivery_outcome", "to_be_between", "fewest"): (
        "UPDATE published.delivery_outcome SET rows_duplicate = -1, rows_in = rows_accepted + rows_quarantined - 1 "
        f"WHERE {FIRST_FILE}",
        "-1",
    ),
    ("delivery_outcome", SET, "outcome"): ("UPDATE published.delivery_outcome SET outcome = 'lost'", "lost"),
    ("public_series", SET, "obs_status"): ("UPDATE published.public_series SET obs_status = 'Z'", "Z"),
    ("public_series", NULL, "value_fault"): ("UPDATE published.public_series SET value = NULL", "gdp"),
    ("release", "row_count_to_equal", None): ("DELETE FROM published.release", "0"),
    ("release", SET, "release_id"): ("UPDATE published.release SET release_id = 'r0'", "r0"),
    ("value_added.discrepancy", NULL, "discrepancy_fault"): (
        "INSERT INTO published.metric_observation SELECT * REPLACE ('financial_value_added_discrepancy' AS metric_id, "
        "'1999' AS period, -2.0000000001 AS value, 'A' AS obs_status, 'F' AS conf_status, 'A' AS frequency) "
        "FROM published.metric_observation LIMIT 1",
        "-2.0000 %",
    ),
    ("metric_revision", NULL, "note_fault"): (
        "UPDATE published.metric_revision SET is_explained = false, value = NULL",
        "fund_subscribed 2024-02 total total: 24.0000000000 became missing",
    ),
}
# Other ways to break a rule.
MORE_FAULTS = [
    (("metric_observation", NULL, "value_fault"), OBSERVATION.format("conf_status = 'C'"), "2024-05"),
    (("duty_board", NULL, "report_fault"), "UPDATE published.duty_board SET reported_month = NULL", "no month"),
    (
        ("delivery_outcome", "to_be_between", "unaccounted"),
        "UPDATE published.delivery_outcome SET rows_duplicate = NULL",
        "-1",
    ),
    (("release", "row_count_to_equal", None), "INSERT INTO published.release FROM published.release", "2"),
]


def fault_of(rule: Rule) -> tuple[str, str]:
    """What breaks a rule, and what its check has to say: by the table above, or by the rule's kind."""
    kind = rule.expectation.removeprefix("expect_column_").removeprefix("expect_table_")
    if rule.expectation == "expect_column_values_to_not_be_null":
        return f"UPDATE published.{rule.suite} SET {rule.column} = NULL", "rows"
    if rule.expectation == "expect_compound_columns_to_be_unique":
        return f"INSERT INTO published.{rule.suite} FROM published.{rule.suite} LIMIT 1", "2 of"
    kind = "be_unique" if kind == "values_to_be_unique" else "to_be_between" if kind == "values_to_be_between" else kind
    return FAULTS[rule.suite, kind, rule.column]


def declared() -> list[Rule]:
    """Every rule that the suites declare."""
    return rules_of_suites(gates.declared_suites("r1"))


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


def verdict_on(home: Home, rule: Rule, statement: str) -> tuple[gates.Check, gates.Gate]:
    """What the suite of a rule says of a candidate changed by a statement: the rule's check, and the whole verdict."""
    make_candidate(home, extra=statement)
    suites = [suite for suite in gates.declared_suites("r1") if suite.name == rule.suite]
    checks = gates.judge(home, suites, "r1")
    verdict = gates.conclude("r1", "0", [each.check_id for each in rules_of_suites(suites)], checks)
    return next(check for check in checks if check.check_id == rule.check_id), verdict


@pytest.mark.parametrize("rule", declared(), ids=lambda rule: rule.check_id)
def test_every_rule_is_seen_broken_and_stops_the_candidate(home: Home, rule: Rule) -> None:
    statement, text = fault_of(rule)
    check, verdict = verdict_on(home, rule, statement)
    assert check.executed and not check.success and text in check.observed
    assert not verdict.passed and verdict.executed == verdict.declared
    assert verdict.held == (rule.severity == "warn")


@pytest.mark.parametrize(("key", "statement", "text"), MORE_FAULTS)
def test_other_ways_to_break_a_rule(home: Home, key: tuple[str, str, str | None], statement: str, text: str) -> None:
    rule = next(
        rule for rule in declared() if rule.suite == key[0] and rule.column == key[2] and key[1] in rule.expectation
    )
    check, verdict = verdict_on(home, rule, statement)
    assert not check.success and text in check.observed and not verdict.passed


# Rows and greatest amounts of the deliveries of a feed, in their order, and what holds the last of them.
HISTORIES = {
    "rows beyond twenty times all before": ([200] * 6 + [24001], [5000] * 7, "size_fault"),
    "rows beyond twenty times five deliveries": ([100] * 5 + [10001], [5000] * 6, "size_fault"),
    "an amount of a thousand times": ([200] * 7, [5000] * 6 + [5000000], "unit_fault"),
    "an amount of a thousand times after five deliveries": ([20] * 6, [5000] * 5 + [5000000], "unit_fault"),
    "twenty times the rows": ([200] * 6 + [24000], [5000] * 7, None),
    "ten thousand rows": ([1] * 5 + [10000], [5000] * 6, None),
    "less than a thousand times": ([200] * 7, [5000] * 6 + [4999999], None),
    "a backlog behind a small first delivery": ([1, 1000000], [10, 10**12], None),
    "four deliveries before": ([100] * 4 + [1000000], [10] * 4 + [10**12], None),
    "few rows before": ([19] * 6, [10] * 5 + [10**12], None),
    "twice as much each time": ([1000 * 2**n for n in range(12)], [100 * 2**n for n in range(12)], None),
    "ten times as much each time": ([10**n for n in range(9)], [10 ** (n + 2) for n in range(9)], None),
    "a year in one delivery after its months": ([3000] * 12 + [36000], [5000] * 12 + [60000], None),
    "nothing but zero before": ([200] * 7, [0] * 6 + [5000000], None),
    "a feed without amounts": ([200] * 7, ["NULL"] * 7, None),
}


@pytest.mark.parametrize("history", HISTORIES)
def test_only_far_more_than_five_or_more_deliveries_holds(home: Home, history: str) -> None:
    rows, amounts, fault = HISTORIES[history]
    values = ", ".join(
        f"({n}, {row}, {yuan})" for n, (row, yuan) in enumerate(zip(rows, amounts, strict=True), start=1)
    )
    make_candidate(
        home,
        extra=f"""
        CREATE TABLE told AS FROM (VALUES {values}) AS told (n, lake_rows, yuan);
        CREATE OR REPLACE TABLE lake.delivery AS SELECT
            n::VARCHAR AS delivery_id, n AS seq, 'fund_commitments' AS feed, format('{{}}.csv', n) AS file,
            DATE '2024-01-01' + n::INTEGER AS published_on, 'loaded' AS outcome
        FROM told;
        CREATE OR REPLACE TABLE lake.batch AS SELECT
            n::VARCHAR AS delivery_id, lake_rows, yuan::DECIMAL(38, 16) AS greatest_yuan
        FROM told;
        """,
    )
    suites = [suite for suite in gates.declared_suites("r1") if suite.name == "batch.history"]
    checks = gates.judge(home, suites, "r1")
    assert {check.column: check.observed for check in checks if not check.success} == (
        {fault: f"1 of 1 rows: fund_commitments/{len(rows)}.csv"} if fault else {}
    )


def test_no_fault_is_of_a_rule_that_is_not_declared() -> None:
    known = {(rule.suite, rule.column) for rule in declared()}
    assert {(suite, column) for suite, _, column in FAULTS} <= known


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
    build = json.loads(record.read_text(encoding="utf-8")) | {"tests_declared": ["dbt/unique_key"]}
    write_json(record, build | {"tests": [sound | test for test in tests]})
    with pytest.raises(GateFailed):
        gates.gate(home)
    write_json(record, build | {"tests": [sound]})
    assert gates.gate(home).passed


def test_checks_that_were_left_out_are_not_passed(home: Home) -> None:
    make_candidate(home)
    suites = gates.declared_suites("r1")
    checks = gates.judge(home, suites, "r1")
    ids = [rule.check_id for rule in rules_of_suites(suites)]
    assert gates.conclude("r1", "0", ids, checks).passed
    for ledger in (checks[1:], checks[:-1], [*checks[:-1], checks[0]], [*checks, checks[0]]):
        verdict = gates.conclude("r1", "0", ids, ledger)
        assert not verdict.passed and not verdict.held
    assert not gates.conclude("r1", "0", [], []).passed


def test_a_row_that_is_deleted_from_the_ledger_refuses(home: Home) -> None:
    make_candidate(home)
    assert gates.gate(home).passed
    kept = json.loads(gates.gate_file(home).read_text(encoding="utf-8"))
    del kept["checks"][3]
    write_json(gates.gate_file(home), kept)
    with pytest.raises(GateFailed, match="nothing was published"):
        pipeline.publish(home)


def test_a_suite_that_raises_refuses(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    make_candidate(home)
    suites = gates.declared_suites("r1")
    for query in ("SELECT no_such_column FROM published.release", "SELECT 1 AS other"):
        suite = replace(suites[0], query=query)
        with monkeypatch.context() as patch:
            patch.setattr(gates, "declared_suites", lambda _, suite=suite: [suite, *suites[1:]])
            with pytest.raises(GateFailed, match="declared checks could be executed"):
                gates.gate(home)

    def fail(*_: object) -> None:
        raise RuntimeError("no suite today")

    with monkeypatch.context() as patch:
        patch.setattr(gates, "evaluate", fail)
        with pytest.raises(GateFailed, match="no suite today"):
            gates.gate(home)


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
