"""The same rows in every format of a table."""

from __future__ import annotations

import csv
import gzip
import html
import io
import json
from collections.abc import Callable
from datetime import date
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import xlwt

FUNDS = ["变动编号", "基金编码", "管理人代码", "变动日期", "认缴变动额(万元)", "实缴变动额(万元)"]
FUND = ["F1", "SAB123", "68501913-3", date(2024, 1, 2), 1.5, -2]
Rows = list[list[Any]]


def xlsx(*sheets: Rows, merge: list[str] | None = None, change: Callable[[Any], None] | None = None) -> bytes:
    """A workbook with the given sheets."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for number, rows in enumerate(sheets, 1):
        sheet = book.create_sheet(f"表{number}")
        for row in rows:
            sheet.append(row)
        for area in merge or []:
            sheet.merge_cells(area)
    if change:
        change(book)
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def xls(rows: Rows) -> bytes:
    book = xlwt.Workbook()
    sheet = book.add_sheet("表1")
    day = xlwt.easyxf(num_format_str="yyyy-mm-dd")
    for line, row in enumerate(rows):
        for column, value in enumerate(row):
            if value not in (None, ""):
                sheet.write(line, column, value, *([day] if isinstance(value, date) else []))
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def text(rows: Rows, delimiter: str = ",") -> str:
    target = io.StringIO()
    csv.writer(target, delimiter=delimiter).writerows(rows)
    return target.getvalue()


def html_table(rows: Rows) -> bytes:
    lines = ("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return ("<html><meta charset='utf-8'><body><table>" + "\n".join(lines) + "</table></body></html>").encode()


def records(rows: Rows) -> list[dict[str, Any]]:
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def parquet(rows: Rows) -> bytes:
    target = io.BytesIO()
    pq.write_table(pa.table({name: list(column) for name, *column in zip(*rows, strict=True)}), target)
    return target.getvalue()


FORMATS: dict[str, Callable[[Rows], bytes]] = {
    "csv": lambda rows: text(rows).encode(),
    "csv with BOM": lambda rows: text(rows).encode("utf-8-sig"),
    "tsv": lambda rows: text(rows, "\t").encode(),
    "csv in GB18030": lambda rows: text(rows).encode("gb18030"),
    "csv.gz": lambda rows: gzip.compress(text(rows).encode()),
    "xlsx": lambda rows: xlsx(rows),
    "xls": xls,
    "HTML": html_table,
    "HTML in GB18030": lambda rows: html_table(rows).decode().replace("utf-8", "gbk").encode("gb18030"),
    "JSON": lambda rows: json.dumps(records(rows), default=str, ensure_ascii=False).encode(),
    "JSON in an object": lambda rows: json.dumps({"code": 0, "data": {"list": records(rows)}}, default=str).encode(),
    "Parquet": parquet,
}
