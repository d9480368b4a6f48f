"""Every test of dbt_project is seen failing: a sound candidate is corrupted, and the test has to say so."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import duckdb
import pytest
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.artifacts.schemas.run import RunExecutionResult
from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest

from expectations import dbt_tests
from expectations.gate import Check
from expectations.rules import rules_of_dbt
from hfc import pipeline, warehouse
from hfc.home import GateFailed, HfcError, Home
from hfc.simulate import simulate
from hfc.warehouse import PROJECT, refuse

KINDS = ("never_null", "not_null", "unique", "unique_each", "accepted_values", "relationships")
VIEWS = "SELECT schema_name || '.' || view_name FROM duckdb_views() WHERE NOT internal"

# A sound row of the tables that are empty otherwise.
CORRECTION = """
INSERT INTO seeds.correction VALUES
    ('c', 'activities', '{"activity_id": "a"}', 'title', 'wrong', 'right', 'because', DATE '2022-01-01', DATE '2023-01-01');
INSERT INTO lake.correction VALUES ('c', true);
"""
HEAD_OFFICE = """
INSERT INTO seeds.tax_sharing_override VALUES ('91999999MA0000001X', 'corporate_income', 'head_office', 'made up');
"""
# The first release revises nothing.
REVISION = """
INSERT INTO published.metric_revision BY NAME
    SELECT o.* EXCLUDE (period_end, unit, obs_status, conf_status), value AS previous_value, 0 AS difference,
        obs_status AS previous_obs_status, as_of - 1 AS previous_as_of, true AS was_settled, true AS is_explained
    FROM published.metric_observation AS o WHERE value > 0 LIMIT 1;
"""
# Until its metrics are computed, a wide mart is empty.
MARTS = """
INSERT INTO published.{mart} BY NAME SELECT 'A' AS frequency, '1999' AS period, DATE '1999-12-31' AS period_end,
    'total' AS dimension, 'total' AS member, '合计' AS member_zh, 'Total' AS member_en, 'A' AS obs_status,
    'F' AS conf_status, DATE '2023-01-08' AS as_of
WHERE NOT EXISTS (FROM published.{mart});
"""

# The tests that a bad value in one column, or a repeated row, does not break; and what breaks each.
FAULTS = {
    "area_code_has_six_digits": "UPDATE seeds.area SET area_code = left(area_code, 5)",
    "attainment_status_symbol_is_one_character": "UPDATE seeds.attainment_status SET symbol = '??' WHERE sort = 6",
    "categories_sum_to_total": """
        UPDATE published.metric_observation SET value = value + 1
        WHERE metric_id = 'institutions_resident' AND period = '2022-Q3' AND member = 'fund'
    """,
    "correction_finds_the_value_it_expects": "UPDATE lake.correction SET matches = false",
    "delivery_outcome_conserves_rows": "UPDATE published.delivery_outcome SET rows_in = rows_in + 1",
    "duties_counted_three_ways_are_the_same": "UPDATE published.unit_scorecard SET lead_done = lead_done + 1",
    "disclosure_rule_is_not_below_zero": "UPDATE seeds.disclosure_rule SET percent = -10",
    "duty_board_has_every_duty_a_month": "DELETE FROM published.duty_board WHERE duty_no = 7 AND month = '2022-07'",
    "duty_board_overdue_days_have_a_due_date_and_no_done_duty": "UPDATE published.duty_board SET due_date = NULL",
    "duty_measure_bounds_are_ordered": "UPDATE seeds.duty_measure SET high = low",
    "duty_measure_observation_without_a_value_says_why": "UPDATE published.duty_measure_observation SET value = NULL",
    "every_duty_has_a_measure": "DELETE FROM seeds.duty_measure WHERE duty_no = 7",
    "duties_are_numbered_from_one": "UPDATE seeds.duty SET duty_no = 26 WHERE duty_no = 25",
    "duty_section_has_one_title": "UPDATE seeds.duty SET section_title_zh = 'other' WHERE duty_no = 1",
    "fund_capital_grows_by_what_is_subscribed": """
        UPDATE published.metric_observation SET value = value + 0.0000000003
        WHERE metric_id = 'fund_subscribed' AND period = '2022-07'
    """,
    "fund_capital_repeats_the_observations": "UPDATE published.fund_capital SET fund_subscribed_cny_100m = 1",
    "institution_counts_repeats_the_observations": """
        DELETE FROM published.institution_counts WHERE period = '2022-07' AND member = 'fund'
    """,
    "institutions_ever_admitted_grow_by_those_admitted": """
        DELETE FROM published.metric_observation
        WHERE metric_id = 'institutions_admitted' AND period = '2022-07' AND member = 'total'
    """,
    "int_tax_window_has_a_category_or_a_reason": """
        UPDATE intermediate.int_tax_window SET category = 'fund' WHERE reason = 'not_resident'
    """,
    "metric_bounds_are_ordered_and_tolerance_is_not_negative": "UPDATE seeds.metric SET tolerance = -tolerance - 1",
    "metric_observation_value_is_empty_only_where_missing_or_suppressed": """
        UPDATE published.metric_observation SET value = NULL WHERE period = '2022-07'
    """,
    "metric_vintage_ends_with_the_present": """
        UPDATE published.metric_vintage SET realtime_end = realtime_start + 1 WHERE period = '2022-07'
    """,
    "nothing_after_the_report_month": "UPDATE lake.context SET report_month = report_month - INTERVAL 1 MONTH",
    "official_figures_are_all_reconciled": "DELETE FROM published.official_reconciliation",
    "official_reconciliation_compares_or_says_why_not": "UPDATE published.official_reconciliation SET reason = 'none'",
    "official_reconciliation_difference_is_computed_less_official": """
        UPDATE published.official_reconciliation SET difference = difference + 1
    """,
    "one_release": "INSERT INTO published.release FROM published.release",
    "plan_attainment_status_other_than_no_data_has_an_actual": "UPDATE published.plan_attainment SET actual = NULL",
    "plan_attainment_has_every_target": "DELETE FROM published.plan_attainment WHERE target_id = '2026_tax'",
    "plan_target_low_and_high_fit_the_operator": "UPDATE seeds.plan_target SET high = low WHERE target_id = '2026_tax'",
    "relationships_dimension_member_has_a_concept": """
        UPDATE seeds.sdmx_name SET code = 'TAX' WHERE scheme = 'concept' AND code = 'TAX_TYPE'
    """,
    "relationships_metric_observation_dimension_member": """
        UPDATE published.metric_observation SET dimension = 'total' WHERE member = 'fund' AND period = '2022-07'
    """,
    "relationships_metric_observation_metric_unit": """
        UPDATE published.metric_observation SET unit = 'firm' WHERE metric_id = 'institutions_resident'
    """,
    "relationships_plan_target_dimension_member": """
        UPDATE seeds.plan_target SET dimension = 'total' WHERE member = 'fund'
    """,
    "relationships_plan_target_metric_unit_measure": "UPDATE seeds.plan_target SET measure = 'ratio'",
    "release_has_no_row_of_another_day": "UPDATE published.release SET created_at = created_at + INTERVAL 1 SECOND",
    "resident_by_movements_equals_resident_by_state": """
        UPDATE intermediate.int_institution_state SET resident = NOT resident WHERE valid_to IS NULL
    """,
    "tax_cells_that_tell_of_a_taxpayer_are_withheld": """
        UPDATE published.metric_observation SET value = 1 WHERE conf_status = 'C' AND metric_id = (
            SELECT min(metric_id) FROM published.metric_observation WHERE conf_status = 'C'
        )
    """,
    "tax_in_and_out_of_scope_is_the_feed": """
        UPDATE lake.tax_collections SET amount_yuan = amount_yuan + 0.01 WHERE voucher_no = (
            SELECT min(voucher_no) FROM staging.stg_tax_collections WHERE month(treasury_date) = 7
        )
    """,
    "tax_is_of_institutions_in_residence": "UPDATE intermediate.int_institution_state SET resident = false",
    "tax_parts_add_up_to_the_total": """
        UPDATE intermediate.int_tax_metric_period SET value = value + 0.0000000000000001
        WHERE member = 'province' AND period = '2022-07' AND metric_id = 'financial_tax_revenue'
    """,
    "tax_revenue_repeats_the_observations": "UPDATE published.tax_revenue SET financial_tax_revenue_cny_100m = 1",
    "tax_settings_cover_every_member": """
        UPDATE seeds.tax_sharing SET scheme = 'head_office' WHERE tax_type = 'deed'
    """,
    "tax_sharing_adds_up_to_a_hundred_percent_from_a_month_on": """
        UPDATE seeds.tax_sharing SET valid_from = valid_from + 1 WHERE tax_type = 'vat'
    """,
    "tax_sharing_override_names_a_scheme_of_the_tax": """
        UPDATE seeds.tax_sharing_override SET tax_type = 'vat'
    """,
    "tax_year_to_date_telescopes": """
        UPDATE intermediate.int_tax_metric_period SET value = value + 0.0000000000000001
        WHERE member = 'total' AND period = '2022-07' AND metric_id = 'financial_tax_revenue_ytd'
    """,
    "value_added_repeats_the_observations": "UPDATE published.value_added SET financial_value_added_cny_100m = 1",
    "unit_scorecard_counts_the_pairs_of_the_annex": """
        UPDATE published.unit_scorecard SET leads = leads - 1 WHERE unit_name = '湘江国投公司' AND month = '2022-07'
    """,
    "unit_scorecard_states_add_up": "UPDATE published.unit_scorecard SET support_blocked = support_blocked + 1",
    "unit_spelling_factor_is_positive": "UPDATE seeds.unit_spelling SET factor = 0",
    "uscc_known_exception_has_the_form_of_a_code": "UPDATE seeds.uscc_known_exception SET uscc = uscc[:17] || 'I'",
    "value_added_deflator_weights_add_up_to_one": """
        UPDATE seeds.value_added_deflator SET valid_to = '2023-Q4' WHERE index_code = 'cpi'
    """,
    "value_added_divisions_add_up_to_the_total": """
        UPDATE published.metric_observation SET value = value + 0.000001
        WHERE metric_id = 'financial_value_added' AND period = '2021' AND member = '68'
    """,
    "value_added_indicators_take_turns": """
        UPDATE seeds.value_added_indicator SET valid_from = '2023-Q4' WHERE valid_from = '2024-Q1'
    """,
    "value_added_quarters_add_up_to_the_year": """
        UPDATE published.metric_observation SET value = value + 0.000001
        WHERE metric_id = 'financial_value_added' AND period = '2021-Q4' AND member = '67'
    """,
    "value_added_year_to_date_grows_by_the_quarter": """
        DELETE FROM published.metric_observation
        WHERE metric_id = 'financial_value_added_ytd' AND period = '2022-Q2' AND member = '67'
    """,
}


def places(home: Home) -> list[str]:
    """dbt's options that keep what it writes below the home."""
    read = ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
    return [*read, "--target-path", str(home.warehouse / "dbt"), "--log-path", str(home.warehouse / "logs")]


@dataclass(frozen=True)
class Project:
    """The parsed project, the statements of its tests, and a candidate that passed all of them."""

    manifest: Manifest
    statements: dict[str, str]
    home: Home

    def change(self, statements: Iterable[str]) -> None:
        """Make the sound candidate one changed by the statements."""
        shutil.copyfile(self.home.warehouse / "sound.duckdb", self.home.candidate)
        with duckdb.connect(str(self.home.candidate)) as candidate:
            for statement in statements:
                candidate.execute(statement)

    def checks(self, statements: Iterable[str], names: Collection[str] = (), incomplete: bool = False) -> list[Check]:
        """The verdicts of the tests of these names, or of all, on the sound candidate changed by the statements."""
        self.change(statements)
        rules = [r for r in rules_of_dbt(warehouse.data_tests(self.manifest)) if not names or r.expectation in names]
        with open(self.home.root / "tests.log", "w", encoding="utf-8") as log:
            return dbt_tests.run(self.home.candidate, self.statements, rules, log.write, incomplete)

    def results(self, statements: Iterable[str], command: str, select: str) -> Sequence[Any]:
        """What a command of dbt gives on the sound candidate changed by the statements."""
        self.change(statements)
        os.environ["HFC_CANDIDATE"] = str(self.home.candidate)
        arguments = ["--quiet", "--no-write-json", command, "--select", select, *places(self.home)]
        done = dbtRunner(manifest=self.manifest).invoke(arguments)
        DuckDBConnectionManager.close_all_connections()
        assert isinstance(done.result, RunExecutionResult), done.exception
        return done.result.results

    def tests(self) -> list[Any]:
        """All data tests of the project."""
        return [node for node in self.manifest.nodes.values() if node.resource_type == "test"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project, and a candidate of a short demo, with tables in place of its views so that rows can be added."""
    home = Home(tmp_path_factory.mktemp("sound"))
    simulate(home.landing, months=12)
    pipeline.ingest(home, home.landing)
    pipeline.build(home)
    with duckdb.connect(str(home.candidate)) as candidate:
        for (view,) in candidate.execute(VIEWS).fetchall():
            candidate.execute(f"CREATE TABLE copied AS FROM {view}; DROP VIEW {view}")
            candidate.execute(f"CREATE TABLE {view} AS FROM copied; DROP TABLE copied")
        candidate.execute(
            CORRECTION
            + HEAD_OFFICE
            + REVISION
            + "".join(MARTS.format(mart=mart) for mart in ("tax_revenue", "value_added"))
        )
    shutil.copyfile(home.candidate, home.warehouse / "sound.duckdb")
    manifest = warehouse.parsed(home, pipeline.quiet, warehouse.code_version())
    statements = warehouse._compiled_tests(home, manifest, pipeline.quiet, warehouse.code_version())
    return Project(manifest, statements, home)


def kind_of(test: Any) -> str | None:
    """Which generic test a test is, if it looks for repeated rows or at one plain column."""
    generic = getattr(test, "test_metadata", None)  # singular tests have none
    if generic is None or generic.name not in KINDS:
        return None
    anything = generic.name in ("unique", "unique_each", "never_null")
    return generic.name if anything or generic.kwargs["column_name"].isidentifier() else None


def bad_rows(project: Project, test: Any, number: int) -> Iterator[str]:
    """The statements that add rows like the first that the test looks at, but ones that the test refuses.

    A value that is nowhere else is the negative `number`, a different one for each test.
    """
    node_id = test.attached_node or test.depends_on.nodes[0]
    table: Any = project.manifest.nodes.get(node_id) or project.manifest.sources[node_id]
    relation = f"{table.schema}.{table.identifier}"
    kind, arguments = test.test_metadata.name, test.test_metadata.kwargs
    value = f"'-{number}'" if kind in ("accepted_values", "relationships") else "NULL"
    for column in arguments.get("columns") or [arguments["column_name"]]:
        row = "*" if kind.startswith("unique") else f"* REPLACE ({value} AS {column})"
        looked_at = test.config.where or f"{column} IS NOT NULL"
        yield f"INSERT INTO {relation} SELECT {row} FROM {relation} WHERE {looked_at} LIMIT 1"


def test_unit_tests_pass(project: Project) -> None:
    verdicts = {result.node.name: result.status for result in project.results([], "test", "test_type:unit")}
    assert len(verdicts) == len(project.manifest.unit_tests) > 0
    assert {name for name, status in verdicts.items() if status != "pass"} == set()


def faults_of(project: Project, kind: str) -> dict[str, list[str]]:
    """The statements that break each generic test of a kind."""
    tests = [test for test in project.tests() if kind_of(test) == kind]
    return {test.name: list(bad_rows(project, test, number)) for number, test in enumerate(tests, start=1)}


@pytest.mark.parametrize("kind", KINDS)
def test_generic_tests_refuse_a_bad_row(project: Project, kind: str) -> None:
    added = faults_of(project, kind)
    checks = project.checks(chain.from_iterable(added.values()), added)
    with pytest.raises(GateFailed):
        refuse([], checks, project.home)
    found = {check.expectation: int(check.observed.split()[0]) for check in checks if not check.success}
    assert added
    # A table that has several tests is given a bad row for each, so there may be more.
    assert [name for name, rows in added.items() if found.get(name, 0) < len(rows)] == []


def test_tests_find_what_dbt_itself_finds(project: Project) -> None:
    faults = [*chain.from_iterable(faults_of(project, "unique").values()), *FAULTS.values()]
    checks = project.checks(faults)
    results = {result.node.name: result for result in project.results(faults, "test", "test_type:data")}
    assert {c.expectation: (c.success, c.observed) for c in checks} == {
        name: (result.status == "pass", f"{result.failures} rows") for name, result in results.items()
    }
    assert 50 < sum(check.success for check in checks) < len(checks) - 50


def test_an_empty_column_of_a_published_table_refuses_the_candidate(project: Project) -> None:
    nothing = project.results([], "run", "delivery_outcome")
    refuse(nothing, [], project.home)
    broken = project.results(["UPDATE lake.delivery SET sha256 = NULL"], "run", "delivery_outcome int_delivery_outcome")
    with pytest.raises(GateFailed, match="delivery_outcome"):
        refuse(broken, [], project.home)
    missing = project.results(["DROP TABLE lake.context"], "run", "release")
    with pytest.raises(HfcError, match="could not build release") as stopped:
        refuse(missing, [], project.home)
    assert not isinstance(stopped.value, GateFailed)


@pytest.mark.parametrize("name", FAULTS)
def test_other_tests_refuse_their_fault(project: Project, name: str) -> None:
    (check,) = checks = project.checks([FAULTS[name]], [name])
    assert check.expectation == name and not check.success
    with pytest.raises(GateFailed, match=name):
        refuse([], checks, project.home)
    said = (project.home.root / "tests.log").read_text(encoding="utf-8")
    assert re.match(rf"FAIL {name} \[in [\d.]+s\]: [1-9]\d* rows, by SELECT ", said)


def test_a_test_that_cannot_run_stops_the_build(project: Project) -> None:
    with pytest.raises(HfcError, match="one_release could not be run") as stopped:
        project.checks(["DROP TABLE published.release"], ["one_release"])
    assert not isinstance(stopped.value, GateFailed)


def test_what_a_test_refuses_comes_before_what_it_breaks_further_on(project: Project) -> None:
    statements = ["DROP TABLE published.release", FAULTS["categories_sum_to_total"]]
    checks = project.checks(statements, incomplete=True)
    assert "one_release" not in {check.expectation for check in checks}
    broken = project.results(["DROP TABLE lake.context"], "run", "release")
    with pytest.raises(GateFailed, match="categories_sum_to_total"):
        refuse(broken, checks, project.home)


def test_what_dbt_has_read_is_kept_for_its_version(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def manifest(version: str) -> Any:
        """As a new process of this version of the code has it."""
        monkeypatch.setattr(warehouse, "_PARSED", {})
        return warehouse.parsed(project.home, pipeline.quiet, version)

    read: list[str] = []
    folder = project.home.root / "kept"
    monkeypatch.setattr(warehouse, "_kept", lambda home, target: folder)
    monkeypatch.setattr(warehouse, "_parsed", lambda *_: read.append("again") or project.manifest)
    assert manifest("one").nodes.keys() == manifest("one").nodes.keys() == project.manifest.nodes.keys()
    assert len(read) == 1
    manifest("two")
    assert len(read) == 2
    (folder / "manifest.pickle").write_bytes((folder / "manifest.pickle").read_bytes()[:1000])
    assert manifest("two").nodes.keys() == project.manifest.nodes.keys()
    assert len(read) == 3
    monkeypatch.setattr(warehouse, "_parsed", None)
    kept = manifest("two")
    project = Project(kept, project.statements, project.home)
    assert {result.status for result in project.results([], "run", "+plan_attainment")} == {"success"}


def test_no_constraint_lets_an_empty_value_in(project: Project) -> None:
    shutil.copyfile(project.home.warehouse / "sound.duckdb", project.home.candidate)
    declared = [
        (f"{node.schema}.{node.identifier}", column.name)
        for node in project.manifest.nodes.values()
        for column in getattr(node, "columns", {}).values()
        if any(constraint.type == "not_null" for constraint in column.constraints)
    ]
    assert len(declared) > 100
    with duckdb.connect(str(project.home.candidate)) as candidate:
        for table, column in declared:
            with pytest.raises(duckdb.ConstraintException, match=column):
                candidate.execute(f"INSERT INTO {table} SELECT * REPLACE (NULL AS {column}) FROM {table} LIMIT 1")


def test_a_cell_that_an_earlier_release_withheld_is_not_shown(project: Project) -> None:
    withheld_before = """
        INSERT INTO lake.released_observation BY NAME
            SELECT * EXCLUDE (period_end, unit) REPLACE (NULL AS value, 'D' AS conf_status, as_of - 1 AS as_of) FROM published.metric_observation
            WHERE metric_id = 'financial_tax_revenue' AND conf_status = 'F' AND value IS NOT NULL LIMIT 1
    """
    name = "tax_cells_that_tell_of_a_taxpayer_are_withheld"
    assert [check.success for check in project.checks([withheld_before], [name])] == [False]


def test_every_test_is_seen_failing(project: Project) -> None:
    assert {test.name for test in project.tests() if kind_of(test) is None} == set(FAULTS)
