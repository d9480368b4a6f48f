"""Value-added: annual accounts and their revisions, quarterly indicators, prices, published figures, revision notes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

from hfc.simulate import tax
from hfc.simulate.calendar import RECENT, START, last_day, month_after, quarter_name, quarters
from hfc.simulate.writing import NOTE, TEXTS, Delivery, Row

FIRST_YEAR = START.year - 1  # growth over the year before needs one
_ACCOUNTS = ["年份", "行业", "劳动者报酬", "生产税净额", "固定资产折旧", "营业盈余", "总产出", "中间投入", "核算阶段"]
_INDICATORS = ["季度", "指标", "口径", "数值", "单位"]
_PRICES = ["季度", "指数", "同比指数"]
_OFFICIAL = ["指标", "报告期", "数值", "单位", "文号或链接"]
_NOTES = ["说明编号", "指标", "起始期", "截止期", "阶段", "原因"]
# Finally accounted value-added by year in 100 million yuan, shares of its divisions in percent.
_TOTALS = {2021: 98, 2022: 125, 2023: 182, 2024: 243, 2025: 305, 2026: 365}
_SHARES = {"66": 60, "67": 14, "68": 17, "69": 9}
# How much a preliminary account differs from the final one, in per mille.
_REVISIONS = {2021: -4, 2022: 6, 2023: -15, 2024: -21, 2025: 4, 2026: 3}
_CENSUS_YEAR = 2023
# What moves with the quarters; a revision note is about one metric.
_DERIVED = (
    "financial_value_added_ytd",
    "financial_value_added_volume_growth",
    "financial_value_added_volume_growth_ytd",
)
_TAX = ("financial_tax_revenue", "financial_tax_revenue_ytd", "financial_tax_revenue_gross", "tax_revenue_out_of_scope")
_NAMES = {"66": "货币金融服务", "67": "资本市场服务", "68": "保险业", "69": "其他金融业"}
_INCOME_FROM = 2023  # interest and fees are reported from here on: the banks' indicator from 2024 on needs a base
# Level of an indicator in the first quarter of FIRST_YEAR, growth a year in percent, basis.
_SERIES = {
    "存款余额": (2600, 21, "期末"),
    "贷款余额": (2200, 24, "期末"),
    "利息净收入": (13, 26, "累计"),
    "手续费及佣金净收入": (4, 20, "累计"),
    "证券交易额": (5200, 27, "累计"),
    "保费收入": (19, 22, "当季"),
}


def accounts(months: int) -> Iterator[Delivery]:
    """The account of each year: preliminary at the end of February, final (or census) in December of the year after."""
    for turn, year in enumerate(range(FIRST_YEAR, FIRST_YEAR + len(_TOTALS))):
        final = "普查修订" if year == _CENSUS_YEAR else "最终核实"
        stages = [(date(year + 1, 2, 26), "初步核算", _REVISIONS[year]), (date(year + 1, 12, 22), final, 0)]
        for step, (published_on, stage, per_mille) in enumerate(stages):
            if published_on <= last_day(months):
                rows = [_account(year, division, stage, per_mille) for division in _SHARES]
                yield Delivery(
                    "value_added_accounts",
                    published_on,
                    _ACCOUNTS,
                    rows,
                    2 * turn + step,
                    notes=(NOTE, "说明：单位为亿元"),
                )


def _account(year: int, division: str, stage: str, per_mille: int) -> Row:
    """One division: the income approach in four parts, and a production approach that differs by a little."""
    added = Decimal(_TOTALS[year] * _SHARES[division] * (1000 + per_mille)).scaleb(-5)
    compensation, taxes, depreciation = (_rounded(added * share / 100) for share in (38, 9, 5))
    gap = Decimal((year * 7 + int(division) * 3) % 21 - 10).scaleb(-3)
    produced = _rounded(added * (1 + gap))
    intermediate = _rounded(produced * 48 / 52)
    surplus = added - compensation - taxes - depreciation
    printed = division if year % 2 else _NAMES[division]
    label = f"{year}年" if stage == "初步核算" else str(year)
    return [label, printed, compensation, taxes, depreciation, surplus, produced + intermediate, intermediate, stage]


def _rounded(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.0001"))


def indicators(rng: random.Random, months: int) -> Iterator[Delivery]:
    """The indicators, 45 days after each quarter, older ones two at once; the first go back to the base year."""
    levels = {name: _path(rng, name, months) for name in _SERIES}
    recent = month_after(START, months - RECENT)
    backlog: list[Row] = []
    for turn, (year, number, end) in enumerate(quarters(FIRST_YEAR, last_day(months))):
        for position, (name, (_, _, basis)) in enumerate(_SERIES.items()):
            if name in ("利息净收入", "手续费及佣金净收入") and year < _INCOME_FROM:
                continue
            flows = levels[name][turn - number + 1 : turn + 1] if basis == "累计" else levels[name][turn : turn + 1]
            backlog.append([quarter_name(year, number, position), name, basis, sum(flows, Decimal()), "亿元"])
        published_on = end + timedelta(days=45)
        is_due = number in (2, 4) or end > recent
        if year >= START.year and is_due and published_on <= last_day(months):
            yield Delivery("value_added_indicators", published_on, _INDICATORS, backlog, turn)
            backlog = []


def _path(rng: random.Random, name: str, months: int) -> list[Decimal]:
    """An indicator's quarters: steady growth and a little noise; trade of securities is the most restless."""
    level, growth, _ = _SERIES[name]
    noise = 0.09 if name == "证券交易额" else 0.015
    count = len(list(quarters(FIRST_YEAR, last_day(months))))
    steps = (level * (1 + growth / 100) ** (quarter / 4) * rng.gauss(1, noise) for quarter in range(count))
    return [Decimal(f"{value:.2f}") for value in steps]


def prices(rng: random.Random, months: int) -> Iterator[Delivery]:
    """Consumer and fixed-investment prices by quarter, one delivery a half-year."""
    rows: list[Row] = []
    for turn, (year, number, end) in enumerate(quarters(START.year, last_day(months))):
        consumer, investment = Decimal(rng.randint(998, 1022)), Decimal(rng.randint(985, 1025))
        rows.append([quarter_name(year, number, turn), "居民消费价格", consumer.scaleb(-1)])
        rows.append([quarter_name(year, number, turn), "固定资产投资价格", investment.scaleb(-1)])
        published_on = end + timedelta(days=28)
        if number in (2, 4) and published_on <= last_day(months):
            yield Delivery("price_indices", published_on, _PRICES, rows, turn)
            rows = []


def official_figures(months: int) -> Iterator[Delivery]:
    """What the authorities published on half-years and years, near ours, never equal; also real growth."""
    for turn, year in enumerate(range(START.year, FIRST_YEAR + len(_TOTALS))):
        source = f"模拟统发〔{year}〕{turn + 1}号"
        half: Row = [
            "financial_value_added_ytd",
            f"{year}年二季度",
            Decimal(_TOTALS[year] * 48).scaleb(-2),
            "亿元",
            source,
        ]
        yield from _published(date(year, 7, 28), [half], months)
        growth = Decimal(1000 * _TOTALS[year]) / _TOTALS[year - 1] - 1012
        comparable = growth.quantize(Decimal(1)).scaleb(-1)
        whole: list[Row] = [
            ["financial_value_added", f"{year}年", Decimal(_TOTALS[year] * 995).scaleb(-3), "亿元", source],
            ["financial_value_added_volume_growth_ytd", f"{year}年第四季度", comparable, "%", source],
            ["financial_tax_revenue", str(year), Decimal(_TOTALS[year] * 3 + 230).scaleb(-1), "亿元", source],
        ]
        yield from _published(date(year + 1, 1, 28), whole, months)


def _published(published_on: date, rows: list[Row], months: int) -> Iterator[Delivery]:
    if published_on <= last_day(months):
        yield Delivery("official_figures", published_on, _OFFICIAL, rows, published_on.year + published_on.month)


def revision_notes(months: int) -> Iterator[Delivery]:
    """Why a published past value changed: an account came or was replaced, a tax voucher was corrected or withdrawn.

    An account bends the quarters of the year before, too: benchmarking keeps their movement smooth.
    """
    for turn, year in enumerate(range(FIRST_YEAR, FIRST_YEAR + len(_TOTALS))):
        final = "普查修订" if year == _CENSUS_YEAR else "最终核实"
        preliminary = _notes(year, "P", "初步核算", "模拟：年度初步核算数取代季度推算数")
        replaced = _notes(year, "F", final, f"模拟：{final}替换初步核算数")
        for published_on, rows in ((date(year + 1, 2, 26), preliminary), (date(year + 1, 12, 22), replaced)):
            if published_on <= last_day(months):
                yield Delivery("revision_notes", published_on, _NOTES, rows, turn)
    for turn, (mended, window) in enumerate(pairwise(tax.deliveries(months))):
        yield Delivery("revision_notes", window.published_on, _NOTES, _tax_notes(mended.months[-1]), turn % TEXTS)


def _tax_notes(month: date) -> list[Row]:
    """A note on each metric that a mended voucher of a month moves."""
    span = f"{month:%Y-%m}", f"{month:%Y-%m}"
    return [
        [f"N-{month:%Y%m}-T{turn}", metric, *span, "更正", "模拟：税票更正和作废"]
        for turn, metric in enumerate(_TAX, start=1)
    ]


def _notes(year: int, mark: str, stage: str, reason: str) -> list[Row]:
    """A note on the year's value-added, and one on the quarters of each metric that moves with them."""
    span = f"{year - 1}Q1", f"{year}年第四季度"
    metrics = ("financial_value_added", *_DERIVED)
    quarterly = [
        [f"N-{year}-{mark}{turn}", metric, *span, stage, reason] for turn, metric in enumerate(metrics, start=1)
    ]
    return [[f"N-{year}-{mark}0", "financial_value_added", f"{year}年", str(year), stage, reason], *quarterly]
