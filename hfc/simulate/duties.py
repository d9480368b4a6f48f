"""What the units responsible report on the duties of the plan: progress each month, and the measures of each duty."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

from hfc.simulate.calendar import START, month_name, windows
from hfc.simulate.writing import Delivery, Row

_REPORTS = ["任务序号", "报告期", "状态", "完成率", "计划完成日", "佐证材料", "填报单位"]
_MEASURES = ["任务序号", "指标", "报告期", "数值", "单位"]


def read_seed(seeds: Path, name: str) -> list[dict[str, str]]:
    """The rows of a seed of the plan; none where there is no such seed."""
    path = seeds / f"{name}.csv"
    if not path.exists():
        return []
    with open(path, encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def reports(rng: random.Random, months: int, seeds: Path) -> Iterator[Delivery]:
    """A report on every duty and month: most advance, some are blocked for a time, some done early, some overdue."""
    units = {row["duty_no"]: row["unit_name"] for row in read_seed(seeds, "duty_unit") if row["role"] == "lead"}
    plans = {row["duty_no"]: _plan(rng) for row in read_seed(seeds, "duty")}
    for turn, window in enumerate(windows(months, 12, 3, delay=6)):
        rows: list[Row] = []
        for month in window.months:
            for duty_no, (begin, length, due, blocked) in plans.items():
                elapsed = (month.year - START.year) * 12 + month.month - begin
                progress = max(0, min(100, 100 * elapsed // length))
                status = "未启动" if progress == 0 else "已完成" if progress == 100 else "推进中"
                if status == "推进中" and elapsed in blocked:
                    status = "受阻"
                evidence = f"模拟办发〔{month.year}〕{duty_no}号" if status == "已完成" else ""
                spelled = month_name(month, int(duty_no))
                rows.append([duty_no, spelled, status, progress, due, evidence, units.get(duty_no, "模拟单位")])
        yield Delivery("duty_reports", window.published_on, _REPORTS, rows, turn + 3)


def _plan(rng: random.Random) -> tuple[int, int, date | str, range]:
    """Begin and length in months from START on, due date (most duties run five years), months of being blocked."""
    begin, length = rng.randint(4, 14), rng.randint(20, 60)
    due: date | str = START + timedelta(days=30 * (begin + length) + rng.randint(-120, 240))
    return (
        begin,
        length,
        due if rng.random() < 0.85 else "",
        range(start := rng.randint(8, 40), start + rng.randint(0, 4)),
    )


def measures(rng: random.Random, months: int, seeds: Path) -> Iterator[Delivery]:
    """A value of every measure and month; of a percentage up to 100, else a small count."""
    defined = read_seed(seeds, "duty_measure") or [
        {"duty_no": row["duty_no"], "measure_id": f"reports_filed_{row['duty_no']}"} for row in read_seed(seeds, "duty")
    ]
    units = {row["unit"]: row["symbol"] for row in read_seed(seeds, "unit")}
    for turn, window in enumerate(windows(months, 12, 3, delay=6)):
        rows: list[Row] = []
        for month in window.months:
            for number, measure in enumerate(defined):
                unit = measure.get("unit") or "项"
                value = rng.randint(60, 100) if unit in ("percent", "%") else _count(rng, measure["measure_id"])
                printed = units.get(unit, unit)
                rows.append([measure["duty_no"], measure["measure_id"], month_name(month, number), value, printed])
        yield Delivery("duty_measures", window.published_on, _MEASURES, rows, turn)


def _count(rng: random.Random, measure_id: str) -> int:
    """Leading fintech firms come rarely; all else a few times a month."""
    return int(rng.random() < 0.6) if "fintech" in measure_id else rng.randint(1, 12)
