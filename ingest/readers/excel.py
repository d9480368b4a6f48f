"""Workbooks: .xlsx and real .xls, also encrypted with the password that Excel itself tries first.

A number reads as Excel shows it (15 significant digits), a day as ISO text, a truth value as 是 or 否, the two words
that the feeds know for it. A merged range reads as its value in every cell.
"""

from __future__ import annotations

import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, time
from io import BytesIO
from pathlib import Path
from typing import Any

from python_calamine import (
    CalamineError,
    CalamineSheet,
    SheetTypeEnum,
    load_workbook,
)

from ingest.readers.excel_errors import error_cells
from ingest.readers.limits import CHUNK, unpacked_limit
from ingest.readers.records import Record, Unreadable

OLE = b"\xd0\xcf\x11\xe0"
DEFAULT_PASSWORD = "VelvetSweatshop"
EXACT_INTEGER = 10**15
MEMBER_LIMIT = 10_000
MERGED_LIMIT = 10_000_000


def sheets(path: Path, scratch: Path) -> Iterator[tuple[str, Iterator[Record]]]:
    """(name, rows) of every worksheet, hidden ones too.

    Raises:
        Unreadable: damaged, a bomb, or encrypted with another password.
    """
    path = _decrypted(path, scratch / "decrypted")
    may_hold_errors = _check_archive(path)
    try:
        workbook = load_workbook(BytesIO(path.read_bytes()))  # from a path, the suffix would decide the format
    except CalamineError as error:
        raise Unreadable(f"unreadable: the workbook is damaged: {error}") from None
    errors = error_cells(path) if may_hold_errors else {}
    for number, sheet in enumerate(workbook.sheets_metadata):
        if sheet.typ == SheetTypeEnum.WorkSheet:
            yield sheet.name, _rows(workbook.get_sheet_by_name(sheet.name), errors.get(number, {}))


def _check_archive(path: Path) -> bool:
    """Unpack every member of a zip archive once, to nowhere: what it really holds, not what it says it holds.

    Gives whether the workbook may hold error cells, of which no other sort of file says anything before it is read.

    Raises:
        Unreadable: broken, a bomb, a member outside the archive, or an XML document type (which could hold entities).
    """
    with open(path, "rb") as handle:
        if handle.read(2) != b"PK":
            return True
    errors, size, limit = False, 0, unpacked_limit(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > MEMBER_LIMIT:
                raise Unreadable(f"unreadable: the archive has more than {MEMBER_LIMIT} members")
            for member in members:
                if member.filename.startswith("/") or ".." in member.filename.replace("\\", "/").split("/"):
                    raise Unreadable("unreadable: a member of the archive has a path that leads out of it")
                before = b""
                with archive.open(member) as source:
                    while data := source.read(CHUNK):
                        size += len(data)
                        if size > limit:
                            raise Unreadable(f"unreadable: the archive holds more than {limit >> 20} MiB")
                        text = before + data
                        errors = errors or b't="e"' in text or b"t='e'" in text
                        if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
                            raise Unreadable("unreadable: the workbook's XML declares a document type or an entity")
                        before = data[-8:]
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise Unreadable(f"unreadable: the archive is broken: {error}") from None
    return errors


def _decrypted(path: Path, target: Path) -> Path:
    """The workbook without encryption: `path` itself, or a copy at `target`.

    Raises:
        Unreadable: the password is not Excel's default one, or the encryption is unknown or broken.
    """
    with open(path, "rb") as source:
        if source.read(4) != OLE:
            return path
        import msoffcrypto
        from msoffcrypto.exceptions import DecryptionError, FileFormatError, InvalidKeyError, ParseError

        try:
            workbook = msoffcrypto.OfficeFile(source)
            if not workbook.is_encrypted():
                return path
            workbook.load_key(password=DEFAULT_PASSWORD)
            with open(target, "wb") as plain:
                workbook.decrypt(plain)
        except InvalidKeyError:
            raise Unreadable("unreadable: the workbook is encrypted with a password; deliver it without one") from None
        except (DecryptionError, ParseError, ValueError) as error:
            raise Unreadable(f"unreadable: the workbook's encryption is unknown or damaged: {error}") from None
        except FileFormatError:  # no encryption that this library knows: the workbook's own reader has the word
            return path
    return target


def _rows(sheet: CalamineSheet, errors: dict[int, dict[int, str]]) -> Iterator[Record]:
    """Every row from the sheet's first cell on, its error cells put in and merged ranges filled."""
    if sheet.start is None:
        return
    offset = [""] * sheet.start[1]
    starting = _merged(sheet)
    filling: list[tuple[int, int, int, str]] = []
    for index, row in enumerate(sheet.iter_rows()):
        cells = offset + [_text(value) for value in row]
        for column, text in errors.get(index, {}).items():
            cells[column : column + 1] = [text]
        filling = [merged for merged in filling if merged[0] >= index]
        repeated = [column for _, left, right, _ in filling for column in range(left, right + 1)]
        for bottom, left, right in starting.get(index, ()):
            filling.append((bottom, left, right, cells[left]))
            repeated += range(left + 1, right + 1)
        for _, left, right, text in filling:
            cells[left : right + 1] = [text] * (right + 1 - left)
        yield Record(index + 1, cells, repeated)


def _merged(sheet: CalamineSheet) -> dict[int, list[tuple[int, int, int]]]:
    """(last row, first column, last column) of the merged ranges, by first row, cut to what the sheet holds."""
    assert sheet.end
    last_row, last_column = sheet.end
    found: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    size = 0
    for (top, left), (bottom, right) in sheet.merged_cell_ranges or ():
        bottom, right = min(bottom, last_row), min(right, last_column)
        size += max(0, bottom + 1 - top) * max(0, right + 1 - left)
        if size > MERGED_LIMIT:
            raise Unreadable(f"unreadable: sheet {sheet.name} merges more than {MERGED_LIMIT} cells")
        if left <= right:
            found[top].append((bottom, left, right))
    return found


def _text(value: Any) -> str:
    """A cell as a person reads it."""
    match value:
        case str():
            return value
        case bool():
            return "是" if value else "否"
        case int() if abs(value) < EXACT_INTEGER:
            return str(value)
        case int() | float():
            return format(value, ".15g")
        case datetime() if value.time() == time():
            return value.date().isoformat()
    return str(value)  # a date, a moment, a time of day, a duration
