"""HTML tables, as many portals export them under the name .xls: every table without another inside is a sheet.

A spanned range reads as its value in every cell. Nothing is fetched, and a text that declares entities is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lxml import etree

from ingest.readers.limits import COLUMN_LIMIT
from ingest.readers.records import Record, Unreadable
from ingest.readers.text import utf8_copy

# What browsers obey of a colspan and a rowspan.
SPAN_LIMITS = {"colspan": 1000, "rowspan": 65534}
LINE_BREAK = "\u2028"


def sheets(path: Path, scratch: Path) -> Iterator[tuple[str | None, Iterator[Record]]]:
    """(name, rows) of every table; a row's line is its number in the table.

    Raises:
        Unreadable: neither UTF-8 nor GB18030, no table, or a declaration of entities.
    """
    utf8 = utf8_copy(path, scratch)
    _refuse(utf8.read_bytes().lower())
    parser = etree.HTMLParser(encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True)
    tree = etree.parse(str(utf8), parser)
    if fatal := parser.error_log.filter_from_fatals():  # what follows would be lost without a word
        raise Unreadable(f"unreadable: the HTML breaks off on line {fatal[0].line}: {fatal[0].message.strip()}")
    etree.strip_elements(tree, "script", "style", with_tail=False)
    tables = [table for table in tree.iter("table") if next(table.iterdescendants("table"), None) is None]
    if not tables:
        raise Unreadable("unreadable: HTML or XML without a table")
    for number, table in enumerate(tables, 1):
        yield None if len(tables) == 1 else f"table {number}", _rows(table)


def _refuse(text: bytes) -> None:
    """The parser closes what a truncated text leaves open: it must not pass for the whole."""
    if b"<!entity" in text:
        raise Unreadable("unreadable: HTML or XML that declares an entity")
    if text.rfind(b"</table") < text.rfind(b"<table"):
        raise Unreadable("unreadable: the HTML breaks off inside a table")


def _rows(table: Any) -> Iterator[Record]:
    spanned: dict[int, tuple[int, str]] = {}  # by column: how many more rows a value spans, and the value
    for number, row in enumerate(table.iter("tr"), 1):
        cells: list[str] = []
        repeated = list(spanned)
        above = {column: text for column, (_, text) in spanned.items()}
        spanned = {column: (left - 1, text) for column, (left, text) in spanned.items() if left > 1}
        for cell in row.iterchildren("td", "th"):
            while len(cells) in above:
                cells.append(above.pop(len(cells)))
            text, width, height = _text(cell), _span(cell, "colspan"), _span(cell, "rowspan")
            columns = range(len(cells), len(cells) + width)
            repeated += columns[1:]
            spanned |= dict.fromkeys(columns, (height - 1, text)) if height > 1 else {}
            cells += [text] * width
            if len(cells) > COLUMN_LIMIT:
                raise Unreadable(f"unreadable: more than {COLUMN_LIMIT} cells in row {number}")
        for column in sorted(column for column in above if column >= len(cells)):
            cells += [""] * (column - len(cells)) + [above[column]]
        yield Record(number, cells, repeated)


def _span(cell: Any, name: str) -> int:
    """A span as browsers read it: 1 where it is no number, a rowspan of 0 reaches to the end."""
    stated = cell.get(name, "1").strip()
    limit = SPAN_LIMITS[name]
    count = int(stated) if stated.isascii() and stated.isdigit() and len(stated) < 10 else 1
    return min(count, limit) or (limit if name == "rowspan" else 1)


def _text(cell: Any) -> str:
    """The cell's text as a browser shows it: runs of blanks as one, a line break where <br> or a paragraph stands."""
    for element in cell.iter("br", "p", "div"):
        element.text = LINE_BREAK + (element.text or "")
    lines = "".join(cell.itertext()).split(LINE_BREAK)
    return "\n".join(re.sub(r"[ \t\r\n\f]+", " ", line).strip(" ") for line in lines).strip("\n")
