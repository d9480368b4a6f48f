"""SDMX-JSON data messages 1.0 and 2.x: numbers keep their printed digits, attributes of every level are kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from ingest.contract import Sdmx
from ingest.readers.series.observations import Observation
from ingest.readers.series.sdmx import Cell, Structure, observation_of, refused, structure_of

_LEVELS = ("dataSet", "series", "observation")


def is_sdmx_json(document: Any) -> bool:
    """Whether a JSON document is a data message or an error of SDMX-JSON."""
    return isinstance(document, dict) and bool({"dataSets", "errors"} & {*document, *_content(document)})


def json_observations(sdmx: Sdmx, document: dict[str, Any]) -> Iterator[Observation]:
    """The observations of every data set of a message.

    Raises:
        Unreadable: the service answered with an error (its text is the reason), or the message has another structure.
    """
    content = _content(document)
    if document.get("errors") and not content.get("dataSets"):
        texts = ", ".join(str(e.get("message") or e.get("title") or e) for e in document["errors"])
        raise refused(f"the service answered {texts}")
    try:
        structures = content.get("structures") or [content["structure"]]
        line = 0
        for data in content["dataSets"]:
            reader = _DataSet(structures[int(data.get("structure", 0))], data, document)
            for components, labels in reader.cells():
                line += 1
                cell = Cell(line, reader.structure, components, labels, data.get("action", "").lower() == "delete")
                yield observation_of(sdmx, cell, reader.dimensions)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise refused(f"{error!r}") from None


def _content(document: dict[str, Any]) -> dict[str, Any]:
    """Where a message keeps its data sets: at the top (1.0) or in `data` (2.x)."""
    data = document.get("data")
    return data if isinstance(data, dict) else document


class _DataSet:
    """One data set: components by level, each a list of what its indices mean."""

    def __init__(self, structure: dict[str, Any], data: dict[str, Any], document: dict[str, Any]) -> None:
        self._data = data
        self._dimensions = {level: structure["dimensions"].get(level) or [] for level in _LEVELS}
        self._attributes = structure.get("attributes") or {}
        self._groups: dict[tuple[int, ...], dict[tuple[str, ...], list[Any]]] = defaultdict(dict)
        for group, indices in (data.get("dimensionGroupAttributes") or {}).items():
            places = group.split(":")
            if len(places) != sum(map(len, self._dimensions.values())):
                raise ValueError(f"dimensionGroupAttributes {group} has other dimensions than the observations")
            positions = tuple(position for position, place in enumerate(places) if place)
            self._groups[positions][tuple(filter(None, places))] = indices
        self.dimensions = {d["id"] for level in _LEVELS for d in self._dimensions[level]}
        empty = [d["id"] for level in _LEVELS for d in self._dimensions[level] if not d.get("values")]
        if empty:
            raise ValueError(f"dimension {empty[0]} has no value")
        if len((structure.get("measures") or {}).get("observation") or []) > 1:
            raise ValueError("several measures of one observation")
        self.structure = _named_structure(structure, data, document)

    def cells(self) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
        """(components, labels) of every observation."""
        fixed = [(d, "0") for d in self._dimensions["dataSet"]]
        base = self._stated("dataSet", self._data.get("attributes"))
        yield from self._of_series(base, fixed, self._data.get("observations") or {})
        for key, series in (self._data.get("series") or {}).items():
            stated = self._stated("series", series.get("attributes"))
            own = [*fixed, *self._keyed("series", key)]
            yield from self._of_series([*base, *stated], own, series.get("observations") or {})

    def _of_series(
        self,
        base: list[tuple[dict[str, Any], Any]],
        key: list[tuple[dict[str, Any], Any]],
        observations: dict[str, Any],
    ) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
        for place, values in observations.items():
            own = self._keyed("observation", place)
            stated = self._stated("observation", values[1:])
            found = [*base, *self._of_groups([index for _, index in (*key, *own)]), *key, *own, *stated]
            components = {c["id"]: text for c, index in found if (text := _meaning(c, index, "id"))}
            labels = {c["id"]: text for c, index in found if (text := _meaning(c, index, "name"))}
            value = values[0] if values else None
            yield {**components, "OBS_VALUE": "" if value is None else value}, labels

    def _keyed(self, level: str, key: str) -> list[tuple[dict[str, Any], Any]]:
        dimensions, indices = self._dimensions[level], key.split(":")
        if len(dimensions) != len(indices):
            raise ValueError(f"the {level} {key} has not {len(dimensions)} dimensions")
        return list(zip(dimensions, indices, strict=True))

    def _stated(self, level: str, indices: list[Any] | None) -> list[tuple[dict[str, Any], Any]]:
        return list(zip(self._attributes.get(level) or [], indices or [], strict=False))

    def _of_groups(self, key: list[str]) -> list[tuple[dict[str, Any], Any]]:
        """Attributes of the groups of dimensions that a key belongs to; an empty place of a group's key is any."""
        found = []
        for positions, groups in self._groups.items():
            found += self._stated("dimensionGroup", groups.get(tuple(key[position] for position in positions)))
        return found


def _meaning(component: dict[str, Any], index: Any, what: str) -> str:
    """What the index of a component's value means: its id (its name where it has none), or its name."""
    if isinstance(index, list):
        return ";".join(_meaning(component, one, what) for one in index)
    values = component.get("values")
    if index is None or not values:
        return "" if index is None or what == "name" else _in_one_language(index)
    if not -1 < int(index) < len(values):
        raise ValueError(f"{component['id']} has no value {index}")
    value = values[int(index)]
    if not isinstance(value, dict):
        return "" if value is None else str(value)
    return _in_one_language(value.get(what) or (value.get("value") or value.get("name") if what == "id" else "") or "")


def _in_one_language(text: Any) -> str:
    """A text, or of a text in several languages the first."""
    return str(next(iter(text.values()), "") if isinstance(text, dict) else text)


def _named_structure(structure: dict[str, Any], data: dict[str, Any], document: dict[str, Any]) -> Structure:
    """By the links of data set and structure, else the sender and the structure's name."""
    links = [link for owner in (data, structure) for link in owner.get("links") or []]
    for link in links:
        if link.get("rel") in ("dataflow", "datastructure", "structure") and (
            found := structure_of(link.get("urn") or link.get("href") or "")
        ):
            return found
    header = document.get("header") or document.get("meta") or {}
    name = structure.get("name") or header.get("name") or ""
    return Structure((header.get("sender") or {}).get("id", ""), name if isinstance(name, str) else "")
