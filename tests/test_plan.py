"""What the seeds say of this plan: the numbers and names of the document itself, which no code holds."""

from __future__ import annotations

import csv
from collections import Counter

from hfc.home import SEEDS


def seed(name: str) -> list[dict[str, str]]:
    with open(SEEDS / f"{name}.csv", encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def test_the_plan_has_38_targets() -> None:
    targets = seed("plan_target")
    assert len(targets) == 38
    assert Counter(row["scope"] for row in targets) == {"stage": 27, "overall": 3, "action": 7, "guideline": 1}
    assert Counter(row["year"] for row in targets if row["scope"] == "stage") == {"2022": 9, "2024": 9, "2026": 9}
    assert {row["year"] for row in targets} == {"2022", "2024", "2026"}


def test_the_categories_of_a_target_add_up_to_its_total() -> None:
    found = {}
    for year in ("2022", "2024", "2026"):
        rows = [row for row in seed("plan_target") if row["year"] == year and row["unit"] == "institution"]
        parts = [int(row["low"]) for row in rows if row["dimension"] == "category"]
        totals = {int(row["low"]) for row in rows if row["dimension"] == "total"}
        found[year] = (len(parts), sum(parts), totals)
    assert found == {"2022": (4, 110, {110}), "2024": (4, 1000, {1000}), "2026": (4, 1300, {1300})}


def test_the_annex_has_25_duties_in_five_sections() -> None:
    duties = seed("duty")
    assert [row["duty_no"] for row in duties] == [str(number) for number in range(1, 26)]
    assert list(dict.fromkeys((row["section"], row["section_title_zh"]) for row in duties)) == [
        ("一", "强化金融业态集聚,推进招商落地"),
        ("二", "发挥辐射引领效应,服务实体经济"),
        ("三", "加快营商环境优化,健全风控体系"),
        ("四", "坚持统筹规划先行,推动片区提质"),
        ("五", "加大活动策划推广,打造新区品牌"),
    ]


def test_units_lead_and_support_as_the_annex_says() -> None:
    pairs = seed("duty_unit")
    assert Counter(row["role"] for row in pairs) == {"lead": 25, "support": 77}
    assert Counter(row["unit_name"] for row in pairs if row["role"] == "lead") == {
        "新区财政局(金融办)": 16,
        "湘江国投公司": 2,
        "岳麓区人民政府": 2,
        "长沙城发集团": 2,
        "新区金融发展服务中心": 1,
        "新区国土规划局": 1,
        "新区党政综合部": 1,
    }
    assert {row["unit_name"] for row in pairs} == {
        "新区财政局(金融办)",
        "岳麓区人民政府",
        "长沙城发集团",
        "湘江国投公司",
        "新区金融发展服务中心",
        "新区国土规划局",
        "新区党政综合部",
        "新区产业促进局",
        "新区住建环保局",
        "新区经济发展局(安全生产监督管理局)",
        "新区经济金融发展局(安全生产监督管理局)",
    }
