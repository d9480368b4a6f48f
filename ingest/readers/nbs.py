"""Exports of the national data portal: preamble, then one label by period, then notes. Layouts are contract data."""

from __future__ import annotations

import json
import re

from ingest.contract import Contract, Editions, normalise
from ingest.readers.table import NOTE, Table
from ingest.readers.text import Record, Unreadable, records

_UNIT = re.compile(r"^(.*?)(?:\s*\(([^()]+)\)|\s+(\S+))$")


def read_nbs(contract: Contract, text: str) -> Table:
    """One row per label and period, as the contract's columns; a blank cell is a row whose value is missing.

    Raises:
        Unreadable: no preamble or header of the portal, or no row.
    """
    editions = contract.editions
    assert editions is not None
    body = [Record(r.line, [normalise(cell) for cell in r.cells]) for r in records(text, ",")]
    labels = {label: role for role, names in editions.row_labels.items() for label in names}
    start = next((i for i, r in enumerate(body) if r.cells and r.cells[0] in labels), None)
    if start is None:
        raise Unreadable(f"missing required column: no header line begins with {' or '.join(labels)}")
    preamble = _preamble(editions, body[:start])
    if "dataset" not in preamble:
        raise Unreadable(f"missing required preamble line {editions.preamble['dataset']}：")
    role = labels[body[start].cells[0]]
    periods = [(i, cell) for i, cell in enumerate(body[start].cells) if i and cell]
    table = Table(header=[c.id for c in contract.columns], positions={c.id: i for i, c in enumerate(contract.columns)})
    for record in body[start + 1 :]:
        if not record.cells or not record.cells[0]:
            continue
        if NOTE.match(record.cells[0]):
            break
        table.rows += _melt(editions, preamble, role, record, periods)
    if not table.rows:
        raise Unreadable("empty: a header without a row")
    return table


def _preamble(editions: Editions, lines: list[Record]) -> dict[str, str]:
    """The `key：value` lines above the table, by what the contract calls them."""
    found = {}
    for record in lines:
        key, _, value = (record.cells[0] if record.cells else "").partition(":")
        found |= {name: value.strip() for name, printed in editions.preamble.items() if printed == key}
    return found


def _melt(
    editions: Editions, preamble: dict[str, str], role: str, record: Record, periods: list[tuple[int, str]]
) -> list[Record]:
    label = record.cells[0]
    printed = label if role == "indicator" else preamble.get("indicator", "")
    area = label if role == "area" else preamble.get("area", editions.nation)
    match = _UNIT.match(printed)
    indicator, unit = (match.group(1), match.group(2) or match.group(3)) if match else (printed, "")
    key = json.dumps({"area": area, "indicator": indicator}, ensure_ascii=False)
    fixed = [editions.provider, preamble["dataset"], key, indicator, area]
    cells = [(period, record.cells[i] if i < len(record.cells) else "") for i, period in periods]
    return [Record(record.line, [*fixed, period, value, unit]) for period, value in cells]
