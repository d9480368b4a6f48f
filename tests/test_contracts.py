"""Every feed's contract: it says what the specification says, reads every spelling, and refuses every fault.

`oracle.FEEDS` restates the specification independently of the contracts. Tests about rows run twice: small files are read
record by record, large ones in bulk, and both must give the same.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import oracle
import pyarrow as pa
import pytest
from deliveries import write_wide
from test_ingest import ingest, land

from hfc.home import Home
from ingest import lake, staging
from ingest.columns import faults, value_sql
from ingest.contract import MONEY_UNITS, Column, Contract, load_contracts
from ingest.plain import plain_values

EXAMPLES = Path(__file__).parent.parent / "docs" / "feeds" / "examples"
FEEDS = sorted(oracle.FEEDS)
USCC = "91430100MA4L2XPT0X"
Cells = dict[str, str]

# A plain row of each feed. {n} makes its key unlike any other row's; {y} is a year that does the same.
PLAIN: dict[str, Cells] = {
    "institution_register": {
        "event_id": "EVENT-{n}",
        "event_date": "2024-01-15",
        "event_type": "引进",
        "uscc": USCC,
        "name": "SIMULATED",
        "category": "基金机构",
        "industry_code": "J6732",
    },
    "fund_commitments": {
        "change_id": "CHANGE-{n}",
        "fund_code": "SAB123",
        "manager_code": USCC,
        "change_date": "2024-01-15",
        "subscribed_change": "5.5",
        "paid_in_change": "-1",
    },
    "tax_collections": {
        "voucher_no": "VOUCHER-{n}",
        "uscc": USCC,
        "tax_type": "增值税",
        "tax_period": "2024-01",
        "treasury_date": "2024-02-15",
        "kind": "入库",
        "amount": "125.50",
    },
    "value_added_accounts": {
        "year": "{y}",
        "division": "66",
        "compensation": "12.5",
        "net_taxes_on_production": "1.2",
        "depreciation": "0.8",
        "operating_surplus": "-20.5",
        "gross_output": "48",
        "intermediate_consumption": "13",
        "stage": "初步核算",
    },
    "value_added_indicators": {
        "quarter": "{y}Q4",
        "indicator": "存款余额",
        "basis": "期末",
        "value": "1080",
        "unit": "亿元",
    },
    "price_indices": {"quarter": "{y}Q4", "index_code": "居民消费价格", "yoy_index": "100.2"},
    "listing_pipeline": {
        "record_id": "RECORD-{n}",
        "uscc": USCC,
        "name": "SIMULATED",
        "stage": "后备",
        "stage_date": "2024-02-20",
        "is_fintech": "是",
    },
    "duty_reports": {
        "duty_no": "7",
        "month": "{y}-02",
        "status": "推进中",
        "progress_pct": "60",
        "due_date": "2026-12-31",
        "evidence": "模拟文件",
        "reporting_unit": "模拟单位",
    },
    "duty_measures": {"duty_no": "7", "measure_id": "visits", "month": "{y}-02", "value": "35", "unit": "家"},
    "activities": {
        "activity_id": "ACTIVITY-{n}",
        "held_on": "2024-03-06",
        "kind": "路演",
        "title": "模拟路演",
        "organiser": "模拟单位",
        "deals": "3",
    },
    "risk_leads": {
        "lead_id": "LEAD-{n}",
        "found_on": "2024-01-08",
        "stage": "楼宇巡查",
        "severity": "一般",
        "closed_on": "2024-05-30",
        "is_incident": "否",
        "is_systemic": "否",
    },
    "floor_space": {
        "plan_version": "VERSION-{n}",
        "parcel": "A-01",
        "approved_on": "2023-06-30",
        "area": "12.8",
        "kind": "存量",
    },
    "official_figures": {
        "metric_id": "metric_{n}",
        "period": "2023",
        "value": "136.4",
        "unit": "亿元",
        "citation": "https://example.org/simulated",
    },
    "revision_notes": {
        "note_id": "NOTE-{n}",
        "metric_id": "financial_value_added",
        "from_period": "2022Q1",
        "to_period": "2022Q4",
        "stage": "最终核实",
        "reason": "模拟原因",
    },
}

# Published on 2024-03-31: a column, the rule its cell breaks, the cell (∅ is empty), other cells that the fault needs.
# A conflicting key is a second row whose cell differs.
BAD = {
    "institution_register": """
        event_id       required         ∅
        event_id       conflicting_key  ∅            name=OTHER
        event_date     required         ∅
        event_date     date             2024-02-30
        event_date     future_date      2024-04-01
        event_type     required         ∅
        event_type     enum             入驻
        uscc           required         ∅
        uscc           uscc_format      91430100MA4L2XPT0O
        name           required         ∅
        category       required         ∅
        category       required         ∅            event_type=类别变更
        category       enum             银行
        industry_code  format           Z66
        void           enum             Y
    """,
    "fund_commitments": """
        change_id          required         ∅
        change_id          conflicting_key  ∅            paid_in_change=2
        fund_code          required         ∅
        fund_code          format           SA12
        manager_code       required         ∅
        manager_code       uscc_format      P1001234
        change_date        required         ∅
        change_date        date             2024年3月
        change_date        future_date      20240401
        subscribed_change  required         ∅
        subscribed_change  number           1,00
        paid_in_change     required         ∅
        paid_in_change     number           约100
        void               enum             1
    """,
    "tax_collections": """
        voucher_no     required         ∅
        voucher_no     conflicting_key  ∅            amount=1
        uscc           required         ∅
        uscc           uscc_format      9143010068501913
        tax_type       required         ∅
        tax_type       enum             营业税
        tax_period     required         ∅
        tax_period     period           2024-03~2024-01
        treasury_date  required         ∅
        treasury_date  date             2024/13/01
        treasury_date  date             0000-01-01
        treasury_date  date             -123-01-01
        treasury_date  future_date      2024年4月1日
        kind           required         ∅
        kind           enum             调库
        amount         required         ∅
        amount         number           12%
        amount         sign             -0.01
        amount         sign             0.01         kind=退库
        amount         sign             1            kind=reversal
        void           enum             true
    """,
    "value_added_accounts": """
        year                      required         ∅
        year                      period           2023Q4
        year                      conflicting_key  ∅            stage=最终核实
        division                  required         ∅
        division                  enum             70
        compensation              required         ∅
        compensation              number           abc
        net_taxes_on_production   required         ∅
        net_taxes_on_production   number           abc
        depreciation              required         ∅
        depreciation              number           abc
        operating_surplus         required         ∅
        operating_surplus         number           (20.5)
        gross_output              required         ∅
        gross_output              number           4.8.0
        intermediate_consumption  required         ∅
        intermediate_consumption  number           13亿元
        stage                     required         ∅
        stage                     enum             核实
        void                      enum             0
    """,
    "value_added_indicators": """
        quarter    required         ∅
        quarter    period           2023Q5
        quarter    conflicting_key  ∅            value=1
        indicator  required         ∅
        indicator  enum             存款
        basis      required         ∅
        basis      enum             年初
        value      required         ∅
        value      number           1,08
        unit       required         ∅
        void       enum             no
    """,
    "price_indices": """
        quarter     required         ∅
        quarter     period           2023年5季度
        quarter     conflicting_key  ∅            yoy_index=99
        index_code  required         ∅
        index_code  enum             ppi
        yoy_index   required         ∅
        yoy_index   number           百
        yoy_index   range            -1000001
        yoy_index   range            100000000000000000000
        void        enum             N
    """,
    "listing_pipeline": """
        record_id   required         ∅
        record_id   conflicting_key  ∅            stage=申报
        uscc        required         ∅
        uscc        uscc_format      68501913-3
        name        required         ∅
        stage       required         ∅
        stage       enum             过会
        stage_date  required         ∅
        stage_date  date             去年
        stage_date  future_date      2024/4/1
        is_fintech  required         ∅
        is_fintech  enum             yes
        void        enum             √
    """,
    "duty_reports": """
        duty_no         required         ∅
        duty_no         number           1.5
        duty_no         range            0
        duty_no         range            26
        duty_no         conflicting_key  ∅            status=受阻
        month           required         ∅
        month           period           2024-13
        status          required         ∅
        status          enum             完成
        progress_pct    required         ∅
        progress_pct    number           六成
        progress_pct    range            -0.1
        progress_pct    range            100.1
        due_date        date             2026-12
        evidence        required         ∅            status=已完成
        reporting_unit  required         ∅
        void            enum             Y
    """,
    "duty_measures": """
        duty_no     required         ∅
        duty_no     number           一
        duty_no     range            -1
        duty_no     range            26
        duty_no     conflicting_key  ∅            value=36
        measure_id  required         ∅
        month       required         ∅
        month       period           2024Q1
        value       required         ∅
        value       number           35家
        unit        required         ∅
        void        enum             Y
    """,
    "activities": """
        activity_id  required         ∅
        activity_id  conflicting_key  ∅            kind=峰会
        held_on      required         ∅
        held_on      date             3月6日
        held_on      future_date      45383
        kind         required         ∅
        kind         enum             论坛
        title        required         ∅
        organiser    required         ∅
        deals        number           2.5
        void         enum             Y
    """,
    "risk_leads": """
        lead_id      required         ∅
        lead_id      conflicting_key  ∅            closed_on=∅
        found_on     required         ∅
        found_on     date             2024.1.8
        found_on     future_date      2024-04-01
        stage        required         ∅
        stage        enum             巡查
        severity     required         ∅
        severity     enum             特别重大
        closed_on    date             未办结
        is_incident  required         ∅
        is_incident  enum             有
        is_systemic  required         ∅
        is_systemic  enum             无
        void         enum             Y
    """,
    "floor_space": """
        plan_version  required         ∅
        plan_version  conflicting_key  ∅            area=13
        parcel        required         ∅
        approved_on   required         ∅
        approved_on   date             2023年6月
        approved_on   future_date      2024-04-01
        area          required         ∅
        area          number           12.8万
        area          range            -1000000000
        area          range            999999999.01
        kind          required         ∅
        kind          enum             改造
        void          enum             Y
    """,
    "official_figures": """
        metric_id  required         ∅
        metric_id  conflicting_key  ∅            value=136
        period     required         ∅
        period     period           2023年上半年
        value      required         ∅
        value      number           >100
        unit       required         ∅
        citation   required         ∅
        void       enum             Y
    """,
    "revision_notes": """
        note_id      required         ∅
        note_id      conflicting_key  ∅            reason=另一原因
        metric_id    required         ∅
        from_period  required         ∅
        from_period  period           22Q1
        to_period    required         ∅
        to_period    period           2022-00
        stage        required         ∅
        reason       required         ∅
        void         enum             Y
    """,
}

NUMBERS = {"12.5": "12.5", "１２．５": "12.5", "1 2.50": "12.5", "+12.5": "12.5", " 0 ": "0"}
LARGE = {"-1,234.5": "-1234.5", "1，234，567": "1234567", "1 234.5": "1234.5", "－３": "-3"}
DATES = ("2024-03-31", "2024/3/31", "2024/03/31", "20240331", "2024年3月31日", "２０２４－０３－３１", "45382")
MONTHS = {"{y}-03": "{y}-03", "{y}03": "{y}-03", "{y}年3月": "{y}-03", "{y}年１２月": "{y}-12"}
QUARTERS = {
    "{y}Q1": "{y}-Q1",
    "{y}-Q2": "{y}-Q2",
    "{y}年3季度": "{y}-Q3",
    "{y}年四季度": "{y}-Q4",
    "{y}年第一季度": "{y}-Q1",
    "{y}A": "{y}-Q1",
    "{y}Ｄ": "{y}-Q4",
}
YEARS = {"{y}": "{y}", "{y}年": "{y}"}
MONTH_RANGES = {
    "{y}-01~{y}-03": "{y}-01~{y}-03",
    "{y}01～{y}03": "{y}-01~{y}-03",
    "{y}年1月 ~ {y}年12月": "{y}-01~{y}-12",
}
SPELLINGS: dict[str, dict[str, Any]] = {
    "text": {"甲{n}": "甲{n}", "　Ａ（{n}）": "A({n})"},
    "date": dict.fromkeys(DATES, date(2024, 3, 31)),
    "month": MONTHS,
    "quarter": QUARTERS,
    "year": YEARS,
    "period": MONTHS | QUARTERS | YEARS,
    "months": MONTHS | MONTH_RANGES,
    "integer": {"7": 7, "１２": 12, "7.0": 7, "1 5": 15},
    "uscc": {USCC: USCC, write_wide(USCC): USCC, "91350100M0001TGQXM": "91350100M0001TGQXM"},
    "manager_code": {USCC: USCC, "68501913-3": "685019133", "685019133": "685019133", "MA4L2XPT－X": "MA4L2XPTX"},
    "fund_code": {"SAB123": "SAB123", "Ｓ９９９９９": "S99999", "SabcdE": "SabcdE"},
    "industry_code": {"J6732": "J6732", "J66": "J66", "J": "J"},
}
# What lets every value of a column pass: an event without a category, an amount that no kind forbids.
BESIDE = {"category": {"event_type": "迁出"}, "kind": {"amount": "0"}}
MISSING = ("", "-", "—", "–", "…", "……", "/", "空", "不详", "NA", "N/A")


@pytest.fixture(params=[staging.SCAN_BYTES, 0], ids=["by record", "by scan"])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "SCAN_BYTES", request.param)


def plain(feed: str, number: int, **changed: str) -> Cells:
    """A row of a feed, the `number`th of its file."""
    return {column: fill(text, number) for column, text in (PLAIN[feed] | changed).items()}


def fill(value: Any, number: int) -> Any:
    return value.format(n=number, y=1000 + number) if isinstance(value, str) else value


def write(feed: str, rows: list[Cells], without: str = "", headers: Cells | None = None, above: str = "") -> str:
    columns = [column for column in oracle.FEEDS[feed] if column.id != without]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([(headers or {}).get(column.id, column.header) for column in columns])
    writer.writerows([[row.get(column.id, "") for column in columns] for row in rows])
    return above + out.getvalue()


def deliver(folder: Path, feed: str, text: str) -> tuple[Home, lake.Outcome]:
    land(folder / "landing", feed, f"{feed}__20240331.csv", text)
    home = Home(folder / "home")
    (outcome,) = ingest(home, folder / "landing")
    return home, outcome


def accepted(home: Home, feed: str) -> dict[int, dict[str, Any]]:
    """The lake's rows by line."""
    rows = duckdb.sql(f"SELECT * EXCLUDE (sheet, flags) FROM '{home.lake}/{feed}/*.parquet'")
    named = [dict(zip(rows.columns, row, strict=True)) for row in rows.fetchall()]
    return {row.pop("line"): row for row in named}


def stored_name(column: oracle.Column) -> str:
    return f"{column.id}_yuan" if column.kind == "amount" else column.id


# ---------------------------------------------------------------------------------------------------------------------
# What is accepted


@pytest.mark.parametrize("feed", FEEDS)
def test_a_contract_says_what_the_specification_says(feed: str) -> None:
    contract = load_contracts()[feed]
    periods = {"month": "M", "quarter": "Q", "year": "A"}
    for mine, theirs in zip(contract.columns, oracle.FEEDS[feed], strict=True):
        assert (mine.id, mine.header, mine.key, mine.optional) == (
            theirs.id, theirs.header, theirs.key, theirs.optional,
        )  # fmt: skip
        assert (mine.unit, mine.minimum, mine.maximum) == (theirs.unit, theirs.low, theirs.high)
        assert mine.frequency == periods.get(theirs.kind)
        assert mine.not_after_publication == (theirs.kind == "date" and not theirs.may_be_future)
        coded = theirs.values if theirs.values is not oracle.YES_NO else {}
        assert sorted(mine.values) == sorted(coded.values())


def test_every_feed_of_the_plan_has_a_contract() -> None:
    assert sorted(feed for feed, contract in load_contracts().items() if contract.layout == "table") == FEEDS
    assert FEEDS == sorted(PLAIN) == sorted(BAD)


# What the example of each feed's page must give: the lake's values in the contract's order, void last.
STORED: dict[str, list[tuple[Any, ...]]] = {
    "institution_register": [
        ("E-0001", date(2024, 1, 15), "admit", USCC, "模拟基金管理有限公司", "fund", "私募股权", "J6732", "示例大厦A座", False),
        ("E-0002", date(2024, 2, 1), "recategorise", USCC, "模拟基金管理有限公司", "supporting", None, None, "示例大厦A座", False),
        ("E-0003", date(2024, 3, 20), "leave", USCC, "模拟基金管理有限公司", None, None, None, None, False),
    ],
    "fund_commitments": [
        ("F-0001", "SAB123", USCC, date(2024, 1, 15), Decimal("550000000"), Decimal("100000000"), False),
        ("F-0002", "SXY789", "685019133", date(2024, 3, 1), Decimal("-25000000"), Decimal(0), False),
    ],
    "tax_collections": [
        ("T-0001", USCC, "corporate_income", "2024-01~2024-03", date(2024, 3, 18), "collection", Decimal("125000.5"), False),
        ("T-0002", USCC, "vat", "2024-02", date(2024, 3, 15), "refund", Decimal(-300), False),
        ("T-0003", None, None, None, None, None, None, True),
    ],
    "value_added_accounts": [
        ("2023", "66", *map(Decimal, ("1250000000", "120000000", "80000000", "2050000000", "4800000000", "1300000000")), "preliminary", False),
        ("2022", "67", *map(Decimal, ("310000000", "40000000", "20000000", "-60000000", "560000000", "250000000")), "final", False),
    ],
    "value_added_indicators": [
        ("2023-Q4", "deposits", "end_stock", Decimal(1080), "亿元", False),
        ("2024-Q1", "premium_income", "ytd", Decimal("21.5"), "亿元", False),
    ],
    "price_indices": [
        ("2023-Q4", "cpi", Decimal("100.2"), False),
        ("2023-Q4", "fixed_investment", Decimal("99.1"), False),
    ],
    "listing_pipeline": [
        ("L-0001", USCC, "模拟科技有限公司", "reserve", date(2023, 11, 30), True, False),
        ("L-0002", USCC, "模拟科技有限公司", "tutoring", date(2024, 2, 20), True, False),
    ],
    "duty_reports": [
        (1, "2024-02", "in_progress", Decimal(60), date(2026, 12, 31), None, "模拟单位甲", False),
        (2, "2024-02", "done", Decimal(100), None, "模拟发〔2024〕3号", "模拟单位乙", False),
    ],
    "duty_measures": [
        (1, "institutions_visited", "2024-02", Decimal(35), "家", False),
        (1, "agreements_signed", "2024-02", Decimal(4), "个", False),
    ],
    "activities": [
        ("A-0001", date(2024, 3, 6), "roadshow", "模拟项目路演", "模拟单位甲", 3, False),
        ("A-0002", date(2024, 3, 22), "quarterly_highlight", "模拟季度活动", "模拟单位乙", None, False),
    ],
    "risk_leads": [
        ("R-0001", date(2024, 1, 8), "inspection", "minor", date(2024, 1, 30), False, False, False),
        ("R-0002", date(2024, 3, 12), "recruitment", "major", None, True, False, False),
    ],
    "floor_space": [
        ("2023版", "模拟地块A-01", date(2023, 6, 30), Decimal("12.8"), "existing", False),
        ("2023版", "模拟地块A-02", date(2023, 6, 30), Decimal(30), "added", False),
    ],
    "official_figures": [
        ("financial_value_added", "2023", Decimal("136.4"), "亿元", "模拟统发〔2024〕1号", False),
        ("institutions_resident", "2024-02", Decimal(812), "家", "https://example.org/simulated", False),
    ],
    "revision_notes": [
        ("N-0001", "financial_value_added", "2022-Q1", "2022-Q4", "最终核实", "模拟:年度核实数替换初步核算数", False),
    ],
}  # fmt: skip


@pytest.mark.usefixtures("reader")
def test_the_examples_load_with_exactly_these_values(tmp_path: Path) -> None:
    outcomes = ingest(Home(tmp_path), EXAMPLES)
    assert sorted(outcome.feed for outcome in outcomes) == FEEDS
    for outcome in outcomes:
        rows = [tuple(row.values()) for row in accepted(Home(tmp_path), outcome.feed).values()]
        assert (outcome.outcome, outcome.reason, rows) == ("loaded", None, STORED[outcome.feed])
    assert all(delivery["synthetic"] for delivery in lake.known_deliveries(Home(tmp_path)))


def spellings(column: oracle.Column) -> dict[str, Any]:
    """Text → value of the spellings that a column's cells may have."""
    if column.values is oracle.YES_NO:
        return dict(column.values) if column.id != "void" else {"否": False, **dict.fromkeys(MISSING, False)}
    if column.kind == "enum":
        ids = column.values.values()
        return column.values | {text: text for text in ids} | {write_wide(text): text for text in ids}
    if column.kind in ("amount", "number"):
        power = {"元": 0, "万元": 4, "亿元": 8}.get(column.unit or "", 0)
        texts = NUMBERS if column.high is not None or column.id == "amount" else NUMBERS | LARGE
        return {text: Decimal(plain).scaleb(power) for text, plain in texts.items()}
    found = SPELLINGS[column.kind]
    return found | dict.fromkeys(MISSING, None) if not column.required else found


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("feed", FEEDS)
def test_every_spelling_is_read(tmp_path: Path, feed: str) -> None:
    rows, expected = [], []
    for column in oracle.FEEDS[feed]:
        for text, value in spellings(column).items():
            rows.append(plain(feed, len(rows), **BESIDE.get(column.id, {}), **{column.id: text}))
            expected.append((stored_name(column), fill(value, len(rows) - 1)))
    home, outcome = deliver(tmp_path, feed, write(feed, rows))
    assert (outcome.outcome, outcome.rows_accepted) == ("loaded", len(rows)), lake.quarantined_rows(home)
    stored = accepted(home, feed)
    assert [(name, stored[line][name]) for line, (name, _) in enumerate(expected, start=2)] == expected


def measured(feed: str, kind: str) -> list[oracle.Column]:
    return [column for column in oracle.FEEDS[feed] if column.unit and column.kind == kind]


def with_unit(columns: list[oracle.Column], form: str, unit: str) -> Cells:
    """Headers that name a unit."""
    return {column.id: form.format(header=column.header, id=column.id, unit=unit) for column in columns}


@pytest.mark.parametrize("unit", oracle.UNITS)
@pytest.mark.parametrize("feed", [feed for feed in FEEDS if measured(feed, "amount")])
def test_an_amount_takes_the_unit_beside_it_or_above_or_the_default(tmp_path: Path, feed: str, unit: str) -> None:
    amounts = measured(feed, "amount")
    rows = [plain(feed, 1, **dict.fromkeys((column.id for column in amounts), "1.5"))]
    other = next(text for text in oracle.UNITS if text != unit)
    for number, (form, above, used) in enumerate(
        [
            ("{header}({unit})", "", unit),
            ("{header}（{unit}）", f"单位：{other}\n", unit),
            (" {id} （ {unit} ）", "", unit),
            ("{header}", f"单位：{unit}\n", unit),
            ("{header}", f"模拟表,,（单位:{unit}）\n", unit),
            ("{header}", f"单位,{unit}\n\n", unit),
            ("{header}", "", None),
        ]
    ):
        headers = with_unit(amounts, form, unit)
        home, outcome = deliver(tmp_path / str(number), feed, write(feed, rows, headers=headers, above=above))
        assert outcome.outcome == "loaded", outcome.reason
        (row,) = accepted(home, feed).values()
        for column in amounts:
            assert row[stored_name(column)] == Decimal("1.5") * oracle.UNITS[used or column.unit or ""]


@pytest.mark.parametrize("decimals", range(7))
@pytest.mark.parametrize("power", MONEY_UNITS.values())
def test_a_plain_amount_is_the_careful_one_or_none(power: int, decimals: int) -> None:
    column = Column(id="a", header="金额", type="money", unit="元", decimals=decimals)
    texts = ["1", "1.5", "1.25", "-0.00", "1.2345678", "0.0000005", "99999999.99", "123456789012"]
    careful = duckdb.execute(f"SELECT {value_sql(column, power)[0]} FROM (SELECT unnest(?) AS n_a)", [texts]).fetchall()
    for cells in (texts, *([text] for text in texts)):
        found = dict(zip(cells, plain_values(column, pa.array(cells), power).to_pylist(), strict=True))
        right = dict(zip(texts, (value for (value,) in careful), strict=True))
        assert [text for text, value in found.items() if value not in (None, right[text])] == []
        assert found.get("1", 10**power) == 10**power


@pytest.mark.parametrize("kind", ["date", "period", "period_range"])
def test_a_plain_day_or_month_is_the_careful_one_or_none(kind: str) -> None:
    column = Column(id="a", header="日期", type=kind)
    days = ["2024-02-29", "20240229", "2024-2-9", "2024/2/29", "2024/02/09", "2024年2月9日"]
    no_days = [
        "2023-02-29",
        "20230229",
        "2024-0229",
        "2024/2-9",
        "2024W011",
        "２０２４０２２９",
        "00000101",
        "2024年2月9",
    ]
    months = ["2024-02", "202402", "2024年2月", "2024年12月"]
    no_months = ["2024-13", "202400", "2024", "2024-2", "2024年0月", "２０２４０２", "2024年2"]
    ranges = ["2024-01~2024-03", "202401~202403", "2024-03~202403", "2024年1月~2024年3月"]
    no_ranges = ["2024-03~2024-01", "2024-01~", "~2024-01", "2024-01~2024-02~2024-03", "~"]
    texts = [*days, *no_days, *months, *no_months, *ranges, *no_ranges, "", "45000"]
    careful = duckdb.execute(f"SELECT {value_sql(column)[0]} FROM (SELECT unnest(?) AS n_a)", [texts]).fetchall()
    found = dict(zip(texts, plain_values(column, pa.array(texts).dictionary_encode()).to_pylist(), strict=True))
    right = dict(zip(texts, (value for (value,) in careful), strict=True))
    assert [text for text, value in found.items() if value not in (None, right[text])] == []
    plain = {"date": days, "period": months, "period_range": [*months, *ranges]}[kind]
    assert [text for text, value in found.items() if value is not None] == plain


@pytest.mark.parametrize(("feed", "kind"), [(f, k) for f in FEEDS for k in ("amount", "number") if measured(f, k)])
def test_an_unknown_unit_rejects_the_delivery(tmp_path: Path, feed: str, kind: str) -> None:
    columns, rows = measured(feed, kind), [plain(feed, 1)]
    known = columns[0].unit or ""
    unknown = "千" + known.lstrip("万亿")
    for number, (unit, above, expected) in enumerate(
        [
            (unknown, "", "rejected"),
            ("", f"单位：{unknown}\n", "rejected"),
            (known, "", "loaded"),
            ("", f"单位：{known}\n", "loaded"),
        ]
    ):
        headers = with_unit(columns, "{header}（{unit}）" if unit else "{header}", unit)
        _, outcome = deliver(tmp_path / str(number), feed, write(feed, rows, headers=headers, above=above))
        assert outcome.outcome == expected
        # No text of a taxpayer-level delivery is quoted outside the lake.
        shown = "(not shown)" if feed == "tax_collections" else unknown
        assert expected == "loaded" or f"unknown unit {shown} of {columns[0].header}" in (outcome.reason or "")


@pytest.mark.parametrize("feed", FEEDS)
def test_a_column_may_be_absent_where_it_is_optional(tmp_path: Path, feed: str) -> None:
    for column in oracle.FEEDS[feed]:
        home, outcome = deliver(tmp_path / column.id, feed, write(feed, [plain(feed, 1)], without=column.id))
        if column.optional:
            (row,) = accepted(home, feed).values()
            assert row[column.id] == (False if column.id == "void" else None)
        else:
            reason = f"missing required column {column.header} ({column.id})"
            assert (outcome.outcome, outcome.reason) == ("rejected", reason)


# ---------------------------------------------------------------------------------------------------------------------
# What is refused


def bad_rows(feed: str) -> list[tuple[str, str, str, Cells]]:
    """(column, rule, cell, other cells) of the table's lines."""
    found = []
    for line in BAD[feed].split("\n"):
        if line.strip():
            column, rule, cell, *others = (text.replace("∅", "") for text in line.split())
            found.append((column, rule, cell, dict(other.split("=") for other in others)))
    return found


def declared(contract: Contract) -> Counter[tuple[str, str]]:
    """How often a contract can break each rule in each column: a bound below and one above are two."""
    own = Counter((column.id, rule) for rule, column, _ in faults(contract, {}))
    return own + Counter([(contract.keys[0].id, "conflicting_key")])


def without_fixture(contract: Contract) -> set[tuple[str, str]]:
    shown = Counter((column, rule) for column, rule, _, _ in bad_rows(contract.feed))
    return {pair for pair, times in declared(contract).items() if shown[pair] < times}


@pytest.mark.parametrize("feed", FEEDS)
def test_every_rule_of_a_contract_has_a_bad_fixture(feed: str) -> None:
    contract = load_contracts()[feed]
    assert without_fixture(contract) == set()
    assert {(column, rule) for column, rule, _, _ in bad_rows(feed)} == set(declared(contract))


def test_a_new_rule_without_a_fixture_is_noticed() -> None:
    contract = load_contracts()["activities"]
    bounded = [c.model_copy(update={"minimum": 0}) if c.id == "deals" else c for c in contract.columns]
    assert without_fixture(contract.model_copy(update={"columns": bounded})) == {("deals", "range")}


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("feed", FEEDS)
def test_each_fault_is_refused_with_its_rule_column_and_value(tmp_path: Path, feed: str) -> None:
    rows, expected = [], []
    for column, rule, cell, others in bad_rows(feed):
        number = len(rows)
        value = fill(PLAIN[feed][column], number) if rule == "conflicting_key" else cell or None
        added = [
            plain(feed, number, **others)
            if rule == "conflicting_key"
            else plain(feed, number, **{column: cell}, **others)
        ]
        added += [plain(feed, number)] if rule == "conflicting_key" else []
        expected += [(number + 2 + more, rule, column, value, [rule]) for more in range(len(added))]
        rows += added
    bad = len(rows)
    rows += [plain(feed, bad + more) for more in range(4 * bad)]
    home, outcome = deliver(tmp_path, feed, write(feed, rows))
    refused = lake.quarantined_rows(home, confidential=True)
    assert [(r["line"], r["rule"], r["column"], r["value"], r["rules"]) for r in refused] == expected
    assert (outcome.outcome, outcome.rows_accepted, outcome.rows_quarantined) == ("loaded", 4 * bad, bad)


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("feed", FEEDS)
def test_a_withdrawing_row_needs_nothing_but_its_key(tmp_path: Path, feed: str) -> None:
    keys = [column.id for column in oracle.FEEDS[feed] if column.key]
    free = [
        (column, cell, others) for column, rule, cell, others in bad_rows(feed)
        if column not in (*keys, "void") and rule != "conflicting_key"
    ]  # fmt: skip
    rows = [plain(feed, n, **{column: cell}, **others, void="是") for n, (column, cell, others) in enumerate(free)]
    rows.append({key: fill(PLAIN[feed][key], len(rows)) for key in keys} | {"void": "是"})
    home, outcome = deliver(tmp_path / "withdrawn", feed, write(feed, rows))
    assert (outcome.outcome, outcome.rows_accepted) == ("loaded", len(rows))
    for row in accepted(home, feed).values():
        assert row.pop("void") is True
        assert {name for name, value in row.items() if value is not None} == set(keys)

    wrong = [
        (column, rule, cell) for column, rule, cell, _ in bad_rows(feed) if column in keys and rule != "conflicting_key"
    ]
    rows = [plain(feed, n, **{column: cell}, void="是") for n, (column, _, cell) in enumerate(wrong)]
    rows += [plain(feed, len(rows) + more) for more in range(4 * len(wrong))]
    home, _ = deliver(tmp_path / "without a key", feed, write(feed, rows))
    assert [(r["column"], r["rule"]) for r in lake.quarantined_rows(home)] == [(c, rule) for c, rule, _ in wrong]


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("feed", FEEDS)
def test_several_faults_are_listed_in_the_rules_order(tmp_path: Path, feed: str) -> None:
    first: dict[str, tuple[str, str]] = {}
    for column, rule, cell, others in bad_rows(feed):
        if not others and rule not in ("required", "conflicting_key"):
            first.setdefault(column, (rule, cell))
    missing = min((c.id for c in oracle.FEEDS[feed] if c.required), key=lambda name: name in first)
    first[missing] = ("required", "")
    order = [column.id for column in oracle.FEEDS[feed]]
    expected = sorted(
        ((rule, column) for column, (rule, _) in first.items()),
        key=lambda fault: (oracle.RULES.index(fault[0]), order.index(fault[1])),
    )
    rows = [plain(feed, 0, **{column: cell for column, (_, cell) in first.items()})]
    home, outcome = deliver(tmp_path, feed, write(feed, rows + [plain(feed, more) for more in range(1, 6)]))
    (refused,) = duckdb.sql(
        f"SELECT rule, \"column\", rules, faults FROM '{home.quarantine}/{feed}/*.parquet'"
    ).fetchall()
    rule, column, rules, listed = refused
    assert [(fault["rule"], fault["column"]) for fault in listed] == expected
    assert (rule, column) == expected[0] == ("required", missing)
    assert rules == list(dict.fromkeys(rule for rule, _ in expected)) and outcome.rows_quarantined == 1
