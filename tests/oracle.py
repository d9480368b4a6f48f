"""A second, independent implementation of the specification, to compare the pipeline with.

It reads deliveries of the plan's own feeds (CSV or TSV text), judges every row and, by `oracle_metrics` and its parts,
computes every metric. It shares no code with the pipeline, uses the standard library only and prefers plain loops to
speed: where both agree on messy deliveries, both read the specification alike.

Decisions where the specification is silent:

- Deliveries are processed by (published_on, file name). Bytes seen before in the same feed are `unchanged`, whatever
  became of them the first time. `outcomes` and `quarantine` cover every delivery; `as_of` limits the observations only.
- A delivery that can't be read has no rows at all; one with more than 20 % faulty rows has all its rows quarantined.
- The header is the first record that names every column not marked optional, each column once.
- Notes: the trailing block that starts with a note line and holds only note lines, single-cell lines, blank lines and
  control totals. A note line with table rows below it is a row like any other; so is a line that begins with 注销 in
  the column of event types, or that has its key in another cell.
- `conflicting_key` looks at every row with a readable key, of which every part must be one; the content of a faulty
  cell is its normalised text.
- A line is a control total where any of its key columns reads so.
- A row whose void flag is unreadable is judged in full, as if it were not void.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

from oracle_metrics import all_observations

SHANGHAI = timezone(timedelta(hours=8))
RULES = [
    "required",
    "number",
    "date",
    "period",
    "enum",
    "format",
    "range",
    "uscc_format",
    "future_date",
    "sign",
    "conflicting_key",
    "rejected_delivery",
]
UNITS = {"元": Decimal(1), "万元": Decimal(10) ** 4, "亿元": Decimal(10) ** 8}
USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
NOTE_STARTS = ("注", "数据来源", "说明", "备注")
CONTROL_TOTALS = ("合计", "总计")

EVENT_TYPES = {
    "引进": "admit",
    "迁出": "leave",
    "注销": "deregister",
    "类别变更": "recategorise",
    "更名": "rename",
}
CATEGORY_NAMES = {
    "持牌金融机构": "licensed",
    "金融科技企业": "fintech",
    "配套机构": "supporting",
    "基金机构": "fund",
}
YES_NO = {"是": True, "否": False}
TAX_TYPES = {
    "增值税": "vat",
    "企业所得税": "corporate_income",
    "个人所得税": "individual_income",
    "城市维护建设税": "urban_construction",
    "印花税": "stamp",
    "证券交易印花税": "securities_stamp",
    "房产税": "property",
    "城镇土地使用税": "land_use",
    "土地增值税": "land_appreciation",
    "契税": "deed",
    "车船税": "vehicle",
    "环境保护税": "environment",
    "其他税收": "other",
}
TAX_KINDS = {"入库": "collection", "退库": "refund", "冲正": "reversal"}
DIVISIONS = {"66": "66", "67": "67", "68": "68", "69": "69"}
ACCOUNT_STAGES = {"初步核算": "preliminary", "最终核实": "final", "普查修订": "census"}
INDICATORS = {
    "存款余额": "deposits",
    "贷款余额": "loans",
    "利息净收入": "net_interest_income",
    "手续费及佣金净收入": "fee_income",
    "证券交易额": "securities_turnover",
    "保费收入": "premium_income",
}
BASES = {"期末": "end_stock", "累计": "ytd", "当季": "flow"}
PRICE_INDICES = {"居民消费价格": "cpi", "固定资产投资价格": "fixed_investment"}
LISTING_STAGES = {
    "后备": "reserve",
    "辅导": "tutoring",
    "申报": "filed",
    "上市": "listed",
    "潜在独角兽": "potential_unicorn",
    "退出": "withdrawn",
}
DUTY_STATUSES = {"未启动": "not_started", "推进中": "in_progress", "已完成": "done", "受阻": "blocked"}
ACTIVITY_KINDS = {
    "路演": "roadshow",
    "活动": "event",
    "峰会": "summit",
    "高潮": "quarterly_highlight",
    "精彩": "annual_highlight",
}
RISK_STAGES = {"招商对接": "recruitment", "跟进落地": "landing", "后期服务": "service", "楼宇巡查": "inspection"}
SEVERITIES = {"一般": "minor", "较大": "major", "重大": "critical"}
FLOOR_KINDS = {"存量": "existing", "新增": "added"}


@dataclass(frozen=True)
class Column:
    """One column of a contract. `optional`: the column may be absent; `required`: a value must be there.

    `unit` is the default one. `low` and `high` are the bounds of `range`. `may_be_future`: a date of a plan.
    """

    id: str
    header: str
    kind: str
    key: bool = False
    required: bool = True
    optional: bool = False
    values: dict[str, Any] = field(default_factory=dict, hash=False)
    unit: str | None = None
    low: int | None = None
    high: int | None = None
    may_be_future: bool = False


VOID = Column("void", "作废", "enum", required=False, optional=True, values=YES_NO)

# `category` and `evidence` must be in the header; whether they need a value depends on the row.
FEEDS: dict[str, list[Column]] = {
    "institution_register": [
        Column("event_id", "事件编号", "text", key=True),
        Column("event_date", "事件日期", "date"),
        Column("event_type", "事件类型", "enum", values=EVENT_TYPES),
        Column("uscc", "统一社会信用代码", "uscc"),
        Column("name", "机构名称", "text"),
        Column("category", "机构类别", "enum", required=False, values=CATEGORY_NAMES),
        Column("subcategory", "细分类型", "text", required=False, optional=True),
        Column("industry_code", "行业代码", "industry_code", required=False, optional=True),
        Column("building", "楼宇", "text", required=False, optional=True),
        VOID,
    ],
    "fund_commitments": [
        Column("change_id", "变动编号", "text", key=True),
        Column("fund_code", "基金编码", "fund_code"),
        Column("manager_code", "管理人代码", "manager_code"),
        Column("change_date", "变动日期", "date"),
        Column("subscribed_change", "认缴变动额", "amount", unit="万元"),
        Column("paid_in_change", "实缴变动额", "amount", unit="万元"),
        VOID,
    ],
    "tax_collections": [
        Column("voucher_no", "税票号码", "text", key=True),
        Column("uscc", "统一社会信用代码", "uscc"),
        Column("tax_type", "税种", "enum", values=TAX_TYPES),
        Column("tax_period", "税款所属期", "months"),
        Column("treasury_date", "入库日期", "date"),
        Column("kind", "业务类型", "enum", values=TAX_KINDS),
        Column("amount", "实缴金额", "amount", unit="元"),
        VOID,
    ],
    "value_added_accounts": [
        Column("year", "年份", "year", key=True),
        Column("division", "行业", "enum", key=True, values=DIVISIONS),
        Column("compensation", "劳动者报酬", "amount", unit="亿元"),
        Column("net_taxes_on_production", "生产税净额", "amount", unit="亿元"),
        Column("depreciation", "固定资产折旧", "amount", unit="亿元"),
        Column("operating_surplus", "营业盈余", "amount", unit="亿元"),
        Column("gross_output", "总产出", "amount", unit="亿元"),
        Column("intermediate_consumption", "中间投入", "amount", unit="亿元"),
        Column("stage", "核算阶段", "enum", values=ACCOUNT_STAGES),
        VOID,
    ],
    "value_added_indicators": [
        Column("quarter", "季度", "quarter", key=True),
        Column("indicator", "指标", "enum", key=True, values=INDICATORS),
        Column("basis", "口径", "enum", values=BASES),
        Column("value", "数值", "number"),
        Column("unit", "单位", "text"),
        VOID,
    ],
    "price_indices": [
        Column("quarter", "季度", "quarter", key=True),
        Column("index_code", "指数", "enum", key=True, values=PRICE_INDICES),
        Column("yoy_index", "同比指数", "number", low=-1000000, high=1000000),
        VOID,
    ],
    "listing_pipeline": [
        Column("record_id", "记录编号", "text", key=True),
        Column("uscc", "统一社会信用代码", "uscc"),
        Column("name", "机构名称", "text"),
        Column("stage", "阶段", "enum", values=LISTING_STAGES),
        Column("stage_date", "阶段日期", "date"),
        Column("is_fintech", "是否金融科技", "enum", values=YES_NO),
        VOID,
    ],
    "duty_reports": [
        Column("duty_no", "任务序号", "integer", key=True, low=1, high=25),
        Column("month", "报告期", "month", key=True),
        Column("status", "状态", "enum", values=DUTY_STATUSES),
        Column("progress_pct", "完成率", "number", unit="%", low=0, high=100),
        Column("due_date", "计划完成日", "date", required=False, optional=True, may_be_future=True),
        Column("evidence", "佐证材料", "text", required=False),
        Column("reporting_unit", "填报单位", "text"),
        VOID,
    ],
    "duty_measures": [
        Column("duty_no", "任务序号", "integer", key=True, low=1, high=25),
        Column("measure_id", "指标", "text", key=True),
        Column("month", "报告期", "month", key=True),
        Column("value", "数值", "number"),
        Column("unit", "单位", "text"),
        VOID,
    ],
    "activities": [
        Column("activity_id", "活动编号", "text", key=True),
        Column("held_on", "日期", "date"),
        Column("kind", "类型", "enum", values=ACTIVITY_KINDS),
        Column("title", "名称", "text"),
        Column("organiser", "主办单位", "text"),
        Column("deals", "签约项目数", "integer", required=False, optional=True),
        VOID,
    ],
    "risk_leads": [
        Column("lead_id", "线索编号", "text", key=True),
        Column("found_on", "发现日期", "date"),
        Column("stage", "环节", "enum", values=RISK_STAGES),
        Column("severity", "等级", "enum", values=SEVERITIES),
        Column("closed_on", "办结日期", "date", required=False, optional=True, may_be_future=True),
        Column("is_incident", "是否风险事件", "enum", values=YES_NO),
        Column("is_systemic", "是否区域性系统性", "enum", values=YES_NO),
        VOID,
    ],
    "floor_space": [
        Column("plan_version", "版本", "text", key=True),
        Column("parcel", "地块", "text", key=True),
        Column("approved_on", "批准日期", "date"),
        Column("area", "面积", "number", unit="万平方米", low=-999999999, high=999999999),
        Column("kind", "类型", "enum", values=FLOOR_KINDS),
        VOID,
    ],
    "official_figures": [
        Column("metric_id", "指标", "text", key=True),
        Column("period", "报告期", "period", key=True),
        Column("value", "数值", "number"),
        Column("unit", "单位", "text"),
        Column("citation", "文号或链接", "text"),
        VOID,
    ],
    "revision_notes": [
        Column("note_id", "说明编号", "text", key=True),
        Column("metric_id", "指标", "text"),
        Column("from_period", "起始期", "period"),
        Column("to_period", "截止期", "period"),
        Column("stage", "阶段", "text"),
        Column("reason", "原因", "text"),
        VOID,
    ],
}


@dataclass
class Result:
    """What the specification says about a landing.

    observations: (metric_id, frequency, period, period_end, dimension, member, value, unit, obs_status, conf_status,
    as_of), sorted by the key;
    outcomes: one dict per delivery; quarantine: one dict per refused row;
    rows: (feed, file, line, values by column) of every row that its delivery brings into the lake;
    flags: (feed, key, flag) of the versions current on as_of, for accepted but odd rows.
    """

    observations: list[tuple[Any, ...]]
    outcomes: list[dict[str, Any]]
    quarantine: list[dict[str, Any]]
    rows: list[tuple[str, str, int, dict[str, Any]]]
    flags: list[tuple[str, str, str]]


@dataclass
class Delivery:
    """One file of one feed."""

    feed: str
    file: str
    content: bytes
    published_on: date

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


@dataclass
class Row:
    """One judged row: `content` is what two rows are compared by, `record` what the metrics read.

    `key` is the key column's value, or a tuple of several; None where it can't be read.
    """

    line: int
    key: Any
    content: tuple[Any, ...]
    record: dict[str, Any]
    rules: set[str]


class Unreadable(Exception):
    """The delivery can't be read at all."""


# ---------------------------------------------------------------------------------------------------------------------
# Deliveries


def find_published_on(path: Path) -> date:
    """The date in the file name, else in the sidecar, else of the last modification in Asia/Shanghai."""
    found = None
    for digits in re.findall(r"(?<![0-9])[0-9]{8}(?![0-9])", path.name):
        found = make_date(digits[:4], digits[4:6], digits[6:]) or found
    if found:
        return found
    sidecar = path.with_name(path.name + ".meta.yaml")
    if sidecar.exists():
        for line in sidecar.read_text(encoding="utf-8").splitlines():
            match = re.match(r"published_on:\s*['\"]?([0-9]{4})-([0-9]{2})-([0-9]{2})['\"]?\s*(#.*)?$", line)
            found = make_date(*match.groups()[:3]) if match else None
            if found:
                return found
    return datetime.fromtimestamp(path.stat().st_mtime, tz=SHANGHAI).date()


def find_deliveries(landing: Path, feed: str) -> list[Delivery]:
    """All deliveries of a feed, in the order in which they are processed."""
    deliveries = []
    folder = landing / feed
    if folder.is_dir():
        for path in folder.iterdir():
            if path.is_file() and not path.name.endswith(".meta.yaml") and not path.name.startswith("."):
                deliveries.append(Delivery(feed, path.name, path.read_bytes(), find_published_on(path)))
    return sorted(deliveries, key=lambda d: (d.published_on, d.file))


# ---------------------------------------------------------------------------------------------------------------------
# Text, header, table


def decode(content: bytes) -> str:
    """UTF-8 with or without BOM, else GB18030."""
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise Unreadable("neither UTF-8 nor GB18030")


def read_records(text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    """The CSV records, each with the number of the line on which it starts. Broken quoting raises csv.Error."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    records = []
    start = 1
    for cells in reader:
        records.append((start, cells))
        start = reader.line_num + 1
    return records


def normalise(cell: str) -> str:
    """NFKC and trimmed."""
    return unicodedata.normalize("NFKC", cell).strip()


def squeeze(cell: str) -> str:
    """NFKC without any white space."""
    return "".join(unicodedata.normalize("NFKC", cell).split())


def match_header(feed: str, cells: list[str]) -> dict[str, tuple[int, str | None]] | None:
    """Column id → (position, unit in brackets), or None if this record is not the header."""
    found: dict[str, tuple[int, str | None]] = {}
    for position, cell in enumerate(cells):
        text = squeeze(cell)
        for column in FEEDS[feed]:
            unit = None
            name = text
            if column.unit:
                units = UNITS if column.kind == "amount" else [column.unit]
                match = re.fullmatch(rf"(.*)\(({'|'.join(units)})\)", text)
                if match:
                    name, unit = match.groups()
            if name in (column.header, column.id):
                if column.id in found:
                    return None
                found[column.id] = (position, unit)
    for column in FEEDS[feed]:
        if not column.optional and column.id not in found:
            return None
    return found


def key_columns(feed: str) -> list[Column]:
    """The columns of the natural key."""
    return [column for column in FEEDS[feed] if column.key]


def find_unit_above(records: list[tuple[int, list[str]]]) -> str | None:
    """The unit in a 单位 cell above the table, or in the cell that follows it."""
    for _, cells in records:
        texts = [normalise(cell) for cell in cells if normalise(cell)]
        for position, text in enumerate(texts):
            match = re.search(r"单位\s*:?\s*(亿元|万元|元)(?![\u4e00-\u9fff])", text)
            if match:
                return match.group(1)
            if re.search(r"单位\s*:?$", text) and position + 1 < len(texts) and texts[position + 1] in UNITS:
                return texts[position + 1]
    return None


def starts_note(feed: str, header: dict[str, tuple[int, str | None]], cells: list[str]) -> bool:
    """Whether a line opens a note, rather than being a row that happens to begin with such a word.

    A row that begins with 注销 in its column event_type is a row; so is one with a key in another cell.
    """
    filled = [position for position, cell in enumerate(cells) if normalise(cell)]
    if not filled or not normalise(cells[filled[0]]).startswith(NOTE_STARTS):
        return False
    for column in FEEDS[feed]:
        if column.id in header and header[column.id][0] == filled[0] and normalise(cells[filled[0]]) in column.values:
            return False
    return not any(header[column.id][0] in filled[1:] for column in key_columns(feed))


def find_header(
    feed: str, text: str
) -> tuple[list[tuple[int, list[str]]], dict[str, tuple[int, str | None]], list[tuple[int, list[str]]]]:
    """(records above the header, the header's columns, records below it), whichever delimiter shows a header."""
    for delimiter in (",", "\t"):
        try:
            records = read_records(text, delimiter)
        except csv.Error:
            continue
        for index, (_, cells) in enumerate(records):
            header = match_header(feed, cells)
            if header:
                return records[:index], header, records[index + 1 :]
    raise Unreadable("no header with every required column")


def read_table(feed: str, content: bytes) -> tuple[list[tuple[int, dict[str, str]]], dict[str, Decimal]]:
    """The table's rows (line number, column id → cell) and the factor of each amount column to yuan."""
    above, header, below = find_header(feed, decode(content))
    unit_above = find_unit_above(above)
    factors = {}
    for column in FEEDS[feed]:
        if column.kind == "amount":
            factors[column.id] = UNITS[header[column.id][1] or unit_above or column.unit or ""]

    key_positions = [header[column.id][0] for column in key_columns(feed)]
    body = []
    for line, cells in below:
        filled = sum(1 for cell in cells if normalise(cell))
        is_total = any(squeeze(cells[i]) in CONTROL_TOTALS for i in key_positions if i < len(cells))
        if filled:
            body.append((line, cells, filled, is_total))

    tail = len(body)  # the trailing records that may belong to notes
    while tail > 0:
        _, cells, filled, is_total = body[tail - 1]
        if not (starts_note(feed, header, cells) or filled == 1 or is_total):
            break
        tail -= 1
    end = len(body)  # where the notes start
    for position in range(len(body) - 1, tail - 1, -1):
        if starts_note(feed, header, body[position][1]):
            end = position

    rows = []
    for line, cells, _, is_total in body[:end]:
        if is_total:
            continue
        values = {}
        for column_id, (position, _) in header.items():
            values[column_id] = cells[position] if position < len(cells) else ""
        rows.append((line, values))
    if not rows:
        raise Unreadable("no rows")
    return rows, factors


# ---------------------------------------------------------------------------------------------------------------------
# Cells and rows

MISSING_MARKERS = ("", "-", "—", "–", "…", "……", "/", "空", "不详", "NA", "N/A")
MISSING = {unicodedata.normalize("NFKC", text) for text in MISSING_MARKERS}  # "…" reads as "..."


def make_date(year: str, month: str, day: str) -> date | None:
    """The date, or None if the calendar has no such day."""
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None


def parse_date(text: str) -> date | None:
    """A date in one of the listed spellings; five digits are an Excel serial."""
    patterns = (
        r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})",
        r"([0-9]{4})/([0-9]{1,2})/([0-9]{1,2})",
        r"([0-9]{4})([0-9]{2})([0-9]{2})",
        r"([0-9]{4})年([0-9]{1,2})月([0-9]{1,2})日",
    )
    for pattern in patterns:
        match = re.fullmatch(pattern, text)
        if match:
            return make_date(*match.groups())
    if re.fullmatch(r"[0-9]{5}", text):
        return date(1899, 12, 30) + timedelta(days=int(text))
    return None


def parse_month(text: str) -> str | None:
    """`2024-03` for a month in one of the listed spellings."""
    match = re.fullmatch(r"([0-9]{4})-([0-9]{2})|([0-9]{4})([0-9]{2})|([0-9]{4})年([0-9]{1,2})月", text)
    if not match:
        return None
    year, month = (part for part in match.groups() if part)
    return f"{year}-{int(month):02}" if 1 <= int(month) <= 12 else None


def parse_quarter(text: str) -> str | None:
    """`2024-Q1` for a quarter in one of the listed spellings."""
    match = re.fullmatch(r"([0-9]{4})-?Q([1-4])|([0-9]{4})年第?([1-4一二三四])季度|([0-9]{4})([ABCD])", text)
    if not match:
        return None
    year, quarter = (part for part in match.groups() if part)
    for numerals in ("1234", "一二三四", "ABCD"):
        if quarter in numerals:
            return f"{year}-Q{numerals.index(quarter) + 1}"
    return None


def parse_year(text: str) -> str | None:
    """`2024` for `2024` and `2024年`."""
    match = re.fullmatch(r"([0-9]{4})年?", text)
    return match.group(1) if match else None


def parse_months(text: str) -> tuple[str, str] | None:
    """(first, last) month of a tax period: one month, or two joined by a tilde."""
    months = [parse_month(part.strip()) for part in text.split("~")]
    if len(months) > 2 or None in months or months[0] > months[-1]:  # type: ignore[operator]
        return None
    return months[0], months[-1]  # type: ignore[return-value]


def parse_number(text: str) -> Decimal | None:
    """A plain decimal number; inner spaces go, thousands separators must group by three."""
    text = "".join(text.split())
    if re.fullmatch(r"[+-]?([0-9]+|[0-9]{1,3}(,[0-9]{3})+)(\.[0-9]+)?", text):
        return Decimal(text.replace(",", ""))
    return None


def is_uscc(text: str) -> bool:
    """18 characters of the alphabet of GB 32100-2015; the check character is not looked at."""
    return len(text) == 18 and all(character in USCC_ALPHABET for character in text)


def uscc_check(text: str) -> str:
    """The check character of GB 32100-2015 for the first 17 characters."""
    total = 0
    for position in range(17):
        total += USCC_ALPHABET.index(text[position]) * (3**position % 31)
    return USCC_ALPHABET[(31 - total % 31) % 31]


def parse_period(kind: str, text: str) -> Any:
    """The canonical period of the kind of a column, or None."""
    if kind == "months":
        return parse_months(text)
    parsers = {"month": parse_month, "quarter": parse_quarter, "year": parse_year}
    for parser in parsers.values() if kind == "period" else [parsers[kind]]:
        value = parser(text)
        if value:
            return value
    return None


def parse_cell(column: Column, text: str, factors: dict[str, Decimal]) -> tuple[Any, str | None]:
    """(value, broken rule or None) of a cell that is not missing; the value of a faulty cell is marked as such."""
    value: Any = None
    rule = column.kind
    if column.kind == "text":
        value = text
    elif column.kind == "date":
        value = parse_date(text)
    elif column.kind in ("month", "quarter", "year", "period", "months"):
        rule = "period"
        value = parse_period(column.kind, text)
    elif column.kind == "enum":
        value = column.values.get(text)
        if value is None and text in column.values.values():
            value = text
    elif column.kind == "uscc":
        rule = "uscc_format"
        value = text if is_uscc(text) else None
    elif column.kind == "manager_code":
        rule = "uscc_format"
        if is_uscc(text):
            value = text
        elif re.fullmatch(r"[0-9A-Z]{8}-?[0-9X]", text):
            value = text.replace("-", "")
    elif column.kind == "fund_code":
        rule = "format"
        value = text if re.fullmatch(r"S[0-9A-Za-z]{5}", text) else None
    elif column.kind == "industry_code":
        rule = "format"
        value = text if re.fullmatch(r"[A-T]([0-9]{2,4})?", text) else None
    elif column.kind in ("amount", "number", "integer"):
        rule = "number"
        value = parse_number(text)
        if value is not None and column.kind == "amount":
            value *= factors[column.id]
        if value is not None and column.kind == "integer" and value != int(value):
            value = None
    if value is None:
        return ("faulty", text), rule
    return value, None


def judge_row(feed: str, line: int, cells: dict[str, str], factors: dict[str, Decimal], published_on: date) -> Row:
    """Parses one row and finds every rule it breaks by itself."""
    texts: dict[str, str | None] = {}
    for column in FEEDS[feed]:
        normalised = normalise(cells.get(column.id, ""))
        texts[column.id] = None if normalised in MISSING else normalised

    record: dict[str, Any] = {}
    rules: set[str] = set()
    is_void = YES_NO.get(texts["void"] or "") is True
    for column in FEEDS[feed]:
        if is_void and not column.key:
            continue
        text = texts[column.id]
        if text is None:
            record[column.id] = False if column.id == "void" else None
            if column.required:
                rules.add("required")
            continue
        record[column.id], rule = parse_cell(column, text, factors)
        if rule:
            rules.add(rule)
        else:
            rules.update(judge_value(column, record[column.id], published_on))
    parts = tuple(record[column.id] for column in key_columns(feed))
    key: Any = parts if len(parts) > 1 else parts[0]
    if any(part is None or (isinstance(part, tuple) and part[0] == "faulty") for part in parts):
        key = None
    if is_void:
        return Row(line, key, (key, True), {**record, "void": True}, rules)
    rules.update(judge_together(record, texts))
    return Row(line, key, tuple(record[column.id] for column in FEEDS[feed]), record, rules)


def judge_value(column: Column, value: Any, published_on: date) -> Iterator[str]:
    """The rules that a readable value breaks."""
    if column.kind == "date" and not column.may_be_future and value > published_on:
        yield "future_date"
    if column.low is not None and value < column.low or column.high is not None and value > column.high:
        yield "range"


def judge_together(record: dict[str, Any], texts: dict[str, str | None]) -> Iterator[str]:
    """The rules that look at two columns."""
    if record.get("event_type") in ("admit", "recategorise") and texts["category"] is None:
        yield "required"
    if record.get("status") == "done" and texts["evidence"] is None:
        yield "required"
    amount = record.get("amount")
    if isinstance(amount, Decimal):
        if record["kind"] == "collection" and amount < 0:
            yield "sign"
        if record["kind"] in ("refund", "reversal") and amount > 0:
            yield "sign"


def judge_delivery(delivery: Delivery) -> list[Row]:
    """All rows of a delivery with the rules they break, conflicts inside the delivery included."""
    table, factors = read_table(delivery.feed, delivery.content)
    rows = [judge_row(delivery.feed, line, cells, factors, delivery.published_on) for line, cells in table]
    contents: dict[Any, set[tuple[Any, ...]]] = {}
    for row in rows:
        if row.key is not None:
            contents.setdefault(row.key, set()).add(row.content)
    for row in rows:
        if row.key is not None and len(contents[row.key]) > 1:
            row.rules.add("conflicting_key")
    return rows


# ---------------------------------------------------------------------------------------------------------------------
# A feed through time


@dataclass
class FeedHistory:
    """What became of a feed's deliveries."""

    outcomes: list[dict[str, Any]] = field(default_factory=list)
    quarantine: list[dict[str, Any]] = field(default_factory=list)
    rows: list[tuple[str, str, int, dict[str, Any]]] = field(default_factory=list)
    accepted: list[tuple[date, Any, dict[str, Any]]] = field(default_factory=list)
    loaded_on: list[date] = field(default_factory=list)


def read_feed(landing: Path, feed: str) -> FeedHistory:
    """Processes a feed's deliveries one after the other."""
    history = FeedHistory()
    seen: set[str] = set()
    current: dict[Any, tuple[Any, ...]] = {}  # key → content of the current version
    for delivery in find_deliveries(landing, feed):
        outcome: dict[str, Any] = {
            "feed": feed,
            "file": delivery.file,
            "sha256": delivery.sha256,
            "bytes": len(delivery.content),
            "published_on": delivery.published_on,
            "rows_in": 0,
            "rows_accepted": 0,
            "rows_quarantined": 0,
            "rows_duplicate": 0,
            "outcome": "loaded",
        }
        history.outcomes.append(outcome)
        if delivery.sha256 in seen:
            outcome["outcome"] = "unchanged"
            continue
        seen.add(delivery.sha256)
        try:
            rows = judge_delivery(delivery)
        except Unreadable:
            outcome["outcome"] = "rejected"
            continue

        outcome["rows_in"] = len(rows)
        faulty = sum(1 for row in rows if row.rules)
        if faulty * 5 > len(rows):
            outcome["outcome"] = "rejected"
            for row in rows:
                row.rules = row.rules or {"rejected_delivery"}
        else:
            history.loaded_on.append(delivery.published_on)
        brought: set[tuple[Any, ...]] = set()
        for row in rows:
            if not row.rules and row.content not in brought:
                history.rows.append((feed, delivery.file, row.line, row.record))
                brought.add(row.content)
            if row.rules:
                outcome["rows_quarantined"] += 1
                rules = [rule for rule in RULES if rule in row.rules]
                history.quarantine.append(
                    {"feed": feed, "file": delivery.file, "line": row.line, "rule": rules[0], "rules": rules}
                )
            elif current.get(row.key) == row.content:
                outcome["rows_duplicate"] += 1
            else:
                outcome["rows_accepted"] += 1
                assert row.key is not None
                current[row.key] = row.content
                history.accepted.append((delivery.published_on, row.key, row.record))
    return history


def current_records(history: FeedHistory, as_of: date) -> dict[Any, dict[str, Any]]:
    """Key → current record on as_of, without the withdrawn ones."""
    records = {}
    for published_on, key, record in history.accepted:
        if published_on <= as_of:
            records[key] = record
    return {key: record for key, record in records.items() if not record["void"]}


# ---------------------------------------------------------------------------------------------------------------------


def compute(landing: Path, as_of: date | None = None) -> Result:
    """Judges all deliveries of a landing and computes the observations as of a day (default: the latest loaded one)."""
    with localcontext() as context:
        context.prec = 60  # sums and divisions by powers of ten stay exact
        histories = {feed: read_feed(landing, feed) for feed in FEEDS}
        if as_of is None:
            loaded_on = [day for history in histories.values() for day in history.loaded_on]
            seen: set[str] = set()
            for delivery in find_deliveries(landing, "public_series"):
                if delivery.sha256 not in seen:
                    loaded_on.append(delivery.published_on)
                seen.add(delivery.sha256)
            as_of = max(loaded_on, default=None)

        observations: list[tuple[Any, ...]] = []
        flags: list[tuple[str, str, str]] = []
        if as_of is not None:
            records = {feed: current_records(history, as_of) for feed, history in histories.items()}
            observations.extend(all_observations(records, as_of, flags))
            for feed, column in (("institution_register", "uscc"), ("fund_commitments", "manager_code")):
                for key, record in records[feed].items():
                    code = record[column]
                    if is_uscc(code) and code[17] != uscc_check(code):
                        flags.append((feed, key, "uscc_check"))

    outcomes = [outcome for history in histories.values() for outcome in history.outcomes]
    quarantine = [entry for history in histories.values() for entry in history.quarantine]
    rows = [row for history in histories.values() for row in history.rows]
    return Result(
        observations=sorted(observations, key=lambda o: (o[0], o[1], o[2], o[4], o[5])),
        outcomes=sorted(outcomes, key=lambda o: (o["feed"], o["published_on"], o["file"])),
        quarantine=sorted(quarantine, key=lambda q: (q["feed"], q["file"], q["line"])),
        rows=sorted(rows, key=lambda row: row[:3]),
        flags=sorted(flags),
    )
