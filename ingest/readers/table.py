"""Find a feed's table among preamble, notes and control totals, whatever the order of its columns."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ingest.contract import MONEY_UNITS, Contract, header_unit, normalise, normalise_header
from ingest.readers.text import Record, Unreadable, records

HEADER_SEARCH = 60
NOTE = re.compile(r"注|数据来源|说明|备注")
TOTALS = {"合计", "总计"}
_UNIT = re.compile(r"^\(?(?:金额|货币|计量)?单位(?::(.*?))?\)?$")


@dataclass
class Table:
    """What a reader found: where the columns stand, their rows, and what surrounds them."""

    header: list[str]
    positions: dict[str, int]
    powers: dict[str, int] = field(default_factory=dict)
    rows: list[Record] = field(default_factory=list)
    totals: list[Record] = field(default_factory=list)

    @property
    def unknown(self) -> list[str]:
        known = set(self.positions.values())
        return [text for index, text in enumerate(self.header) if index not in known and normalise(text)]


def recognised(contract: Contract, cells: list[str]) -> list[tuple[str, int]]:
    """(column id, position) of every cell that is a header of the contract."""
    headers = {header: column.id for column in contract.columns for header in column.headers}
    found = ((headers.get(normalise_header(cell)), index) for index, cell in enumerate(cells))
    return [(column, index) for column, index in found if column]


def find_header(contract: Contract, candidates: list[list[Record]]) -> tuple[list[Record], int]:
    """The reading (one per delimiter) and the position in it of the record that names the most columns."""
    best: tuple[int, list[Record], int] = (0, [], 0)
    for reading in candidates:
        for index, record in enumerate(reading[:HEADER_SEARCH]):
            count = len({column for column, _ in recognised(contract, record.cells)})
            if count > best[0]:
                best = (count, reading, index)
    if not best[0]:
        names = ", ".join(column.header for column in contract.columns if not column.optional)
        raise Unreadable(f"missing required column: no header in the first {HEADER_SEARCH} lines; expected {names}")
    return best[1], best[2]


def read_table(contract: Contract, text: str) -> Table:
    """The table of a delivery.

    Raises:
        Unreadable: no header, a required column missing or named twice, an unknown unit, or no row.
    """
    readings, failures = [], []
    for delimiter in (",", "\t"):
        try:
            readings.append(records(text, delimiter))
        except Unreadable as error:
            failures.append(error)
    try:
        reading, start = find_header(contract, readings)
    except Unreadable as error:
        raise (failures or [error])[0] from None
    table = _columns(contract, reading[start].cells)
    table.powers = _powers(contract, table, reading[:start])
    _sort_rows(contract, table, reading[start + 1 :])
    if not table.rows:
        raise Unreadable("empty: a header without a row")
    return table


def _columns(contract: Contract, cells: list[str]) -> Table:
    found = recognised(contract, cells)
    positions = dict(found)
    for column in contract.columns:
        if sum(column.id == name for name, _ in found) > 1:
            raise Unreadable(f"column {column.header} ({column.id}) stands twice in the header")
        if not column.optional and column.id not in positions:
            raise Unreadable(f"missing required column {column.header} ({column.id})")
    return Table(header=cells, positions=positions)


def _powers(contract: Contract, table: Table, preamble: list[Record]) -> dict[str, int]:
    """The power of ten to yuan of each money column: its header's brackets, the unit above, the default."""
    above = _unit_above(preamble)
    powers = {}
    for column in contract.columns:
        if column.type != "money" or column.id not in table.positions:
            continue
        unit = header_unit(table.header[table.positions[column.id]]) or above or column.unit or ""
        unit = re.sub(r"^(单位:?)?(人民币)?", "", unit)
        if unit not in MONEY_UNITS:
            raise Unreadable(f"unknown unit {unit} of {column.header} ({column.id}); known: {', '.join(MONEY_UNITS)}")
        powers[column.id] = MONEY_UNITS[unit]
    return powers


def _unit_above(preamble: list[Record]) -> str | None:
    """The money unit that a 单位 cell above the table states, alone or in the cell beside it."""
    for record in preamble:
        cells = [re.sub(r"\s+", "", normalise(cell)) for cell in record.cells]
        for cell, beside in zip(cells, [*cells, ""][1:], strict=True):
            match = _UNIT.match(cell)
            stated = (match.group(1) or beside) if match else ""
            if "元" in stated:
                return stated
    return None


def _sort_rows(contract: Contract, table: Table, body: list[Record]) -> None:
    """Part rows from control totals, blank lines and the notes behind the table."""
    filled = [record for record in body if any(normalise(cell) for cell in record.cells)]
    end = len(filled)
    tail = end
    while tail and (_is_note(contract, table, filled[tail - 1]) or _is_single(filled[tail - 1])):
        tail -= 1
        if _is_note(contract, table, filled[tail]):
            end = tail
    keys = [table.positions[column.id] for column in contract.keys if column.id in table.positions]
    for record in filled[:end]:
        is_total = any(re.sub(r"\s", "", normalise(_cell(record, index))) in TOTALS for index in keys)
        (table.totals if is_total else table.rows).append(record)


def _cell(record: Record, index: int) -> str:
    return record.cells[index] if index < len(record.cells) else ""


def _is_single(record: Record) -> bool:
    return sum(bool(normalise(cell)) for cell in record.cells) == 1


def _is_note(contract: Contract, table: Table, record: Record) -> bool:
    """Begins with a note word, and is not a row that happens to (注销, or a name such as 注册会计师协会)."""
    position, first = next((i, normalise(cell)) for i, cell in enumerate(record.cells) if normalise(cell))
    if not NOTE.match(first):
        return False
    coded = {i for name, i in table.positions.items() if first in contract.column(name).values.values()}
    keys = {table.positions[column.id] for column in contract.keys}
    return position not in coded and not any(i != position and normalise(_cell(record, i)) for i in keys)
