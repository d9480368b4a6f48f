"""Another place's plan, by its seeds alone: the same code computes, judges and publishes it. The place is made up."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hfc.home import PROJECT

HFC = Path(sys.executable).parent / "hfc"
TARGETS = """target_id,metric_id,dimension,member,year,measure,operator,low,high,unit,scope,label_zh,label_en,quote,assumption
2023_funds,fund_subscribed,total,total,2023,flow,>=,80,,cny_100m,stage,虚构：认缴,Made up: capital,认缴80亿元,
2026_institutions,institutions_admitted_cumulative,total,total,2026,stock,>=,400,,institution,stage,虚构：机构,Made up: institutions,机构400家,
2029_institutions,institutions_admitted_cumulative,total,total,2029,stock,>=,500,,institution,stage,虚构：机构末,Made up: at last,机构500家,
2026_risk,risk_incidents,total,total,2026,flow,=,0,0,incident,guideline,虚构：风险,Made up: risk,无风险,
"""
SEEDS = {
    "plan_target": TARGETS,
    "plan_erratum": "erratum_no,place,printed,elsewhere,note_en\n",
    "duty": "duty_no,section,section_title_zh,task_title_zh,title_en,note\n"
    "1,甲,虚构之首,虚构任务一,Made-up duty one,\n2,甲,虚构之首,虚构任务二,Made-up duty two,\n3,乙,虚构之尾,虚构任务三,Made-up duty three,\n",
    "duty_unit": "duty_no,unit_name,role,position\n1,虚构局,lead,1\n1,虚构办,support,1\n2,虚构办,lead,1\n"
    "2,虚构局,support,1\n3,虚构局,lead,1\n3,虚构办,support,1\n",
    "duty_measure": "duty_no,measure_id,label_zh,label_en,unit,measure,low,high,year,quote,status\n"
    "1,visits,走访,Visits,item,flow,,,,走访,proposed\n2,talks,洽谈,Talks,item,flow,,,,洽谈,proposed\n"
    "3,sites,点位,Sites,item,stock,,,,点位,proposed\n",
}


def hfc(home: Path, project: Path, *arguments: str | Path) -> Any:
    command = [str(HFC), *map(str, arguments), "--home", str(home), "--json"]
    environment = {**os.environ, "HFC_PROJECT": str(project)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A home that published the other plan, and the project that holds it."""
    home, project = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("plan") / "project"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("target", "logs"))
    for name, text in SEEDS.items():
        (project / "seeds" / f"{name}.csv").write_text(text, encoding="utf-8")
    hfc(home, project, "simulate", "--out", home / "landing", "--months", "14")
    unknown = home / "landing" / "duty_reports" / "unknown__20230301.csv"
    rows = [f"{number},2023-02,推进中,50,,,虚构局" for number in (1, 2, 3, 1, 2, 4)]
    unknown.write_text("\n".join(["任务序号,报告期,状态,完成率,计划完成日,佐证材料,填报单位", *rows]), encoding="utf-8")
    hfc(home, project, "run", "--as-of", "2023-03-08")
    return home, project


def test_the_other_plan_is_judged(place: tuple[Path, Path]) -> None:
    board = {target["target_id"]: target for target in hfc(*place, "board")["targets"]}
    assert set(board) == {"2023_funds", "2026_institutions", "2029_institutions", "2026_risk"}
    assert board["2023_funds"]["actual"] is not None


def test_its_milestones_lie_where_its_targets_say(place: tuple[Path, Path]) -> None:
    """Three years from 2023 to 2026, three more to 2029: what is expected starts at the year before."""
    board = {target["target_id"]: target for target in hfc(*place, "board")["targets"]}
    reasons = {name: board[f"{name}_institutions"]["reason"] for name in ("2026", "2029")}
    assert "end of 2023" in reasons["2026"] and "end of 2026" in reasons["2029"]


def test_its_duties_are_the_only_ones(place: tuple[Path, Path]) -> None:
    rows = hfc(*place, "query", "SELECT DISTINCT duty_no, lead_unit FROM duty_board ORDER BY ALL")
    assert [tuple(row.values()) for row in rows] == [(1, "虚构局"), (2, "虚构办"), (3, "虚构局")]
    refused = hfc(*place, "quarantine", "--feed", "duty_reports")
    assert [(row["rule"], row["value"]) for row in refused] == [("range", "4")]
