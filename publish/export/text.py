"""CSV files that spreadsheets open without harm: UTF-8 with a byte order mark, plain decimals, no formulas."""

from __future__ import annotations

import csv
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from publish.export.source import Source, plain

# A spreadsheet takes a cell that begins so for a formula, in full width as well in an East Asian one; the apostrophe
# is among them so that the one put before such a cell can be told from one that was there.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "'")


def write(source: Source, folder: Path) -> None:
    """Write every published table into a folder."""
    for table in source.tables:
        path = folder / source.file(f"{table.name}.csv")
        with open(path, "w", encoding="utf-8-sig", newline="") as handle:
            writer = csv.writer(handle)
            writer.writerow([column.name for column in table.columns])
            writer.writerows([cell(value) for value in row] for row in source.rows(table))


def cell(value: Any) -> str:
    """A value as it stands in a cell; one that there is none of is empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, date):
        return value.isoformat()
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(FORMULA) else text
