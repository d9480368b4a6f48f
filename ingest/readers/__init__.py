"""Readers turn a delivery's bytes into records of text cells; the bytes decide the format, never the suffix."""

from __future__ import annotations

from pathlib import Path

from ingest.contract import Contract
from ingest.readers.nbs import portal_records
from ingest.readers.records import Reading, Unreadable
from ingest.readers.text import read_records, text_readings, utf8_copy

_BINARY = {
    b"PK\x03\x04": "a zip archive (.xlsx?)",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook (.xls)",
    b"\x1f\x8b": "gzip",
    b"PAR1": "Parquet",
}


def open_readings(contract: Contract, path: Path, scratch: Path) -> list[Reading]:
    """The ways to read a delivery's bytes; temporary copies go below `scratch`.

    Raises:
        Unreadable: no reader takes these bytes; the message says what they are.
    """
    with open(path, "rb") as handle:
        magic = handle.read(8)
    for prefix, kind in _BINARY.items():
        if magic.startswith(prefix):
            raise Unreadable(f"unreadable: the bytes are {kind}; this feed takes CSV or TSV text")
    if contract.layout == "nbs_csv":
        utf8 = utf8_copy(path, scratch)
        return [Reading(records=lambda: portal_records(contract, read_records(utf8, ",")))]
    return text_readings(path, scratch)
