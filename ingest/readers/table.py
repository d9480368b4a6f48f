"""Find a feed's table among preamble, notes and repeated headers, whatever the order of its columns."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from ingest.columns import MISSING
from ingest.contract import MONEY_UNITS, Contract, header_unit, normalise, normalise_header
from ingest.readers.records import Reading, Record, Unreadable

HEADER_SEARCH = 60
HEADER_ROWS = 3
NOTE = re.compile(r"注|数据来源|说明|备注")
CONTINUED = re.compile(r"\(?续|\(?(?:金额|货币|计量)?单位")
TOTALS = ("合计", "总计")
_UNIT = re.compile(r"^\(?(?:金额|货币|计量)?单位(?::(.*?))?\)?$")
# Behind a title or a date in one cell; 填报单位 is no unit.
_UNIT_INSIDE = re.compile(r"[\s(](?:金额|货币|计量)?单位\s*:?\s*([^\s()]+)")
_LATIN = re.compile(r"[A-Za-z][A-Za-z .,'/&-]*")


@dataclass
class Block:
    """A header and what it says: where the columns stand, and their units. Its rows follow until the next block."""

    sheet: str | None
    header: list[str]
    positions: dict[str, int]
    powers: dict[str, int] = field(default_factory=dict)
    amounts: set[int] = field(default_factory=set)

    @property
    def unknown(self) -> list[str]:
        known = set(self.positions.values())
        return [text for index, text in enumerate(self.header) if index not in known and normalise(text)]

    def row(self, record: Record) -> Record:
        """The record without the amounts that a merged range repeats: what stands once is counted once."""
        again = self.amounts.intersection(record.repeated)
        if not again:
            return record
        return Record(record.line, ["" if index in again else cell for index, cell in enumerate(record.cells)])

    def is_header(self, record: Record) -> bool:
        """Whether the record repeats this header, as printed tables do on every page."""
        places = self.positions.values()
        return all(_cell(record.cells, i).strip() == _cell(self.header, i).strip() for i in places)

    def is_note(self, contract: Contract, cells: list[str]) -> bool:
        """Begins with a note word, and is not a row that happens to (注销, or a name such as 注册会计师协会)."""
        position, first = next((i, normalise(cell)) for i, cell in enumerate(cells) if normalise(cell))
        if not NOTE.match(first):
            return False
        coded = {i for name, i in self.positions.items() if first in contract.column(name).values.values()}
        keys = {self.positions[column.id] for column in contract.keys}
        # A note merged over the table's width says the same in every cell.
        return position not in coded and all(normalise(_cell(cells, i)) in ("", first) for i in keys - {position})


def find_header(contract: Contract, head: list[Record]) -> tuple[int, int, int]:
    """(columns recognised, first row, rows) of the header among the first records; 0 columns where there is none.

    The header with the most columns counts; several rows are one header only where no single row names all required.
    """
    required = {column.id for column in contract.columns if not column.optional}
    best, is_whole = (0, 0, 0), False
    for height in range(1, HEADER_ROWS + 1):
        for index in range(len(head) - height + 1):
            window = [record.cells for record in head[index : index + height]]
            found = {column for column, _ in _recognised(contract, _stacked(window))}
            if len(found) > best[0]:
                best, is_whole = (len(found), index, height), found >= required
        if is_whole:
            break
    return best


def split(contract: Contract, reading: Reading) -> Iterator[Block | Record]:
    """The blocks of a reading, each followed by its records; blank records are left out.

    Raises:
        Unreadable: no header, a required column missing or named twice, or an unknown unit.
    """
    records = reading.records()
    head = list(islice(records, HEADER_SEARCH))
    count, start, height = find_header(contract, head)
    if not count:
        names = ", ".join(column.header for column in contract.columns if not column.optional)
        raise Unreadable(f"missing required column: no header in the first {HEADER_SEARCH} lines; expected {names}")
    end = start + height
    while end < len(head) and _is_unit_or_translation(head[end - 1], head[end]):
        end += 1
    block = _block(contract, reading.sheet, [record.cells for record in head[start:end]], head[:start])
    yield block
    recent: deque[Record] = deque(maxlen=HEADER_ROWS)
    for record in _chain(head[end:], records):
        if not any(cell.strip() for cell in record.cells):
            continue
        if block.is_header(record):
            block = _block(contract, reading.sheet, [record.cells], [*head[:start], *recent])
            yield block
        else:
            yield block.row(record)
        recent.append(record)


def _chain(head: list[Record], rest: Iterator[Record]) -> Iterator[Record]:
    yield from head
    yield from rest


def _recognised(contract: Contract, columns: list[list[str]]) -> list[tuple[str, int]]:
    """(column id, position) of every column one of whose texts is a header of the contract."""
    headers = {header: column.id for column in contract.columns for header in column.headers}
    found = ((next((headers[t] for t in map(normalise_header, texts) if t in headers), None), index)
             for index, texts in enumerate(columns))  # fmt: skip
    return [(column, index) for column, index in found if column]


def _stacked(rows: list[list[str]]) -> list[list[str]]:
    """By column, the texts that its header cells may mean: each line alone, all together, without a translation."""
    columns = []
    for index in range(max((len(row) for row in rows), default=0)):
        cells = list(dict.fromkeys(cell for row in rows if (cell := _cell(row, index).strip())))
        lines = [line for cell in cells for line in cell.splitlines()]
        texts = [*reversed(cells), *reversed(lines), "".join(cells)]
        columns.append(list(dict.fromkeys([*texts, *(_LATIN.sub("", normalise(text)) for text in texts)])))
    return columns


def _is_unit_or_translation(header: Record, record: Record) -> bool:
    """A header's second row that holds units, or English words and neither digit nor Chinese (NA is a missing value).

    A cell that repeats the header's (the two are merged) says nothing.
    """
    cells = [
        normalise(cell) for i, cell in enumerate(record.cells) if normalise(cell) and cell != _cell(header.cells, i)
    ]
    if len(cells) < 2:
        return len(cells) == 1 and cells[0].strip("()") in MONEY_UNITS
    is_unit = all(cell.strip("()") in MONEY_UNITS or re.fullmatch(r"\(.*\)", cell) for cell in cells)
    is_english = all(re.fullmatch(r"[A-Za-z][A-Za-z .,'()/&-]*", cell) and cell not in MISSING for cell in cells)
    return is_unit or is_english


def _block(contract: Contract, sheet: str | None, rows: list[list[str]], above: list[Record]) -> Block:
    stacked = _stacked(rows)
    found = _recognised(contract, stacked)
    positions = dict(found)
    header = rows[-1] if len(rows) == 1 else [" ".join(texts[:1]) for texts in stacked]
    block = Block(sheet, header, positions)
    for column in contract.columns:
        if sum(column.id == name for name, _ in found) > 1:
            raise Unreadable(f"column {column.header} ({column.id}) stands twice in the header")
        if not column.optional and column.id not in positions:
            told = (
                block.unknown and not contract.confidential
            )  # what looks like a header may be a row of a turned table
            hint = f"; columns it does not know: {', '.join(map(normalise, block.unknown))}" if told else ""
            raise Unreadable(f"missing required column {column.header} ({column.id}){hint}")
    block.powers = _powers(contract, block, stacked, above)
    measures = (c.id for c in contract.columns if c.type in ("money", "number", "integer") and not c.key)
    block.amounts = {positions[name] for name in measures if name in positions}
    return block


def _powers(contract: Contract, block: Block, stacked: list[list[str]], above: list[Record]) -> dict[str, int]:
    """The power of ten of each column with a unit: its header's brackets, the unit above, the default."""
    powers = {}
    for column in contract.columns:
        if not column.unit or column.id not in block.positions:
            continue
        known = MONEY_UNITS if column.type == "money" else {column.unit: 0}
        texts = stacked[block.positions[column.id]]
        stated = next((unit for text in texts if (unit := _stated_unit(text, known))), None)
        stated = stated or _unit_above(above, column.unit.lstrip("万亿"))
        unit = re.sub(r"^(单位:?)?(人民币)?", "", stated or column.unit)
        if unit not in known:
            told = "(not shown)" if contract.confidential else unit  # 单位 may also name an organisation
            raise Unreadable(f"unknown unit {told} of {column.header} ({column.id}); known: {', '.join(known)}")
        powers[column.id] = known[unit]
    return powers


def _stated_unit(text: str, known: dict[str, int]) -> str | None:
    """What a header's brackets state, or the header's second row alone: `金额(万元)`, `万元`."""
    plain = normalise(text)
    return plain if plain in known else header_unit(text)


def _unit_above(preamble: list[Record], measure: str) -> str | None:
    """The unit of `measure` (元, 平方米) that a row above the table states last, in one cell or in the cell beside."""
    found = None
    for record in preamble:
        cells = [re.sub(r"\s+", "", normalise(cell)) for cell in record.cells]
        for text, cell, beside in zip(record.cells, cells, [*cells, ""][1:], strict=True):
            match = _UNIT.match(cell) or _UNIT_INSIDE.search(normalise(text))
            stated = (match.group(1) or beside) if match else ""
            if measure in stated:
                found = stated
    return found


def _cell(cells: list[str], index: int) -> str:
    return cells[index] if index < len(cells) else ""
