"""Deliveries of the feeds of financial value-added, made up: annual accounts, quarterly indicators, price indices."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

ACCOUNTS = "年份,行业,劳动者报酬,生产税净额,固定资产折旧,营业盈余,总产出,中间投入,核算阶段"
INDICATORS = "季度,指标,口径,数值,单位"
PRICES = "季度,指数,同比指数"
QUARTERS_OF_2022 = [f"2022-Q{quarter}" for quarter in range(1, 5)]


def land(landing: Path, feed: str, published_on: str, header: str, rows: Iterable[str]) -> None:
    """Write one delivery."""
    (landing / feed).mkdir(parents=True, exist_ok=True)
    text = "".join(f"{line}\n" for line in (header, *rows))
    (landing / feed / f"{feed}_made_up__{published_on}.csv").write_text(text, encoding="utf-8")


def account(year: int, division: str, value: str, stage: str = "最终核实", output: str = "0") -> str:
    """An account whose income approach gives `value`, all of it compensation, and whose production gives `output`."""
    return f"{year},{division},{value},0,0,0,{output},0,{stage}"


def land_reference(landing: Path) -> None:
    """The specification's reference example: 25.0 a quarter in 2022, in shares 0.68, 0.12 and 0.20; then one quarter."""
    values = {"66": "64", "67": "12", "68": "20", "69": "4"}
    land(
        landing,
        "value_added_accounts",
        "20230228",
        ACCOUNTS,
        [account(2022, division, value, output=value) for division, value in values.items()],
    )
    last_year = [
        row
        for number, quarter in enumerate(QUARTERS_OF_2022, start=1)
        for row in (
            f"{quarter},存款余额,期末,1000,亿元",
            f"{quarter},贷款余额,期末,8000000,万元",
            f"{quarter},证券交易额,当季,100,亿元",
            f"{quarter},保费收入,累计,{number * 100},亿元",
        )
    ]
    this_year = [
        "2023-Q1,存款余额,期末,1080,亿元",
        "2023-Q1,贷款余额,期末,88000000000,元",
        "2023-Q1,证券交易额,累计,120,亿元",
        "2023-Q1,保费收入,累计,105,亿元",
    ]
    land(landing, "value_added_indicators", "20230510", INDICATORS, last_year + this_year)
    land(landing, "price_indices", "20230420", PRICES, ["2023-Q1,居民消费价格,102", "2023-Q1,固定资产投资价格,101"])
