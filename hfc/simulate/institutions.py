"""Who is in the zone, and the deliveries that say so: the register, fund commitments, firms to be listed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from hfc.simulate.calendar import START, month_after, month_end, some_day, windows
from hfc.simulate.writing import TEXTS, Cell, Delivery, Row

_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
# Industry and admissions a month, before the pace of the year.
CATEGORIES = {
    "持牌金融机构": ("J6621", 3.4),
    "金融科技企业": ("I6510", 2.9),
    "配套机构": ("L7231", 2.2),
    "基金机构": ("J6760", 13.5),
}
# Pace of the years from 2022 on; the last one holds for all that follow.
ADMISSIONS = (0.45, 1.65, 1.65, 0.65)
COMMITMENTS = (0.4, 2.4, 2.4, 1.3)
_REGISTER = ["事件编号", "事件日期", "事件类型", "统一社会信用代码", "机构名称", "机构类别", "行业代码", "楼宇"]
_FUNDS = ["变动编号", "基金编码", "管理人代码", "变动日期"]
_LISTING = ["记录编号", "统一社会信用代码", "机构名称", "阶段", "阶段日期", "是否金融科技"]
_STAGES = ["后备", "辅导", "申报", "上市"]


@dataclass
class Institution:
    """One institution; `left` is the day it moved away or was struck off."""

    uscc: str
    name: str
    category: str
    admitted: date
    left: date | None = None


@dataclass(frozen=True)
class Event:
    """One event of the register; sorts by day."""

    day: date
    kind: str
    uscc: str
    name: str
    category: str
    industry: str


@dataclass
class Zone:
    """All institutions of a simulation and the events that made them so, by the first day of their month."""

    institutions: list[Institution] = field(default_factory=list)
    events: dict[date, list[Event]] = field(default_factory=dict)


def uscc(rng: random.Random) -> str:
    """A well-formed code of an area that does not exist (999999), with its check character (GB 32100-2015)."""
    body = "91999999" + "".join(rng.choice(_ALPHABET) for _ in range(9))
    total = sum(_ALPHABET.index(character) * pow(3, i, 31) for i, character in enumerate(body))
    return body + _ALPHABET[(31 - total % 31) % 31]


def pace(month: date, by_year: tuple[float, ...]) -> float:
    """The pace of a month's year."""
    return by_year[min(month.year - START.year, len(by_year) - 1)]


def grow(rng: random.Random, months: int) -> Zone:
    """Let a zone grow from START on: admissions by category, later departures, renames and changes of category."""
    zone = Zone()
    for index in range(months):
        first = month_after(START, index)
        events = list(_admissions(rng, zone, first))
        resident = [i for i in zone.institutions if i.left is None and i.admitted < first]
        for institution in rng.sample(resident, k=len(resident) // 150):
            events.append(_change(rng, institution, month_end(first)))
        zone.events[first] = sorted(events, key=lambda event: (event.day, event.uscc))
    return zone


def _admissions(rng: random.Random, zone: Zone, first: date) -> Iterator[Event]:
    for category, (industry, mean) in CATEGORIES.items():
        for _ in range(max(0, round(rng.gauss(mean * pace(first, ADMISSIONS), 1)))):
            name, day = f"模拟机构{len(zone.institutions) + 1:05d}", some_day(rng, first, month_end(first))
            zone.institutions.append(Institution(uscc(rng), name, category, day))
            yield Event(day, "引进", zone.institutions[-1].uscc, name, category, industry)


def _change(rng: random.Random, institution: Institution, day: date) -> Event:
    kind = rng.choice(["迁出", "注销", "更名", "类别变更"])
    if kind in ("迁出", "注销"):
        institution.left = day
    elif kind == "更名":
        institution.name += "（新）"
    else:
        institution.category = rng.choice([c for c in CATEGORIES if c != institution.category])
    category = institution.category if kind == "类别变更" else ""
    return Event(day, kind, institution.uscc, institution.name, category, "")


def register(rng: random.Random, zone: Zone, months: int) -> Iterator[Delivery]:
    """The register: some deliveries hold an admission without a date yet, a withdrawn event, an old row once more."""
    before: list[Row] = []
    for turn, window in enumerate(windows(months, 1, 1)):
        rows: list[Row] = [row for month in window.months for row in _register_rows(month, zone.events[month])]
        odd: list[Row] = []
        if rng.random() < 0.2:
            odd.append(_admission(rng, f"{window.first:%Y%m}-9999", "待定", "模拟机构（日期待定）"))
        header = _REGISTER
        if before and turn % 4 == 3:
            header = [*_REGISTER, "作废"]
            withdrawn = _admission(rng, f"{window.first:%Y%m}-8888", window.last, "模拟机构（误报）")
            rows, odd = [[*row, ""] for row in rows], [[*row, "否"] for row in odd]
            odd += [[*before[0], ""], [*withdrawn, "是"]]
        before = rows or before
        yield Delivery("institution_register", window.published_on, header, [*rows, *odd], turn % TEXTS)


def _admission(rng: random.Random, key: str, day: Cell, name: str) -> Row:
    return [key, day, "引进", uscc(rng), name, "配套机构", "", ""]


def _register_rows(month: date, events: list[Event]) -> Iterator[Row]:
    for number, event in enumerate(events, start=1):
        key = f"{month:%Y%m}-{number:04d}"
        yield [key, event.day, event.kind, event.uscc, event.name, event.category, event.industry, "模拟大厦"]


def funds(rng: random.Random, zone: Zone, months: int) -> Iterator[Delivery]:
    """Changes in fund commitments, in 万元 or 亿元, with a control total."""
    strangers = [uscc(rng)]
    for turn, window in enumerate(windows(months, 1, 1)):
        unit, decimals = rng.choice([("万元", 0), ("亿元", 4)])
        rows = [row for month in window.months for row in _fund_rows(rng, zone, month, strangers)]
        amounts = [[Decimal(amount).scaleb(-decimals) for amount in changed] for _, changed in rows]
        scaled: list[Row] = [[*cells, *changed] for (cells, _), changed in zip(rows, amounts, strict=True)]
        total: Row = ["合计", "", "", "", *map(sum, zip(*amounts, strict=True))]
        header = [*_FUNDS, f"认缴变动额({unit})", f"实缴变动额（{unit}）"]
        yield Delivery("fund_commitments", window.published_on, header, [*scaled, total], (turn + 1) % TEXTS)


def _fund_rows(
    rng: random.Random, zone: Zone, month: date, strangers: list[str]
) -> Iterator[tuple[list[Cell], tuple[int, int]]]:
    """The cells of each change, and what is subscribed and paid in by it, in 万元."""
    last = month_end(month)
    managers = [i.uscc for i in zone.institutions if i.category == "基金机构" and i.admitted <= last] or strangers
    for number in range(1, rng.randint(4, 9)):
        subscribed = int(rng.randint(5_000, 90_000) * pace(month, COMMITMENTS)) * (-1 if rng.random() < 0.05 else 1)
        paid_in, manager = int(subscribed * rng.uniform(0.2, 0.7)), rng.choice(managers)
        code = f"S{rng.randrange(10**5):05d}"
        cells: list[Cell] = [f"{month:%Y%m}-F{number:03d}", code, manager, some_day(rng, month, last)]
        yield cells, (subscribed, paid_in)


def listing(rng: random.Random, zone: Zone, months: int) -> Iterator[Delivery]:
    """Firms on their way to the stock exchange, most of them fintech, each stage a record."""
    candidates = [i for i in zone.institutions if i.category in ("金融科技企业", "配套机构")]
    chosen = sorted(rng.sample(candidates, k=min(16, len(candidates))), key=lambda i: i.admitted)
    steps = sorted(step for institution in chosen for step in _stages(rng, institution, months))
    for turn, window in enumerate(windows(months, 12, 3, delay=6)):
        own = [step for step in steps if window.first <= step[0] <= window.last]
        rows: list[Row] = [
            [f"L{window.first:%Y%m}-{n:03d}", *step[1:4], step[0], step[4]] for n, step in enumerate(own)
        ]
        if rows:
            yield Delivery("listing_pipeline", window.published_on, _LISTING, rows, turn + 2)


def _stages(rng: random.Random, institution: Institution, months: int) -> Iterator[tuple[date, str, str, str, str]]:
    """The stages of one firm: about half a year each; a few are given up, a few may be unicorns."""
    fintech = "是" if institution.category == "金融科技企业" else "否"
    month, end = month_after(institution.admitted.replace(day=1), rng.randint(1, 6)), month_after(START, months - 1)
    path = ["潜在独角兽"] if rng.random() < 0.1 else [*_STAGES[: rng.choice([1, 2, 3, 3, 4, 4])]]
    if rng.random() < 0.2:
        path.append("退出")
    for stage in path:
        if month > end:
            return
        yield some_day(rng, month, month_end(month)), institution.uscc, institution.name, stage, fintech
        month = month_after(month, rng.randint(4, 8))


def taxpayers(rng: random.Random, zone: Zone) -> list[tuple[str, date, date | None]]:
    """Code, first and last day as a taxpayer: the institutions, and a few that no register knows."""
    known = [(i.uscc, i.admitted, i.left) for i in zone.institutions]
    return known + [(uscc(rng), rng.choice(known)[1], None) for _ in range(len(known) // 40)]
