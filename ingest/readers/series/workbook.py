"""The sheets of a workbook as text cells; stands in for `isolated("workbook", path, scratch)`."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import msoffcrypto
from msoffcrypto.exceptions import FileFormatError, InvalidKeyError
from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, load_workbook

from ingest.readers.records import Reading, Record, Unreadable

DEFAULT_PASSWORD = "VelvetSweatshop"


def workbook_sheets(path: Path, scratch: Path) -> list[Reading]:
    """Every sheet as a reading of text cells, merged ranges filled.

    Raises:
        Unreadable: damaged, or encrypted with another password than Excel's default one.
    """
    with open(path, "rb") as handle:
        workbook = _opened(handle, scratch)
    sheets = [workbook.get_sheet_by_name(name) for name in workbook.sheet_names]
    return [Reading(records=partial(iter, _records(sheet)), sheet=sheet.name) for sheet in sheets]


def _opened(handle: BinaryIO, scratch: Path) -> CalamineWorkbook:
    """The workbook; its bytes decide the format, so it is never opened by name."""
    try:
        is_ole = handle.read(4) == b"\xd0\xcf\x11\xe0"
        if is_ole and (office := msoffcrypto.OfficeFile(handle)).is_encrypted():
            office.load_key(password=DEFAULT_PASSWORD)
            with open(scratch / "decrypted", "w+b") as plain:
                office.decrypt(plain)
                plain.seek(0)
                return load_workbook(plain)
        handle.seek(0)
        return load_workbook(handle)
    except InvalidKeyError:
        raise Unreadable("unreadable: the workbook is encrypted with a password") from None
    except (CalamineError, FileFormatError) as error:
        raise Unreadable(f"unreadable: the workbook is damaged: {error}") from None


def _records(sheet: CalamineSheet) -> list[Record]:
    rows = [[_text(value) for value in row] for row in sheet.to_python(skip_empty_area=False)]
    for (top, left), (bottom, right) in sheet.merged_cell_ranges or ():
        for row in rows[top : bottom + 1]:
            row[left : right + 1] = [rows[top][left]] * (min(right + 1, len(row)) - left)
    return [Record(number, cells) for number, cells in enumerate(rows, start=1) if any(cells)]


def _text(value: Any) -> str:
    match value:
        case float():
            return format(value, ".15g")
        case datetime():
            return value.date().isoformat()
    return str(value)
