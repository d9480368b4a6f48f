"""SDMX-ML 2.1 data messages, generic and structure-specific, by series or flat, read by the library sdmx1.

The library builds an object of every observation, so it runs in the child of `ingest.readers.child`: see `sheets`.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lxml import etree

from ingest.contract import Sdmx
from ingest.readers.limits import CHUNK
from ingest.readers.records import Reading, Record
from ingest.readers.series.observations import Observation
from ingest.readers.series.sdmx import Cell, Structure, dimensions_among, observation_of, refused

SIZE_LIMIT = 512 << 20
_DATA = re.compile(r"(Generic|StructureSpecific)(TimeSeries)?Data")
_ENCODING = re.compile(rb"<\?xml[^>]*encoding\s*=\s*[\"']([^\"']+)")
# What a data set says of itself besides the attributes of its structure.
_DATA_SET = ("action", "dataScope", "publicationPeriod", "publicationYear", "reportingBeginDate", "reportingEndDate",
             "setID", "structureRef", "type", "validFromDate", "validToDate")  # fmt: skip


@dataclass
class _Outline:
    """What the library does not tell: the message's kind, what its data sets say of themselves, texts of errors."""

    root: str = ""
    actions: list[str] = field(default_factory=list)
    attributes: list[dict[str, str]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


def xml_observations(sdmx: Sdmx, read: Reading) -> Iterator[Observation]:
    """The observations of a message that the child has read: of each its structure, action, key and other components.

    A generic message tells the key from attributes; in a structure-specific one what stands beside the key's
    dimensions may be an attribute, too.
    """
    for record in read.records():
        kind, agency, identifier, action, key, others = record.cells
        structure, dimensions = Structure(agency, identifier), json.loads(key)
        components = {**json.loads(others), **dimensions}
        names = set(dimensions) if kind == "Generic" else dimensions_among(sdmx, structure, dimensions)
        cell = Cell(record.line, structure, components, is_deleted=action.lower() == "delete")
        yield observation_of(sdmx, cell, names)


def sheets(path: Path, scratch: Path) -> Iterator[tuple[None, Iterator[Record]]]:
    """The one table of a message: its observations, numbered, as `xml_observations` takes them.

    Raises:
        Unreadable: a document type (it could hold entities), no data message of SDMX-ML 2.1, or the service's error.
    """
    import sdmx as library

    _refuse_document_types(path)
    outline = _outline(path)
    kind = _DATA.fullmatch(outline.root)
    if not kind:
        raise refused(f"{outline.root} {' '.join(outline.texts)}".strip())
    logging.getLogger("sdmx").setLevel(logging.ERROR)
    try:
        with open(path, "rb") as handle:
            message: Any = library.read_sdmx(handle)
    except Exception as error:
        raise refused(f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}") from None
    if not any(data.obs for data in message.data):
        raise refused(f"no observation {' '.join(outline.texts)}".strip())
    yield None, _rows(kind.group(1), message, outline)


def _rows(kind: str, message: Any, outline: _Outline) -> Iterator[Record]:
    line = 0
    for data, action, attached in zip(message.data, outline.actions, outline.attributes, strict=True):
        flow = data.structured_by
        agency = flow.maintainer.id if flow.maintainer else ""
        for found in data.obs:
            line += 1
            key = {name: value.value for name, value in found.key.values.items()}
            others = {name: str(value.value) for name, value in (data.attrib | found.attrib).items()}
            others |= attached | {"OBS_VALUE": found.value or ""}
            cells = [kind, agency, flow.id, action or "-", json.dumps(key), json.dumps(others)]
            yield Record(line, cells)


def _refuse_document_types(path: Path) -> None:
    """Look at the bytes before any parser does."""
    if path.stat().st_size > SIZE_LIMIT:
        raise refused(f"more than {SIZE_LIMIT >> 20} MiB of XML")
    before = b""
    with open(path, "rb") as handle:
        while data := handle.read(CHUNK):
            if not before and (encoding := _ENCODING.match(data.removeprefix(b"\xef\xbb\xbf").lstrip())):
                name = encoding.group(1).decode("ascii", "replace")
                if name.upper() not in ("UTF-8", "US-ASCII", "ASCII"):
                    raise refused(f"the XML is in {name}; deliver it in UTF-8")
            if b"<!DOCTYPE" in before + data or b"<!ENTITY" in before + data:
                raise refused("the XML declares a document type or an entity")
            before = data[-16:]


def _outline(path: Path) -> _Outline:
    """One pass over the elements without keeping them."""
    outline = _Outline()
    try:
        for event, element in etree.iterparse(
            str(path), events=("start", "end"), resolve_entities=False, no_network=True
        ):
            name = _local(element.tag)
            if event == "start":
                outline.root = outline.root or name
                if name == "DataSet":
                    said = {_local(str(key)): str(text) for key, text in element.attrib.items()}
                    outline.actions.append(said.get("action", ""))
                    outline.attributes.append({key: text for key, text in said.items() if key not in _DATA_SET})
            elif name == "Text":
                outline.texts.append((element.text or "").strip())
            else:
                element.clear()
    except etree.XMLSyntaxError as error:
        raise refused(f"line {error.lineno}: {error.msg}") from None
    return outline


def _local(name: str) -> str:
    return name.rpartition("}")[2]
