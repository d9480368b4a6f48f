"""Tables of statistical yearbooks: areas down, indicators or years across, under a header of any height.

A sheet is a sequence of blocks (the table and its 续表), each a header and the rows below it; blocks may also stand
side by side, each with its own column of areas, and begin on different rows. Nothing is known about a table beforehand
but what an area is called: the header is what stands above the first area, and the path down a column's header cells is
its indicator.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from ingest.columns import MISSING
from ingest.contract import Editions, YearbookEdition, normalise
from ingest.readers.records import Reading, Record, Unreadable
from ingest.readers.series.observations import Observation

ROW_LIMIT = 100_000
CELL_LIMIT = 10_000_000
_NUMBER = re.compile(r"[+-]?(\d{1,3}(,\d{3})+|\d+)(\.\d+)?([eE][+-]?\d+)?")
_YEAR = re.compile(r"((?:19|20)\d\d)年?[底末]?")
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_TABLE_NUMBER = re.compile(r"^\d+[-.]\d+(-\d+)?\s*")
_YEAR_BRACKET = re.compile(r"\(?\s*(?:19|20)\d\d\s*年?[底末]?\s*\)?")
# (10000 yuan), (100 million yuan); but (R&D) belongs to a name.
_TRANSLATED_UNIT = re.compile(r"\(\d[\d ]*[a-z][a-z ]*\)\s*$")
_CONTINUED = re.compile(r"续表|\(续\)")
_STEMS = ("", "甲", "乙", "丙", "丁")
_UNIT = re.compile(r"\(?(?:计量)?单位(:?)(.*?)\)?")


@dataclass
class _Block:
    """A header, and the rows of one column of areas below it."""

    sheet: str
    header: list[Record]
    area_column: int
    end: int
    above: list[Record]
    begin: int
    rows: list[Record] = field(default_factory=list)


@dataclass
class Heading:
    """The title and unit that the table before states, which its 续表 goes on with."""

    title: str = ""
    unit: str = ""


def sheet_observations(editions: Editions, sheet: Reading, before: Heading) -> list[Observation]:
    """One observation per area and column of a sheet; none where the sheet names no area beside a number.

    `before` is the heading of the sheet before, of which this one may be the continuation; it becomes this sheet's own.

    Raises:
        Unreadable: values without a header, or a table without title or year; the message says what is missing.
    """
    records = list(islice(sheet.records(), ROW_LIMIT + 1))
    width = max((len(record.cells) for record in records), default=0)
    if len(records) > ROW_LIMIT or len(records) * width > CELL_LIMIT:
        raise Unreadable(f"unreadable: sheet {sheet.sheet} has more than {ROW_LIMIT} rows or {CELL_LIMIT} cells")
    rows = [Record(r.line, [*map(normalise, r.cells), *[""] * (width - len(r.cells))]) for r in records]
    columns = _area_columns(editions, rows)
    if not columns:
        return []
    found: list[Observation] = []
    heading = None
    blocks = [
        block
        for number, span in enumerate(_spans(columns, width))
        for block in _blocks(editions, sheet.sheet or "", rows, *span, start=span[0] if number else 0)
    ]
    for block in sorted(blocks, key=lambda block: (block.begin, block.area_column)):
        above = [cell for record in block.above for cell in record.cells]
        heading = heading or (before if any(map(_CONTINUED.search, above)) else Heading())
        heading = Heading(_title(editions, above) or heading.title, _unit(editions, above) or heading.unit)
        found += _melt(editions, block, heading.title, heading.unit)
    if heading:
        before.title, before.unit = heading.title, heading.unit
    return found


def _area_columns(editions: Editions, rows: list[Record]) -> list[int]:
    """The columns where the name of an area has a number to its right before the next area."""
    found = set()
    for record in rows:
        column = None
        for index, cell in enumerate(record.cells):
            if editions.is_area(cell):
                column = index
            elif column is not None and _NUMBER.fullmatch(cell):
                found.add(column)
    return sorted(found)


def _blocks(editions: Editions, sheet: str, rows: list[Record], column: int, end: int, start: int) -> Iterator[_Block]:
    """The blocks one below the other of one column of areas; what belongs to them stands from `start` to `end`."""
    block: _Block | None = None
    between: list[Record] = []
    has_header = False
    for whole in rows:
        record = Record(whole.line, [*[""] * start, *whole.cells[start:end]])
        in_body = block is not None and not has_header
        if not _is_row(editions, record, column, end, in_body):
            between.append(record)
            has_header = has_header or _is_header(editions, record, [column])
            continue
        if not in_body:
            if block:
                yield block
            if not has_header:
                raise Unreadable(f"missing header: nothing above row {record.line} of sheet {sheet} names its columns")
            header = _header(editions, between, [column])
            above = between[: between.index(header[0])]
            block = _Block(sheet, header, column, end, above, begin=between[0].line)
        assert block
        block.rows.append(record)
        between, has_header = [], False
    if block:
        yield block


def _spans(columns: list[int], width: int) -> list[tuple[int, int]]:
    """(column of areas, where the next begins) of blocks that stand side by side."""
    return list(zip(columns, [*columns[1:], width], strict=True))


def _is_row(editions: Editions, record: Record, column: int, end: int, in_body: bool) -> bool:
    """Whether a record is a row of values, and not header, note or a subtitle."""
    label, cells = record.cells[column], record.cells[column + 1 : end]
    numbers = [cell for cell in cells if _NUMBER.fullmatch(cell)]
    if editions.is_area(label):
        return bool(numbers) or in_body
    if in_body and label and all(cell in MISSING for cell in cells) and any(cells):
        return True
    if not numbers or editions.is_area_label(label) or (not in_body and _is_numbering(label, numbers)):
        return False
    return (in_body and bool(label)) or not all(map(_YEAR.fullmatch, numbers))


def _is_numbering(label: str, numbers: list[str]) -> bool:
    """Whether a row numbers the columns: 甲 | 1 | 2 | 3."""
    if label not in _STEMS or not numbers[0].isdecimal():
        return False
    return numbers == [str(int(numbers[0]) + n) for n in range(len(numbers))]


def _header(editions: Editions, between: list[Record], columns: list[int]) -> list[Record]:
    """The header among the records between two rows of values: from the label of the areas on, if there is one."""
    for number, record in enumerate(between):
        if _names_areas(editions, record, columns):
            return between[number:]
    return [record for record in between if _is_header(editions, record, columns)]


def _is_header(editions: Editions, record: Record, columns: list[int]) -> bool:
    """Whether a record is of a header: it labels the areas, or several texts stand side by side."""
    texts = {cell for cell in record.cells if cell and _unit_cell(editions, cell) is None}
    return len(texts) > 1 or _names_areas(editions, record, columns)


def _names_areas(editions: Editions, record: Record, columns: list[int]) -> bool:
    return any(editions.is_area_label(record.cells[column]) for column in columns)


def _title(editions: Editions, cells: Iterable[str]) -> str:
    """The Chinese title above a table: the one with a table's number, if there is one; none of a continuation."""
    texts = [cell for cell in cells if _CHINESE.search(cell) and _unit_cell(editions, cell) is None]
    title = next((text for text in texts if _TABLE_NUMBER.match(text)), texts[0] if texts else "")
    return "" if _CONTINUED.search(title) else title


def _unit(editions: Editions, cells: list[str]) -> str:
    """What a cell 单位 above a table states, in it or in the cell beside it."""
    for cell, beside in zip(cells, [*cells, ""][1:], strict=True):
        if (stated := _unit_cell(editions, cell)) is not None:
            return stated or beside
    return ""


def _unit_cell(editions: Editions, cell: str) -> str | None:
    """The unit of a cell 单位:亿元; nothing of a cell 单位, and None of a cell such as 单位数."""
    match = _UNIT.fullmatch(re.sub(r"\s+", "", cell))
    if not match or not (match.group(1) or not match.group(2) or editions.is_unit(match.group(2))):
        return None
    return match.group(2)


def _melt(editions: Editions, block: _Block, title: str, unit: str) -> Iterator[Observation]:
    """The observations of a block."""
    if not title:
        raise Unreadable(f"missing title: no Chinese title above the table of sheet {block.sheet}")
    edition = next((e for e in editions.yearbook.layouts if re.search(e.title, title)), YearbookEdition(title=""))
    dataset = re.sub(r"\s+", "", _YEAR_BRACKET.sub("", _TABLE_NUMBER.sub("", title)))
    columns = list(_columns(editions, edition, block))
    for record in block.rows:
        label = re.sub(r"\s+", "", record.cells[block.area_column])
        # A row without an area has no series: its values are refused for that.
        is_named = label and not _NUMBER.fullmatch(label)
        for index, path, year, own_unit in columns:
            indicator = path or dataset
            yield Observation(
                line=record.line, provider=editions.yearbook.provider, dataset=dataset,
                dimensions={"area": label, "indicator": indicator} if is_named else {}, indicator=indicator,
                area=editions.area_of(label), value=record.cells[index],
                period=year or edition.period or _year(title, block.sheet), unit=own_unit or edition.unit or unit,
            )  # fmt: skip


def _columns(editions: Editions, edition: YearbookEdition, block: _Block) -> Iterator[tuple[int, str, str, str]]:
    """(position, indicator, year, unit) of every column of values: what the path down its header says."""
    for index in range(block.area_column + 1, block.end):
        parts = list(dict.fromkeys(filter(None, (_label(record.cells[index]) for record in block.header))))
        if any(map(editions.is_area_label, parts)):
            continue
        if not parts:
            # Text alone translates the areas' names.
            if any(_NUMBER.fullmatch(record.cells[index]) for record in block.rows):
                raise Unreadable(f"missing header: column {index + 1} of sheet {block.sheet} has values and no name")
            continue
        year = unit = ""
        names = []
        for part in parts:
            name, stated = editions.split_unit(part)
            if match := _YEAR.fullmatch(part):
                year = match.group(1)
            elif _NUMBER.fullmatch(part):
                continue
            elif editions.is_unit(part.strip("()")):
                unit = part.strip("()")
            else:
                names.append(edition.labels.get(name, name))
                unit = stated or unit
        yield index, "/".join(names), year, unit


def _label(cell: str) -> str:
    """A header cell's Chinese text without its translation and the spaces that fill it up."""
    if not _CHINESE.search(cell):
        return " ".join(cell.split())
    cell = _TRANSLATED_UNIT.sub("", cell)
    lines = (re.sub(r"\s+[A-Za-z][A-Za-z .,'&()-]*$", "", line) for line in cell.splitlines())
    return re.sub(r"\s+", "", "".join(line for line in lines if not re.fullmatch(r"[A-Za-z .,'&()-]*", line)))


def _year(title: str, sheet: str) -> str:
    """The one year that the title names, else the sheet's name."""
    for text in (title, sheet):
        years = set(re.findall(r"(?<!\d)((?:19|20)\d\d)(?!\d)", text))
        if len(years) == 1:
            return str(years.pop())
    raise Unreadable(f"missing year: neither header, title {title} nor sheet {sheet} names one")
