"""Readers turn a delivery's bytes into records of text cells; the bytes decide the format, never the suffix."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path

from ingest.contract import Contract
from ingest.readers.records import Reading, Unreadable
from ingest.readers.series import series_readings
from ingest.readers.text import text_readings

# Unpacked, a delivery may be this large: 10^8 rows of tax records are about 8 GB.
UNPACKED_LIMIT = 16 << 30
CHUNK = 1 << 20
_MAGIC = {
    b"PK\x03\x04": "a zip archive (.xlsx)",
    b"\xd0\xcf\x11\xe0": "an OLE document (.xls)",
    b"\x1f\x8b": "gzip",
    b"PAR1": "Parquet",
}
_READERS: dict[str, Callable[[Path, Path], list[Reading]]] = {"text": text_readings}


def open_readings(contract: Contract, path: Path, scratch: Path) -> list[Reading]:
    """The ways to read a delivery's bytes; temporary copies go below `scratch`.

    Raises:
        Unreadable: no reader takes these bytes; the message says what they are.
    """
    if (kind := kind_of(path)) == "gzip":
        path = _unpacked(path, scratch)
        kind = kind_of(path)
    if contract.layout == "series":
        return series_readings(contract, kind, path, scratch)
    if kind not in _READERS:
        raise Unreadable(f"unreadable: the bytes are {kind}; no reader takes them")
    return _READERS[kind](path, scratch)


def kind_of(path: Path) -> str:
    """What the bytes are, by how they begin."""
    with open(path, "rb") as handle:
        head = handle.read(8)
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "text")


def _unpacked(path: Path, scratch: Path) -> Path:
    """The content of a gzip file, in a file below `scratch`."""
    target, size = scratch / "unpacked", 0
    try:
        with gzip.open(path) as source, open(target, "wb") as copy:
            while data := source.read(CHUNK):
                size += len(data)
                if size > UNPACKED_LIMIT:
                    raise Unreadable(f"unreadable: the gzip holds more than {UNPACKED_LIMIT >> 30} GiB")
                copy.write(data)
    except (EOFError, OSError, zlib.error) as error:
        raise Unreadable(f"unreadable: the gzip is broken after {size} bytes: {error}") from None
    return target
