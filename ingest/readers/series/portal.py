"""Exports of the national data portal: preamble, then one label by period, then notes. Layouts are contract data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from ingest.contract import Contract, Editions, normalise
from ingest.readers.records import Record, Unreadable
from ingest.readers.table import NOTE

_UNIT = re.compile(r"^(.*?)(?:\s*\(([^()]+)\)|\s+(\S+))$")


def portal_records(contract: Contract, lines: Iterator[Record]) -> Iterator[Record]:
    """A header of the contract's columns, then one record per label and period; a blank cell is a missing value.

    Raises:
        Unreadable: no preamble or header of the portal.
    """
    editions = contract.editions
    assert editions is not None
    body = (Record(r.line, [normalise(cell) for cell in r.cells]) for r in lines)
    labels = {label: role for role, names in editions.row_labels.items() for label in names}
    above: list[Record] = []
    header = next((r for r in body if (r.cells and r.cells[0] in labels) or above.append(r)), None)  # type: ignore[func-returns-value]
    if header is None:
        raise Unreadable(f"missing required column: no header line begins with {' or '.join(labels)}")
    preamble = _preamble(editions, above)
    if "dataset" not in preamble:
        raise Unreadable(f"missing required preamble line {editions.preamble['dataset']}：")
    periods = [(i, cell) for i, cell in enumerate(header.cells) if i and cell]
    yield Record(header.line, [column.id for column in contract.columns])
    for record in body:
        if not record.cells or not record.cells[0]:
            continue
        if NOTE.match(record.cells[0]):
            return
        yield from _melt(editions, preamble, labels[header.cells[0]], record, periods)


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
