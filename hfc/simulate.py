"""Realistic, messy, clearly synthetic deliveries of the plan's feeds, beside a shipped excerpt of real figures.

Deterministic: the same arguments write the same bytes. No figure here is, or estimates, an actual one.
"""

from __future__ import annotations

import csv
import io
import random
import shutil
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path

from hfc.home import replacing

START = date(2022, 1, 1)
DEMO = Path(__file__).parent.parent / "demo"
LABEL = "模拟数据 SYNTHETIC DATA, not actual figures"
_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_CATEGORIES = {
    "持牌金融机构": ("J6621", 3.4),
    "金融科技企业": ("I6510", 2.9),
    "配套机构": ("L7231", 2.2),
    "基金机构": ("J6760", 13.5),
}
_REGISTER = ["事件编号", "事件日期", "事件类型", "统一社会信用代码", "机构名称", "机构类别", "行业代码", "楼宇"]
_FUNDS = ["变动编号", "基金编码", "管理人代码", "变动日期"]


def simulate(out: Path, months: int = 50, seed: int = 1) -> list[Path]:
    """Write `months` monthly deliveries of the register and the funds from January 2022 on; returns the files.

    Raises:
        OSError: `out` can't be written.
    """
    rng = random.Random(seed)
    residents: dict[str, tuple[str, str]] = {}
    written = []
    for index in range(months):
        year, month = START.year + index // 12, index % 12 + 1
        first = date(year, month, 1)
        last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
        stamp = f"synthetic__{last + timedelta(days=8):%Y%m%d}.csv"
        register = _register_month(rng, residents, first, last)
        funds, unit = _fund_month(rng, residents, first, last)
        written.append(
            _write(out / "institution_register" / f"institution_register_{stamp}", _REGISTER, register, index)
        )
        header = [*_FUNDS, f"认缴变动额({unit})", f"实缴变动额（{unit}）"]
        written.append(_write(out / "fund_commitments" / f"fund_commitments_{stamp}", header, funds, index + 1))
    return written + _copy_real_excerpts(out)


def _copy_real_excerpts(out: Path) -> list[Path]:
    """The shipped excerpts of real public figures, with their provenance sidecars."""
    copied = []
    for source in sorted(DEMO.glob("*/*")):
        target = out / source.parent.name / source.name
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)
        copied.append(target)
    return copied


def uscc(rng: random.Random) -> str:
    """A well-formed code of an area that does not exist (999999), with its check character (GB 32100-2015)."""
    body = "91999999" + "".join(rng.choice(_ALPHABET) for _ in range(9))
    total = sum(_ALPHABET.index(character) * pow(3, i, 31) for i, character in enumerate(body))
    return body + _ALPHABET[(31 - total % 31) % 31]


def _day(rng: random.Random, first: date, last: date) -> date:
    return first + timedelta(days=rng.randrange((last - first).days + 1))


def _spelled(rng: random.Random, day: date) -> str:
    return rng.choice(
        [
            f"{day:%Y-%m-%d}",
            f"{day.year}/{day.month}/{day.day}",
            f"{day:%Y%m%d}",
            f"{day.year}年{day.month}月{day.day}日",
        ]
    )


def _register_month(
    rng: random.Random, residents: dict[str, tuple[str, str]], first: date, last: date
) -> list[list[str]]:
    events: list[tuple[date, str, str, str, str, str]] = []
    for category, (industry, pace) in _CATEGORIES.items():
        for _ in range(max(0, round(rng.gauss(pace * (1.65 if first.year > 2022 else 0.45), 1)))):
            code = uscc(rng)
            residents[code] = (f"模拟机构{len(residents) + 1:05d}", category)
            events.append((_day(rng, first, last), "引进", code, *residents[code], industry))
    for code in rng.sample(sorted(residents), k=len(residents) // 150):
        name, _ = residents[code]
        events.append((last, rng.choice(["迁出", "注销", "更名"]), code, name, "", ""))
    events.sort()
    rows = [
        [f"{first:%Y%m}-{number:04d}", _spelled(rng, day), kind, code, name, category, industry, "模拟大厦"]
        for number, (day, kind, code, name, category, industry) in enumerate(events, start=1)
    ]
    if rng.random() < 0.2 and rows:
        rows.append([f"{first:%Y%m}-9999", "待定", "引进", uscc(rng), "模拟机构（日期待定）", "配套机构", "", ""])
    return rows


def _fund_month(
    rng: random.Random, residents: dict[str, tuple[str, str]], first: date, last: date
) -> tuple[list[list[str]], str]:
    unit, power = rng.choice([("万元", 1), ("亿元", 10_000)])
    managers = [code for code, (_, category) in sorted(residents.items()) if category == "基金机构"] or [uscc(rng)]
    rows = []
    for number in range(1, rng.randint(4, 9)):
        subscribed = rng.randint(5_000, 90_000) * (-1 if rng.random() < 0.05 else 1)
        paid_in = int(subscribed * rng.uniform(0.2, 0.7))
        rows.append(
            [f"{first:%Y%m}-F{number:03d}", f"S{rng.randrange(10**5):05d}", rng.choice(managers),
             _spelled(rng, _day(rng, first, last)), *(_amount(value, power) for value in (subscribed, paid_in))]
        )  # fmt: skip
    return rows, unit


def _amount(ten_thousands: int, power: int) -> str:
    if power == 1:
        return f"{ten_thousands:,}"
    whole, rest = divmod(abs(ten_thousands), power)
    return f"{'-' if ten_thousands < 0 else ''}{whole}.{rest:04d}"


def _write(target: Path, header: list[str], rows: Iterable[list[str]], style: int) -> Path:
    """Write one delivery in one of the dialects that offices send, with its sidecar."""
    encoding, delimiter, newline = [
        ("utf-8", ",", "\n"), ("gb18030", ",", "\r\n"), ("utf-8-sig", "\t", "\r\n"), ("utf-8-sig", ",", "\n"),
    ][style % 4]  # fmt: skip
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator=newline)
    writer.writerows([[LABEL], header, *rows, ["注：" + LABEL]])
    with replacing(target) as temporary:
        temporary.write_bytes(buffer.getvalue().encode(encoding))
    with replacing(target.with_name(target.name + ".meta.yaml")) as temporary:
        temporary.write_text(f"synthetic: true\nlicence: CC0-1.0\nnote: {LABEL}\n", encoding="utf-8")
    return target
