"""Public statistics: every published form becomes records of the feed's columns; `series_key` holds the dimensions."""

from __future__ import annotations

from pathlib import Path

from ingest.contract import Contract
from ingest.readers.records import Reading, Unreadable
from ingest.readers.series.portal import portal_records
from ingest.readers.text import read_records, utf8_copy


def series_readings(contract: Contract, kind: str, path: Path, scratch: Path) -> list[Reading]:
    """The one reading of a delivery of public statistics whose bytes are of `kind` (see `ingest.readers.kind_of`).

    Raises:
        Unreadable: no known form of published statistics.
    """
    if kind != "text":
        raise Unreadable(f"unreadable: the bytes are {kind}, which holds no known form of public statistics")
    utf8 = utf8_copy(path, scratch)
    return [Reading(records=lambda: portal_records(contract, read_records(utf8, ",")))]
