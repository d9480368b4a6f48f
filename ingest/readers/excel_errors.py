"""The error cells of a workbook (#DIV/0!, #N/A …), which calamine's Python side gives as empty ones.

An error is no missing value: its row must be refused with what stands in the cell.
"""

from __future__ import annotations

import re
import zipfile
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from struct import unpack_from
from typing import cast

# By sheet (its place in the workbook) and row: the texts by column; rows and columns count from 0.
Errors = dict[int, dict[int, dict[int, str]]]
_TEXTS = {0: "#NULL!", 7: "#DIV/0!", 15: "#VALUE!", 23: "#REF!", 29: "#NAME?", 36: "#NUM!", 42: "#N/A"}
_BOUND_SHEET, _BOOLEAN_OR_ERROR, _FORMULA = 0x0085, 0x0205, 0x0006


def error_cells(path: Path) -> Errors:
    """Every error cell of an .xlsx or .xls without encryption."""
    found: Errors = defaultdict(lambda: defaultdict(dict))
    for sheet, row, column, text in _of_xlsx(path) if zipfile.is_zipfile(path) else _of_xls(path):
        found[sheet][row][column] = text
    return found


def _of_xlsx(path: Path) -> Iterator[tuple[int, int, int, str]]:
    from lxml import etree

    with zipfile.ZipFile(path) as archive:
        if "xl/workbook.xml" not in archive.namelist():
            return
        targets = {link.get("Id"): link.get("Target") for link in etree.XML(archive.read("xl/_rels/workbook.xml.rels"))}
        sheets = etree.XML(archive.read("xl/workbook.xml")).iter("{*}sheet")
        parts = [targets[next(value for name, value in sheet.items() if name.endswith("}id"))] for sheet in sheets]
        for number, part in enumerate(parts):
            with archive.open(part.removeprefix("/") if part.startswith("/") else f"xl/{part}") as source:
                for _, row in etree.iterparse(source, tag="{*}row", resolve_entities=False, no_network=True):
                    for cell in row.iterchildren("{*}c"):
                        place = re.fullmatch("([A-Z]+)([0-9]+)", cell.get("r", ""))
                        if cell.get("t") == "e" and place:
                            yield number, int(place[2]) - 1, _column(place[1]), cell.findtext("{*}v", "")
                    row.clear()


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - 64
    return number - 1


def _of_xls(path: Path) -> Iterator[tuple[int, int, int, str]]:
    """[MS-XLS]: BoundSheet8 says where each sheet begins; BoolErr and Formula hold errors."""
    import olefile

    with olefile.OleFileIO(path) as ole:
        if not ole.exists("Workbook"):
            return
        stream = cast(bytes, ole.openstream("Workbook").read())
    starts: list[int] = []
    place = 0
    while place + 4 <= len(stream):
        kind, size = unpack_from("<HH", stream, place)
        if kind == _BOUND_SHEET and size >= 4:
            starts.append(unpack_from("<I", stream, place + 4)[0])
        elif kind in (_BOOLEAN_OR_ERROR, _FORMULA) and size >= 8:
            row, column = unpack_from("<HH", stream, place + 4)
            value = stream[place + 10 : place + 4 + size]
            code = _error_code(kind, value)
            if code is not None and starts:
                sheet = sorted(range(len(starts)), key=starts.__getitem__)[bisect_right(sorted(starts), place) - 1]
                yield sheet, row, column, _TEXTS.get(code, "#ERROR!")
        place += 4 + size


def _error_code(kind: int, value: bytes) -> int | None:
    """The error in what follows place and format of a record, if it holds one."""
    if kind == _BOOLEAN_OR_ERROR:
        return value[0] if value[1] else None
    return value[2] if value[0] == 2 and value[6:8] == b"\xff\xff" else None
