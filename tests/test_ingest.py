"""Deliveries in, lake and quarantine out: against an independent reading of the rules, and against real layouts."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import deliveries
import oracle
import pytest

from hfc.home import Home, UsageError
from ingest import lake, staging
from ingest.contract import Contract, load_contracts

DEMO = Path(__file__).parent.parent / "demo"
REGISTER = "事件编号,事件日期,事件类型,统一社会信用代码,机构名称,机构类别\n"


def ingest(home: Home, landing: Path) -> list[lake.Outcome]:
    return [lake.load(home, delivery_id) for delivery_id in lake.receive(home, landing)]


def land(landing: Path, feed: str, name: str, data: bytes | str) -> Path:
    path = landing / feed / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


@pytest.mark.parametrize("scan_bytes", [0, staging.SCAN_BYTES])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_outcomes_and_quarantine_agree_with_the_oracle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, scan_bytes: int
) -> None:
    monkeypatch.setattr(staging, "SCAN_BYTES", scan_bytes)
    deliveries.write_random_landing(tmp_path / "landing", seed, size=3)
    home = Home(tmp_path / "home")
    ingest(home, tmp_path / "landing")
    expected = oracle.compute(tmp_path / "landing")
    names = ("feed", "file", "sha256", "bytes", "rows_in", "rows_quarantined", "outcome")
    mine = sorted(tuple(d[n] for n in names) + (d["published_on"],) for d in lake.known_deliveries(home))
    assert mine == sorted(tuple(o[n] for n in names) + (str(o["published_on"]),) for o in expected.outcomes)
    assert all(
        d["rows_in"] == d["rows_accepted"] + d["rows_quarantined"] + d["rows_duplicate"]
        for d in lake.known_deliveries(home)
    )
    place = ("feed", "file", "line", "rule")
    refused = sorted((*(r[n] for n in place), tuple(r["rules"])) for r in lake.quarantined_rows(home))
    assert refused == sorted((*(r[n] for n in place), tuple(r["rules"])) for r in expected.quarantine)


def test_portal_export_keeps_units_and_missing_values(tmp_path: Path) -> None:
    text = (
        "数据库：分省年度数据\n指标：实际到位资金_比上年增长(%)\n时间：最近20年\n地区,2025年,2024年\n"
        "湖南省,,-1.8\n注：1.口径\n　　　2.不是行\n数据来源：国家统计局\n"
    )
    land(tmp_path / "landing", "public_series", "growth__20260312.csv", text.encode("gb18030"))
    home = Home(tmp_path / "home")
    (outcome,) = ingest(home, tmp_path / "landing")
    assert (outcome.outcome, outcome.rows_in, outcome.rows_accepted) == ("loaded", 2, 2)
    import duckdb

    rows = duckdb.sql(
        f"SELECT period, value::VARCHAR, unit, indicator FROM '{home.lake}/public_series/*.parquet' ORDER BY 1"
    ).fetchall()
    assert rows[0][:3] == ("2024", "-1.8000000000000000", "%")
    assert rows[1][:2] == ("2025", None)
    assert rows[0][3] == "实际到位资金_比上年增长"


def test_shipped_excerpt_loads(tmp_path: Path) -> None:
    (outcome,) = ingest(Home(tmp_path), DEMO)
    assert (outcome.outcome, outcome.rows_accepted) == ("loaded", 40)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (REGISTER, "empty: a header without a row"),
        (b"PK\x03\x04rest", "zip"),
        (b"a,b\n\0,1\n", "NUL byte on line 2"),
        (
            REGISTER.replace("事件日期,", "") + "E1,引进,91430100MA4L2XPT07,甲,基金机构\n",
            "missing required column 事件日期",
        ),
        (REGISTER + 'E1,2024-01-02,引进,"91430100', "line 2"),
        (REGISTER + "E1,昨天,引进,91430100MA4L2XPT07,甲,基金机构\n", "date in event_date (1)"),
    ],
)
def test_unreadable_deliveries_are_rejected_with_the_place(tmp_path: Path, data: bytes | str, reason: str) -> None:
    land(tmp_path / "landing", "institution_register", "a__20240131.csv", data)
    home = Home(tmp_path / "home")
    (outcome,) = ingest(home, tmp_path / "landing")
    assert outcome.outcome == "rejected" and reason in (outcome.reason or "")
    assert lake.archived(home, lake.known_deliveries(home)[0]).exists() or not data


def test_unknown_feed_and_unknown_unit(tmp_path: Path) -> None:
    land(tmp_path / "landing", "weather", "a__20240131.csv", "x\n1\n")
    funds = "变动编号,基金编码,管理人代码,变动日期,认缴变动额(千美元),实缴变动额\nF1,SAB123,68501913-3,2024-01-02,1,1\n"
    land(tmp_path / "landing", "fund_commitments", "a__20240131.csv", funds)
    reasons = {o.feed: o.reason or "" for o in ingest(Home(tmp_path / "home"), tmp_path / "landing")}
    assert "no contract for feed weather" in reasons["weather"]
    assert "unknown unit 千美元 of 认缴变动额" in reasons["fund_commitments"]


def test_a_landed_file_is_one_delivery_however_often_it_is_seen(tmp_path: Path) -> None:
    row = REGISTER + "E1,2024-01-02,引进,91430100MA4L2XPT07,甲,基金机构\n"
    first = land(tmp_path / "landing", "institution_register", "a__20240131.csv", row)
    home = Home(tmp_path / "home")
    assert [o.outcome for o in ingest(home, tmp_path / "landing")] == ["loaded"]
    assert ingest(home, tmp_path / "landing") == []
    land(tmp_path / "landing", "institution_register", "b__20240229.csv", first.read_bytes())
    assert [o.outcome for o in ingest(home, tmp_path / "landing")] == ["unchanged"]


def test_publication_date_of_name_sidecar_and_clock(tmp_path: Path) -> None:
    landing = tmp_path / "landing"
    for name in ("a__20240131.csv", "b.csv", "c.csv", "d.csv"):
        land(
            landing, "institution_register", name, REGISTER + f"{name},2024-01-02,引进,91430100MA4L2XPT07,甲,基金机构\n"
        )
    (landing / "institution_register" / "b.csv.meta.yaml").write_text("published_on: 2024-02-01\n")
    (landing / "institution_register" / "d.csv.meta.yaml").write_text("published_on: soon\n")
    moment = 1_709_312_400  # 2024-03-01 17:00 UTC is 2 March in Shanghai
    os.utime(landing / "institution_register" / "c.csv", (moment, moment))
    found = {o.file: (o.published_on, o.outcome) for o in ingest(Home(tmp_path / "home"), landing)}
    assert found["a__20240131.csv"] == ("2024-01-31", "loaded")
    assert found["b.csv"] == ("2024-02-01", "loaded")
    assert found["c.csv"] == ("2024-03-02", "loaded")
    assert found["d.csv"][1] == "rejected"


def test_as_of_sees_only_what_was_published(tmp_path: Path) -> None:
    deliveries.write_random_landing(tmp_path / "landing", 5, size=2)
    home = Home(tmp_path / "home")
    ingest(home, tmp_path / "landing")
    day = date(2023, 6, 30)
    assert all(d["published_on"] <= "2023-06-30" for d in lake.known_deliveries(home, day))
    assert len(lake.known_deliveries(home, day)) < len(lake.known_deliveries(home))


def test_landing_must_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no landing folder"):
        lake.receive(Home(tmp_path), tmp_path / "nowhere")


@pytest.mark.parametrize(
    "change",
    [
        {"columns": []},
        {"kind": "rumour"},
        {"columns": [{"id": "a", "header": "甲", "type": "money", "unit": "千元", "key": True}]},
        {"columns": [{"id": "a", "header": "甲", "type": "text"}]},
        {"columns": [{"id": "a", "header": "甲", "type": "text", "key": True}] * 2},
        {"columns": [{"id": "a", "header": "甲", "type": "text", "key": True, "pattern": "("}]},
        {"columns": [{"id": "a", "header": "甲", "type": "text", "key": True, "colour": "red"}]},
    ],
)
def test_a_contract_is_validated_on_load(change: dict[str, object]) -> None:
    good = load_contracts()["fund_commitments"].model_dump()
    Contract.model_validate(good)
    with pytest.raises(ValueError):
        Contract.model_validate({**good, **change})


def test_a_contract_file_is_named_after_its_feed(tmp_path: Path) -> None:
    source = Path(lake.__file__).parent / "contracts" / "fund_commitments.yaml"
    (tmp_path / "other.yaml").write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(ValueError, match="other.yaml"):
        load_contracts(tmp_path)
