"""Corrections: applied from their vintage on, to the expected value only, and refused once they match nothing."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb
import pytest
from test_ingest import ingest, land

from hfc import corrections, pipeline, warehouse
from hfc.home import GateFailed, Home, UsageError

HEADER = "correction_id,feed,key,column_name,expected,corrected,reason,decided_on,withdrawn_on\n"
FUNDS = "变动编号,基金编码,管理人代码,变动日期,认缴变动额(万元),实缴变动额\n"
TAKEN = FUNDS + "F1,SAB123,68501913-3,2024-01-02,100,1\nF2,SAB123,68501913-3,2024-01-03,100,1\n"
KEY = '"{""change_id"": ""F1""}"'


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home with one delivery of funds; the seed of corrections is a file of the test."""
    monkeypatch.setattr(corrections, "SEED", tmp_path / "correction.csv")
    land(tmp_path / "landing", "fund_commitments", "a__20240131.csv", TAKEN)
    home = Home(tmp_path / "home")
    ingest(home, tmp_path / "landing")
    return home


def decide(home: Home, *rows: str) -> None:
    corrections.SEED.write_text(HEADER + "".join(f"{row}\n" for row in rows), encoding="utf-8")


def lake_of(home: Home, as_of: date) -> tuple[list[tuple[str, str]], list[tuple[str, bool]]]:
    """(subscribed changes in yuan, corrections and whether they match) as a build on that day sees them."""
    home.candidate.unlink(missing_ok=True)
    warehouse._create_sources(home, *warehouse._plan(home, as_of, {}), [], corrections.in_force(as_of), set())
    with duckdb.connect(str(home.candidate), read_only=True) as candidate:
        values = candidate.execute(
            "SELECT change_id, subscribed_change_yuan::INTEGER::VARCHAR FROM lake.fund_commitments ORDER BY delivery_id, line"
        ).fetchall()
        return values, candidate.execute("FROM lake.correction").fetchall()


def test_a_correction_holds_from_its_day_until_it_is_withdrawn(home: Home) -> None:
    decide(home, f"c1,fund_commitments,{KEY},subscribed_change_yuan,1000000,2000000,typing error,2024-02-10,2024-03-10")
    assert lake_of(home, date(2024, 2, 9)) == ([("F1", "1000000"), ("F2", "1000000")], [])
    assert lake_of(home, date(2024, 2, 10)) == ([("F1", "2000000"), ("F2", "1000000")], [("c1", True)])
    assert lake_of(home, date(2024, 3, 10))[1] == []


def test_a_correction_that_matches_nothing_is_told(home: Home, tmp_path: Path) -> None:
    decide(home, f"c1,fund_commitments,{KEY},subscribed_change_yuan,999,2000000,typing error,2024-02-10,")
    assert lake_of(home, date(2024, 2, 10)) == ([("F1", "1000000"), ("F2", "1000000")], [("c1", False)])


def test_a_mended_source_ends_its_correction(home: Home, tmp_path: Path) -> None:
    decide(home, f"c1,fund_commitments,{KEY},subscribed_change_yuan,1000000,2000000,typing error,2024-02-10,")
    land(tmp_path / "landing", "fund_commitments", "b__20240229.csv", FUNDS + "F1,SAB123,68501913-3,2024-01-02,200,1\n")
    ingest(home, tmp_path / "landing")
    assert lake_of(home, date(2024, 2, 28))[1] == [("c1", True)]
    assert lake_of(home, date(2024, 2, 29)) == (
        [("F1", "2000000"), ("F2", "1000000"), ("F1", "2000000")],
        [("c1", False)],
    )
    with pytest.raises(GateFailed, match="correction_finds_the_value_it_expects"):
        pipeline.build(home)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (f"c1,weather,{KEY},x,1,2,why,2024-01-01,", "no feed weather"),
        ("c1,fund_commitments,F1,subscribed_change_yuan,1,2,why,2024-01-01,", "key has to be JSON with change_id"),
        (f"c1,fund_commitments,{KEY},subscribed_change,1,2,why,2024-01-01,", "no column subscribed_change;"),
        (f"c1,fund_commitments,{KEY},subscribed_change_yuan,much,2,why,2024-01-01,", "values of type DECIMAL"),
        (f"c1,fund_commitments,{KEY},subscribed_change_yuan,1,2,why,soon,", "decided_on is no day"),
        (f"c1,fund_commitments,{KEY},subscribed_change_yuan,1,2,why,,", "decided_on is missing"),
    ],
)
def test_a_correction_that_can_not_be_read_stops_the_build(home: Home, row: str, message: str) -> None:
    decide(home, row)
    with pytest.raises(UsageError, match=message):
        pipeline.build(home)
