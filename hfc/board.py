"""The attainment board of one release: every target of the plan, where it stands and why."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from publish.release import BANNER, DATABASE

QUERY = """
SELECT
    a.target_id, t.label_zh, t.label_en, a.metric_id, a.dimension, a.member, a.year, a.measure, a.operator, a.low,
    a.high, a.unit, u.symbol AS unit_symbol, a.actual, a.actual_period, a.expected, a.attainment_pct, a.gap,
    a.required_pace, a.status, s.symbol AS status_symbol, s.label_zh AS status_zh, s.label_en AS status_en, a.reason,
    a.as_of
FROM published.plan_attainment AS a
LEFT JOIN published.plan_target AS t ON t.target_id = a.target_id
LEFT JOIN dictionary.attainment_status AS s ON s.status = a.status
LEFT JOIN dictionary.unit AS u ON u.unit = a.unit
ORDER BY a.year, a.target_id
"""
SIGNS = {">=": "≥ ", "<=": "≤ ", "~": "≈ ", "=": "= ", ">": "> ", "<": "< "}


@dataclass(frozen=True)
class Board:
    """What the board of a release shows."""

    release_id: str
    as_of: str
    synthetic: bool
    targets: list[dict[str, Any]]


def read_board(release: Path) -> Board:
    """Read the board of the release in a directory."""
    import duckdb

    with duckdb.connect(str(release / DATABASE), read_only=True) as connection:
        head = connection.execute("SELECT release_id, CAST(as_of AS VARCHAR), synthetic FROM published.release")
        release_id, as_of, synthetic = head.fetchall()[0]
        result = connection.execute(QUERY)
        names = [column[0] for column in result.description or []]
        targets = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
    return Board(release_id, as_of, bool(synthetic), targets)


def show_board(console: Console, board: Board) -> None:
    """Print the board."""
    if board.synthetic:
        console.print(Text(f" {BANNER} ", style="bold black on yellow"))
    table = Table(title=Text(f"Plan attainment as of {board.as_of} · release {board.release_id}"), title_justify="left")
    for name in ("Target", "Actual", "Plan", "Expected by now", "Status", "Reason"):
        numeric = name in ("Actual", "Plan", "Expected by now")
        table.add_column(name, justify="right" if numeric else "left", overflow="fold", no_wrap=numeric)
    year = None
    for target in board.targets:
        if year not in (None, target["year"]):
            table.add_section()
        year = target["year"]
        table.add_row(*map(Text, cells(target)))
    console.print(table)
    console.print(Text(summary(board)))


def cells(target: dict[str, Any]) -> tuple[str, ...]:
    """The cells of one target's row."""
    unit = target["unit_symbol"] or target["unit"] or ""
    actual = number(target["actual"], unit)
    return (
        f"{target['label_zh'] or target['target_id']}\n{target['label_en'] or ''}".rstrip(),
        f"{actual}\n{target['actual_period']}" if target["actual_period"] else actual,
        planned(target, unit),
        number(target["expected"], unit),
        f"{target['status_symbol'] or ''} {target['status_zh'] or ''}\n{target['status_en'] or target['status']}",
        target["reason"] or "",
    )


def planned(target: dict[str, Any], unit: str) -> str:
    """The target itself: its sign and its bound or bounds."""
    low, high = target["low"], target["high"]
    if target["operator"] == "between":
        return f"{number(low)}–{number(high, unit)}"
    bound = high if low is None else low
    return f"{SIGNS.get(target['operator'], target['operator'] + ' ')}{number(bound, unit)}"


def number(value: Any, unit: str = "") -> str:
    """A number for a person, with two decimals at most; a dash where there is none."""
    if value is None:
        return "–"
    rounded = f"{Decimal(str(value)):,.2f}"
    return f"{rounded.rstrip('0').rstrip('.')} {unit}".rstrip()


def summary(board: Board) -> str:
    """How many targets stand where, in one line."""
    counts: dict[str, int] = {}
    for target in board.targets:
        label = f"{target['status_symbol'] or ''} {target['status_en'] or target['status']}".strip()
        counts[label] = counts.get(label, 0) + 1
    return f"{len(board.targets)} targets: " + ", ".join(f"{label} {count}" for label, count in counts.items())
