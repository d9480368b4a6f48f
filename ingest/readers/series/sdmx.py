"""What all SDMX messages share: an observation's components become its dimensions, status, unit and attributes."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from ingest.contract import Sdmx
from ingest.readers.records import Unreadable
from ingest.readers.series.observations import Observation, canonical_period

_URN = re.compile(r"(?:.*=)?\s*([\w.@$-]+):([\w@$-]+)(?:\(([^)]*)\)(?::.*)?)?")
_HREF = re.compile(r".*/(?:dataflow|datastructure)/([\w.@$-]+)/([\w@$-]+)(?:/[^/]*)?")
# How a missing value is printed where a number belongs.
_NOT_A_NUMBER = ("nan", "#n/a")


@dataclass(frozen=True)
class Structure:
    """The dataflow or data structure that a message names, without its version."""

    agency: str
    id: str


@dataclass(frozen=True)
class Cell:
    """One observation as a message gives it: every component by its id, and the labels of coded ones if stated.

    `is_deleted`: the message withdraws the observation.
    """

    line: int
    structure: Structure
    components: Mapping[str, str]
    labels: Mapping[str, str] = field(default_factory=dict)
    is_deleted: bool = False


def structure_of(text: str) -> Structure | None:
    """Agency and id out of a URN, its short form ECB:EXR(1.0), or the address of a structure."""
    match = _HREF.fullmatch(text) if "://" in text else _URN.fullmatch(text.partition(": ")[0])
    return Structure(match.group(1), match.group(2)) if match else None


def dimensions_among(sdmx: Sdmx, structure: Structure, ids: Iterable[str]) -> set[str]:
    """The dimensions among the ids of components where neither message nor order marks them.

    A structure that the contract declares has the dimensions it declares; otherwise everything is one that is not known
    to be an attribute by its concept, or by its place behind such a one.
    """
    declared = sdmx.structures.get(f"{structure.agency}:{structure.id}")
    if declared is not None:
        return set(declared)
    others = {*sdmx.period, *sdmx.value, *sdmx.ignored}
    names = [name for name in ids if name not in others]
    first = next((number for number, name in enumerate(names) if sdmx.is_attribute(name)), len(names))
    behind = {name for name in names[first:] if name in sdmx.either}
    return {name for name in names if not sdmx.is_attribute(name)} - behind


def observation_of(sdmx: Sdmx, cell: Cell, dimensions: Collection[str]) -> Observation:
    """The observation of the feed. The value stands as printed: a multiplier is told in the unit, never applied."""
    found = {name: value for name, value in cell.components.items() if value and name not in sdmx.ignored}
    folded = {name.upper(): text for name, text in found.items()}
    value = "" if cell.is_deleted else _first(folded, sdmx.value)
    printed_status = _first(folded, sdmx.status)
    status = _status(sdmx, printed_status)
    spent = {*dimensions, *sdmx.period, *sdmx.value, *(sdmx.status if status == printed_status else ())}
    attributes = {name: text for name, text in found.items() if name not in spent}
    named = folded | {name.upper(): label for name, label in cell.labels.items() if label}
    key = [name for name in dimensions if name not in (*sdmx.period, *sdmx.ignored)]
    return Observation(
        line=cell.line,
        provider=cell.structure.agency,
        dataset=cell.structure.id,
        # A key with a gap names no series: its value is refused for that.
        dimensions={name: found[name] for name in key} if found.keys() >= set(key) else {},
        indicator=_first(folded, sdmx.title) or _first(named, sdmx.indicator) or cell.structure.id,
        period=canonical_period(_first(folded, sdmx.period)),
        value="" if value.casefold() in _NOT_A_NUMBER else value,
        unit=_unit(_first(folded, sdmx.unit), _first(folded, sdmx.multiplier)),
        obs_status=status,
        attributes={**attributes, "ACTION": "D"} if cell.is_deleted else attributes,
    )


def _first(components: Mapping[str, str], ids: Iterable[str]) -> str:
    """The first of the components that is there."""
    return next((components[name] for name in ids if name in components), "")


def _status(sdmx: Sdmx, printed: str) -> str:
    """The one status of CL_OBS_STATUS that a flag means; of several flags the one that the contract lists first."""
    if printed in sdmx.flags or not printed:
        return sdmx.flags.get(printed, "")
    flags = {printed, *re.split(r"[\s,;]+", printed), *(printed if printed.islower() else "")}
    return next((status for flag, status in sdmx.flags.items() if flag in flags), printed)


def _unit(unit: str, multiplier: str) -> str:
    power = f"×10^{int(multiplier)}" if re.fullmatch(r"-?\d{1,2}", multiplier) and int(multiplier) else ""
    return f"{unit} {power}".strip()


def refused(reason: str) -> Unreadable:
    """The error of a message that can't be read as SDMX."""
    return Unreadable(f"unreadable: no SDMX data message: {reason}")
