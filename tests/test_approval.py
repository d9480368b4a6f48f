"""A candidate that only warnings hold waits for a person; nothing else can be approved."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from expectations import gate as gates
from expectations.approval import approval_file
from hfc import pipeline
from hfc.home import GateFailed, GateHeld, Home, UsageError
from publish.release import manifest_of
from tests.test_publish import hfc, make_candidate, published

CHECK = "value_added.discrepancy/expect_column_values_to_be_null/discrepancy_fault"
REFUSED = "UPDATE published.delivery_outcome SET rows_in = 99;"


def discrepancy(year: int = 2023, percent: str = "2.5") -> str:
    """A year whose two approaches lie apart."""
    return f"""
        INSERT INTO published.metric_observation BY NAME SELECT
            'financial_value_added_discrepancy' AS metric_id, 'A' AS frequency, '{year}' AS period,
            DATE '{year}-12-31' AS period_end, 'total' AS dimension, 'total' AS member, {percent} AS value,
            'percent' AS unit, 'A' AS obs_status, 'F' AS conf_status, DATE '2025-01-20' AS as_of;
    """


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home whose current release is r1."""
    home = Home(tmp_path / "home")
    published(home)
    return home


def held(home: Home, release_id: str, extra: str) -> str:
    """Judge a candidate that the gate holds; the message."""
    make_candidate(home, release_id, extra=extra)
    with pytest.raises(GateHeld) as raised:
        pipeline.gate(home)
    return str(raised.value)


@pytest.mark.parametrize(("year", "percent"), [(2023, "2"), (2023, "-2"), (2022, "2.5")])
def test_what_is_small_or_explained_holds_nobody(home: Home, year: int, percent: str) -> None:
    make_candidate(home, "r2", extra=discrepancy(year, percent))
    assert pipeline.gate(home).passed


def test_a_warning_holds_the_candidate_until_a_person_approves_it(home: Home) -> None:
    told = held(home, "r2", discrepancy())
    assert "holds candidate r2" in told and "2023 total total: 2.5000 %" in told and "--approve" in told
    assert "held" in gates.report_file(home).read_text(encoding="utf-8")
    with pytest.raises(GateHeld, match="nothing was published"):
        pipeline.publish(home)
    assert home.current.resolve().name == "r1"
    given = pipeline.approve(home, " checked with the office ", "an analyst")
    release = pipeline.publish(home)
    assert home.current.resolve() == release.path
    assert manifest_of(release.path)["approvals"] == [
        {
            "check_id": CHECK,
            "observed": "1 of 1 rows: 2023 total total: 2.5000 %",
            "by": "an analyst",
            "reason": "checked with the office",
            "at": given.at,
            "release_id": "r2",
        }
    ]
    quality = f"FROM '{release.path}/parquet/data_quality.parquet' SELECT check_id, outcome, reason"
    assert duckdb.sql(f"{quality} WHERE outcome = 'warned'").fetchall() == [
        (CHECK, "warned", "checked with the office")
    ]
    assert duckdb.sql(f"{quality} WHERE outcome = 'passed' AND reason IS NOT NULL").fetchall() == []


def test_what_was_approved_is_carried_while_it_stays_the_same(home: Home) -> None:
    held(home, "r2", discrepancy())
    pipeline.approve(home, "known", "an analyst")
    first = manifest_of(pipeline.publish(home).path)["approvals"]
    for release_id in ("r3", "r4"):
        make_candidate(home, release_id, "2025-01-21", discrepancy())
        assert pipeline.gate(home).passed
        assert manifest_of(pipeline.publish(home).path)["approvals"] == first
    held(home, "r5", discrepancy(percent="2.6"))
    held(home, "r6", discrepancy() + discrepancy(2024))
    make_candidate(home, "r7", "2025-01-19", discrepancy())
    with pytest.raises(GateHeld):
        pipeline.gate(home)


def test_a_refusal_cannot_be_approved(home: Home) -> None:
    make_candidate(home, "r2", extra=discrepancy() + REFUSED)
    with pytest.raises(GateFailed) as raised:
        pipeline.gate(home)
    assert not isinstance(raised.value, GateHeld)
    with pytest.raises(GateFailed, match="can't be approved"):
        pipeline.approve(home, "because", "an analyst")
    refused = hfc(home, "publish", "--approve", "because")
    assert refused.returncode == 3 and home.current.resolve().name == "r1"


@pytest.mark.parametrize(("reason", "by"), [("", "an analyst"), (" \n", "an analyst"), ("because", " ")])
def test_an_approval_needs_a_reason_and_a_name(home: Home, reason: str, by: str) -> None:
    held(home, "r2", discrepancy())
    with pytest.raises(UsageError, match="An approval needs"):
        pipeline.approve(home, reason, by)
    assert not approval_file(home).exists()


def test_without_a_held_verdict_there_is_nothing_to_approve(home: Home) -> None:
    make_candidate(home, "r2")
    gates.gate_file(home).unlink()
    with pytest.raises(UsageError, match="run hfc gate first"):
        pipeline.approve(home, "because", "an analyst")
    pipeline.gate(home)
    with pytest.raises(UsageError, match="nothing to approve"):
        pipeline.approve(home, "because", "an analyst")


def test_an_approval_is_of_one_candidate(home: Home) -> None:
    held(home, "r2", discrepancy())
    pipeline.approve(home, "because", "an analyst")
    held(home, "r2", discrepancy() + discrepancy(2024))
    with pytest.raises(GateHeld):
        pipeline.publish(home)
    pipeline.approve(home, "because", "an analyst")
    with duckdb.connect(str(home.candidate)) as candidate:
        candidate.execute("UPDATE published.metric_observation SET value = 1")
    with pytest.raises(Exception, match="not the one that the gate judged"):
        pipeline.publish(home)
    kept = json.loads(approval_file(home).read_text(encoding="utf-8"))
    assert kept["release_id"] == "r2" and home.current.resolve().name == "r1"


def test_the_command_line_approves_with_a_reason(home: Home) -> None:
    make_candidate(home, "r2", extra=discrepancy())
    judged = hfc(home, "gate", "--json")
    assert judged.returncode == 3 and json.loads(judged.stdout)["held"] is True
    assert hfc(home, "publish").returncode == 3
    assert hfc(home, "publish", "--approve", "").returncode == 2
    assert "is held" in hfc(home, "status").stdout
    done = hfc(home, "gate", "--approve", "known to the office")
    assert done.returncode == 0 and "1 warnings approved" in done.stdout
    assert hfc(home, "publish").returncode == 0
    (entry,) = manifest_of(home.current.resolve())["approvals"]
    assert entry["reason"] == "known to the office" and entry["by"]
