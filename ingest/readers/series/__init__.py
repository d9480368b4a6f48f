"""Public statistics: every published form becomes records of the feed's columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from ingest.contract import Contract, Editions, normalise
from ingest.readers.child import isolated
from ingest.readers.records import Reading, Unreadable
from ingest.readers.series import json_answers
from ingest.readers.series.observations import Observation, observation_records
from ingest.readers.series.portal import portal_observations
from ingest.readers.series.sdmx_csv import csv_observations, sdmx_delimiter
from ingest.readers.series.sdmx_xml import xml_observations
from ingest.readers.series.yearbook import Heading, sheet_observations
from ingest.readers.text import read_records, utf8_copy

HEAD = 1 << 16


def series_readings(contract: Contract, kind: str, path: Path, scratch: Path) -> list[Reading]:
    """The readings of a delivery of public statistics whose bytes are of `kind` (see `ingest.readers.kind_of`).

    Raises:
        Unreadable: no known form of published statistics.
    """
    if "(.xls" in kind:
        return _of_sheets(contract, isolated("workbook", path, scratch))
    if kind != "text":
        raise Unreadable(f"unreadable: the bytes are {kind}, which holds no known form of public statistics")
    path = utf8_copy(path, scratch)
    with open(path, encoding="utf-8-sig") as handle:
        head = handle.read(HEAD).lstrip()
    if head.startswith("<") and "sdmx.org" not in head.lower():
        return _of_sheets(contract, isolated("HTML", path, scratch))
    assert contract.editions
    observations = _of_text(contract.editions, head, path, scratch)
    return [Reading(records=lambda: observation_records(contract, observations()))]


def _of_sheets(contract: Contract, sheets: list[Reading]) -> list[Reading]:
    """A reading of each sheet; one without a table gives no header, which staging remarks."""
    assert contract.editions
    heading = Heading()
    found = [(sheet.sheet, _of_sheet(contract.editions, sheet, heading)) for sheet in sheets]
    if not any(rows for _, rows in found):
        raise Unreadable("missing table: no sheet has the name of a known area beside a number")
    return [
        Reading(records=partial(observation_records, contract, rows) if rows else partial(iter, ()), sheet=name)
        for name, rows in found
    ]


def _of_sheet(editions: Editions, sheet: Reading, heading: Heading) -> list[Observation]:
    """The observations of an export of the portal, which begins with its preamble, or of a yearbook's table."""
    first = next((record.cells for record in sheet.records()), [""])
    label, colon, _ = normalise(next(filter(None, first), "")).partition(":")
    if colon and label in {name for names in editions.portal.preamble.values() for name in names}:
        return list(portal_observations(editions, sheet.records()))
    return sheet_observations(editions, sheet, heading)


def _of_text(editions: Editions, head: str, path: Path, scratch: Path) -> Callable[[], Iterable[Observation]]:
    """The observations of a text, whose beginning tells its form."""
    if head.startswith("<"):
        return partial(xml_observations, editions.sdmx, *isolated("SDMX-ML", path, scratch))
    if head.startswith(("{", "[")):
        return partial(json_answers.observations, *isolated("JSON of statistics", path, scratch))
    if delimiter := sdmx_delimiter(head.partition("\n")[0]):
        return partial(csv_observations, editions.sdmx, path, delimiter)
    delimiter = "\t" if "\t" in head and "\t," not in head else ","
    return lambda: portal_observations(editions, read_records(path, delimiter))
