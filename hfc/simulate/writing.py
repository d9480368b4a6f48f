"""One delivery as an office would send it: dialects, workbooks, pages that call themselves .xls; always labelled."""

from __future__ import annotations

import csv
import gzip
import html
import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path

from hfc.home import replacing

LABEL = "模拟数据 SYNTHETIC DATA, not actual figures"
NOTE = "注：" + LABEL
Cell = str | int | Decimal | date
Row = Sequence[Cell]

# Encoding, delimiter, line end and suffix of the text dialects.
_DIALECTS = (
    ("utf-8", ",", "\n", ".csv"),
    ("gb18030", ",", "\r\n", ".csv"),
    ("utf-8-sig", "\t", "\r\n", ".tsv"),
    ("utf-8-sig", ",", "\n", ".csv"),
    ("utf-8", ",", "\n", ".csv.gz"),
)
_PLAIN = (0, 1, 4)  # the dialects whose rows DuckDB writes
# Workbooks and pages are read in a process of their own, which takes time: few of them.
TEXTS = 4  # the first forms, which are plain text: for the feeds with the most deliveries
_FORMS = (0, 1, 2, 3, "workbook", 4, 0, 1, 2, 3, 4, "page")
_EPOCH = date(1899, 12, 30)  # day 0 of a workbook
_OLDEST = (1980, 1, 1, 0, 0, 0)  # the time of every member of an archive: the same rows give the same bytes


@dataclass(frozen=True)
class Delivery:
    """What one file says. Without `body` the rows follow the header; `body` is a file of ready lines, however many.

    `turn` chooses the form among all that offices use; `part` tells two files of one day apart.
    """

    feed: str
    published_on: date
    header: Sequence[str]
    rows: Sequence[Row]
    turn: int
    body: Path | None = None
    part: str = ""
    notes: Sequence[str] = field(default=(NOTE,))


def write(out: Path, delivery: Delivery) -> Path:
    """Write a delivery and its sidecar below `out`; the same delivery gives the same bytes."""
    if delivery.body:
        form: int | str = _PLAIN[delivery.turn % len(_PLAIN)]
    else:
        form = _FORMS[delivery.turn % len(_FORMS)]
    suffix = {"workbook": ".xlsx", "page": ".xls"}.get(str(form)) or _DIALECTS[int(form)][3]
    name = f"{delivery.feed}_synthetic{delivery.part}__{delivery.published_on:%Y%m%d}{suffix}"
    target = out / delivery.feed / name
    with replacing(target) as temporary:
        if form == "workbook":
            _write_workbook(temporary, [[LABEL], delivery.header, *delivery.rows, *([note] for note in delivery.notes)])
        elif form == "page":
            temporary.write_text(_page(delivery), encoding="utf-8")
        else:
            _write_text(temporary, delivery, int(form))
    label(target)
    return target


def label(target: Path) -> None:
    """The sidecar that says what a synthetic file is."""
    with replacing(target.with_name(target.name + ".meta.yaml")) as temporary:
        temporary.write_text(f"synthetic: true\nlicence: CC0-1.0\nnote: {LABEL}\n", encoding="utf-8")


def _write_text(target: Path, delivery: Delivery, dialect: int) -> None:
    encoding, delimiter, newline, suffix = _DIALECTS[dialect]
    with open(target, "wb") as raw:
        packed = gzip.GzipFile("", "wb", 6, raw, mtime=0) if suffix.endswith(".gz") else raw
        with io.TextIOWrapper(packed, encoding=encoding, newline=newline) as text:
            for piece in _pieces(delivery, delimiter, dialect):
                text.write(piece)


def _pieces(delivery: Delivery, delimiter: str, dialect: int) -> Iterator[str]:
    yield _lines([[LABEL], delivery.header], delimiter)
    if delivery.body:
        with open(delivery.body, encoding="utf-8", newline="") as body:
            while piece := body.read(1 << 20):
                yield piece
    yield _lines(_printed(delivery.rows, dialect), delimiter)
    yield _lines(([note] for note in delivery.notes), delimiter)


def _lines(rows: Iterable[Row], delimiter: str) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return buffer.getvalue()


def _printed(rows: Iterable[Row], form: int) -> Iterator[list[str]]:
    for number, row in enumerate(rows):
        yield [_text(cell, form, number) for cell in row]


def _text(cell: Cell, form: int, number: int) -> str:
    """A cell as an office prints it: dates in four ways, amounts with or without thousands separators."""
    if isinstance(cell, date):
        return (
            f"{cell:%Y-%m-%d}",
            f"{cell.year}/{cell.month}/{cell.day}",
            f"{cell:%Y%m%d}",
            f"{cell.year}年{cell.month}月{cell.day}日",
        )[(form + number // 7) % 4]
    if isinstance(cell, Decimal):
        return f"{cell:,}" if form % 2 else f"{cell}"
    return str(cell)


def _page(delivery: Delivery) -> str:
    """A page with one table, as old systems export it under the name .xls."""
    rows = [[LABEL], delivery.header, *_printed(delivery.rows, 1), *([note] for note in delivery.notes)]
    lines = ("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return '<html><head><meta charset="utf-8"></head><body><table>\n' + "\n".join(lines) + "\n</table></body></html>\n"


def _write_workbook(target: Path, rows: Iterable[Row]) -> None:
    """A workbook of one sheet (ECMA-376), texts inline, dates as serial numbers."""
    sheet = "".join(f"<row>{''.join(map(_xml, row))}</row>" for row in rows)
    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    links = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    packed = "http://schemas.openxmlformats.org/package/2006"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    members = {
        "[Content_Types].xml": f'<Types xmlns="{packed}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
        f'<Override PartName="/xl/styles.xml" ContentType="{kind}.styles+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{kind}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{packed}/relationships">'
        f'<Relationship Id="rId1" Type="{links}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook {main} xmlns:r="{links}"><sheets>'
        '<sheet name="模拟数据" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{packed}/relationships">'
        f'<Relationship Id="rId1" Type="{links}/worksheet" Target="worksheets/sheet1.xml"/>'
        f'<Relationship Id="rId2" Type="{links}/styles" Target="styles.xml"/></Relationships>',
        "xl/styles.xml": f'<styleSheet {main}><fonts count="1"><font/></fonts><fills count="1"><fill/></fills>'
        '<borders count="1"><border/></borders><cellStyleXfs count="1"><xf/></cellStyleXfs><cellXfs count="2"><xf/>'
        '<xf numFmtId="14" applyNumberFormat="1"/></cellXfs></styleSheet>',
        "xl/worksheets/sheet1.xml": f"<worksheet {main}><sheetData>{sheet}</sheetData></worksheet>",
    }
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            content = f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n{text}'
            archive.writestr(zipfile.ZipInfo(name, _OLDEST), content, zipfile.ZIP_DEFLATED)


def _xml(cell: Cell) -> str:
    if isinstance(cell, date):
        return f'<c s="1"><v>{(cell - _EPOCH).days}</v></c>'
    if isinstance(cell, (int, Decimal)):
        return f"<c><v>{cell}</v></c>"
    return f'<c t="inlineStr"><is><t xml:space="preserve">{html.escape(cell)}</t></is></c>'
