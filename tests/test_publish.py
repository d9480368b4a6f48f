"""Releases: stable bytes, no way past the gate, and one pointer."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from expectations.gate import gate_file
from hfc.home import HfcError, Home, UsageError, sha256_of, write_json
from publish import release as releases

ROOT = Path(__file__).resolve().parent.parent
SEEDS = ROOT / "dbt_project" / "seeds"
INPUTS = [{"feed": "fund_commitments", "file": "1.csv", "sha256": "0", "outcome": "loaded"}]
STATEMENTS = """
CREATE SCHEMA lake;
CREATE SCHEMA published;
CREATE SCHEMA seeds;
CREATE TABLE seeds.attainment_status AS FROM read_csv('{seeds}/attainment_status.csv');
CREATE TABLE seeds.dimension_member AS FROM read_csv('{seeds}/dimension_member.csv');
CREATE TABLE seeds.duty_status AS FROM read_csv('{seeds}/duty_status.csv');
CREATE TABLE seeds.sdmx_name AS FROM read_csv('{seeds}/sdmx_name.csv');
CREATE TABLE seeds.unit AS FROM read_csv('{seeds}/unit.csv');
CREATE TABLE lake.feed AS
SELECT 'fund_commitments' AS feed, '基金认缴变动' AS title_zh, 'Fund commitments' AS title_en, 'event' AS kind,
       93 AS stale_after_days;
CREATE TABLE published.metric AS FROM read_csv('{seeds}/metric.csv');
CREATE TABLE published.plan_target AS FROM read_csv('{seeds}/plan_target.csv');
CREATE TABLE published.metric_observation AS
SELECT 'fund_subscribed' AS metric_id, 'M' AS frequency, format('2024-{{:02d}}', m) AS period,
       last_day(make_date(2024, m::INT, 1)) AS period_end, 'total' AS dimension, 'total' AS member,
       CASE WHEN m <> 3 THEN 12.5 * m END::DECIMAL(28, 10) AS value, 'cny_100m' AS unit,
       CASE WHEN m = 3 THEN 'M' ELSE 'A' END AS obs_status, 'F' AS conf_status, DATE '2025-01-20' AS as_of
FROM range(1, 13) AS months(m);
CREATE TABLE published.plan_attainment AS
SELECT target_id, metric_id, dimension, member, year, measure, operator, low, high, unit,
       7.25::DECIMAL(28, 10) AS actual, '2024' AS actual_period, 5::DECIMAL(28, 10) AS expected,
       NULL::DECIMAL(28, 10) AS attainment_pct, NULL::DECIMAL(28, 10) AS gap, NULL::DECIMAL(28, 10) AS required_pace,
       'on_track' AS status, 'pace [as] planned' AS reason, DATE '{as_of}' AS as_of
FROM published.plan_target;
CREATE TABLE published.duty_board AS
SELECT d AS duty_no, '2024-12' AS month, '任务' AS title_zh, 'Duty' AS title_en, 'blocked' AS status,
       '2024-11' AS reported_month, '甲' AS lead_unit, '乙' AS supporting_units, '指标 —' AS measures_zh,
       'Measure: —' AS measures_en
FROM range(1, 26) AS duties(d);
CREATE TABLE published.duty_measure_observation AS
SELECT 1 AS duty_no, 'firms_visited' AS measure_id, '2024-12' AS month, '走访' AS label_zh, 'Firms visited' AS label_en,
       3::DECIMAL(28, 10) AS value, 'firm' AS unit, '家' AS printed_unit;
CREATE TABLE published.unit_scorecard AS
SELECT '甲' AS unit_name, '2024-12' AS month, 25 AS leads, 0 AS lead_done, 0 AS lead_not_reported, 1 AS lead_overdue,
       0 AS supports, 0 AS support_done, 0 AS support_not_reported, 0 AS support_overdue;
CREATE TABLE published.official_reconciliation AS
SELECT 'fund_subscribed' AS metric_id, '2024-05' AS period, 62.5::DECIMAL(28, 10) AS official_value,
       62.5::DECIMAL(28, 10) AS computed_value, true AS is_within_tolerance, 'No. 1' AS citation,
       DATE '2024-07-01' AS published_on;
CREATE TABLE published.public_series AS
SELECT 'NBS' AS provider, 'annual' AS dataset, 'gdp' AS series_key, 'GDP' AS indicator, '330100' AS area_code,
       '2023' AS period, 1.5::DECIMAL(28, 10) AS value, 'cny_100m' AS unit, 'A' AS obs_status,
       DATE '2024-02-01' AS published_on;
CREATE TABLE published.revision_note AS
SELECT 'N-1' AS note_id, 'financial_value_added_discrepancy' AS metric_id, '2022' AS from_period, '2022-Q4' AS to_period,
       'final' AS stage, 'made up' AS reason, DATE '2024-02-01' AS published_on;
CREATE TABLE lake.delivery AS
SELECT n::VARCHAR AS delivery_id, n AS seq, 'fund_commitments' AS feed, format('{{}}.csv', n) AS file,
       repeat(n::VARCHAR, 64) AS sha256, 100 AS bytes, make_date(2024, n::INT, 1) AS published_on, 203 AS rows_in,
       200 AS rows_accepted, 2 AS rows_quarantined, 1 AS rows_duplicate, 'loaded' AS outcome, NULL::VARCHAR AS reason,
       NULL::VARCHAR AS source_url, 'CC0-1.0' AS licence, NULL::VARCHAR AS note, true AS synthetic
FROM range(1, 8) AS numbers(n);
CREATE TABLE lake.batch AS
SELECT delivery_id, 200 AS lake_rows, published_on AS last_day, 5000::DECIMAL(38, 16) AS greatest_yuan
FROM lake.delivery;
CREATE TABLE published.delivery_outcome AS SELECT * EXCLUDE (delivery_id, seq) FROM lake.delivery;
CREATE TABLE published.metric_revision AS
SELECT 'fund_subscribed' AS metric_id, '2024-02' AS period, 'total' AS dimension, 'total' AS member,
       24::DECIMAL(28, 10) AS previous_value, 25::DECIMAL(28, 10) AS value, 5::DECIMAL(28, 10) AS tolerance,
       true AS is_explained;
CREATE TABLE published.release AS
SELECT '{release_id}' AS release_id, DATE '{as_of}' AS as_of, TIMESTAMP '2025-01-20' AS created_at,
       'none' AS inputs_sha256, 'test' AS code_version, NULL::VARCHAR AS previous_release_id, true AS synthetic;
COMMENT ON TABLE published.metric_observation IS 'One row per metric''s period · 指标';
COMMENT ON COLUMN published.metric_observation.value IS 'The value; NULL where missing';
"""


def make_candidate(home: Home, release_id: str = "r1", as_of: str = "2025-01-20", extra: str = "") -> None:
    """Write a small candidate that every suite accepts, changed by the statements in `extra`."""
    home.warehouse.mkdir(parents=True, exist_ok=True)
    home.candidate.unlink(missing_ok=True)
    with duckdb.connect(str(home.candidate)) as connection:
        connection.execute(STATEMENTS.format(seeds=SEEDS, release_id=release_id, as_of=as_of))
        connection.execute(extra or "SELECT 1")
    build = {"release_id": release_id, "as_of": as_of, "inputs": INPUTS, "tests": [], "tests_declared": []}
    write_json(home.warehouse / "build.json", build)


def pass_gate(home: Home) -> None:
    """Record a verdict as the gate does when everything passed."""
    build = json.loads((home.warehouse / "build.json").read_text(encoding="utf-8"))
    verdict = {
        "release_id": build["release_id"],
        "candidate_sha256": sha256_of(home.candidate),
        "passed": True,
        "checks": [],
        "declared": 0,
        "executed": 0,
    }
    write_json(gate_file(home), verdict)


def published(home: Home, release_id: str = "r1", as_of: str = "2025-01-20") -> releases.Release:
    """Publish a small candidate."""
    make_candidate(home, release_id, as_of)
    pass_gate(home)
    return releases.publish(home)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home."""
    return Home(tmp_path / "home")


@pytest.fixture(scope="module")
def reading_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home with two releases, for the commands that only read."""
    home = Home(tmp_path_factory.mktemp("reading"))
    published(home, "r1", "2025-01-20")
    published(home, "r2", "2025-02-20")
    yield home


def hfc(home: Home, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "hfc.cli", *arguments, "--home", str(home.root)],
        cwd=ROOT,
        # A pytest worker has a width of its own.
        env={name: value for name, value in os.environ.items() if name != "COLUMNS"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_release_holds_tables_comments_and_dictionary(home: Home) -> None:
    release = published(home)
    assert release.created and home.current.resolve() == release.path
    assert os.readlink(home.current) == "releases/r1"
    with duckdb.connect(str(release.path / "hfc.duckdb"), read_only=True) as connection:
        tables = connection.execute("SELECT schema_name, table_name, comment FROM duckdb_tables()").fetchall()
        comments = connection.execute("SELECT comment FROM duckdb_columns() WHERE comment IS NOT NULL").fetchall()
        tags = connection.execute("SELECT tags FROM duckdb_databases() WHERE database_name = 'hfc'").fetchall()
    assert ("published", "metric_observation", "One row per metric's period · 指标") in tables
    assert {table for schema, table, _ in tables if schema == "dictionary"} == set(releases.DICTIONARY)
    assert ("The value; NULL where missing",) in comments
    assert "v1.0.0" in str(tags)


def test_the_manifest_is_true_and_files_are_read_only(home: Home) -> None:
    release = published(home)
    manifest = releases.manifest_of(release.path)
    assert manifest["release_id"] == "r1" and manifest["as_of"] == "2025-01-20" and manifest["inputs"] == INPUTS
    assert set(manifest["tables"]) == {path.stem for path in (release.path / "parquet").iterdir()}
    for name, table in manifest["tables"].items():
        parquet = release.path / "parquet" / f"{name}.parquet"
        assert table["sha256"] == sha256_of(parquet)
        assert table["rows"] == duckdb.sql(f"SELECT count(*) FROM '{parquet}'").fetchall()[0][0]
    files = [path for path in release.path.rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o444}


def test_two_publications_give_the_same_parquet_bytes(tmp_path: Path) -> None:
    def hashes(name: str, extra: str) -> dict[str, Any]:
        home = Home(tmp_path / name)
        make_candidate(home, extra=extra)
        pass_gate(home)
        tables: dict[str, Any] = releases.manifest_of(releases.publish(home).path)["tables"]
        return tables

    turned = (
        "CREATE OR REPLACE TABLE published.metric_observation AS FROM published.metric_observation ORDER BY ALL DESC"
    )
    assert hashes("one", "") == hashes("two", turned)


def test_a_second_publication_only_points_again(home: Home) -> None:
    first = published(home)
    before = first.path.stat().st_mtime_ns
    published(home, "r2")
    pass_gate_again = published(home, "r1")
    assert not pass_gate_again.created and first.path.stat().st_mtime_ns == before
    assert os.readlink(home.current) == "releases/r1"


def test_a_candidate_changed_after_the_gate_is_refused(home: Home) -> None:
    published(home)
    make_candidate(home, "r2")
    pass_gate(home)
    with duckdb.connect(str(home.candidate)) as connection:
        connection.execute("UPDATE published.metric_observation SET value = 1")
    with pytest.raises(HfcError, match="not the one that the gate judged"):
        releases.publish(home)
    assert os.readlink(home.current) == "releases/r1" and releases.release_ids(home) == ["r1"]


@pytest.mark.parametrize(("field", "value"), [("passed", False), ("passed", "yes"), ("release_id", "other")])
def test_only_a_passed_verdict_on_this_candidate_counts(home: Home, field: str, value: object) -> None:
    make_candidate(home)
    pass_gate(home)
    verdict = json.loads(gate_file(home).read_text(encoding="utf-8"))
    write_json(gate_file(home), verdict | {field: value})
    with pytest.raises(HfcError):
        releases.publish(home)
    assert not home.current.exists()


def test_without_candidate_or_verdict_nothing_is_published(home: Home) -> None:
    with pytest.raises(UsageError, match="run hfc build first"):
        releases.publish(home)
    make_candidate(home)
    with pytest.raises(HfcError, match="run hfc gate first"):
        releases.publish(home)


def test_a_candidate_that_was_not_closed_is_refused(home: Home) -> None:
    make_candidate(home)
    pass_gate(home)
    home.candidate.with_name("candidate.duckdb.wal").write_bytes(b"x")
    with pytest.raises(HfcError, match="was not closed"):
        releases.publish(home)


@pytest.mark.parametrize("release_id", ["../out", ".tmp-r", "a/b", ""])
def test_a_release_id_cannot_leave_the_folder(home: Home, release_id: str) -> None:
    make_candidate(home, release_id)
    pass_gate(home)
    with pytest.raises(HfcError, match="no usable release id"):
        releases.publish(home)


def test_a_killed_publication_leaves_nothing_behind(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    published(home)
    (home.releases / ".tmp-r0" / "parquet").mkdir(parents=True)
    make_candidate(home, "r2")
    pass_gate(home)

    def fail(_: Path) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(releases, "seal", fail)
        with pytest.raises(OSError, match="disk full"):
            releases.publish(home)
    assert [entry.name for entry in home.releases.iterdir()] == ["r1"]
    assert os.readlink(home.current) == "releases/r1"
    assert releases.publish(home).created


def test_a_kill_before_the_pointer_moved_is_mended_by_the_next_publication(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_candidate(home)
    pass_gate(home)

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(releases, "point", fail)
        with pytest.raises(KeyboardInterrupt):
            releases.publish(home)
    assert releases.current_release(home) is None
    assert releases.publish(home) == releases.Release("r1", home.releases / "r1", False)
    assert releases.current_release(home) == (home.releases / "r1").resolve()


def test_rollback_and_the_release_of_a_day(reading_home: Home) -> None:
    home = reading_home
    assert releases.rollback(home, "r1").path == home.releases / "r1"
    assert os.readlink(home.current) == "releases/r1"
    releases.rollback(home, "r2")
    with pytest.raises(UsageError, match="no release r9; releases: r1, r2"):
        releases.rollback(home, "r9")
    assert releases.release_as_of(home, date(2025, 2, 19)) == home.releases / "r1"
    assert releases.release_as_of(home, date(2025, 2, 20)) == home.releases / "r2"
    assert releases.release_as_of(home, date(2025, 1, 19)) is None


def test_the_board_names_every_target_and_says_synthetic(reading_home: Home) -> None:
    shown = hfc(reading_home, "board")
    assert shown.returncode == 0, shown.stderr
    for expected in (
        "SYNTHETIC DATA",
        "2022年新引入机构总数",
        "≥ 110 家",
        "5–10 家",
        "On track",
        "pace [as] planned",
        "38 targets",
    ):
        assert expected in shown.stdout
    value = json.loads(hfc(reading_home, "board", "--json", "--as-of", "2025-02-01").stdout)
    assert value["release_id"] == "r1" and len(value["targets"]) == 38


@pytest.mark.parametrize(
    "arguments",
    [
        ("board", "--as-of", "2024-01-01"),
        ("board", "--as-of", "2024-13-01"),
        ("board", "--as-of", "20250120"),
        ("run", "--landing", "/nonexistent"),
        ("rollback", "r9"),
        ("query", "SELECT nothing FROM nowhere"),
        ("query", "SELECT 1; SELECT 2"),
        ("query", ""),
        ("query", "DELETE FROM release"),
        ("query", "SELECT * FROM read_csv('/etc/passwd')"),
        ("query", "ATTACH '/tmp/other.duckdb'"),
        ("query", "SET enable_external_access = true"),
        ("query", "COPY release TO '/tmp/release.csv'"),
        ("simulate",),
        ("nonsense",),
    ],
)
def test_wrong_use_is_told_on_standard_error(reading_home: Home, arguments: tuple[str, ...]) -> None:
    shown = hfc(reading_home, *arguments)
    assert (shown.returncode, shown.stdout) == (2, ""), shown.stderr
    assert shown.stderr.strip() and "Traceback" not in shown.stderr


def test_query_answers_as_table_and_as_json(reading_home: Home) -> None:
    sql = "SELECT period, value, value FROM metric_observation WHERE period <= '2024-03' ORDER BY period"
    assert "2024-01" in hfc(reading_home, "query", sql).stdout
    rows = json.loads(hfc(reading_home, "query", sql, "--json").stdout)
    assert rows[0] == {"period": "2024-01", "value": "12.5000000000", "value_1": "12.5000000000"}
    assert rows[2]["value"] is None


# Reading has to be quick: what the commands import takes most of their time.
LIGHT = {
    *("hfc", "ingest", "expectations", "publish"),
    *("duckdb", "pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection", "yaml"),
    *("typer", "annotated_doc", "shellingham", "rich", "cython_runtime"),
}
PROBE = """
import atexit, runpy, sys
packages = lambda: {name.partition(".")[0] for name in sys.modules if name[0] != "_"}
atexit.register(lambda: print(*packages() - sys.stdlib_module_names, file=sys.stderr))
runpy.run_module("hfc.cli", run_name="__main__")
"""


@pytest.mark.parametrize("command", ["status", "board"])
def test_reading_imports_nothing_heavy(reading_home: Home, command: str) -> None:
    arguments = [sys.executable, "-c", PROBE, command, "--home", str(reading_home.root)]
    shown = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout and "rich" in shown.stderr.split()
    assert set(shown.stderr.split()) <= LIGHT


def test_an_unexpected_failure_is_one_line(home: Home) -> None:
    release = published(home)
    shutil.rmtree(release.path / "parquet")
    (release.path / "hfc.duckdb").chmod(0o644)
    (release.path / "hfc.duckdb").write_bytes(b"not a database")
    shown = hfc(home, "board")
    assert shown.returncode == 1 and len(shown.stderr.splitlines()) == 1
    assert "Traceback" in hfc(home, "board", HFC_DEBUG="1").stderr


def test_a_table_larger_than_memory_is_sorted_beside_the_release(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = "SELECT hash(n) AS key, repeat(md5(n::VARCHAR), 4) AS text FROM range(1000000) AS r(n)"
    make_candidate(home, extra=f"CREATE TABLE published.long AS {many}")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with releases.copying(home.candidate, tmp_path / "hfc.duckdb") as connection:
        connection.execute("SET memory_limit = '150MB'")
        connection.execute("CREATE TABLE dst.published.long AS FROM src.published.long ORDER BY ALL")
        assert (tmp_path / "sorting").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"home", "elsewhere", "hfc.duckdb"}
    assert not list((tmp_path / "elsewhere").iterdir())
