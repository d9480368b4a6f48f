"""Deliveries in, lake and quarantine out: against an independent reading of the rules, and against real layouts."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import deliveries
import duckdb
import numpy as np
import oracle
import pyarrow as pa
import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from hfc import pipeline
from hfc.home import Home, UsageError, sha256_of
from ingest import archive, lake, parsing, scan, staging
from ingest.contract import Calendar, Contract, load_contracts
from ingest.plain import CODES
from ingest.readers import text
from ingest.readers.pieces import Doubtful

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
    deliveries.write_random_landing(tmp_path / "landing", seed, size=2, feeds=oracle.FEEDS)
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
    assert stored_rows(home) == [(feed, file, line, in_lake(feed, row)) for feed, file, line, row in expected.rows]


def stored_rows(home: Home) -> list[tuple[str, str, int, dict[str, Any]]]:
    """(feed, file, line, values) of every row in the lake, amounts in yuan."""
    found = []
    for delivery in lake.known_deliveries(home):
        if delivery["rows_accepted"]:
            rows = duckdb.sql(f"SELECT * EXCLUDE (sheet, flags) FROM '{lake.lake_file(home, delivery)}'")
            names = [name.removesuffix("_yuan") for name in rows.columns]
            for values in rows.fetchall():
                row = dict(zip(names, values, strict=True))
                found.append((delivery["feed"], delivery["file"], row.pop("line"), row))
    return sorted(found, key=lambda row: row[:3])


def in_lake(feed: str, record: dict[str, Any]) -> dict[str, Any]:
    """An oracle's record as the lake writes it: every column, a tax period as one text."""
    row = {column.id: record.get(column.id) for column in oracle.FEEDS[feed]}
    if isinstance(months := row.get("tax_period"), tuple):
        row["tax_period"] = "~".join(dict.fromkeys(months))
    return row


def test_a_scan_and_a_record_by_record_reading_give_the_same_lake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliveries.write_random_landing(tmp_path / "landing", 11, size=4)
    scanned, used = staging._scan, []

    def counting(*arguments: Any) -> None:
        scanned(*arguments)
        used.append(True)

    monkeypatch.setattr(staging, "_scan", counting)
    for name, size in (("records", staging.SCAN_BYTES), ("scans", 0)):
        monkeypatch.setattr(staging, "SCAN_BYTES", size)
        ingest(Home(tmp_path / name), tmp_path / "landing")
    assert used
    for folder in ("institution_register", "fund_commitments", "quarantine/*"):
        one, other = (f"read_parquet('{tmp_path}/{name}/lake/{folder}/*.parquet')" for name in ("records", "scans"))
        (rows, more, less) = duckdb.execute(
            f"SELECT (SELECT count(*) FROM {one}), (SELECT count(*) FROM (FROM {one} EXCEPT ALL FROM {other})), "
            f"(SELECT count(*) FROM (FROM {other} EXCEPT ALL FROM {one}))"
        ).fetchall()[0]
        assert rows and (more, less) == (0, 0)


def test_the_lake_file_does_not_depend_on_threads_or_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "SCAN_BYTES", 0)
    monkeypatch.setattr(text, "BLOCK", 200)
    number = [*range(60), 7, 30]
    rows = [tax(n, '"甲"' if n % 3 else "甲") for n in number] + [tax(8).replace(",1,", ",2,")]
    land(tmp_path / "landing", "tax_collections", "a__20240205.csv", "\n".join([TAX, *rows]))
    found = []
    for cores, kept in ((1, 0), (4, 0), (4, 128)):
        monkeypatch.setattr(os, "cpu_count", partial(int, cores))
        monkeypatch.setattr(scan, "KEPT", kept)
        home = Home(tmp_path / f"{cores}-{kept}")
        (outcome,) = ingest(home, tmp_path / "landing")
        assert (outcome.rows_accepted, outcome.rows_quarantined, outcome.rows_duplicate) == (59, 2, 2)
        assert [row["line"] for row in lake.quarantined_rows(home)] == [10, 64]
        found.append(tree(home.lake))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("clerk", ["", "甲", '甲,"乙"'])
def test_a_fully_quoted_file_is_read_in_bulk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, newline: str, clerk: str
) -> None:
    monkeypatch.setattr(staging, "SCAN_BYTES", 0)
    monkeypatch.setattr(staging, "_feed", None)  # record by record
    out = io.StringIO()
    rows = [*map(tax, range(19)), tax(19).replace("增值税", "？"), tax(0).replace("2024-01-20", "2024-01-21"), tax(20)]
    cells = [[*line.split(",")[:-1], clerk] for line in rows]
    cells[-1].append("多")
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator=newline).writerows([TAX.split(","), *cells])
    land(tmp_path / "landing", "tax_collections", "a__20240205.csv", out.getvalue())
    home = Home(tmp_path / "home")
    (outcome,) = ingest(home, tmp_path / "landing")
    assert (outcome.outcome, outcome.rows_in, outcome.rows_quarantined) == ("loaded", 22, 4), outcome.reason
    refused = lake.quarantined_rows(home, confidential=True)
    assert [(row["line"], row["rule"], row["raw"]) for row in refused] == [
        (2, "conflicting_key", cells[0]), (21, "enum", cells[19]),
        (22, "conflicting_key", cells[20]), (23, "format", cells[21]),
    ]  # fmt: skip


@given(st.lists(st.lists(st.integers(0, 40).map(lambda n: n * 0x0123456789ABCDEF % (1 << 64)), max_size=9), max_size=9))
def test_digests_that_stand_more_than_once_are_found(drawn: list[list[int]]) -> None:
    found = scan.repeated([scan.parted(np.array(one, np.uint64)) for one in [[], *drawn]])
    counted = Counter(digest for one in drawn for digest in one)
    assert sorted(found.tolist()) == sorted(digest for digest, count in counted.items() if count > 1)


TAX = "税票号码,统一社会信用代码,税种,税款所属期,入库日期,业务类型,实缴金额,经办人"


def tax(number: int, clerk: str = "") -> str:
    return f"V{number:03d},91430100MA4L2XPT07,增值税,2024-01,2024-01-20,入库,1,{clerk}"


@pytest.mark.parametrize("scan_bytes", [0, staging.SCAN_BYTES])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # What seems to be row 4 is text of row 3, in a column that the contract does not know.
        ("\n".join([TAX, tax(1), tax(2), tax(3, '"甲'), tax(4, '乙"'), tax(5)]), ("loaded", 4)),
        ("\n".join([TAX, *map(tax, range(99)), tax(99, '"甲"乙')]), ("rejected", 0)),
        ("\n".join([TAX, *map(tax, range(99)), tax(99, "甲\0")]), ("rejected", 0)),
        ("\n".join([TAX, *map(tax, range(99)), tax(99, '"甲"""乙"')]), ("rejected", 0)),
        ("\r".join([TAX, *map(tax, range(5))]), ("loaded", 5)),
    ],
    ids=["quoted lines", "broken quotes", "NUL", "an odd quote", "CR alone"],
)
def test_what_a_scan_may_see_in_another_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scan_bytes: int, text: str, expected: tuple[str, int]
) -> None:
    monkeypatch.setattr(staging, "SCAN_BYTES", scan_bytes)
    land(tmp_path / "landing", "tax_collections", "a__20240205.csv", text)
    (outcome,) = ingest(Home(tmp_path / "home"), tmp_path / "landing")
    assert (outcome.outcome, outcome.rows_in) == expected


def test_portal_export_keeps_units_and_missing_values(tmp_path: Path) -> None:
    text = (
        "数据库：分省年度数据\n指标：实际到位资金_比上年增长(%)\n时间：最近20年\n地区,2025年,2024年\n"
        "湖南省,,-1.8\n注：1.口径\n　　　2.不是行\n数据来源：国家统计局\n"
    )
    land(tmp_path / "landing", "public_series", "growth__20260312.csv", text.encode("gb18030"))
    home = Home(tmp_path / "home")
    (outcome,) = ingest(home, tmp_path / "landing")
    assert (outcome.outcome, outcome.rows_in, outcome.rows_accepted) == ("loaded", 2, 2)
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
        ("事件号\n".encode() + b"E1\xff\n", "neither UTF-8 nor GB18030 on line 2"),
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
    assert archive.archived(home, lake.known_deliveries(home)[0]).exists() or not data


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


def test_bytes_refused_for_their_sidecar_are_read_under_another_name(tmp_path: Path) -> None:
    row = REGISTER + "E1,2024-01-02,引进,91430100MA4L2XPT07,甲,基金机构\n"
    land(tmp_path / "landing", "institution_register", "a__20240131.csv", row)
    land(tmp_path / "landing", "institution_register", "a__20240131.csv.meta.yaml", "note: [a list]\n")
    home = Home(tmp_path / "home")
    assert [o.outcome for o in ingest(home, tmp_path / "landing")] == ["rejected"]
    land(tmp_path / "landing", "institution_register", "b__20240131.csv", row)
    assert [o.outcome for o in ingest(home, tmp_path / "landing")] == ["loaded"]
    assert [d["outcome"] for d in lake.known_deliveries(home)] == ["rejected", "loaded"]


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


FUNDS = "变动编号,基金编码,管理人代码,变动日期,认缴变动额,实缴变动额\n"
FUND_ROWS = "".join(f"F{i},SAB123,68501913-3,2024-01-{i:02d},1{i},1\n" for i in range(1, 11))


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by name and bytes."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def change_contract(monkeypatch: pytest.MonkeyPatch, feed: str, column: str, **facts: object) -> None:
    """One column of a feed's contract reads differently from now on."""
    contracts = load_contracts()
    old = contracts[feed].model_dump()
    old["columns"] = [{**c, **facts} if c["id"] == column else c for c in old["columns"]]
    for module in (lake, parsing):
        monkeypatch.setattr(module, "load_contracts", lambda: {**contracts, feed: Contract.model_validate(old)})


def test_fix_then_replay_gives_the_lake_of_a_clean_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    landing = tmp_path / "landing"
    deliveries.write_random_landing(landing, 7, size=2)
    land(landing, "fund_commitments", "yuan__20240131.csv", FUNDS + FUND_ROWS)
    land(landing, "fund_commitments", "renamed__20240229.csv", FUNDS.replace("变动日期", "发生日") + FUND_ROWS)
    land(landing, "fund_commitments", "worse__20240331.csv", FUNDS + FUND_ROWS.replace("SAB123", "S-AB1"))
    mended, clean = Home(tmp_path / "mended"), Home(tmp_path / "clean")
    with monkeypatch.context() as before:
        # As long as the pattern is too loose and an alias is missing, one delivery too many loads and one too few.
        change_contract(before, "fund_commitments", "fund_code", pattern=".*")
        early = {o.file: o.outcome for o in ingest(mended, landing)}
    assert (early["renamed__20240229.csv"], early["worse__20240331.csv"]) == ("rejected", "loaded")
    with monkeypatch.context() as after:
        change_contract(after, "fund_commitments", "change_date", aliases=["发生日"])
        late = {o.file: o.outcome for o in pipeline.replay(mended, "fund_commitments")}
        assert (late["renamed__20240229.csv"], late["worse__20240331.csv"]) == ("loaded", "rejected")
        ingest(clean, landing)
    assert tree(mended.lake) == tree(clean.lake)


def test_a_killed_replay_is_taken_up_by_the_next_run(tmp_path: Path) -> None:
    land(tmp_path / "landing", "fund_commitments", "a__20240131.csv", FUNDS + FUND_ROWS)
    home = Home(tmp_path / "home")
    ingest(home, tmp_path / "landing")
    before = tree(home.lake)
    lake.forget(home, "fund_commitments")  # killed here
    assert [o.outcome for o in ingest(home, tmp_path / "landing")] == ["loaded"]
    assert tree(home.lake) == before
    with pytest.raises(UsageError, match="no delivery of feed weather"):
        lake.forget(home, "weather")


def test_drift_names_columns_that_came_went_or_were_renamed(tmp_path: Path) -> None:
    rows = "E{0},2024-01-02,引进,91430100MA4L2XPT07,甲,基金机构,{1}\n"
    land(
        tmp_path / "landing",
        "institution_register",
        "a__20240131.csv",
        REGISTER.strip() + ",楼宇\n" + rows.format(1, "A座"),
    )
    later = REGISTER.strip().replace("机构名称", "机构 名称") + ",电话\n"
    land(tmp_path / "landing", "institution_register", "b__20240229.csv", later + rows.format(2, "1"))
    home = Home(tmp_path / "home")
    outcomes = ingest(home, tmp_path / "landing")
    assert outcomes[1].reason == "unknown columns: 电话"
    found = [(d["change"], d["column"], d["header"], d["before"]) for d in lake.drift(home)]
    assert found == [
        ("unknown", None, "电话", None),
        ("missing", "building", None, "楼宇"),
        ("renamed", "name", "机构 名称", "机构名称"),
    ]
    assert lake.drift(home, "fund_commitments") == []


def test_drift_shows_no_unknown_header_of_taxpayers(tmp_path: Path) -> None:
    header = "税票号码,统一社会信用代码,税种,税款所属期,入库日期,业务类型,实缴金额,{}\n"
    row = "V{0},91430100MA4L2XPT07,增值税,2024-01,2024-01-15,入库,1.00,x\n"
    for day, unknown in (("20240131", "备注一"), ("20240229", "91430100MA4L2XPT07")):
        land(tmp_path / "landing", "tax_collections", f"{day}__{day}.csv", header.format(unknown) + row.format(day))
    home = Home(tmp_path / "home")
    assert [outcome.outcome for outcome in ingest(home, tmp_path / "landing")] == ["loaded", "loaded"]
    assert {(d["change"], d["header"]) for d in lake.drift(home)} == {("unknown", "(not shown)")}


@pytest.mark.parametrize("look", [lake.drift, lake.quarantined_rows])
def test_a_feed_that_does_not_exist_is_wrong_use(tmp_path: Path, look: Any) -> None:
    with pytest.raises(UsageError, match="there is no feed nosuch; the feeds are activities, "):
        look(Home(tmp_path / "home"), "nosuch")


def test_a_missing_column_is_told_beside_the_headers_that_no_one_knows(tmp_path: Path) -> None:
    land(tmp_path / "landing", "fund_commitments", "a__20240131.csv", FUNDS.replace("变动日期", "发生日") + FUND_ROWS)
    (outcome,) = ingest(Home(tmp_path / "home"), tmp_path / "landing")
    assert outcome.reason == "missing required column 变动日期 (change_date); columns it does not know: 发生日"


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ('{{"{0}": [{{"x": 1}}], "b": [{{"x": 1}}]}}', "unreadable: JSON with 2 lists of objects ($…"),
        ('{{"甲 {0}": [{{"x": {{}}}}]}}', "unreadable: a nested value in record 1 of $…"),
    ],
)
def test_no_key_of_a_tax_document_is_told(tmp_path: Path, document: str, reason: str) -> None:
    land(tmp_path / "landing", "tax_collections", "a__20240131.json", document.format("91430100MA4L2XPT07"))
    (outcome,) = ingest(Home(tmp_path / "home"), tmp_path / "landing")
    assert (outcome.outcome, outcome.reason) == ("rejected", reason)


def test_no_cell_of_a_turned_tax_table_is_told(tmp_path: Path) -> None:
    turned = "统一社会信用代码,91430100MA4L2XPT07,91350100M0001TGQXM\n税票号码,V1,V2\n税种,增值税,契税\n"
    land(tmp_path / "landing", "tax_collections", "a__20240131.csv", turned)
    (outcome,) = ingest(Home(tmp_path / "home"), tmp_path / "landing")
    assert outcome.outcome == "rejected" and "91430100MA4L2XPT07" not in (outcome.reason or "")


@pytest.mark.parametrize(
    ("every", "published", "today", "state", "due"),
    [
        ("month", ["2024-02-05"], "2024-02-09", "on time", "2024-01-10"),
        ("month", ["2024-02-05"], "2024-02-29", "on time", "2024-02-10"),
        ("month", ["2024-01-20"], "2024-02-10", "due", "2024-02-10"),
        ("month", ["2024-01-20"], "2024-02-15", "due", "2024-02-10"),
        ("month", ["2024-01-20"], "2024-02-16", "late", "2024-02-10"),
        ("month", ["2024-02-20"], "2024-02-16", "late", "2024-02-10"),
        ("quarter", [], "2024-04-09", "late", "2024-01-10"),
        ("year", ["2024-01-05"], "2024-12-31", "on time", "2024-01-10"),
    ],
)
def test_lateness_follows_the_calendar(every: str, published: list[str], today: str, state: str, due: str) -> None:
    calendar = Calendar(every=every, due_days=10, grace_days=5)  # type: ignore[arg-type]
    days = [date.fromisoformat(day) for day in published]
    assert calendar.punctuality(days, date.fromisoformat(today)) == (state, date.fromisoformat(due))


def test_status_knows_what_is_late_and_what_to_replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    land(tmp_path / "landing", "fund_commitments", "a__20240205.csv", FUNDS + FUND_ROWS)
    home = Home(tmp_path / "home")
    ingest(home, tmp_path / "landing")

    def funds(today: str) -> tuple[object, ...]:
        row = next(r for r in lake.punctuality(home, date.fromisoformat(today)) if r["feed"] == "fund_commitments")
        return row["state"], str(row["latest"]), row["to_replay"]

    assert funds("2024-02-28") == ("on time", "2024-02-05", 0)
    assert funds("2024-04-28") == ("late", "2024-02-05", 0)
    change_contract(monkeypatch, "fund_commitments", "change_date", aliases=["发生日"])
    assert funds("2024-02-28") == ("on time", "2024-02-05", 1)


def test_taxpayer_level_cells_stay_in_quarantine(tmp_path: Path) -> None:
    header = "税票号码,统一社会信用代码,税种,税款所属期,入库日期,业务类型,实缴金额\n"
    good = "".join(f"V{i},91430100MA4L2XPT07,增值税,2024-01,2024-01-20,入库,1\n" for i in range(9))
    bad = "V9,91430100MA4L2XPT07,增值税,2024-01,2024-01-20,入库,-77\n"
    land(tmp_path / "landing", "tax_collections", "a__20240205.csv", header + good + bad)
    home = Home(tmp_path / "home")
    ingest(home, tmp_path / "landing")
    (row,) = lake.quarantined_rows(home)
    assert (row["rule"], row["column"], row["line"], row["value"], row["raw"]) == ("sign", "amount", 11, None, None)
    (row,) = lake.quarantined_rows(home, confidential=True)
    assert row["value"] == "-77" and row["raw"][0] == "V9"


FUNDS_YUAN = "变动编号,基金编码,管理人代码,变动日期,认缴变动额(元),实缴变动额(元)\n"


def fund(key: str, *amounts: str) -> str:
    return f"{key},SAB123,68501913-3,2024-01-03,{','.join(amounts)}\n"


@pytest.mark.parametrize(
    ("rows", "total", "different"),
    [
        ([("0.1", "0.2"), ("0.2", "-3")], ("0.3", "-2.8"), []),
        ([("0.1", "0.2"), ("0.2", "-3")], ("0.30000001", "-2.8"), ["认缴变动额"]),
        ([("9" * 22, "1"), ("9" * 22, "1")], ("1", "2"), ["认缴变动额"]),
    ],
)
def test_a_control_total_is_compared_exactly(
    tmp_path: Path, rows: list[tuple[str, str]], total: tuple[str, str], different: list[str]
) -> None:
    body = "".join(fund(f"F{number}", *amounts) for number, amounts in enumerate(rows))
    last = f"合计,,,,{','.join(total)}\n"
    land(tmp_path / "landing", "fund_commitments", "a__20240205.csv", FUNDS_YUAN + body + last)
    (outcome,) = ingest(Home(tmp_path / "home"), tmp_path / "landing")
    assert outcome.rows_accepted == outcome.rows_in == len(rows)
    findings = [f"control total on line 4: {column} differs from the accepted rows" for column in different]
    assert outcome.reason == ("; ".join(findings) or None)


@pytest.mark.parametrize("scan_bytes", [0, staging.SCAN_BYTES])
def test_a_control_total_may_stand_below_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scan_bytes: int
) -> None:
    monkeypatch.setattr(staging, "SCAN_BYTES", scan_bytes)
    text = FUNDS_YUAN + fund("F1", "1", "2") + "注：口径,,,,,\n合计,,,,1,3\n数据来源：甲,,,,,\n"
    land(tmp_path / "landing", "fund_commitments", "a__20240205.csv", text)
    (outcome,) = ingest(Home(tmp_path / "home"), tmp_path / "landing")
    assert (outcome.rows_in, outcome.rows_accepted) == (1, 1)
    assert outcome.reason == "control total on line 4: 实缴变动额 differs from the accepted rows"


def test_a_first_row_of_missing_values_is_a_row(tmp_path: Path) -> None:
    land(tmp_path / "landing", "fund_commitments", "a__20240131.csv", FUNDS + "F,NA,N/A,NA,NA,NA\n" + FUND_ROWS)
    (outcome,) = ingest(Home(tmp_path / "home"), tmp_path / "landing")
    assert (outcome.rows_in, outcome.rows_quarantined) == (11, 1)


def test_a_file_that_is_still_being_written_waits_for_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = land(tmp_path / "landing", "fund_commitments", "a__20240131.csv", FUNDS + FUND_ROWS)
    land(tmp_path / "landing", "fund_commitments", "b__20240131.csv", FUNDS + FUND_ROWS.replace("F", "G"))
    home, archive_file = Home(tmp_path / "home"), archive._archive

    def grow_first(*arguments: Any) -> str:
        if arguments[2] == path:
            path.write_text(FUNDS + FUND_ROWS.replace("SAB123", "SAB124"), encoding="utf-8")
        return archive_file(*arguments)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(archive, "_archive", grow_first)
        assert [o.file for o in ingest(home, tmp_path / "landing")] == ["b__20240131.csv"]
    assert "it is left for the next run" in caplog.text
    assert [o.file for o in ingest(home, tmp_path / "landing")] == ["a__20240131.csv"]


def test_a_file_that_changes_while_it_is_copied_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = land(tmp_path / "landing", "fund_commitments", "a__20240131.csv", FUNDS + FUND_ROWS)
    home, copy = Home(tmp_path / "home"), shutil.copyfile

    def grow_afterwards(*arguments: Any) -> None:
        copy(*arguments)
        path.write_text(FUNDS + FUND_ROWS.replace("SAB123", "SAB124"), encoding="utf-8")

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(shutil, "copyfile", grow_afterwards)
        assert ingest(home, tmp_path / "landing") == []
    assert list((home.archive / "fund_commitments").iterdir()) == []
    (outcome,) = ingest(home, tmp_path / "landing")
    (kept,) = (home.archive / "fund_commitments").iterdir()
    assert kept.stem == outcome.sha256 == sha256_of(kept) == sha256_of(path)
    path.write_text(
        FUNDS + FUND_ROWS.replace("SAB123", "SAB125"), encoding="utf-8"
    )  # as many bytes, under the same name
    assert [o.outcome for o in ingest(home, tmp_path / "landing")] == ["loaded"]
    assert ingest(home, tmp_path / "landing") == []


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    folder = tmp_path / "landing" / "fund_commitments"
    outside = land(tmp_path / "elsewhere", "fund_commitments", "secret.csv", FUNDS + FUND_ROWS)
    (folder / "dir__20240131.csv").mkdir(parents=True)
    (folder / "link__20240131.csv").symlink_to(outside)
    (folder / "loop__20240131.csv").symlink_to(folder / "loop__20240131.csv")
    os.mkfifo(folder / "pipe__20240131.csv")
    land(tmp_path / "landing", "fund_commitments", "good__20240131.csv", FUNDS + FUND_ROWS)
    land(tmp_path / "landing", "fund_commitments", "good__20240131.csv.meta.yaml", "note: [1, 2]\n")
    land(tmp_path / "landing", "fund_commitments", "next__20240131.csv", FUNDS + FUND_ROWS.replace("F", "G"))
    found = {o.file.split("_")[0]: (o.outcome, o.reason) for o in ingest(Home(tmp_path / "home"), tmp_path / "landing")}
    assert found == {
        "dir": ("rejected", "unreadable: a folder where a file was expected"),
        "link": ("rejected", "unreadable: a symbolic link; deliver the file itself"),
        "loop": ("rejected", "unreadable: a symbolic link; deliver the file itself"),
        "pipe": ("rejected", "unreadable: no regular file"),
        "good": (
            "rejected",
            "unreadable sidecar good__20240131.csv.meta.yaml: not a list of names with one value each",
        ),
        "next": ("loaded", None),
    }


REAL_CODES = Path(__file__).resolve().parent.parent.parent / "shared" / "realdata" / "uscc"


@pytest.mark.skipif(not REAL_CODES.is_dir(), reason="the real codes are not part of the repository")
def test_real_codes_pass_and_the_issued_exceptions_carry_a_flag(tmp_path: Path) -> None:
    valid, issued = (
        [row["uscc"] for row in csv.DictReader((REAL_CODES / name).read_text(encoding="utf-8-sig").splitlines())]
        for name in ("valid_real_codes.csv", "issued_but_fail_checksum.csv")
    )
    assert (len(valid), len(issued)) == (200, 3)
    rows = [f"E{i},2024-01-02,引进,{code},甲,基金机构\n" for i, code in enumerate(valid + issued)]
    land(tmp_path / "landing", "institution_register", "a__20240131.csv", REGISTER + "".join(rows))
    home = Home(tmp_path / "home")
    (outcome,) = ingest(home, tmp_path / "landing")
    assert (outcome.rows_accepted, outcome.rows_quarantined) == (203, 0)
    flagged = duckdb.sql(
        f"SELECT uscc FROM '{home.lake}/institution_register/*.parquet' WHERE flags = ['uscc_check']"
    ).fetchall()
    assert sorted(code for (code,) in flagged) == sorted(issued)


LINES = st.lists(
    st.sampled_from(["a", "é", ",", ",", '"', '"a"', '""', '"a,b"', '"a"",é"', "\n", "\n", "\r\n", "\r", "\0"]),
    max_size=30,
)


@settings(max_examples=500, deadline=None)
@given(data=LINES.map("".join), block=st.integers(1, 9), skipped=st.integers(0, 1))
@example(data='"a","é"\r\né,a\n"",a\n\na\na,a,a', block=1, skipped=0)
@example(data='"a,""é","a"\r\n"é,"",a","""é"""', block=1, skipped=0)
def test_rows_in_bulk_are_the_records_or_doubtful(
    tmp_path_factory: pytest.TempPathFactory, data: str, block: int, skipped: int
) -> None:
    path = tmp_path_factory.mktemp("rows") / "a.csv"
    path.write_bytes((skipped * "a,a\n" + data).encode())
    with pytest.MonkeyPatch.context() as patched, ThreadPoolExecutor(2) as executor:
        patched.setattr(text, "BLOCK", block)
        try:
            found = []
            for piece in text._pieces(path, ",", executor, 1 + skipped, [pa.string(), CODES]):
                cells = zip(*(column.to_pylist() for column in piece.cells.columns), strict=True)
                found += [*zip(piece.lines.to_pylist(), map(list, cells), strict=True)]
                found += [(record.line, record.cells) for record in piece.ragged]
        except Doubtful:
            event("doubtful")
            assert re.search('[\r\0"]', data)
            return
    records = [(record.line, record.cells) for record in text.read_records(path, ",")][skipped:]
    assert sorted(row for row in found if any(row[1])) == [row for row in records if any(row[1])]


@given(
    lines=st.lists(st.text("ab,é\r", max_size=5).map(lambda text: text.rstrip("\r")), min_size=1, max_size=30),
    page=st.integers(1, 9),
    newline=st.sampled_from(["\n", "\r\n"]),
    ends=st.booleans(),
)
def test_lines_are_found_by_the_pages_they_stand_on(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], page: int, newline: str, ends: bool
) -> None:
    path = tmp_path_factory.mktemp("lines") / "a.csv"
    path.write_bytes((newline.join(lines) + newline * ends).encode())
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(text, "PAGE", page)
        wanted = range(1, len(lines) + 1)
        for chosen in (wanted, wanted[::2], wanted[-1:]):
            found = list(text._cells_of_lines(path, ",", list(chosen)))
            assert found == [lines[line - 1].split(",") for line in chosen]


@pytest.mark.parametrize("scan_bytes", [0, staging.SCAN_BYTES])
def test_cells_beyond_the_header_break_a_line_of_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scan_bytes: int
) -> None:
    monkeypatch.setattr(staging, "SCAN_BYTES", scan_bytes)
    rows = FUND_ROWS.replace(",11,1\n", ",11,1,000.50\n").replace(",12,1\n", ",12,1,,\n")
    land(tmp_path / "landing", "fund_commitments", "a__20240131.csv", FUNDS + rows)
    home = Home(tmp_path / "home")
    (outcome,) = ingest(home, tmp_path / "landing")
    assert (outcome.rows_accepted, outcome.rows_quarantined) == (9, 1)
    (row,) = lake.quarantined_rows(home)
    assert (row["line"], row["rule"], row["column"], row["value"]) == (2, "format", "(beyond the header)", "000.50")


def test_reasons_of_taxpayer_level_deliveries_quote_nothing_printed(tmp_path: Path) -> None:
    header = "税票号码,统一社会信用代码,税种,税款所属期,入库日期,业务类型,实缴金额"
    row = "V1,91430100MA4L2XPT07,增值税,2024-01,2024-01-20,入库,1\n"
    land(tmp_path / "landing", "tax_collections", "a__20240205.csv", "单位：三元公司\n" + header + "\n" + row)
    land(tmp_path / "landing", "tax_collections", "b__20240205.csv", header + ",张三\n" + row)
    unit, column = (outcome.reason for outcome in ingest(Home(tmp_path / "home"), tmp_path / "landing"))
    assert unit == "unknown unit (not shown) of 实缴金额 (amount); known: 元, 万元, 亿元"
    assert column == "unknown columns: 1"
