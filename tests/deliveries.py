"""Random landings: messy but reproducible deliveries of the plan's own feeds.

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
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import oracle

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

COLUMNS = {feed: {column.id: column for column in columns} for feed, columns in oracle.FEEDS.items()}
WITH_METRICS = ("institution_register", "fund_commitments")


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
    return write_number(rng, Decimal(fen).scaleb(-2 - UNIT_DIGITS[unit]))


def write_number(rng: random.Random, value: Decimal) -> str:
    """A number with or without separators, a sign and final zeros."""
    grouped = rng.random() < 0.3
    text = f"{value:,f}" if grouped else f"{value:f}"
    if "." in text and rng.random() < 0.7:
        text = text.rstrip("0").rstrip(".")
    if rng.random() < 0.05 and not text.startswith("-"):
        text = "+" + text
    if rng.random() < 0.1:
        text = text.replace(",", " ").replace("-", "- ")
    return text


def write_period(rng: random.Random, value: Any) -> str:
    """A month, quarter or year (or the first and last month of a tax period) in one of the listed spellings."""
    if isinstance(value, tuple):
        first, last = (write_period(rng, part) for part in value)
        return first if value[0] == value[1] else first + rng.choice("~～") + last
    year = value[:4]
    if len(value) == 4:
        return rng.choice((year, f"{year}年"))
    if "Q" in value:
        quarter = int(value[-1])
        numeral = "一二三四"[quarter - 1]
        spellings = (f"{year}Q{quarter}", value, f"{year}年{quarter}季度", f"{year}年{numeral}季度")
        return rng.choice((*spellings, f"{year}年第{numeral}季度", year + "ABCD"[quarter - 1]))
    return rng.choice((value, value.replace("-", ""), f"{year}年{int(value[5:])}月", f"{year}年{value[5:]}月"))


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
        self.known = COLUMNS[feed]
        self.keys = [column.id for column in oracle.key_columns(feed)]
        self.amounts = tuple(column.id for column in self.known.values() if column.kind == "amount")
        self.columns = [c for c in self.known if not self.known[c].optional or c in needed or rng.random() < 0.6]
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
        above = rng.choice((None, None, *UNIT_DIGITS)) if self.amounts else None
        bracketed = set(rng.choice((self.amounts, self.amounts, self.amounts[:1], self.amounts[1:], ())))
        same = rng.choice(tuple(UNIT_DIGITS))
        mixed = rng.random() < 0.3
        units = {}
        for column in self.amounts:
            inside = rng.choice(tuple(UNIT_DIGITS)) if mixed else same
            units[column] = inside if column in bracketed else above or self.known[column].unit or ""
        return units, above, bracketed

    def header(self) -> list[str]:
        """The header line's cells."""
        rng = self.rng
        english = rng.choice((0.0, 0.0, 0.3, 1.0))
        cells = []
        for column in self.columns:
            text = column
            if column in self.known:
                if rng.random() < english:
                    text = write_wide(column) if rng.random() < 0.15 else column
                else:
                    text = self.known[column].header
                    if rng.random() < 0.15:
                        cut = rng.randrange(1, len(text))
                        text = text[:cut] + rng.choice((" ", "\u3000", "\n")) + text[cut:]
                unit = self.units[column] if column in self.bracketed else None
                if self.known[column].kind == "number" and rng.random() < 0.5:
                    unit = self.known[column].unit
                if unit:
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
        value, kind = line.record[column], self.known[column].kind
        if column == "void":
            text = "是" if value else rng.choice(("否", "否", *MISSING))
        elif value is None:
            text = rng.choice(MISSING)
        elif kind == "date":
            text = write_date(rng, value, self.spelling if rng.random() < 0.7 else rng.choice(DATE_SPELLINGS))
        elif kind == "amount":
            text = write_amount(rng, value, self.units[column])
        elif kind in ("number", "integer"):
            text = write_number(rng, Decimal(value))
        elif kind in ("month", "quarter", "year", "period", "months"):
            text = write_period(rng, value)
        elif kind == "enum" and self.known[column].values is not oracle.YES_NO and rng.random() < 0.1:
            text = self.known[column].values[value]
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
            if column == self.keys[0]:
                text = self.rng.choice(("合计", "总计", "合 计", "总\u3000计", " 合计 "))
            elif column in self.amounts:
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
            if rng.random() < 0.15 and self.columns[1] not in self.keys:
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
    """The records of one feed, as whoever delivers them knows them.

    `horizons`: the last day of publication is one of these. `most_old`: how many earlier records a delivery touches at
    most, each in one of the ways in `actions`.
    """

    horizons = (LAST_DAY, LAST_DAY, date(2024, 7, 17), date(2023, 6, 30))
    most_old = 8
    actions: tuple[str, ...] = ("again", "correct", "correct", "revert", "void")

    def __init__(self, rng: random.Random, feed: str) -> None:
        self.rng = rng
        self.feed = feed
        self.known = COLUMNS[feed]
        self.keys = [column.id for column in oracle.key_columns(feed)]
        self.versions: dict[Any, list[Record]] = {}
        self.voided: set[Any] = set()
        self.broken: list[Record] = []
        self.used_keys: set[Any] = set()

    def key_of(self, record: Record) -> tuple[Any, ...]:
        """The values that tell a record from all others."""
        return tuple(record[column] for column in self.keys)

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

    def batch(self, low: date, high: date) -> list[Record]:
        """The news of one delivery."""
        return [record for _ in range(self.rng.randint(4, 12)) for record in self.new_records(low, high)]

    def new_records(self, low: date, high: date) -> list[Record]:
        """One or a few fresh records."""
        raise NotImplementedError

    def correct(self, record: Record, published_on: date) -> Record:
        """Another version of a record."""
        raise NotImplementedError

    def faults(self) -> dict[str, Callable[[date], dict[str, str]]]:
        """Name → a maker of cells that break a rule, given the day of publication."""
        raise NotImplementedError

    def future_day(self, column: str, published_on: date) -> dict[str, str]:
        day = published_on + timedelta(days=self.rng.choice((1, 1, 2, 30, 400)))
        return {column: write_date(self.rng, day, self.rng.choice(DATE_SPELLINGS))}

    def missing(self, *columns: str) -> dict[str, str]:
        return {self.rng.choice(columns): self.rng.choice(MISSING)}


class Register(World):
    """institution_register."""

    def __init__(self, rng: random.Random, size: int) -> None:
        super().__init__(rng, "institution_register")
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
            "future_date": partial(self.future_day, "event_date"),
        }


FUND_AMOUNTS = ("subscribed_change", "paid_in_change")


class Funds(World):
    """fund_commitments."""

    def __init__(self, rng: random.Random, size: int) -> None:
        super().__init__(rng, "fund_commitments")
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
            new[rng.choice(FUND_AMOUNTS)] = self._amount()
        return new

    def faults(self) -> dict[str, Callable[[date], dict[str, str]]]:
        rng = self.rng
        return {
            "required": lambda _: self.missing("fund_code", "manager_code", "change_date", *FUND_AMOUNTS),
            "required key": lambda _: self.missing("change_id"),
            "number": lambda _: {rng.choice(FUND_AMOUNTS): rng.choice(BAD_NUMBERS)},
            "date": lambda _: {"change_date": rng.choice(BAD_DATES)},
            "enum": lambda _: {"void": rng.choice(("Y", "1", "作废", "×"))},
            "format": lambda _: {
                "fund_code": rng.choice(("SA12", "P1234567", "SABC123", "XABC12", "S-1234", "S 12AB"))
            },
            "uscc_format": lambda _: {"manager_code": rng.choice((bad_uscc(rng), "P1001234", "6850191-33", "模拟"))},
            "future_date": partial(self.future_day, "change_date"),
        }


BAD_PERIODS = {
    "month": ("2024-13", "2024-3", "2024Q1", "2024", "202400", "2024年13月", "3月", "2024/03", "2024年"),
    "quarter": ("2024Q5", "2024-03", "2024", "2024年5季度", "Q1", "2024E", "2024年零季度", "2024年第1"),
    "year": ("24", "2024Q1", "2024-01", "二〇二四年", "2024年度", "202401"),
    "period": ("2024Q5", "2024年上半年", "2024-13", "24", "2024-2025"),
    "months": (
        "2024-03~2024-01",
        "2024-01~",
        "~2024-01",
        "2024Q1",
        "2024-01~2024-02~2024-03",
        "2024-01-2024-03",
        "2024",
    ),
}
PERIODS = tuple(BAD_PERIODS)


class Records(World):
    """Any other feed: every column holds something of its kind."""

    def __init__(self, rng: random.Random, feed: str) -> None:
        super().__init__(rng, feed)
        self.codes = [make_uscc(rng, right=rng.random() > 0.15) for _ in range(8)]

    def _period(self, kind: str) -> Any:
        rng = self.rng
        if kind == "period":
            kind = rng.choice(("month", "quarter", "year"))
        year = rng.randrange(1900, 2025)
        if kind == "months":
            first = rng.randrange(1, 13)
            return f"{year}-{first:02}", f"{year}-{rng.choice((first, rng.randrange(first, 13))):02}"
        return {
            "month": f"{year}-{rng.randrange(1, 13):02}",
            "quarter": f"{year}-Q{rng.randrange(1, 5)}",
            "year": f"{year}",
        }[kind]

    def _value(self, column: oracle.Column, low: date, high: date) -> Any:
        """Something that a column may hold; None where it may be missing."""
        rng = self.rng
        if not column.required and rng.random() < 0.4:
            return None
        if column.kind in PERIODS:
            return self._period(column.kind)
        if column.kind == "date":
            later = timedelta(days=rng.randrange(800)) if column.may_be_future else timedelta()
            return self.some_day(low, high) + later
        if column.kind == "enum":
            return rng.choice(tuple(column.values))
        if column.kind == "uscc":
            return rng.choice(self.codes)
        if column.kind == "amount":
            return rng.choice((0, rng.randrange(10**12), -rng.randrange(10**9)))
        if column.kind == "integer":
            return rng.randint(column.low or 0, column.high or 2000)
        if column.kind == "number":
            digits = rng.randrange(4)
            bound = (column.high or 10**6) * 10**digits
            least = -bound if column.low is None else column.low * 10**digits
            return Decimal(rng.randint(least, bound)).scaleb(-digits)
        return f"模拟{column.header}" + rng.choice(("", "甲", "（乙）", " A", str(rng.randrange(100))))

    def _settle(self, record: Record) -> Record:
        """The same record with the sign that its kind asks for, and the evidence that its status asks for."""
        if self.feed == "tax_collections":
            record["amount"] = abs(record["amount"]) * (1 if record["kind"] == "入库" else -1)
        if record.get("status") == "已完成" and record["evidence"] is None:
            record["evidence"] = "https://example.org/simulated"
        return record

    def new_records(self, low: date, high: date) -> list[Record]:
        while True:
            record = {name: self._value(column, low, high) for name, column in self.known.items()} | {"void": False}
            if self.known[self.keys[0]].kind == "text":
                record[self.keys[0]] = self.new_key("MN")
            if self.key_of(record) not in self.used_keys:
                self.used_keys.add(self.key_of(record))
                return [self._settle(record)]

    def correct(self, record: Record, published_on: date) -> Record:
        changed = self.rng.choice([name for name in self.known if name not in (*self.keys, "void")])
        return self._settle(record | {changed: self._value(self.known[changed], FIRST_DAY, published_on)})

    def faults(self) -> dict[str, Callable[[date], dict[str, str]]]:
        rng = self.rng
        found: dict[str, Callable[[date], dict[str, str]]] = {}
        for name, column in self.known.items():
            bad = {
                "date": BAD_DATES,
                "number": BAD_NUMBERS,
                "amount": BAD_NUMBERS,
                "integer": (*BAD_NUMBERS, "1.5"),
                "uscc": (bad_uscc(rng), "68501913-3"),
                "enum": ("Y", "其他情形", "√", *(f"{text}?" for text in column.values)),
                **BAD_PERIODS,
            }
            if column.required:
                found[f"required {name}"] = lambda _, name=name: self.missing(name)  # type: ignore[misc]
            if column.kind in bad:
                found[f"unreadable {name}"] = lambda _, name=name, texts=bad[column.kind]: {name: rng.choice(texts)}  # type: ignore[misc]
            if column.kind == "date" and not column.may_be_future:
                found[f"future {name}"] = partial(self.future_day, name)
            if column.high is not None and column.low is not None:
                out = (column.low - 1, column.high + 1, 10 * column.high)
                found[f"range {name}"] = lambda _, name=name, out=out: {name: str(rng.choice(out))}  # type: ignore[misc]
        if self.feed == "tax_collections":
            signs = (("入库", "-1"), ("退库", "0.01"), ("冲正", "1,000"), ("reversal", "1"), ("collection", "-5"))
            found["sign"] = lambda _: dict(zip(("kind", "amount"), rng.choice(signs), strict=True))
        if "evidence" in self.known:
            found["required evidence"] = lambda _: {"status": "已完成", **self.missing("evidence")}
        return found


# ---------------------------------------------------------------------------------------------------------------------
# What is in one delivery


def old_lines(world: World, published_on: date, used: set[Any]) -> list[Line]:
    """Rows about keys delivered before: the same again, corrections, reversions, withdrawals, revivals."""
    rng = world.rng
    lines = []
    keys = [key for key in world.versions if key not in used]
    for key in rng.sample(keys, min(len(keys), rng.randint(0, world.most_old))):
        used.add(key)
        versions = world.versions[key]
        record = versions[-1]
        overrides: dict[str, str] = {}
        action = rng.choice(world.actions)
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
            if column not in (*world.keys, "void"):
                overrides[column] = "" if mode == 1 else world.rng.choice(("", "-", "xx", "2999-01-01", "1,2"))
    return overrides


def faulty_line(world: World, published_on: date, used: set[Any], fresh: bool = False) -> Line:
    """A row with one to three faults, under a new key or as a failed correction of an old one."""
    rng = world.rng
    keys = [key for key in world.versions if key not in used]
    if keys and not fresh and rng.random() < 0.3:
        record = world.correct(world.versions[rng.choice(keys)][-1], published_on)
    else:
        record = world.new_records(FIRST_DAY, published_on)[0]
        world.broken.append(record)
    used.add(world.key_of(record))
    faults = world.faults()
    line = Line(record)
    for name in rng.sample(sorted(faults), rng.choice((1, 1, 1, 2, 3))):
        line.overrides = {**faults[name](published_on), **line.overrides}
    return line


def conflicting_lines(world: World, published_on: date, used: set[Any]) -> list[Line]:
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
    used: set[Any] = set()
    lines = [Line(record) for record in world.batch(low, published_on)]
    while world.broken and rng.random() < 0.6:  # mended at last
        lines.append(Line(world.broken.pop(rng.randrange(len(world.broken)))))
    for line in lines:
        used.add(world.key_of(line.record))
    lines.extend(old_lines(world, published_on, used))
    for line in lines:
        if not line.record["void"]:
            versions = world.versions.setdefault(world.key_of(line.record), [])
            if not versions or versions[-1] != line.record:
                versions.append(line.record)
    if rng.random() < 0.15:  # withdrawn before anyone heard of it
        record = dict(world.new_records(low, published_on)[0], void=True)
        lines.append(Line(record, void_rubbish(world)))
        used.add(world.key_of(record))
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
    required = [column.id for column in oracle.FEEDS[feed] if not column.optional]
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


def choose_days(rng: random.Random, count: int, horizons: tuple[date, ...]) -> list[date]:
    """Different days of publication in order, many at the end of a month; some seeds stop early."""
    last = rng.choice(horizons)
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
    days = choose_days(rng, len(kinds), world.horizons)
    for number, (kind, published_on) in enumerate(zip(kinds, days, strict=True), start=1):
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
                first = {key for key in sorted({world.key_of(line.record) for line in lines}) if rng.random() < 0.5}
                parts = [
                    [line for line in lines if world.key_of(line.record) in first],
                    [line for line in lines if world.key_of(line.record) not in first],
                ]
            contents = [Style(rng, world.feed, needed_columns(part)).write(part) for part in parts if part]
            earlier.extend(part for part in parts if part)
            low = published_on
        written.extend(contents)
        for content in contents:
            put(rng, folder, number, published_on, content)


def write_random_landing(directory: Path, seed: int, size: int = 6, feeds: Iterable[str] = WITH_METRICS) -> None:
    """Writes a landing; the same seed, size and feeds give the same bytes, names and dates."""
    rng = random.Random(seed)
    special = {"institution_register": Register, "fund_commitments": Funds}
    for feed in feeds:
        world = special[feed](rng, size) if feed in special else Records(rng, feed)
        write_feed(rng, directory / world.feed, world, size)


def write_notes(landing: Path, metrics: Iterable[str], day: date) -> None:
    """A revision note on every period of these metrics, published on a day: whatever moved by then is explained."""
    lines = [f"MN-{day:%Y%m%d}-{metric},{metric},1900,2200,模拟,模拟" for metric in metrics]
    file = landing / "revision_notes" / f"notes__{day:%Y%m%d}.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(["说明编号,指标,起始期,截止期,阶段,原因", *lines]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit("usage: python tests/deliveries.py DIR SEED [SIZE]")
    write_random_landing(Path(sys.argv[1]), int(sys.argv[2]), *(int(text) for text in sys.argv[3:]))
