"""Every format of a table gives the same lake; layouts that people make are read as people read them."""

from __future__ import annotations

import io
import json
import re
import tempfile
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlwt
from biff import encrypted_xls
from formats import FORMATS, FUND, FUNDS, Rows, html_table, xls, xlsx
from hypothesis import given, settings
from hypothesis import strategies as st
from msoffcrypto.format.ooxml import OOXMLFile

from hfc.home import Home
from ingest import lake, staging
from ingest.contract import load_contracts
from ingest.readers import open_readings
from ingest.readers.columnar import parquet_readings


def loaded(folder: Path, feed: str, data: bytes, name: str = "delivery__20240630.xls") -> tuple[lake.Outcome, Rows]:
    """The outcome of one delivery, and its rows in the lake as (sheet, line, values…)."""
    path = folder / "landing" / feed / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    home = Home(folder / "home")
    (outcome,) = [lake.load(home, delivery_id) for delivery_id in lake.receive(home, folder / "landing")]
    if outcome.outcome != "loaded":
        return outcome, []
    rows = duckdb.sql(f"SELECT * EXCLUDE flags FROM '{home.lake}/{feed}/*.parquet' ORDER BY sheet, line").fetchall()
    return outcome, [list(row) for row in rows]


def amounts(rows: Rows) -> list[tuple[str, int, int]]:
    """(key, subscribed, paid in) of fund rows."""
    return [(row[2], int(row[6]), int(row[7])) for row in rows]


NAMES = st.text("甲乙丙丁湖南省Ａb1 （）·&<>'\",;", min_size=1, max_size=8).map(str.strip).filter(bool)
CELLS = st.tuples(
    st.sampled_from(["SAB123", "SXY9Z0", "123"]),
    st.sampled_from(["68501913-3", "91430100MA4L2XPT07", "91430100"]),
    st.dates(date(2023, 1, 1), date(2024, 12, 31)),
    st.integers(-(10**6), 10**6).map(lambda cents: cents / 100),
    st.integers(-(10**9), 10**9),
)


def test_what_is_packed_is_scanned_by_its_unpacked_size(tmp_path: Path) -> None:
    (tmp_path / "packed").write_bytes(FORMATS["csv.gz"]([FUNDS, FUND]))
    comma, tab = open_readings(load_contracts()["fund_commitments"], tmp_path / "packed", tmp_path)
    assert comma.size == tab.size == len(FORMATS["csv"]([FUNDS, FUND]))


def _unspaced(name: str) -> str:
    return " ".join(name.split())


@settings(max_examples=4, deadline=None)
@given(st.lists(st.tuples(NAMES.map(_unspaced), CELLS), min_size=1, max_size=20))
def test_every_format_gives_the_same_lake_and_loses_no_row(drawn: list[tuple[str, tuple[Any, ...]]]) -> None:
    rows: Rows = [FUNDS, *([f"F{name}", *cells] for name, cells in drawn)]
    results = {}
    for form, write in FORMATS.items():
        with tempfile.TemporaryDirectory() as folder:
            outcome, found = loaded(Path(folder), "fund_commitments", write(rows))
        assert outcome.rows_in == len(drawn), (form, outcome)
        assert outcome.rows_in == outcome.rows_accepted + outcome.rows_quarantined + outcome.rows_duplicate
        counts = (outcome.outcome, outcome.rows_accepted, outcome.rows_quarantined, outcome.rows_duplicate)
        results[form] = (*counts, [row[2:] for row in found])
    assert all(result == results["csv"] for result in results.values()), results


def test_cells_read_as_excel_shows_them(tmp_path: Path) -> None:
    def formulas(book: Any) -> None:
        sheet = book["表1"]
        sheet["B2"].data_type = "s"  # looks like a formula, is text
        sheet["G2"] = "=1+1"  # was never calculated

    rows = [
        ["线索编号", "填报", "发现日期", "环节", "等级", "办结日期", "是否风险事件", "是否区域性系统性"],
        [123456789012, "=cmd|' /C calc'!A0", datetime(2024, 3, 31), "后期服务", "一般", "", True, False],
        ["b", 0.1 + 0.2, date(2024, 3, 31), "后期服务", "一般", datetime(2024, 4, 1, 12, 30), True, False],
        [*(["c"] * 2), 45382, "后期服务", "一般", None, False, False],
        *([key, key, "2024/3/31", "后期服务", "一般", None, False, False] for key in "defghijk"),
    ]
    outcome, found = loaded(tmp_path, "risk_leads", xlsx(rows, change=formulas))
    assert (outcome.rows_accepted, outcome.rows_quarantined) == (9, 2), outcome
    quarantined = {row["line"]: row for row in lake.quarantined_rows(Home(tmp_path / "home"))}
    assert (quarantined[2]["rule"], quarantined[2]["column"]) == ("required", "is_incident")
    assert quarantined[2]["raw"][:3] == ["123456789012", "=cmd|' /C calc'!A0", "2024-03-31"]
    assert (quarantined[3]["rule"], quarantined[3]["value"]) == ("date", "2024-04-01 12:30:00")
    assert quarantined[3]["raw"][1] == "0.3"
    assert {row[3] for row in found} == {date(2024, 3, 31)}


def _xls_with_errors() -> bytes:
    """Two sheets of one fund each; below the second one's an error, and a formula that came out as one."""
    book = xlwt.Workbook()
    for number in (1, 2):
        sheet = book.add_sheet(f"表{number}")
        for line, row in enumerate([FUNDS, [f"F{number}", *map(str, FUND[1:])]]):
            for column, value in enumerate(row):
                sheet.write(line, column, value)
    book.get_sheet(1).row(2).set_cell_error(4, "#DIV/0!")
    book.get_sheet(1).write(2, 5, xlwt.Formula("1/0"))
    target = io.BytesIO()
    book.save(target)
    formula = re.compile(rb"(\x06\x00..\x02\x00\x05\x00..)\x03\0{5}\xff\xff", re.DOTALL)
    error = b"\x02\0\x2a\0\0\0\xff\xff"  # the result #N/A
    data, count = formula.subn(lambda found: found[1] + error, target.getvalue())
    assert count == 1
    return data


@pytest.mark.parametrize("form", ["xlsx", "xls"])
def test_error_cells_are_faults_not_missing_values(tmp_path: Path, form: str) -> None:
    def spoil(book: Any) -> None:
        book["表2"]["E3"] = "#DIV/0!"
        book["表2"]["F3"] = "#N/A"

    data = _xls_with_errors() if form == "xls" else xlsx([FUNDS, FUND], [FUNDS, ["F2", *FUND[1:]]], change=spoil)
    loaded(tmp_path, "fund_commitments", data)
    wrong = [row for row in lake.quarantined_rows(Home(tmp_path / "home")) if row["line"] == 3]
    assert [row["raw"] for row in wrong] == [["", "", "", "", "#DIV/0!", "#N/A"]]


def test_long_numbers_do_not_pretend_to_be_codes(tmp_path: Path) -> None:
    """Excel keeps 15 digits of a number; an 18-digit code typed as one is lost, not a code that ends in zeros."""
    rows = [FUNDS, *[[f"F{i}", *FUND[1:]] for i in range(5)], ["F9", "SAB123", 914301000000000070, *FUND[3:]]]
    outcome, _ = loaded(tmp_path, "fund_commitments", xlsx(rows))
    (bad,) = lake.quarantined_rows(Home(tmp_path / "home"))
    assert (outcome.rows_accepted, bad["rule"], bad["raw"][2]) == (5, "uscc_format", "9.14301e+17")


def _bilingual_in_one_cell() -> bytes:
    header = [
        f"{zh}\n{en}" for zh, en in zip(FUNDS, ["No.", "Fund", "Manager", "Date", "Subscribed", "Paid in"], strict=True)
    ]
    return xlsx([["基金变动表"], header, FUND])


def _english_below() -> bytes:
    return xlsx([FUNDS, ["No.", "Fund", "Manager", "Date", "Subscribed", "Paid in"], FUND])


def _two_merged_rows() -> bytes:
    top = [*FUNDS[:4], "变动额(万元)", None]
    return xlsx(
        [top, [*[None] * 4, "认缴变动额", "实缴变动额"], FUND], merge=["A1:A2", "B1:B2", "C1:C2", "D1:D2", "E1:F1"]
    )


def _units_below() -> bytes:
    return xlsx(
        [[*FUNDS[:4], "认缴变动额", "实缴变动额"], [*[None] * 4, "万元", "万元"], FUND], merge=["A1:A2", "B1:B2"]
    )


def _unit_cell_above() -> bytes:
    return xlsx([["基金变动表"], [None, None, None, None, "单位：", "亿元"], [*FUNDS[:4], "认缴变动额", "实缴变动额"],
                 [*FUND[:4], 0.00015, -0.0002]])  # fmt: skip


def _unit_behind_the_title() -> bytes:
    return xlsx([["基金变动表（单位：亿元）"], [*FUNDS[:4], "认缴变动额", "实缴变动额"],
                 [*FUND[:4], 0.00015, -0.0002]])  # fmt: skip


def _unit_behind_the_month() -> bytes:
    return xlsx([["填报单位：元和公司"], ["2024年3月   金额单位：元"], [*FUNDS[:4], "认缴变动额", "实缴变动额"],
                 [*FUND[:4], 15000, -20000]])  # fmt: skip


def _preamble_notes_total() -> bytes:
    rows = [["基金变动表（2024年）"], ["填报单位：甲"], [], FUNDS, FUND, ["合计", None, None, None, 1.5, -2],
            ["注：口径"], ["　　二、说明"], ["数据来源：登记系统"]]  # fmt: skip
    return xlsx(rows, merge=["A1:F1", "A2:F2", "A6:D6", "A7:F7", "A9:F9"])


def _merged_key_cells() -> bytes:
    return xlsx([FUNDS, FUND, [None, None, None, None, 1.5, -2]], merge=["A2:A3", "B2:B3", "C2:C3", "D2:D3"])


def _spanned_html() -> bytes:
    cells = "".join(f"<td>{cell}</td>" for cell in FUND)
    top = "".join(f"<th rowspan=2>{name}</th>" for name in FUNDS[:4])
    return (
        f"<table><tr><td colspan=6>基金变动表</td></tr><tr>{top}<th colspan=2>变动额（万元）</th></tr>"
        f"<tr><th>认缴变动额</th><th>实缴变动额</th></tr><tr>{cells}</tr>"
        "<tr><td colspan=6>注：口径</td></tr></table>"
    ).encode()


def _starts_at_c5() -> bytes:
    return xlsx([[], [], [], [], [None, None, *FUNDS], [None, None, *FUND]])


@pytest.mark.parametrize(
    "write",
    [
        _bilingual_in_one_cell,
        _english_below,
        _two_merged_rows,
        _units_below,
        _unit_cell_above,
        _unit_behind_the_title,
        _unit_behind_the_month,
        _preamble_notes_total,
        _merged_key_cells,
        _spanned_html,
        _starts_at_c5,
    ],
)
def test_layouts_that_people_make(tmp_path: Path, write: Callable[[], bytes]) -> None:
    outcome, rows = loaded(tmp_path, "fund_commitments", write())
    assert (outcome.outcome, outcome.reason, outcome.rows_quarantined) == ("loaded", None, 0)
    assert outcome.rows_in == (2 if write is _merged_key_cells else 1)
    assert amounts(rows) == [("F1", 15000, -20000)]


@pytest.mark.parametrize("form", ["xlsx", "HTML"])
def test_an_amount_merged_over_two_rows_is_counted_once(tmp_path: Path, form: str) -> None:
    more = [[f"G{number}", *FUND[1:]] for number in range(9)]
    if form == "xlsx":
        data = xlsx([FUNDS, FUND, ["F2", None, None, None, None, -3], *more], merge=[f"{c}2:{c}3" for c in "BCDE"])
    else:
        spanned = "".join(f"<td rowspan=2>{cell}</td>" for cell in FUND[1:5])
        lines = [f"<tr><td>F1{spanned}<td>-2", "<tr><td>F2<td>-3"]
        data = html_table([FUNDS, *more]).replace(b"</table>", "".join([*lines, "</table>"]).encode())
    outcome, _ = loaded(tmp_path, "fund_commitments", data)
    (refused,) = lake.quarantined_rows(Home(tmp_path / "home"))
    assert (outcome.rows_accepted, refused["rule"], refused["column"]) == (10, "required", "subscribed_change")
    assert refused["raw"] == ["F2", "SAB123", "68501913-3", "2024-01-02", "", "-3"]


def test_continued_block_and_second_sheet_with_another_order_and_unit(tmp_path: Path) -> None:
    first = [FUNDS, FUND, ["注：第一页"], ["续表"], FUNDS, ["F2", *FUND[1:]], ["合计", None, None, None, 3, -4]]
    other = ["实缴变动额(元)", "变动日期", "管理人代码", "基金编码", "变动编号", "认缴变动额(亿元)"]
    second = [["(接上表)"], other, [7, date(2024, 1, 3), "68501913-3", "SAB123", "F3", 2]]
    outcome, rows = loaded(tmp_path, "fund_commitments", xlsx(first, second, [["目录"], ["表1"]]))
    assert outcome.rows_accepted == 3
    assert amounts(rows) == [("F1", 15000, -20000), ("F2", 15000, -20000), ("F3", 200000000, 7)]
    assert [row[:2] for row in rows] == [["表1", 2], ["表1", 6], ["表2", 3]]
    assert outcome.reason and "sheet 表3 holds no table of this feed" in outcome.reason


@pytest.mark.parametrize("unit", [["单位：亿元"], ["单位", "亿元"]])
def test_a_continued_block_with_its_unit_in_the_same_row(tmp_path: Path, unit: list[str]) -> None:
    plain = [name.removesuffix("(万元)") for name in FUNDS]
    rows = [plain, FUND, ["续表", None, None, None, *unit], plain, ["F2", *FUND[1:]]]
    outcome, found = loaded(tmp_path, "fund_commitments", xlsx(rows))
    assert outcome.rows_in == outcome.rows_accepted == 2
    assert amounts(found) == [("F1", 15000, -20000), ("F2", 150000000, -200000000)]


def test_notes_merged_over_several_key_columns(tmp_path: Path) -> None:
    rows = [["季度", "指数", "同比指数"], ["2024Q1", "居民消费价格", 100.2], ["2024Q2", "居民消费价格", 100.3],
            ["注：上年同期=100"], ["　　价格为现价"], ["续表"], ["季度", "指数", "同比指数"],
            ["2024Q3", "居民消费价格", 100.4], ["数据来源：统计局"]]  # fmt: skip
    outcome, found = loaded(tmp_path, "price_indices", xlsx(rows, merge=[f"A{line}:C{line}" for line in (4, 5, 6, 9)]))
    assert (outcome.outcome, outcome.rows_in, outcome.rows_accepted) == ("loaded", 3, 3), outcome
    assert [row[2] for row in found] == ["2024-Q1", "2024-Q2", "2024-Q3"]


def test_hidden_sheets_are_read_as_any_other(tmp_path: Path) -> None:
    def hide(book: Any) -> None:
        book["表2"].sheet_state = "veryHidden"
        book.create_chartsheet("图")

    outcome, _ = loaded(tmp_path, "fund_commitments", xlsx([FUNDS, FUND], [FUNDS, ["F2", *FUND[1:]]], change=hide))
    assert (outcome.rows_accepted, outcome.reason) == (2, None)


@pytest.mark.parametrize(("password", "expected"), [("VelvetSweatshop", "loaded"), ("secret", "rejected")])
@pytest.mark.parametrize("form", ["xlsx", "xls"])
def test_encrypted_workbooks(tmp_path: Path, form: str, password: str, expected: str) -> None:
    if form == "xls":
        data = encrypted_xls(xls([FUNDS, FUND]), password)
    else:
        target = io.BytesIO()
        OOXMLFile(io.BytesIO(xlsx([FUNDS, FUND]))).encrypt(password, target)
        data = target.getvalue()
    outcome, rows = loaded(tmp_path, "fund_commitments", data)
    assert outcome.outcome == expected
    if expected == "loaded":
        assert amounts(rows) == [("F1", 15000, -20000)]
    else:
        assert outcome.reason == "unreadable: the workbook is encrypted with a password; deliver it without one"


def _funds_json(record: str) -> str:
    cells = dict(zip(FUNDS, map(str, FUND), strict=True))
    return f"[{json.dumps(cells, ensure_ascii=False)}, {record}]"


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (_funds_json('{"变动编号": "F2", "变动编号": "F3"}'), "a key stands twice in record 2 of $"),
        (_funds_json('{"变动编号": {"a": 1}}'), "a nested value in record 2 of $, key 变动编号"),
        (_funds_json('{"变动编号": []}'), "a nested value in record 2 of $, key 变动编号"),
        (_funds_json('{"变动编号": NaN}'), "JSON knows no NaN"),
        (_funds_json('{"变动编号": -Infinity}'), "JSON knows no -Infinity"),
        (_funds_json('"F2"'), "record 2 of $ is no object"),
        (_funds_json('{"变动编号": "\\ud800"}'), "half of a surrogate pair in row 2"),
        (_funds_json('{"变动编号": "\\u0000"}'), "a NUL character in row 2"),
        (_funds_json('{"变动编号": "F2"'), "no JSON on line 1, column"),
        ('{"a": [{"x": 1}], "b": {"c": [{"x": 1}]}}', "JSON with 2 lists of objects ($.a, $.b.c)"),
        ('{"a": 1, "a": [{"x": 1}]}', "a key stands twice in the object $"),
        ('{"a": [1, 2]}', "JSON without a list of objects"),
        ("[" * 100_000, "JSON nested too deeply"),
    ],
)
def test_json_that_is_no_table_is_refused_with_the_place(tmp_path: Path, document: str, reason: str) -> None:
    outcome, _ = loaded(tmp_path, "fund_commitments", document.encode())
    assert outcome.outcome == "rejected" and reason in (outcome.reason or ""), outcome.reason


def test_json_keeps_digits_and_reads_true_as_a_flag(tmp_path: Path) -> None:
    record = (
        '[{"变动编号": 123456789012345678901234567890, "基金编码": "SAB123", "管理人代码": "68501913-3", '
        '"变动日期": "2024-01-02", "认缴变动额": 1234567890123456.0123456789, "实缴变动额": 1e2, "作废": false}, '
        '{"变动编号": "F2", "作废": true, "实缴变动额": null}]'
    )
    outcome, rows = loaded(tmp_path, "fund_commitments", record.encode("gb18030"))
    assert (outcome.outcome, outcome.rows_accepted) == ("loaded", 2)
    key = "123456789012345678901234567890"
    assert rows[0][2:] == [
        key,
        "SAB123",
        "685019133",
        date(2024, 1, 2),
        Decimal("12345678901234560123.456789"),
        1000000,
        False,
    ]
    assert (rows[1][2], rows[1][-1]) == ("F2", True)


def _typed_parquet(path: Path, count: int) -> Path:
    """Fund rows with a type of its own for each column; every tenth row is broken, one stands twice."""
    keys = [f"F{number:05d}" for number in range(count)]
    keys[-1] = keys[0]
    columns = {
        "变动编号": pa.array(keys).dictionary_encode(),
        "基金编码": pa.array([b"SAB123"] * count, pa.binary()),
        "管理人代码": pa.array(["68501913-3"] * count),
        "变动日期": pa.array([datetime(2024, 1, 2, 12 if number % 10 == 1 else 0) for number in range(count)]),
        "认缴变动额(万元)": pa.array([Decimal("1.50")] * count, pa.decimal128(30, 2)),
        "实缴变动额": pa.array([0.1 + 0.2] * count),
        "作废": pa.array([None] * count, pa.bool_()),
        "备注": pa.array(['a"b', None] * (count // 2)),
    }
    pq.write_table(pa.table(columns), path)
    return path


def test_parquet_in_bulk_and_row_by_row_give_the_same_lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = _typed_parquet(tmp_path / "typed", 200).read_bytes()
    found = {}
    for scan_bytes in (0, staging.SCAN_BYTES):
        monkeypatch.setattr(staging, "SCAN_BYTES", scan_bytes)
        outcome, rows = loaded(tmp_path / str(scan_bytes), "fund_commitments", data)
        assert (outcome.rows_in, outcome.rows_quarantined, outcome.rows_duplicate) == (200, 20, 1)
        quarantined = lake.quarantined_rows(Home(tmp_path / str(scan_bytes) / "home"))
        found[scan_bytes] = (rows, [(row["line"], row["rules"], row["value"], row["raw"]) for row in quarantined])
    first, second = found.values()
    assert first == second
    assert first[0][0][1:] == [1, "F00000", "SAB123", "685019133", date(2024, 1, 2), 15000, 3000, False]
    assert first[1][0][:3] == (2, ["date"], "2024-01-02 12:00:00")


def test_parquet_columns_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["line", "number", "wanted", "c0", 'a"b', "甲", "甲", "cells", "block"]
    values = [pa.array([str(value)] * 9 + ["?"]) for value in FUND[1:]]
    keys = pa.array([f"F{number}" for number in range(10)])
    table = pa.table([keys, *values, *[keys] * len(names)], names=[*FUNDS, *names])
    pq.write_table(table, tmp_path / "file")
    monkeypatch.setattr(staging, "SCAN_BYTES", 0)
    outcome, _ = loaded(tmp_path, "fund_commitments", (tmp_path / "file").read_bytes())
    assert (outcome.rows_accepted, outcome.rows_quarantined) == (9, 1), outcome
    assert outcome.reason == f"unknown columns: {', '.join(dict.fromkeys(names))}"
    for taken in ("变动编号", "file_row_number"):
        pq.write_table(pa.table([keys, *values, keys], names=[*FUNDS, taken]), tmp_path / "file")
        outcome, _ = loaded(tmp_path / taken, "fund_commitments", (tmp_path / "file").read_bytes())
        assert outcome.outcome == "rejected" and ("twice" in outcome.reason or "file_row_number" in outcome.reason)


def test_parquet_bulk_reading_tells_single_rows(tmp_path: Path) -> None:
    (reading,) = parquet_readings(_typed_parquet(tmp_path / "typed", 40), tmp_path)
    assert reading.cells
    wanted = {record.line: record.cells for record in reading.records() if record.line in (1, 7, 40)}
    assert list(reading.cells([1, 7, 40])) == list(wanted.values())


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"变动编号": [["F1"]]}, "column 变动编号 holds nested values (VARCHAR[])"),
        ({"变动编号": [{"a": 1}]}, "column 变动编号 holds nested values (STRUCT"),
        ({f"c{number}": [1] for number in range(5000)}, "more than 4096 columns"),
        ({"变动编号": ["x" * (1 << 21)]}, "a cell of more than 1048576 bytes"),
        ({"变动编号": pa.array(["F"]).take(pa.array([0] * 40_000_000))}, "bytes of Parquet hold 40000000 rows"),
    ],
)
def test_parquet_that_is_no_table_is_refused(tmp_path: Path, columns: dict[str, Any], reason: str) -> None:
    target = io.BytesIO()
    pq.write_table(pa.table(columns), target)
    outcome, _ = loaded(tmp_path, "fund_commitments", target.getvalue())
    assert outcome.outcome == "rejected" and reason in (outcome.reason or ""), outcome.reason
