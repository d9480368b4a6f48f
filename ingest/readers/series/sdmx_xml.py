"""SDMX-ML data messages: generic, structure-specific (2.1 and 3.x) and compact (2.0), by series or flat.

Two passes over the text keep no more than the header, the groups and one series in memory: groups may stand behind the
series they describe. They run in the child of `ingest.readers.child`: see `sheets`.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lxml import etree

from ingest.contract import Sdmx
from ingest.readers.limits import CHUNK
from ingest.readers.records import Reading, Record
from ingest.readers.series.observations import Observation
from ingest.readers.series.sdmx import Cell, Structure, dimensions_among, observation_of, refused, structure_of

SIZE_LIMIT = 512 << 20
_DATA = re.compile(r"(Generic|StructureSpecific)(TimeSeries)?Data|CompactData|MessageGroup")
_KNOWN = "is none of GenericData, StructureSpecificData, CompactData and MessageGroup"
_ENCODING = re.compile(rb"<\?xml[^>]*encoding\s*=\s*[\"']([^\"']+)")
# What a data set says of itself besides the attributes of its structure.
_DATA_SET = ("action", "dataScope", "datasetID", "keyFamilyURI", "publicationPeriod", "publicationYear",
             "reportingBeginDate", "reportingEndDate", "setID", "structureRef", "type", "validFromDate",
             "validToDate")  # fmt: skip
_NO_GROUPS = ("Annotations", "Attributes", "Atts", "DataProvider", "DataProviderSchemeAgencyId", "KeyFamilyRef", "Obs",
              "Section", "Series")  # fmt: skip
_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
_FLAT = "AllDimensions"
_TIME = "TIME_PERIOD"

Components = dict[str, str]


@dataclass(frozen=True)
class _Named:
    """A structure that the header names, and the dimension that tells the observations of a series apart."""

    structure: Structure
    at_observation: str = _TIME


@dataclass
class _DataSet:
    """What a data set says before its observations are read.

    `groups` are pairs of a key and attributes; where a group does not mark its key, all is in the second.
    """

    named: _Named
    is_generic: bool
    action: str
    attributes: Components
    groups: list[tuple[Components, Components]] = field(default_factory=list)


@dataclass
class _Outline:
    """The message without its observations: its kind, what its data sets say, texts of errors and notices."""

    root: str = ""
    sender: str = ""
    named: dict[str, _Named] = field(default_factory=dict)
    data: list[_DataSet] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    has_observations: bool = False


def xml_observations(sdmx: Sdmx, read: Reading) -> Iterator[Observation]:
    """The observations of a message that the child has read: of each its structure, action, key and other components.

    A generic message tells the key from attributes; in any other one what stands beside the key's dimensions may be an
    attribute, too.
    """
    known: dict[tuple[Structure, tuple[str, ...]], set[str]] = {}
    for record in read.records():
        kind, agency, identifier, action, key, others = record.cells
        structure, dimensions = Structure(agency, identifier), json.loads(key)
        components = {**json.loads(others), **dimensions}
        names = set(dimensions)
        if kind != "generic":
            form = structure, tuple(dimensions)
            names = known.get(form) or known.setdefault(form, dimensions_among(sdmx, structure, dimensions))
        cell = Cell(record.line, structure, components, is_deleted=action.lower() == "delete")
        yield observation_of(sdmx, cell, names)


def sheets(path: Path, scratch: Path) -> Iterator[tuple[None, Iterator[Record]]]:
    """The one table of a message: its observations, numbered, as `xml_observations` takes them.

    Raises:
        Unreadable: a document type (it could hold entities), no data message of SDMX-ML, or the service's error.
    """
    _refuse_document_types(path)
    outline = _outline(path)
    if not _DATA.fullmatch(outline.root):
        raise refused(f"{outline.root} {' '.join(outline.texts) or _KNOWN}")
    if not outline.has_observations:
        raise refused(f"no observation {' '.join(outline.texts)}".strip())
    yield None, _rows(path, outline)


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


def _events(path: Path) -> Iterator[tuple[bool, str, Any]]:
    """(whether it ends, local name, element) in the order of the text; a series that has ended is let go."""
    names: dict[str, str] = {}
    try:
        for event, element in etree.iterparse(
            str(path),
            events=("start", "end"),
            resolve_entities=False,
            no_network=True,
            remove_comments=True,
            remove_pis=True,
        ):
            name = names.get(element.tag) or names.setdefault(element.tag, _local(element.tag))
            yield event == "end", name, element
            if event == "end" and name in ("Series", "Obs", "Group"):
                element.clear(keep_tail=True)
                while element.getprevious() is not None:
                    element.getparent().remove(element.getprevious())
    except etree.XMLSyntaxError as error:
        raise refused(f"line {error.lineno}: {error.msg}") from None


def _outline(path: Path) -> _Outline:
    outline = _Outline()
    for ended, name, element in _events(path):
        if not ended:
            outline.root = outline.root or name
            if name == "DataSet":
                outline.data.append(_data_set(outline, element))
            outline.has_observations |= name == "Obs" and bool(outline.data)
        elif name == "Header":
            _read_header(outline, element)
        elif name == "Text" and _parent(element) in ("Message", "ErrorMessage"):
            outline.texts.append((element.text or "").strip())
        elif _parent(element) == "DataSet":
            _read_part(outline.data[-1], name, element)
    return outline


def _read_header(outline: _Outline, header: Any) -> None:
    """The structures by the id under which data sets refer to them; 2.0 has at most one, and no such id."""
    outline.sender = next((sender.get("id", "") for sender in header.iterchildren("{*}Sender")), "")
    for element in header.iterchildren("{*}Structure"):
        named = _Named(_referred(element), element.get("dimensionAtObservation", _TIME))
        outline.named[element.get("structureID", "")] = named
    family = header.findtext("{*}KeyFamilyRef")
    if family:
        agency = header.findtext("{*}KeyFamilyAgency") or outline.sender
        outline.named.setdefault("", _Named(Structure(agency.strip(), family.strip())))


def _referred(element: Any) -> Structure:
    """The structure, its use or the provision that a reference names: by its parts, or by a URN."""
    for part in element.iter():
        if _local(part.tag) == "Ref":
            return Structure(part.get("agencyID", ""), part.get("id", ""))
        if found := structure_of((part.text or "").strip()):
            return found
    raise refused(f"the header names no structure for {element.get('structureID')}")


def _data_set(outline: _Outline, element: Any) -> _DataSet:
    """A data set by how it begins.

    Raises:
        Unreadable: several structures, and the data set refers to none of them.
    """
    said = {_local(str(key)): str(text) for key, text in element.attrib.items()}
    reference = said.get("structureRef", "")
    if reference in outline.named:
        named = outline.named[reference]
    elif len(outline.named) == 1:
        (named,) = outline.named.values()
    elif outline.named:
        raise refused(f"data set {len(outline.data) + 1} refers to the structure {reference}, which no header names")
    else:
        named = _Named(_family(outline, element, said))
    attributes = {key: text for key, text in said.items() if key not in _DATA_SET and not key.endswith("chemaLocation")}
    is_generic = "Generic" in outline.root or (outline.root == "MessageGroup" and _space(element).endswith("/generic"))
    return _DataSet(named, is_generic, said.get("action", ""), attributes)


def _family(outline: _Outline, element: Any, said: Components) -> Structure:
    """The key family that a data set of 2.0 is of: by its namespace or address, else its own id; of the sender."""
    urn = _space(element).rpartition("KeyFamily=")[2]
    if found := structure_of(":".join(urn.split(":")[:2])):
        return found
    address = said.get("keyFamilyURI", "")
    return Structure(outline.sender, address.rpartition("/")[2] or said.get("datasetID", ""))


def _read_part(data: _DataSet, name: str, element: Any) -> None:
    """A part of a data set besides its observations: a group, or the data set's own attributes."""
    if name == "KeyFamilyRef" and element.text:
        data.named = replace(data.named, structure=Structure(data.named.structure.agency, element.text.strip()))
    elif name == "Attributes":
        data.attributes |= _values(element)
    elif name == "Atts":
        data.attributes |= _stated(element)
    elif name == "Group" and data.is_generic:
        data.groups.append((_values(_child(element, "GroupKey")), _values(_child(element, "Attributes"))))
    elif name not in _NO_GROUPS:
        data.groups.append(({}, _stated(element)))


def _rows(path: Path, outline: _Outline) -> Iterator[Record]:
    """One record an observation, numbered over all data sets."""
    walk, line = _Walk(iter(outline.data)), 0
    for ended, name, element in _events(path):
        if not ended:
            walk.start(name, element)
        elif name == "Obs":
            line += 1
            yield Record(line, walk.cells(element))
        else:
            walk.end(name, element)


class _Walk:
    """Where the second pass stands: the data set, its groups, and what the series of an observation says."""

    def __init__(self, data: Iterator[_DataSet]) -> None:
        self._sets = data
        self._data = _DataSet(_Named(Structure("", "")), is_generic=False, action="", attributes={})
        self._groups = _Groups(self._data)
        self._key: Components = {}
        self._attributes: Components = {}

    def start(self, name: str, element: Any) -> None:
        if name == "DataSet":
            self._data = next(self._sets)
            self._groups = _Groups(self._data)
        if name in ("DataSet", "Series"):
            self._key = _attributes(element) if name == "Series" else {}
            self._attributes = {}

    def end(self, name: str, element: Any) -> None:
        if name == "SeriesKey":
            self._key = _values(element)
        elif name == "Series":
            self._key, self._attributes = {}, {}
        elif name == "Attributes" and _parent(element) == "Series":
            self._attributes |= _values(element)
        elif name == "Comp" and _parent(element) == "Series":
            self._attributes |= _complex([element])

    def cells(self, element: Any) -> list[str]:
        """The cells of the record of an observation."""
        data = self._data
        own, others = _generic(data, element) if data.is_generic else _specific(data, element, bool(self._key))
        key = own | self._key  # the dimension at the observation first, before any attribute of the series
        others = data.attributes | self._groups.of(key | others) | self._attributes | others
        agency, identifier = data.named.structure.agency, data.named.structure.id
        kind = "generic" if data.is_generic else "specific"
        return [kind, agency, identifier, data.action or "-", json.dumps(key), json.dumps(others)]


def _generic(data: _DataSet, element: Any) -> tuple[Components, Components]:
    """(the components of an observation's own key, its value and attributes) in a generic data set."""
    key: Components = {}
    others: Components = {}
    for part in element.iterchildren():
        match _local(part.tag):
            case "ObsKey":
                key |= _values(part)
            case "ObsDimension":
                key[part.get("id", data.named.at_observation)] = part.get("value", "")
            case "Time":
                key[_TIME] = (part.text or "").strip()
            case "ObsValue":
                others["OBS_VALUE"] = part.get("value", "")
            case "Attributes":
                others |= _values(part)
    return key, others


def _specific(data: _DataSet, element: Any, is_in_series: bool) -> tuple[Components, Components]:
    """The same of any other data set: in a series, only the dimension at the observation belongs to the key."""
    stated, at = _stated(element), data.named.at_observation
    if not is_in_series or at == _FLAT:
        return stated, {}
    if at not in stated and (kind := element.get(_TYPE)):
        stated[at] = kind.rpartition(":")[2]  # an explicit measure is told by the type of its observation
    return {name: text for name, text in stated.items() if name == at}, stated


class _Groups:
    """Attributes of groups by the values of their keys.

    A generic group marks its key; of any other one the key is what the observations have as well.
    """

    def __init__(self, data: _DataSet) -> None:
        self._groups = data.groups
        self._is_generic = data.is_generic
        self._indices: dict[frozenset[str], dict[tuple[str, ...], dict[tuple[str, ...], Components]]] = {}

    def of(self, components: Components) -> Components:
        """The attributes of every group that an observation's components belong to."""
        if not self._groups:
            return {}
        found: Components = {}
        for names, groups in self._index(frozenset(components)).items():
            found |= groups.get(tuple(components[name] for name in names), {})
        return found

    def _index(self, present: frozenset[str]) -> dict[tuple[str, ...], dict[tuple[str, ...], Components]]:
        """Names of a key → its values → attributes, for observations that have the components of these names."""
        if present not in self._indices:
            index: dict[tuple[str, ...], dict[tuple[str, ...], Components]] = defaultdict(dict)
            for key, attributes in self._groups:
                key = key if self._is_generic else {n: text for n, text in attributes.items() if n in present}
                names = tuple(sorted(key))
                if names and present.issuperset(names):
                    others = {name: text for name, text in attributes.items() if name not in key}
                    index[names].setdefault(tuple(key[name] for name in names), {}).update(others)
            self._indices[present] = index
        return self._indices[present]


def _attributes(element: Any) -> Components:
    """An element's own XML attributes, those of other vocabularies left out."""
    return {str(name): str(text) for name, text in element.attrib.items() if not name.startswith("{")}


def _stated(element: Any) -> Components:
    return _attributes(element) | _complex(element.iterchildren("{*}Comp"))


def _complex(elements: Iterable[Any]) -> Components:
    """The components that 3.x states in elements: several values joined, of several languages the first."""
    found = {}
    for element in elements:
        texts = [(part.text or next(iter(part.itertext("{*}Text")), "")).strip() or "".join(part.itertext()).strip()
                 for part in element.iterchildren("{*}Value")]  # fmt: skip
        found[element.get("id", "")] = ";".join(filter(None, texts))
    return found


def _values(element: Any) -> Components:
    """The values of a generic key or list of attributes; 2.0 calls the id a concept."""
    if element is None:
        return {}
    return {part.get("id") or part.get("concept", ""): part.get("value", "") for part in element.iterchildren()}


def _parent(element: Any) -> str:
    parent = element.getparent()
    return "" if parent is None else _local(parent.tag)


def _space(element: Any) -> str:
    return str(etree.QName(element).namespace or "")


def _child(element: Any, name: str) -> Any:
    return next(element.iterchildren(f"{{*}}{name}"), None)


def _local(name: str) -> str:
    return str(name).rpartition("}")[2]
