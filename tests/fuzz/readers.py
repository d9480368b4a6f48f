"""Coverage-guided fuzzing of one reader: whatever the bytes, they are refused with a reason, or read as records.

    python tests/fuzz/readers.py FORM [options of libFuzzer, such as -runs=10000 or -max_total_time=60]

FORM is text, HTML, JSON, Parquet, workbook (the bytes of an .xls or .xlsx) or sheet (the XML of one sheet of an .xlsx).
An input that breaks the promise is left as crash-… in the working directory; give its name to run it again. Workbooks
run in their child, which no coverage guides.
"""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris

sys.path.insert(0, str(Path(__file__).parent.parent))
with atheris.instrument_imports(include=["ingest.readers"]):
    from ingest.readers import child, columnar, table, text
    from ingest.readers import documents as _documents  # noqa: F401  so that they are instrumented too
    from ingest.readers import html as _html  # noqa: F401

from formats import FORMATS, FUND, FUNDS, xlsx

from ingest.contract import load_contracts
from ingest.readers.limits import CELL_LIMIT, COLUMN_LIMIT
from ingest.readers.records import Reading, Record, Unreadable

CONTRACT = load_contracts()["fund_commitments"]
ROWS = [FUNDS, FUND, ["F2", *FUND[1:]]]
WORKBOOK = xlsx(ROWS, merge=["A2:A3"])
SHEET = "xl/worksheets/sheet1.xml"
SEEDS = {
    "text": ("csv", "tsv", "csv in GB18030"),
    "HTML": ("HTML", "HTML in GB18030"),
    "JSON": ("JSON", "JSON in an object"),
    "Parquet": ("Parquet",),
    "workbook": ("xls", "xlsx"),
}


def readings(form: str, path: Path, folder: Path) -> list[Reading]:
    """As `open_readings`, in this process, but for workbooks: they can make calamine take all memory and end it."""
    if form == "text":
        return text.text_readings(path, folder)
    if form == "workbook":
        return child.isolated(form, path, folder)
    found = child.result(form, path, folder)
    if "refused" in found:
        columnar._database.cache_clear()  # a damaged file can make DuckDB give it up
        raise Unreadable(found["refused"])
    return columnar.readings_of(path, *found["done"]) if form == "Parquet" else child.written(found["done"], folder)


def check(form: str, data: bytes) -> None:
    """The promise: each record has its place and proper cells, and so has each row below a header."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "delivery"
        path.write_bytes(with_sheet(data) if form == "sheet" else data)
        try:
            found = readings("workbook" if form == "sheet" else form, path, Path(folder))
        except Unreadable as error:
            assert str(error)
            return
        for reading in found:
            check_reading(reading)


def check_reading(reading: Reading) -> None:
    try:
        lines = []
        for record in reading.records():
            lines.append(record.line)
            assert len(record.cells) <= COLUMN_LIMIT
            assert all(len(cell.encode("utf-8")) <= 4 * CELL_LIMIT and "\0" not in cell for cell in record.cells)
        assert lines == sorted(set(lines))
        rows = [item for item in table.split(CONTRACT, reading) if isinstance(item, Record)]
        assert len(rows) <= len(lines)
    except Unreadable as error:
        assert str(error)


def with_sheet(xml: bytes) -> bytes:
    """A workbook with this sheet."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(WORKBOOK)) as source, zipfile.ZipFile(target, "w") as copy:
        for name in source.namelist():
            copy.writestr(name, xml if name == SHEET else source.read(name))
    return target.getvalue()


def seeds(form: str) -> list[bytes]:
    if form == "sheet":
        with zipfile.ZipFile(io.BytesIO(WORKBOOK)) as archive:
            return [archive.read(SHEET)]
    return [FORMATS[name](ROWS) for name in SEEDS[form]]


def main() -> None:
    form, *options = sys.argv[1:]
    with TemporaryDirectory() as corpus:
        for number, data in enumerate(seeds(form)):
            (Path(corpus) / str(number)).write_bytes(data)
        target: Callable[[bytes], None] = partial(check, form)
        atheris.Setup([sys.argv[0], *options, corpus], target)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
