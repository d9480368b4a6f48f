"""The dictionary says what the seeds and the models say, and is kept up to date."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from hfc import dictionary
from hfc.warehouse import PROJECT


def test_the_page_is_what_the_project_gives() -> None:
    assert dictionary.PAGE.read_text(encoding="utf-8") == dictionary.page(), "run make docs"


def test_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", dictionary.PAGE.read_text(encoding="utf-8"))
    assert targets and [target for target in targets if not (dictionary.PAGE.parent / target).exists()] == []


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("seeds/metric.csv", "离开机构数", "离开家数"),
        ("seeds/metric.csv", "Counts passages, not institutions", "Counts passages"),
        ("seeds/metric.csv", "cny_100m,flow,M Q A,total,fund", "cny_100m,flow,M A,total,fund"),
        ("seeds/unit.csv", "CNY 100 million", "100 million yuan"),
        ("seeds/dimension_member.csv", "货币金融服务", "货币服务"),
        ("models/published/_published.yml", "Who publishes the series.", "The publisher."),
        ("models/published/_published.yml", "decimal(28, 10)", "decimal(28, 9)"),
        ("models/published/published_metric.sql", "alias='metric'", "alias='metrics'"),
    ],
)
def test_the_page_shows_a_change_of_its_sources(tmp_path: Path, file: str, old: str, new: str) -> None:
    for folder in ("seeds", "models/published"):
        shutil.copytree(PROJECT / folder, tmp_path / folder)
    text = (tmp_path / file).read_text(encoding="utf-8")
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new), encoding="utf-8")
    assert dictionary.page(tmp_path) != dictionary.page()
