"""Random landings: messy but reproducible deliveries of `institution_register` and `fund_commitments`.

Everything the specification allows in a CSV or TSV file occurs sooner or later, and so does every fault. What a file
means is not recorded here; that is for the readers under test to find out. All names and codes are made up.

    python tests/deliveries.py DIR SEED [SIZE]
"""

from __future__ import annotations

import csv
import io
import os
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

Record = dict[str, Any]

SHANGHAI = timezone(timedelta(hours=8))
FIRST_DAY = date(2021, 11, 1)
LAST_DAY = date(2024, 12, 31)
MISSING = ("", "", "", "-", "—", "–", "…", "……", "/", "空", "不详", "NA", "N/A")
ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
EVENT_TYPES = ("引进", "迁出", "注销", "类别变更", "更名")
CATEGORIES = ("持牌金融机构", "金融科技企业", "配套机构", "基金机构")
UNIT_DIGITS = {"元": 0, "万元": 4, "亿元": 8}
EXTRA_COLUMNS = {
    "序号": ("1", "2", "3"),
    "经办人": ("甲", "乙,丙", ""),
    "备注": ("", "无", "第一行\n第二行", "-"),
    "remark": ("", "ok"),
}

HEADERS = {
    "event_id": "事件编号",
    "event_date": "事件日期",
    "event_type": "事件类型",
    "uscc": "统一社会信用代码",
    "name": "机构名称",
    "category": "机构类别",
    "subcategory": "细分类型",
    "industry_code": "行业代码",
    "building": "楼宇",
    "change_id": "变动编号",
    "fund_code": "基金编码",
    "manager_code": "管理人代码",
    "change_date": "变动日期",
    "subscribed_change": "认缴变动额",
    "paid_in_change": "实缴变动额",
    "void": "作废",
}
COLUMNS = {
    "institution_register": [
        "event_id",
        "event_date",
        "event_type",
        "uscc",
        "name",
        "category",
        "subcategory",
        "industry_code",
        "building",
        "void",
    ],
    "fund_commitments": [
        "change_id",
        "fund_code",
        "manager_code",
        "change_date",
        "subscribed_change",
        "paid_in_change",
        "void",
    ],
}
OPTIONAL = ("subcategory", "industry_code", "building", "void")
DATES = ("event_date", "change_date")
AMOUNTS = ("subscribed_change", "paid_in_change")


# ---------------------------------------------------------------------------------------------------------------------
# Codes


def uscc_check(code: str) -> str:
    """The check character of GB 32100-2015 for the first 17 characters."""
    total = sum(ALPHABET.index(character) * (3**position % 31) for position, character in enumerate(code[:17]))
    return ALPHABET[(31 - total % 31) % 31]


def organisation_check(code: str) -> str:
    """The check character of GB 11714 for 8 characters: 10 is X, 11 is 0."""
    weights = (3, 7, 9, 10, 5, 8, 4, 2)
    total = sum(int(character, 36) * weight for character, weight in zip(code, weights, strict=True))
    return "0123456789X0"[11 - total % 11]


def make_uscc(rng: random.Random, right: bool = True) -> str:
    """A made-up USCC with a right or a wrong check character."""
    organisation = "".join(rng.choice(ALPHABET) for _ in range(8))
    body = rng.choice(("91", "91", "53", "12")) + f"{rng.randrange(110000, 660000)}"
    body += organisation + organisation_check(organisation)
    check = uscc_check(body)
    if not right:
        check = rng.choice([character for character in ALPHABET if character != check])
    return body + check


def make_zero_sum_uscc(rng: random.Random) -> str:
    """A USCC whose weighted sum is a multiple of 31."""
    while True:
        code = make_uscc(rng)
        if code[17] == "0":
            return code


# ---------------------------------------------------------------------------------------------------------------------
# How one file is written


def write_wide(text: str) -> str:
    """ASCII characters as their full-width forms."""
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else "\u3000" if c == " " else c for c in text)


def write_date(rng: random.Random, day: date, spelling: str) -> str:
    """A date in one of the listed spellings."""
    if spelling == "iso":
        return day.isoformat()
    if spelling == "slash":
        return f"{day.year}/{day.month}/{day.day}" if rng.random() < 0.7 else f"{day:%Y/%m/%d}"
    if spelling == "compact":
        return f"{day:%Y%m%d}"
    if spelling == "chinese":
        return f"{day.year}年{day.month}月{day.day}日" if rng.random() < 0.7 else f"{day:%Y}年{day:%m}月{day:%d}日"
    return str((day - date(1899, 12, 30)).days)


DATE_SPELLINGS = ("iso", "slash", "compact", "chinese", "serial")


def write_amount(rng: random.Random, fen: int, unit: str) -> str:
    """An amount in fen, written in a unit, exactly."""
    value = Decimal(fen).scaleb(-2 - UNIT_DIGITS[unit])
    grouped = rng.random() < 0.3
    text = f"{value:,f}" if grouped else f"{value:f}"
    if "." in text and rng.random() < 0.7:
        text = text.rstrip("0").rstrip(".")
    if rng.random() < 0.05 and not text.startswith("-"):
        text = "+" + text
    if rng.random() < 0.1:
        text = text.replace(",", " ").replace("-", "- ")
    return text


@dataclass
class Line:
    """One row to be written: a record, and raw texts that replace its cells."""

    record: Record
    overrides: dict[str, str] = field(default_factory=dict)


class Style:
    """The habits of whoever exported one file."""

    def __init__(self, rng: random.Random, feed: str, needed: set[str]) -> None:
        self.rng = rng
        self.feed = feed
        self.encoding = rng.choice(("utf-8", "utf-8-sig", "gb18030"))
        self.delimiter = rng.choice((",", ",", "\t"))
        self.line_end = rng.choice(("\n", "\r\n"))
        self.quoting: Any = rng.choice((csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
        self.wide = rng.choice((0.0, 0.05, 0.3))
        self.pad = rng.choice((0.0, 0.05, 0.3))
        self.spelling = rng.choice(DATE_SPELLINGS)
        self.columns = [c for c in COLUMNS[feed] if c not in OPTIONAL or c in needed or rng.random() < 0.6]
        for extra in EXTRA_COLUMNS:
            if rng.random() < 0.15:
                self.columns.append(extra)
        if rng.random() < 0.6:
            rng.shuffle(self.columns)
        self.trailing_empty = rng.random() < 0.1
        self.units, self.unit_above, self.bracketed = self._choose_units()

    def _choose_units(self) -> tuple[dict[str, str], str | None, set[str]]:
        """Units in both brackets, in one of them or in none, with or without a unit above the table."""
        rng = self.rng
        above = rng.choice((None, None, *UNIT_DIGITS)) if self.feed == "fund_commitments" else None
        bracketed = set(rng.choice((AMOUNTS, AMOUNTS, AMOUNTS[:1], AMOUNTS[1:], ())))
        same = rng.choice(tuple(UNIT_DIGITS))
        mixed = rng.random() < 0.3
        units = {}
        for column in AMOUNTS:
            inside = rng.choice(tuple(UNIT_DIGITS)) if mixed else same
            units[column] = inside if column in bracketed else above or "万元"
        return units, above, bracketed

    def header(self) -> list[str]:
        """The header line's cells."""
        rng = self.rng
        english = rng.choice((0.0, 0.0, 0.3, 1.0))
        cells = []
        for column in self.columns:
            text = column
            if column in HEADERS:
                if rng.random() < english:
                    text = write_wide(column) if rng.random() < 0.15 else column
                else:
                    text = HEADERS[column]
                    if rng.random() < 0.15:
                        cut = rng.randrange(1, len(text))
                        text = text[:cut] + rng.choice((" ", "\u3000", "\n")) + text[cut:]
                if column in AMOUNTS and column in self.bracketed:
                    unit = self.units[column]
                    text += rng.choice((f"({unit})", f"（{unit}）", f" ({unit})", f"\n（{unit}）", f"( {unit} )"))
            cells.append(self.decorate(text, wide=False))
        return cells + [""] * self.trailing_empty

    def decorate(self, text: str, wide: bool = True) -> str:
        """Perhaps full-width characters and white space around."""
        rng = self.rng
        if wide and rng.random() < self.wide:
            if rng.random() < 0.5:
                text = write_wide(text)
            else:
                text = "".join(write_wide(c) if rng.random() < 0.5 else c for c in text)
        if text and rng.random() < self.pad:
            spaces = [" ", "  ", "\u3000", "\xa0"] + ["\t"] * (self.delimiter == ",")
            text = rng.choice(("", *spaces)) + text + rng.choice(("", *spaces))
        return text

    def cell(self, column: str, line: Line) -> str:
        """One cell of a row."""
        rng = self.rng
        if column in EXTRA_COLUMNS:
            return rng.choice(EXTRA_COLUMNS[column])
        if column in line.overrides:
            return self.decorate(line.overrides[column])
        value = line.record[column]
        if column == "void":
            text = "是" if value else rng.choice(("否", "否", *MISSING))
        elif value is None:
            text = rng.choice(MISSING)
        elif column in DATES:
            text = write_date(rng, value, self.spelling if rng.random() < 0.7 else rng.choice(DATE_SPELLINGS))
        elif column in AMOUNTS:
            text = write_amount(rng, value, self.units[column])
        else:
            text = value
        return self.decorate(text)

    def row(self, line: Line) -> list[str]:
        """The cells of a row in the file's order of columns."""
        return [self.cell(column, line) for column in self.columns] + [""] * self.trailing_empty

    def total(self, lines: list[Line]) -> list[str]:
        """A control total, right or wrong."""
        cells = []
        for column in self.columns:
            text = self.rng.choice(("", "-"))
            if column == COLUMNS[self.feed][0]:
                text = self.rng.choice(("合计", "总计", "合 计", "总\u3000计", " 合计 "))
            elif column in AMOUNTS:
                fen = sum(line.record[column] for line in lines if column not in line.overrides)
                text = write_amount(self.rng, fen + self.rng.choice((0, 0, 100)), self.units[column])
            elif column == "name":
                text = str(len(lines))
            cells.append(text)
        return cells + [""] * self.trailing_empty

    def preamble(self) -> list[list[str]]:
        """The lines above the header."""
        rng = self.rng
        width = len(self.columns)
        lines = []
        if rng.random() < 0.4:
            lines.append([rng.choice(("模拟台账（测试数据）", "本表按编号排列", "报送单位：模拟单位"))])
        if rng.random() < 0.2:
            lines.append(["报表期", "2024年一季度", ""])
        if self.unit_above:
            form = rng.randrange(4)
            if form == 0:
                lines.append([f"单位：{self.unit_above}"])
            elif form == 1:
                lines.append([""] * (width - 1) + [f"单位:{self.unit_above}"])
            elif form == 2:
                lines.append([f"单位：{self.unit_above}"] + [""] * (width - 1))
            else:
                lines.append(["单位", self.unit_above])
        if lines and rng.random() < 0.3:
            lines.append([])
        return lines

    def notes(self) -> list[list[str]]:
        """The lines after the table."""
        rng = self.rng
        lines: list[list[str]] = []
        if rng.random() < 0.4:
            for text in rng.sample(
                ("注：1. 本表为模拟数据", "数据来源：模拟系统", "说明:测试用，无真实含义", "备注"), 2
            ):
                lines.append([text])
                for number in range(rng.choice((0, 0, 1, 2))):
                    lines.append([rng.choice((f"{number + 2}. 续行", "    以上数据未经审核", "20240101"))])
                if rng.random() < 0.3:
                    lines.append([])
            if rng.random() < 0.15 and self.columns[1] != COLUMNS[self.feed][0]:
                lines.append(["注：逗号之后", "仍是说明"])
            if rng.random() < 0.3:
                lines = [line + [""] * (len(self.columns) - len(line)) for line in lines]
        return lines

    def write(self, lines: list[Line], broken_header: str | None = None) -> bytes:
        """The file's bytes. `broken_header` names a column to leave out."""
        rng = self.rng
        table = [self.row(line) for line in lines]
        header = self.header()
        if broken_header:
            position = self.columns.index(broken_header)
            for cells in (header, *table):
                del cells[position]
        if lines and rng.random() < 0.3:
            table.insert(rng.choice((0, len(table), len(table))), self.total(lines))
        for _ in range(rng.choice((0, 0, 0, 1, 2))):
            table.insert(rng.randrange(len(table) + 1), rng.choice(([], [""] * len(header), [" "] * len(header))))
        out = io.StringIO()
        writer = csv.writer(out, delimiter=self.delimiter, lineterminator=self.line_end, quoting=self.quoting)
        for cells in (*self.preamble(), header, *table, *self.notes()):
            if cells:
                writer.writerow(cells)
            else:
                out.write(self.line_end)
        text = out.getvalue()
        if rng.random() < 0.2:
            text = text.removesuffix(self.line_end)
        return text.encode(self.encoding)


# ---------------------------------------------------------------------------------------------------------------------
# What happens in the world

BAD_DATES = (
    "2024-02-30",
    "2024.3.5",
    "3月5日",
    "2024年3月",
    "2024-03-05 00:00",
    "45000.5",
    "450001",
    "2024/13/01",
    "20240230",
    "昨天",
    "2023-02-29",
    "05/03/2024",
)
BAD_NUMBERS = (
    "abc",
    "12,34",
    "1,2345",
    "1.2.3",
    "--5",
    "100万元",
    "(1,000)",
    "约100",
    "1,,000",
    ",100",
    "1,234,56",
    "12%",
    "NaN",
    "Infinity",
    "1_000",
    "1,0",
)


def bad_uscc(rng: random.Random) -> str:
    """A code of wrong length or alphabet."""
    code = make_uscc(rng)
    return rng.choice(
        (
            code[:17],
            code + "0",
            code[:10] + rng.choice("IOSVZ") + code[11:],
            code[:9] + "a" + code[10:],
            "9.14301E+17",
            code[:8] + " " + code[8:],
            code[:17] + "*",
        )
    )


class World:
    """The records of one feed, as whoever delivers them knows them."""

    feed: str
    key: str
    day: str

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.versions: dict[str, list[Record]] = {}
        self.voided: set[str] = set()
        self.broken: list[Record] = []
        self.used_keys: set[str] = set()

    def new_key(self, letters: str) -> str:
        """A key never used before; unpadded, padded, with or without letters: as text, S10 comes before S9."""
        while True:
            number = self.rng.randrange(1, 3000)
            key = self.rng.choice((f"{letters}{number}", f"{letters}-{number:05}", f"{number:04}", f"{number}"))
            if key not in self.used_keys:
                self.used_keys.add(key)
                return key

    def some_day(self, low: date, high: date) -> date:
        """A day up to `high`, mostly after `low`, sometimes much earlier."""
        if self.rng.random() < 0.15:
            low = FIRST_DAY
        low = min(low, high)
        return low + timedelta(days=self.rng.randrange((high - low).days + 1))

    def new_records(self, low: date, high: date) -> list[Record]:
        """One or a few fresh records."""
        raise NotImplementedError

    def correct(self, record: Record, published_on: date) -> Record:
        """Another version of a record."""
        raise NotImplementedError

    def faults(self) -> dict[str, Callable[[date], dict[str, str]]]:
        """Name → a maker of cells that break a rule, given the day of publication."""
        raise NotImplementedError

    def future_day(self, published_on: date) -> dict[str, str]:
        day = published_on + timedelta(days=self.rng.choice((1, 1, 2, 30, 400)))
        return {self.day: write_date(self.rng, day, self.rng.choice(DATE_SPELLINGS))}

    def missing(self, *columns: str) -> dict[str, str]:
        return {self.rng.choice(columns): self.rng.choice(MISSING)}


class Register(World):
    """institution_register."""

    feed = "institution_register"
    key = "event_id"
    day = "event_date"

    def __init__(self, rng: random.Random, size: int) -> None:
        super().__init__(rng)
        self.institutions = [make_zero_sum_uscc(rng)]
        for _ in range(8 + 3 * size):
            self.institutions.append(make_uscc(rng, right=rng.random() > 0.12))
        self.resident: set[str] = set()

    def _event(self, uscc: str, day: date, event_type: str) -> Record:
        rng = self.rng
        number = self.institutions.index(uscc) + 1
        name = (
            f"模拟机构{number:04}"
            + rng.choice(("", "", "（测试）", "(测试)"))
            + ("新名" if event_type == "更名" else "")
        )
        needs_category = event_type in ("引进", "类别变更")
        if event_type == "引进":
            self.resident.add(uscc)
        elif event_type in ("迁出", "注销"):
            self.resident.discard(uscc)
        return {
            "event_id": self.new_key("SJ"),
            "event_date": day,
            "event_type": event_type,
            "uscc": uscc,
            "name": name,
            "category": rng.choice(CATEGORIES) if needs_category or rng.random() < 0.4 else None,
            "subcategory": rng.choice((None, None, "银行", "证券", "私募 基金")),
            "industry_code": rng.choice((None, None, "J6621", "J66", "J", "J673", "L7212")),
            "building": rng.choice((None, None, "模拟大厦A座", "模拟中心1号楼")),
            "void": False,
        }

    def new_records(self, low: date, high: date) -> list[Record]:
        rng = self.rng
        uscc = rng.choice(self.institutions)
        day = self.some_day(low, high)
        if rng.random() < 0.2:  # a busy day
            return [self._event(uscc, day, rng.choice(EVENT_TYPES)) for _ in range(rng.randint(2, 4))]
        if rng.random() < 0.3:
            event_type = rng.choice(EVENT_TYPES)
        elif uscc in self.resident:
            event_type = rng.choice(("迁出", "注销", "类别变更", "类别变更", "更名"))
        else:
            event_type = "引进"
        return [self._event(uscc, day, event_type)]

    def correct(self, record: Record, published_on: date) -> Record:
        rng = self.rng
        new = dict(record)
        change = rng.randrange(6)
        if change == 0:
            new["event_date"] = self.some_day(FIRST_DAY, published_on)
        elif change == 1:
            new["event_type"] = rng.choice(EVENT_TYPES)
            new["category"] = new["category"] or rng.choice(CATEGORIES)
        elif change == 2:
            new["category"] = rng.choice(CATEGORIES)
        elif change == 3:
            new["name"] += "改"
        elif change == 4:
            new["uscc"] = rng.choice(self.institutions)
        else:
            new["building"] = rng.choice((None, "模拟大厦B座"))
        return new

    def faults(self) -> dict[str, Callable[[date], dict[str, str]]]:
        rng = self.rng
        return {
            "required": lambda _: self.missing("event_date", "event_type", "uscc", "name"),
            "required key": lambda _: self.missing("event_id"),
            "required category": lambda _: {
                "event_type": rng.choice(("引进", "类别变更")),
                "category": rng.choice(MISSING),
            },
            "date": lambda _: {"event_date": rng.choice(BAD_DATES)},
            "enum": lambda _: rng.choice(
                (
                    {"event_type": rng.choice(("入驻登记", "引 进", "引进/迁出"))},
                    {"category": rng.choice(("其他机构", "持牌", "1"))},
                    {"void": rng.choice(("Y", "1", "作废", "×"))},
                )
            ),
            "format": lambda _: {
                "industry_code": rng.choice(("J662123", "66", "Z66", "J6", "J66.21", "金融业", "j66"))
            },
            "uscc_format": lambda _: {"uscc": rng.choice((bad_uscc(rng), make_uscc(rng)[8:17], "68501913-3"))},
            "future_date": self.future_day,
        }


class Funds(World):
    """fund_commitments."""

    feed = "fund_commitments"
    key = "change_id"
    day = "change_date"

    def __init__(self, rng: random.Random, size: int) -> None:
        super().__init__(rng)
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
        self.funds = ["S" + "".join(rng.choice(letters) for _ in range(5)) for _ in range(4 + size)]
        self.managers = [make_uscc(rng, right=rng.random() > 0.15) for _ in range(4 + size)]
        for code in self.managers[:3]:
            self.managers.append(f"{code[8:16]}-{code[16]}")

    def _amount(self) -> int:
        """Fen: round or odd, positive or negative."""
        rng = self.rng
        yuan = rng.choice((rng.randrange(1, 500) * 1_000_000, rng.randrange(1, 2_000_000_000), 0))
        fen = yuan * 100 + rng.choice((0, 0, rng.randrange(100)))
        return -fen if rng.random() < 0.25 else fen

    def new_records(self, low: date, high: date) -> list[Record]:
        rng = self.rng
        return [
            {
                "change_id": self.new_key("BD"),
                "fund_code": rng.choice(self.funds),
                "manager_code": rng.choice(self.managers),
                "change_date": self.some_day(low, high),
                "subscribed_change": self._amount(),
                "paid_in_change": self._amount(),
                "void": False,
            }
        ]

    def correct(self, record: Record, published_on: date) -> Record:
        rng = self.rng
        new = dict(record)
        change = rng.randrange(5)
        if change == 0:
            new["change_date"] = self.some_day(FIRST_DAY, published_on)
        elif change == 1:
            new["fund_code"] = rng.choice(self.funds)
        elif change == 2:
            new["manager_code"] = rng.choice(self.managers)
        else:
            new[rng.choice(AMOUNTS)] = self._amount()
        return new

    def faults(self) -> dict[str, Callable[[date], dict[str, str]]]:
        rng = self.rng
        return {
            "required": lambda _: self.missing("fund_code", "manager_code", "change_date", *AMOUNTS),
            "required key": lambda _: self.missing("change_id"),
            "number": lambda _: {rng.choice(AMOUNTS): rng.choice(BAD_NUMBERS)},
            "date": lambda _: {"change_date": rng.choice(BAD_DATES)},
            "enum": lambda _: {"void": rng.choice(("Y", "1", "作废", "×"))},
            "format": lambda _: {
                "fund_code": rng.choice(("SA12", "P1234567", "SABC123", "XABC12", "S-1234", "S 12AB"))
            },
            "uscc_format": lambda _: {"manager_code": rng.choice((bad_uscc(rng), "P1001234", "6850191-33", "模拟"))},
            "future_date": self.future_day,
        }


# ---------------------------------------------------------------------------------------------------------------------
# What is in one delivery


def old_lines(world: World, published_on: date, used: set[str]) -> list[Line]:
    """Rows about keys delivered before: the same again, corrections, reversions, withdrawals, revivals."""
    rng = world.rng
    lines = []
    keys = [key for key in world.versions if key not in used]
    for key in rng.sample(keys, min(len(keys), rng.randint(0, 8))):
        used.add(key)
        versions = world.versions[key]
        record = versions[-1]
        overrides: dict[str, str] = {}
        action = rng.choice(("again", "correct", "correct", "revert", "void"))
        if key in world.voided:
            action = rng.choice(("revive", "revive", "void", "correct"))
        if action == "correct":
            record = world.correct(record, published_on)
            versions.append(record)
        elif action == "revert" and len(versions) > 1:
            record = versions[-2]
            versions.append(record)
        elif action == "void":
            record = dict(record, void=True)
            overrides = void_rubbish(world)
        world.voided.discard(key)
        if record["void"]:
            world.voided.add(key)
        lines.append(Line(record, overrides))
    return lines


def void_rubbish(world: World) -> dict[str, str]:
    """Cells of a withdrawing row that need not validate: as they were, empty, or nonsense."""
    mode = world.rng.randrange(3)
    overrides: dict[str, str] = {}
    if mode:
        for column in COLUMNS[world.feed]:
            if column not in (world.key, "void"):
                overrides[column] = "" if mode == 1 else world.rng.choice(("", "-", "xx", "2999-01-01", "1,2"))
    return overrides


def faulty_line(world: World, published_on: date, used: set[str], fresh: bool = False) -> Line:
    """A row with one to three faults, under a new key or as a failed correction of an old one."""
    rng = world.rng
    keys = [key for key in world.versions if key not in used]
    if keys and not fresh and rng.random() < 0.3:
        record = world.correct(world.versions[rng.choice(keys)][-1], published_on)
    else:
        record = world.new_records(FIRST_DAY, published_on)[0]
        world.broken.append(record)
    used.add(record[world.key])
    faults = world.faults()
    line = Line(record)
    for name in rng.sample(sorted(faults), rng.choice((1, 1, 1, 2, 3))):
        line.overrides = {**faults[name](published_on), **line.overrides}
    return line


def conflicting_lines(world: World, published_on: date, used: set[str]) -> list[Line]:
    """Two or three rows that contradict each other about one key, or that are wrong in the same way."""
    rng = world.rng
    first = faulty_line(world, published_on, used, fresh=rng.random() < 0.6)
    other = world.correct(first.record, published_on)
    while other == first.record:
        other = world.correct(first.record, published_on)
    form = rng.randrange(5)
    if form == 0:  # one of the two has a fault of its own; without a key it contradicts nobody
        return [first, Line(other)]
    if form == 1:  # the same faulty row twice: no contradiction
        return [first, Line(first.record, dict(first.overrides))]
    if form == 2:  # withdrawn and asserted at once
        return [Line(first.record), Line(dict(first.record, void=True))]
    if form == 3:
        return [Line(first.record), Line(first.record), Line(other)]
    return [Line(first.record), Line(other)]


def make_lines(world: World, low: date, published_on: date, spoiled: bool) -> list[Line]:
    """The rows of an ordinary delivery; `spoiled` ones have more than 20 % faulty rows."""
    rng = world.rng
    used: set[str] = set()
    lines: list[Line] = []
    for _ in range(rng.randint(4, 12)):
        for record in world.new_records(low, published_on):
            lines.append(Line(record))
    while world.broken and rng.random() < 0.6:  # mended at last
        lines.append(Line(world.broken.pop(rng.randrange(len(world.broken)))))
    for line in lines:
        used.add(line.record[world.key])
    lines.extend(old_lines(world, published_on, used))
    for line in lines:
        if not line.record["void"]:
            versions = world.versions.setdefault(line.record[world.key], [])
            if not versions or versions[-1] != line.record:
                versions.append(line.record)
    if rng.random() < 0.15:  # withdrawn before anyone heard of it
        record = dict(world.new_records(low, published_on)[0], void=True)
        lines.append(Line(record, void_rubbish(world)))
        used.add(record[world.key])
    for line in rng.sample(lines, rng.choice((0, 0, 1, 2))):
        lines.append(Line(line.record, dict(line.overrides)))

    limit = len(lines) // 4  # bad ones among all: up to exactly 20 %
    wanted = limit + rng.choice((1, 2, 5)) if spoiled else rng.choice((0, rng.randint(0, limit), limit))
    bad: list[Line] = []
    while len(bad) < wanted:
        more = [faulty_line(world, published_on, used)]
        if rng.random() < 0.35:
            more = conflicting_lines(world, published_on, used)
        if spoiled or len(bad) + len(more) <= wanted:
            bad.extend(more)
    lines.extend(bad)
    if rng.random() < 0.7:
        rng.shuffle(lines)
    return lines


def needed_columns(lines: list[Line]) -> set[str]:
    """The optional columns without which these rows would not say what they should."""
    needed = {column for line in lines for column in line.overrides if not line.record["void"]}
    if any(line.record["void"] for line in lines):
        needed.add("void")
    return needed


def make_unreadable(rng: random.Random, feed: str, lines: list[Line]) -> bytes:
    """A file that can't be read at all."""
    style = Style(rng, feed, needed_columns(lines))
    form = rng.randrange(5)
    if form == 0:
        return b""
    if form == 1:
        return style.write([])
    if form == 2:
        return rng.choice((b"\n\n", b"\xff\xff\x00\x81", b"\xef\xbb\xbf", b"<html></html>"))
    required = [column for column in COLUMNS[feed] if column not in OPTIONAL]
    return style.write(lines, broken_header=rng.choice(required))


# ---------------------------------------------------------------------------------------------------------------------
# The landing


def put(rng: random.Random, folder: Path, number: int, published_on: date, content: bytes) -> None:
    """Writes a delivery whose date stands in its name, in a sidecar, or is that of its last modification."""
    suffix = rng.choice((".csv", ".csv", ".tsv"))
    clock = published_on
    source = rng.choice(("name", "name", "sidecar", "mtime"))
    sidecar = ["source_url: https://example.org/simulated", "licence: CC0-1.0", "note: 模拟"][: rng.randrange(4)]
    if source == "name":
        stem = rng.choice((f"{folder.name}__{published_on:%Y%m%d}", f"模拟_{published_on:%Y%m%d}_第{number}批"))
        clock = rng.choice((published_on, date(2025, 6, 30), FIRST_DAY))
        if sidecar and rng.random() < 0.3:
            sidecar.append("published_on: 2020-01-01")  # the name comes first
    else:
        stem = rng.choice((f"batch_{1000 - number}", f"第{number}批模拟数据"))
        if source == "sidecar":
            quote = rng.choice(("", "", '"'))
            sidecar.insert(rng.randrange(len(sidecar) + 1), f"published_on: {quote}{published_on}{quote}")
            clock = rng.choice((published_on, date(2025, 6, 30), FIRST_DAY))
    path = folder / (stem + suffix)
    if path.exists():
        path = folder / f"{stem}_{number}{suffix}"
    path.write_bytes(content)
    hour, minute = rng.choice(((0, 5), (7, 59), (12, 0), (23, 55)))
    stamp = datetime(clock.year, clock.month, clock.day, hour, minute, tzinfo=SHANGHAI).timestamp()
    os.utime(path, (stamp, stamp))
    if sidecar:
        beside = path.with_name(path.name + ".meta.yaml")
        beside.write_text("\n".join(sidecar) + "\n", encoding="utf-8")
        os.utime(beside, (stamp, stamp))


def choose_days(rng: random.Random, count: int) -> list[date]:
    """Different days of publication in order, many at the end of a month; some seeds stop early."""
    last = rng.choice((LAST_DAY, LAST_DAY, date(2024, 7, 17), date(2023, 6, 30)))
    days: set[date] = {last} if rng.random() < 0.5 else set()
    while len(days) < count:
        day = date(2021, 11, 10) + timedelta(days=rng.randrange((last - date(2021, 11, 10)).days + 1))
        if rng.random() < 0.25:
            day = day.replace(day=1) - timedelta(days=1)
        if day > FIRST_DAY:
            days.add(day)
    return sorted(days)


def write_feed(rng: random.Random, folder: Path, world: World, size: int) -> None:
    """All deliveries of one feed: `size` ordinary ones and as many odd ones."""
    folder.mkdir(parents=True, exist_ok=True)
    odd = ("again", "again", "rewritten", "rewritten", "spoiled", "unreadable", "ordinary")
    kinds = ["ordinary"] * max(size - 1, 0) + [rng.choice(odd) for _ in range(size)]
    rng.shuffle(kinds)
    kinds.insert(0, "ordinary")
    written: list[bytes] = []
    earlier: list[list[Line]] = []
    low = FIRST_DAY
    for number, (kind, published_on) in enumerate(zip(kinds, choose_days(rng, len(kinds)), strict=True), start=1):
        if kind == "again":
            contents = [rng.choice(written)]
        elif kind == "rewritten":  # the rows of an earlier file, written by another hand
            lines = rng.choice(earlier)
            contents = [Style(rng, world.feed, needed_columns(lines)).write(lines)]
        elif kind == "unreadable":
            lines = [Line(record) for record in world.new_records(low, published_on)]
            contents = [make_unreadable(rng, world.feed, lines)]
        else:
            lines = make_lines(world, low, published_on, spoiled=kind == "spoiled")
            parts = [lines]
            if kind == "ordinary" and rng.random() < 0.15:  # two files on one day, no key in both
                first = {key for key in sorted({line.record[world.key] for line in lines}) if rng.random() < 0.5}
                parts = [
                    [line for line in lines if line.record[world.key] in first],
                    [line for line in lines if line.record[world.key] not in first],
                ]
            contents = [Style(rng, world.feed, needed_columns(part)).write(part) for part in parts if part]
            earlier.extend(part for part in parts if part)
            low = published_on
        written.extend(contents)
        for content in contents:
            put(rng, folder, number, published_on, content)


def write_random_landing(directory: Path, seed: int, size: int = 6) -> None:
    """Writes a landing of both feeds; the same seed and size give the same bytes, names and dates."""
    rng = random.Random(seed)
    for world in (Register(rng, size), Funds(rng, size)):
        write_feed(rng, directory / world.feed, world, size)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit("usage: python tests/deliveries.py DIR SEED [SIZE]")
    write_random_landing(Path(sys.argv[1]), int(sys.argv[2]), *(int(text) for text in sys.argv[3:]))
