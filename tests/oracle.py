"""A second, independent implementation of the specification for two feeds, to compare the pipeline with.

It reads deliveries of `institution_register` and `fund_commitments` (CSV or TSV text), judges every row and computes
the metrics of the sections "Institutions" and "Fund capital". It shares no code with the pipeline, uses the standard
library only and prefers plain loops to speed: where both agree on messy deliveries, both read the specification alike.

Decisions where the specification is silent:

- Deliveries are processed by (published_on, file name). Bytes seen before in the same feed are `unchanged`, whatever
  became of them the first time. `outcomes` and `quarantine` cover every delivery; `as_of` limits the observations only.
- A delivery that can't be read has no rows at all; one with more than 20 % faulty rows has all its rows quarantined.
- The header is the first record that names every column not marked optional, each column once.
- Notes: the trailing block that starts with a note line and holds only note lines, single-cell lines, blank lines and
  control totals. A note line with table rows below it is a row like any other; so is a line that begins with 注销 in
  the column of event types, or that has its key in another cell.
- `conflicting_key` looks at every row with a readable key; the content of a faulty cell is its normalised text.
- A row whose void flag is unreadable is judged in full, as if it were not void.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal, localcontext
from pathlib import Path
from typing import Any

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
CATEGORIES = ("licensed", "fintech", "supporting", "fund")
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


@dataclass(frozen=True)
class Column:
    """One column of a contract. `optional`: the column may be absent; `required`: a value must be there."""

    id: str
    header: str
    kind: str
    required: bool = True
    optional: bool = False
    values: dict[str, Any] = field(default_factory=dict, hash=False)


VOID = Column("void", "作废", "enum", required=False, optional=True, values=YES_NO)

# The first column of each feed is its key. `category` must be in the header; its value depends on the event type.
FEEDS: dict[str, list[Column]] = {
    "institution_register": [
        Column("event_id", "事件编号", "text"),
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
        Column("change_id", "变动编号", "text"),
        Column("fund_code", "基金编码", "fund_code"),
        Column("manager_code", "管理人代码", "manager_code"),
        Column("change_date", "变动日期", "date"),
        Column("subscribed_change", "认缴变动额", "amount"),
        Column("paid_in_change", "实缴变动额", "amount"),
        VOID,
    ],
}
DEFAULT_UNIT = "万元"


@dataclass
class Result:
    """What the specification says about a landing.

    observations: (metric_id, frequency, period, period_end, dimension, member, value, unit, obs_status, conf_status,
    as_of), sorted by the key;
    outcomes: one dict per delivery; quarantine: one dict per refused row;
    flags: (feed, key, flag) of the versions current on as_of, for accepted but odd rows.
    """

    observations: list[tuple[Any, ...]]
    outcomes: list[dict[str, Any]]
    quarantine: list[dict[str, Any]]
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
    """One judged row: `content` is what two rows are compared by, `record` what the metrics read."""

    line: int
    key: str | None
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
            if column.kind == "amount":
                match = re.fullmatch(r"(.*)\((元|万元|亿元)\)", text)
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
    return header[FEEDS[feed][0].id][0] not in filled[1:]


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
            factors[column.id] = UNITS[header[column.id][1] or unit_above or DEFAULT_UNIT]

    key_position = header[FEEDS[feed][0].id][0]
    body = []
    for line, cells in below:
        filled = sum(1 for cell in cells if normalise(cell))
        is_total = key_position < len(cells) and squeeze(cells[key_position]) in CONTROL_TOTALS
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


def parse_cell(column: Column, text: str, factors: dict[str, Decimal]) -> tuple[Any, str | None]:
    """(value, broken rule or None) of a cell that is not missing; the value of a faulty cell is marked as such."""
    value: Any = None
    rule = column.kind
    if column.kind == "text":
        value = text
    elif column.kind == "date":
        value = parse_date(text)
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
    elif column.kind == "amount":
        rule = "number"
        number = parse_number(text)
        if number is not None:
            value = number * factors[column.id]
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
    key_column = FEEDS[feed][0]
    key = texts[key_column.id]

    void_text = texts["void"]
    if void_text is not None and YES_NO.get(void_text) is True:
        if key is None:
            rules.add("required")
        record = {key_column.id: key, "void": True}
        return Row(line, key, (key, True), record, rules)

    for column in FEEDS[feed]:
        text = texts[column.id]
        if text is None:
            record[column.id] = False if column.id == "void" else None
            if column.required:
                rules.add("required")
            continue
        value, rule = parse_cell(column, text, factors)
        record[column.id] = value
        if rule:
            rules.add(rule)
        elif column.kind == "date" and value > published_on:
            rules.add("future_date")
    if record.get("event_type") in ("admit", "recategorise") and texts["category"] is None:
        rules.add("required")
    return Row(line, key, tuple(record[column.id] for column in FEEDS[feed]), record, rules)


def judge_delivery(delivery: Delivery) -> list[Row]:
    """All rows of a delivery with the rules they break, conflicts inside the delivery included."""
    table, factors = read_table(delivery.feed, delivery.content)
    rows = [judge_row(delivery.feed, line, cells, factors, delivery.published_on) for line, cells in table]
    contents: dict[str, set[tuple[Any, ...]]] = {}
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
    accepted: list[tuple[date, str, dict[str, Any]]] = field(default_factory=list)
    loaded_on: list[date] = field(default_factory=list)


def read_feed(landing: Path, feed: str) -> FeedHistory:
    """Processes a feed's deliveries one after the other."""
    history = FeedHistory()
    seen: set[str] = set()
    current: dict[str, tuple[Any, ...]] = {}  # key → content of the current version
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
        for row in rows:
            if row.rules:
                outcome["rows_quarantined"] += 1
                rules = [rule for rule in RULES if rule in row.rules]
                history.quarantine.append(
                    {"feed": feed, "file": delivery.file, "line": row.line, "rule": rules[0], "rules": rules}
                )
            elif current.get(row.key or "") == row.content:
                outcome["rows_duplicate"] += 1
            else:
                outcome["rows_accepted"] += 1
                assert row.key is not None
                current[row.key] = row.content
                history.accepted.append((delivery.published_on, row.key, row.record))
    return history


def current_records(history: FeedHistory, as_of: date) -> dict[str, dict[str, Any]]:
    """Key → current record on as_of, without the withdrawn ones."""
    records = {}
    for published_on, key, record in history.accepted:
        if published_on <= as_of:
            records[key] = record
    return {key: record for key, record in records.items() if not record["void"]}


# ---------------------------------------------------------------------------------------------------------------------
# Periods


def month_end(year: int, month: int) -> date:
    """The last day of a month."""
    if month == 12:
        return date(year, 12, 31)
    return date(year, month + 1, 1) - timedelta(days=1)


def periods(first_event: date, as_of: date) -> Iterator[tuple[str, str, date, date]]:
    """(frequency, period, first day, last day) of all complete periods from the one with the first event on."""
    for year in range(first_event.year, as_of.year + 1):
        for month in range(1, 13):
            start, end = date(year, month, 1), month_end(year, month)
            if first_event <= end <= as_of:
                yield "M", f"{year}-{month:02}", start, end
        for quarter in range(1, 5):
            start, end = date(year, 3 * quarter - 2, 1), month_end(year, 3 * quarter)
            if first_event <= end <= as_of:
                yield "Q", f"{year}-Q{quarter}", start, end
        if date(year, 12, 31) <= as_of:
            yield "A", f"{year}", date(year, 1, 1), date(year, 12, 31)


# ---------------------------------------------------------------------------------------------------------------------
# Institutions


@dataclass
class Institution:
    """The life of one USCC: its state after each day with events, first admission and departures."""

    states: dict[date, tuple[bool, str | None]] = field(default_factory=dict)
    first_admit: tuple[date, str] | None = None
    departures: list[tuple[date, str]] = field(default_factory=list)

    def state(self, day: date) -> tuple[bool, str | None]:
        """(resident, category in force or the last one) at the end of a day."""
        latest: tuple[bool, str | None] = (False, None)
        for event_day in sorted(self.states):
            if event_day <= day:
                latest = self.states[event_day]
        return latest


def follow_institutions(
    records: dict[str, dict[str, Any]], flags: list[tuple[str, str, str]]
) -> dict[str, Institution]:
    """Replays the events of every USCC by event_date, then event_id as text."""
    institutions: dict[str, Institution] = {}
    events = sorted(records.values(), key=lambda r: (r["uscc"], r["event_date"], r["event_id"]))
    resident = False
    category: str | None = None
    for event in events:
        if event["uscc"] not in institutions:
            institutions[event["uscc"]] = Institution()
            resident, category = False, None
        institution = institutions[event["uscc"]]
        day, kind, flag = event["event_date"], event["event_type"], None
        if kind == "admit":
            if institution.first_admit is None:
                institution.first_admit = (day, event["category"])
            if resident:
                flag = "admit_during_residence"
            else:
                resident, category = True, event["category"]
        elif kind in ("leave", "deregister"):
            if resident:
                assert category is not None
                institution.departures.append((day, category))
                resident = False
            else:
                flag = "leave_without_residence"
        elif kind == "recategorise":
            if resident:
                category = event["category"]
            else:
                flag = "recategorise_without_residence"
        if flag:
            flags.append(("institution_register", event["event_id"], flag))
        institution.states[day] = (resident, category)
    return institutions


def institution_observations(
    records: dict[str, dict[str, Any]], as_of: date, flags: list[tuple[str, str, str]]
) -> Iterator[tuple[Any, ...]]:
    """The four institution metrics, total and by category."""
    if not records:
        return
    institutions = follow_institutions(records, flags)
    first_event = min(record["event_date"] for record in records.values())
    for frequency, period, start, end in periods(first_event, as_of):
        admitted: Counter[str | None] = Counter()
        cumulative: Counter[str | None] = Counter()
        resident: Counter[str | None] = Counter()
        departed: Counter[str | None] = Counter()
        for institution in institutions.values():
            is_resident, category = institution.state(end)
            if institution.first_admit and institution.first_admit[0] <= end:
                cumulative[category] += 1
                if institution.first_admit[0] >= start:
                    admitted[institution.first_admit[1]] += 1
            if is_resident:
                resident[category] += 1
            for day, category_before in institution.departures:
                if start <= day <= end:
                    departed[category_before] += 1
        metrics = {
            "institutions_admitted": admitted,
            "institutions_admitted_cumulative": cumulative,
            "institutions_resident": resident,
            "institutions_departed": departed,
        }
        for metric, counts in metrics.items():
            total = Decimal(sum(counts.values()))
            yield observation(metric, frequency, period, end, "total", "total", total, "institution", as_of)
            for member in CATEGORIES:
                value = Decimal(counts[member])
                yield observation(metric, frequency, period, end, "category", member, value, "institution", as_of)


# ---------------------------------------------------------------------------------------------------------------------
# Fund capital


def fund_observations(records: dict[str, dict[str, Any]], as_of: date) -> Iterator[tuple[Any, ...]]:
    """Subscribed (flow and cumulative) and paid-in capital in 100 million yuan."""
    if not records:
        return
    first_event = min(record["change_date"] for record in records.values())
    for frequency, period, start, end in periods(first_event, as_of):
        flow = subscribed = paid_in = Decimal(0)
        for record in records.values():
            if record["change_date"] <= end:
                subscribed += record["subscribed_change"]
                paid_in += record["paid_in_change"]
                if record["change_date"] >= start:
                    flow += record["subscribed_change"]
        metrics = {
            "fund_subscribed": flow,
            "fund_subscribed_cumulative": subscribed,
            "fund_paid_in_cumulative": paid_in,
        }
        for metric, yuan in metrics.items():
            value = yuan / UNITS["亿元"]
            yield observation(metric, frequency, period, end, "total", "total", value, "cny_100m", as_of)


def observation(
    metric: str,
    frequency: str,
    period: str,
    end: date,
    dimension: str,
    member: str,
    value: Decimal,
    unit: str,
    as_of: date,
) -> tuple[Any, ...]:
    """One published row; both feeds are event feeds, so every value is there (A) and free (F)."""
    rounded = value.quantize(Decimal("1e-10"), rounding=ROUND_HALF_UP) + Decimal(0)
    return (metric, frequency, period, end, dimension, member, rounded, unit, "A", "F", as_of)


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
            register = current_records(histories["institution_register"], as_of)
            funds = current_records(histories["fund_commitments"], as_of)
            observations.extend(institution_observations(register, as_of, flags))
            observations.extend(fund_observations(funds, as_of))
            for feed, column, records in (
                ("institution_register", "uscc", register),
                ("fund_commitments", "manager_code", funds),
            ):
                for key, record in records.items():
                    code = record[column]
                    if is_uscc(code) and code[17] != uscc_check(code):
                        flags.append((feed, key, "uscc_check"))

    outcomes = [outcome for history in histories.values() for outcome in history.outcomes]
    quarantine = [entry for history in histories.values() for entry in history.quarantine]
    return Result(
        observations=sorted(observations, key=lambda o: (o[0], o[1], o[2], o[4], o[5])),
        outcomes=sorted(outcomes, key=lambda o: (o["feed"], o["published_on"], o["file"])),
        quarantine=sorted(quarantine, key=lambda q: (q["feed"], q["file"], q["line"])),
        flags=sorted(flags),
    )
