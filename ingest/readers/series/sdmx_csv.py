"""SDMX-CSV 1.0 and 2.x, with labels or without, and CSV of a service that puts the series key first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from ingest.contract import Sdmx
from ingest.readers.records import Record
from ingest.readers.series.observations import Observation
from ingest.readers.series.sdmx import Cell, Structure, observation_of, refused, structure_of
from ingest.readers.text import read_records

_LABEL = ": "
_FIXED = ("DATAFLOW", "STRUCTURE", "STRUCTURE_ID", "STRUCTURE_NAME", "ACTION", "SERIES_KEY", "OBS_KEY", "KEY")
_ACTIONS = ("", "I", "A", "R", "M", "D")


@dataclass(frozen=True)
class _Header:
    """The columns: ids of components, names of fixed columns; nothing where a column labels its left neighbour."""

    ids: list[str]
    has_labels_in_cells: bool


def sdmx_delimiter(line: str) -> str | None:
    """The delimiter of a text whose first line is a header of SDMX-CSV; None where it is none."""
    for delimiter in (",", ";", "\t"):
        cells = [cell.strip('" \r\n') for cell in line.split(delimiter)]
        is_first = cells[0] in ("DATAFLOW", "KEY", "STRUCTURE") or (cells[0][:10], cells[0][11:]) == ("STRUCTURE[", "]")
        if is_first and len(cells) > 2:
            return delimiter
    return None


def csv_observations(sdmx: Sdmx, path: Path, delimiter: str) -> Iterator[Observation]:
    """One observation per row; a row of another width than the header has no series and is refused for that.

    Raises:
        Unreadable: no column of periods or of values, or an order that does not tell dimensions from attributes.
    """
    records = read_records(path, delimiter)
    header = _header(next(records).cells)
    missing = [names[0] for names in (sdmx.period, sdmx.value) if not set(names) & set(header.ids)]
    if missing:
        raise refused(f"missing required column {missing[0]}")
    dimensions: dict[Structure, set[str]] = {}
    for record in records:
        if not any(record.cells):
            continue
        cell = _cell(sdmx, header, record)
        if cell.structure not in dimensions:
            dimensions[cell.structure] = _dimensions(sdmx, header, cell.structure)
        is_whole = len(record.cells) == len(header.ids)
        yield observation_of(sdmx, cell, dimensions[cell.structure] if is_whole else ())


def _header(cells: list[str]) -> _Header:
    """Labels stand in the cells (`FREQ: Frequency`), or each in a column behind its component's (STRUCTURE_NAME)."""
    names = ["STRUCTURE" if cell.startswith("STRUCTURE[") else cell for cell in cells]
    ids = [name.partition(_LABEL)[0].removesuffix("[]") for name in names]
    if "STRUCTURE_NAME" in names:
        start = len(list(takewhile(_FIXED.__contains__, names)))
        ids = [*ids[:start], *("" if number % 2 else name for number, name in enumerate(ids[start:]))]
    return _Header(ids, any(_LABEL in name for name in names))


def _dimensions(sdmx: Sdmx, header: _Header, structure: Structure) -> set[str]:
    """Dimensions stand before the period, attributes behind it, unless the contract declares the structure."""
    period = next(number for number, name in enumerate(header.ids) if name in sdmx.period)
    value = next(number for number, name in enumerate(header.ids) if name in sdmx.value)
    name = f"{structure.agency}:{structure.id}"
    if name in sdmx.structures:
        return set(sdmx.structures[name])
    if value < period:
        raise refused(
            f"{header.ids[value]} stands before {header.ids[period]}, so that the order of columns does not tell "
            f"dimensions from attributes: declare {name} in the contract"
        )
    return {name for name in header.ids[:period] if name and name not in _FIXED}


def _cell(sdmx: Sdmx, header: _Header, record: Record) -> Cell:
    texts: dict[str, str] = {}
    labels: dict[str, str] = {}
    for number, (name, cell) in enumerate(zip(header.ids, record.cells, strict=False)):
        if not name:
            labels[header.ids[number - 1]] = cell
        elif header.has_labels_in_cells and _LABEL in cell:
            texts[name], _, labels[name] = cell.partition(_LABEL)
        else:
            texts[name] = cell
    action = texts.get("ACTION", "")
    if action not in _ACTIONS:
        raise refused(f"line {record.line}: ACTION {action} is none of {', '.join(filter(None, _ACTIONS))}")
    components = {name: text for name, text in texts.items() if name not in _FIXED}
    return Cell(record.line, _structure(sdmx, texts), components, labels, is_deleted=action == "D")


def _structure(sdmx: Sdmx, texts: dict[str, str]) -> Structure:
    if "KEY" in texts:
        return Structure(sdmx.keyed_provider, texts["KEY"].partition(".")[0])
    # A row that names none has no provider, and is refused for that.
    return structure_of(texts.get("STRUCTURE_ID") or texts.get("DATAFLOW") or "") or Structure("", "")
