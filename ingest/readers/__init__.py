"""Readers turn a delivery's bytes into records of text cells; the bytes decide the format, never the suffix.

Each format's library is imported by the delivery that needs it: the child of `ingest.readers.child` starts quickly.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.readers.limits import CHUNK, unpacked_limit
from ingest.readers.records import Reading, Unreadable

if TYPE_CHECKING:
    from ingest.contract import Contract

_MAGIC = {
    b"PK\x03\x04": "a zip archive (.xlsx)",
    b"\xd0\xcf\x11\xe0": "an OLE document (.xls)",
    b"\x1f\x8b": "gzip",
    b"PAR1": "Parquet",
}
HEAD = 4096


def open_readings(contract: Contract, path: Path, scratch: Path) -> list[Reading]:
    """The ways to read a delivery's bytes; temporary copies go below `scratch`.

    Raises:
        Unreadable: no reader takes these bytes; the message says what they are.
    """
    if (kind := kind_of(path)) == "gzip":
        path = _unpacked(path, scratch)
        if (kind := kind_of(path)) == "gzip":
            raise Unreadable("unreadable: a gzip inside a gzip; pack the file once")
    if contract.layout == "series":
        from ingest.readers.series import series_readings

        return series_readings(contract, kind, path, scratch)
    return _table_readings(kind, path, scratch)


def kind_of(path: Path) -> str:
    """What the bytes are, by how they begin."""
    with open(path, "rb") as handle:
        head = handle.read(8)
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "text")


def _table_readings(kind: str, path: Path, scratch: Path) -> list[Reading]:
    from ingest.readers.child import isolated
    from ingest.readers.text import text_readings

    if kind == "Parquet":
        from ingest.readers.columnar import parquet_readings

        return parquet_readings(path, scratch)
    if kind != "text":
        return isolated("workbook", path, scratch)
    form = _form_of_text(path)
    return text_readings(path, scratch) if form == "text" else isolated(form, path, scratch)


def _form_of_text(path: Path) -> str:
    """HTML, JSON or plain text, by the first character that is no blank."""
    with open(path, "rb") as handle:
        head = handle.read(HEAD).removeprefix(b"\xef\xbb\xbf").lstrip()
    return {b"<": "HTML", b"{": "JSON", b"[": "JSON"}.get(head[:1], "text")


def _unpacked(path: Path, scratch: Path) -> Path:
    """The content of a gzip file, in a file below `scratch`."""
    target, size, limit = scratch / "unpacked", 0, unpacked_limit(path)
    try:
        with gzip.open(path) as source, open(target, "wb") as copy:
            while data := source.read(CHUNK):
                size += len(data)
                if size > limit:
                    raise Unreadable(f"unreadable: the gzip holds more than {limit >> 20} MiB")
                copy.write(data)
    except (EOFError, OSError, zlib.error) as error:
        raise Unreadable(f"unreadable: the gzip is broken after {size} bytes: {error}") from None
    return target
