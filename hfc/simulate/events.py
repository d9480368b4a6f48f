"""Activities, risk leads and versions of the floor-space plan."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal

from hfc.simulate.calendar import START, last_day, month_end, some_day, windows
from hfc.simulate.writing import Delivery, Row

_ACTIVITIES = ["活动编号", "日期", "类型", "名称", "主办单位", "签约项目数"]
_LEADS = ["线索编号", "发现日期", "环节", "等级", "办结日期", "是否风险事件", "是否区域性系统性"]
_FLOOR = ["版本", "地块", "批准日期", "面积(万平方米)", "类型"]
# Plan versions: approval, existing and added floor space in 10 000 square metres.
_VERSIONS = ((date(2022, 3, 18), 275, 0), (date(2023, 11, 10), 275, 13), (date(2025, 6, 20), 275, 22))


def activities(rng: random.Random, months: int) -> Iterator[Delivery]:
    """Roadshows on most days, an event in most weeks, highlights; from year to year there are more of them."""
    for turn, window in enumerate(windows(months, 12, 3, delay=6)):
        rows = [row for month in window.months for row in _month_of_activities(rng, month)]
        yield Delivery("activities", window.published_on, _ACTIVITIES, rows, turn)


def _month_of_activities(rng: random.Random, month: date) -> Iterator[Row]:
    held: list[tuple[date, str]] = []
    for offset in range(month_end(month).day):
        day = month + timedelta(days=offset)
        if rng.random() < 0.62 + 0.08 * (month.year - START.year):
            held.append((day, "路演"))
        if day.weekday() == 3 and rng.random() < 0.94:
            held.append((day, "活动"))
    if month.month in (3, 6, 9, 12):
        held.append((some_day(rng, month, month_end(month)), "高潮"))
    if month.month == 10:
        held += [(month_end(month), "峰会"), (month_end(month), "精彩")]
    for number, (day, kind) in enumerate(sorted(held), start=1):
        deals = rng.randint(1, 9) if rng.random() < 0.4 else "—"
        yield [f"H{month:%Y%m}-{number:03d}", day, kind, f"模拟{kind}第{number}场", "模拟主办单位", deals]


def risk_leads(rng: random.Random, months: int) -> Iterator[Delivery]:
    """Leads; once closed they come again with the day of it. One was taken for an incident and is withdrawn later."""
    open_leads: list[list[str | date]] = []
    for turn, window in enumerate(windows(months, 12, 3, delay=6)):
        closing = [lead for lead in open_leads if rng.random() < 0.8]
        open_leads = [lead for lead in open_leads if lead not in closing]
        rows = [[*lead[:4], some_day(rng, window.first, window.last), *lead[5:]] for lead in closing]
        for month in window.months:
            for number in range(1, rng.randint(3, 8)):
                found = some_day(rng, month, month_end(month))
                stage = rng.choice(["招商对接", "跟进落地", "后期服务", "楼宇巡查"])
                severity = rng.choices(["一般", "较大", "重大"], [90, 9, 1])[0]
                lead: list[str | date] = [f"R{month:%Y%m}-{number:02d}", found, stage, severity, "", "否", "否"]
                closed = found + timedelta(days=rng.randint(5, 60))
                if closed <= window.last:
                    lead[4] = closed
                else:
                    open_leads.append(lead)
                rows.append(lead)
        void = ["" for _ in rows]
        if turn == 1:
            rows.append(["R-MISTAKEN", window.first, "楼宇巡查", "较大", "", "是", "否"])
            void.append("否")
        if turn == 2:
            rows.append(["R-MISTAKEN", window.first, "楼宇巡查", "较大", "", "否", "否"])
            void.append("是")
        marked: list[Row] = [[*row, mark] for row, mark in zip(rows, void, strict=True)]
        yield Delivery("risk_leads", window.published_on, [*_LEADS, "作废"], marked, turn + 1)


def floor_space(months: int) -> Iterator[Delivery]:
    """A delivery for each version of the plan, which names all parcels again."""
    for turn, (approved_on, existing, added) in enumerate(_VERSIONS):
        published_on = approved_on + timedelta(days=20)
        if published_on <= last_day(months):
            rows = list(_parcels(approved_on, existing, "存量", 11)) + list(_parcels(approved_on, added, "新增", 4))
            yield Delivery("floor_space", published_on, _FLOOR, rows, 5 + turn)


def _parcels(approved_on: date, area: int, kind: str, count: int) -> Iterator[Row]:
    """The area over some parcels, the first of them the larger ones."""
    shares = [Decimal(area * (count - index) * 2) / (count * (count + 1)) for index in range(count)]
    rounded = [share.quantize(Decimal("0.1")) for share in shares]
    rounded[0] += area - sum(rounded)
    for index, share in enumerate(rounded if area else [], start=1):
        yield [
            f"{approved_on.year}版",
            f"模拟地块{'A' if kind == '存量' else 'B'}-{index:02d}",
            approved_on,
            share,
            kind,
        ]
