"""One Excel workbook of a release: what it is, the dictionary, and a sheet of typed cells for each published table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import xlsxwriter

from hfc.home import HfcError
from publish.export.source import Source, plain
from publish.release import BANNER

NAME = "hfc-metrics.xlsx"
# What Excel keeps of a number, and what fits into a sheet and a cell.
DIGITS = 15
ROWS = 1_048_576
CHARACTERS = 32_767
# Before this day Excel counts one day too many.
FIRST_DAY = date(1900, 3, 1)
OPTIONS = {"constant_memory": True}
METRICS = """
SELECT
    m.metric_id, m.label_zh, m.label_en, m.definition_zh, m.definition_en, m.unit, u.label_zh AS unit_zh,
    u.label_en AS unit_en, m.measure, m.frequencies, m.dimensions, m.source_feeds, m.warnings_zh, m.warnings_en
FROM published.metric AS m LEFT JOIN dictionary.unit AS u ON u.unit = m.unit
ORDER BY m.metric_id
"""
MEMBERS = "SELECT dimension, member, label_zh, label_en FROM dictionary.dimension_member ORDER BY dimension, sort"


def write(source: Source, folder: Path, about: str) -> None:
    """Write the workbook into a folder; `about` is the text of its first sheet.

    Raises:
        HfcError: a table or a text is too long for Excel.
    """
    for table in source.tables:
        if table.rows >= ROWS:
            raise HfcError(
                f"Table {table.name} has {table.rows} rows, and a sheet of Excel holds {ROWS} with its header: "
                "export the release as csv or parquet"
            )
    with xlsxwriter.Workbook(str(folder / source.file(NAME)), OPTIONS) as book:
        book.set_properties(
            {
                "title": f"HFC Metrics, release {source.release.name}",
                "comments": BANNER if source.synthetic else "",
                "created": datetime.combine(source.as_of, datetime.min.time()),
            }
        )
        writer = _Writer(book, BANNER if source.synthetic else "")
        writer.sheet("readme", ["readme"], ([line] for line in about.splitlines()))
        for name, sql in (("dictionary", METRICS), ("members", MEMBERS)):
            records = source.records(sql)
            writer.sheet(name, list(records[0]) if records else [], (list(record.values()) for record in records))
        described = ([t.name, c.name, c.kind, c.comment] for t in source.tables for c in t.columns)
        writer.sheet("columns", ["table", "column", "type", "description"], described)
        for table in source.tables:
            writer.sheet(table.name, [column.name for column in table.columns], source.rows(table))


def is_exact(number: Decimal | int) -> bool:
    """Whether Excel keeps a number as it is."""
    return len(plain(Decimal(number)).strip("-0.").replace(".", "")) <= DIGITS


class _Writer:
    """Writes sheets with one look; `banner` is printed above each page."""

    def __init__(self, book: xlsxwriter.Workbook, banner: str) -> None:
        self.book, self.banner = book, banner
        self.head = book.add_format({"bold": True, "bottom": 1})
        self.day = book.add_format({"num_format": "yyyy-mm-dd"})
        self.moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})

    def sheet(self, name: str, headers: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """A sheet with a frozen header."""
        sheet = self.book.add_worksheet(name)
        sheet.freeze_panes(1, 0)
        sheet.set_header(f"&C{self.banner}")
        sheet.set_column(0, max(len(headers) - 1, 0), 18)
        sheet.ignore_errors({"number_stored_as_text": f"A1:XFD{ROWS}"})
        for column, header in enumerate(headers):
            sheet.write_string(0, column, header, self.head)
        for number, row in enumerate(rows, start=1):
            for column, value in enumerate(row):
                self.cell(sheet, number, column, value)

    def cell(self, sheet: Any, row: int, column: int, value: Any) -> None:
        """A value with its type; as text where Excel would change it, no cell where there is no value."""
        if value is None:
            return
        if isinstance(value, bool):
            sheet.write_boolean(row, column, value)
        elif isinstance(value, (int, Decimal)) and is_exact(value):
            sheet.write_number(row, column, float(value))
        elif isinstance(value, datetime):
            sheet.write_datetime(row, column, value, self.moment)
        elif isinstance(value, date) and value >= FIRST_DAY:
            sheet.write_datetime(row, column, value, self.day)
        else:
            text = plain(value) if isinstance(value, Decimal) else str(value)
            if len(text) > CHARACTERS:
                raise HfcError(
                    f"Row {row + 1} of table {sheet.get_name()} has a text of {len(text)} characters, and a cell holds "
                    f"{CHARACTERS}: export the release as csv or parquet"
                )
            sheet.write_string(row, column, text)
