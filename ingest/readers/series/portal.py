"""Exports of the national data portal: preamble, then one label by period, then notes. Layouts are contract data."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ingest.contract import Editions, Frequency, normalise
from ingest.readers.records import Record, Unreadable
from ingest.readers.series.observations import Observation
from ingest.readers.table import NOTE

_NUMBER = re.compile(r"[+-]?[\d,]*\.?\d+")


def portal_observations(editions: Editions, lines: Iterator[Record]) -> Iterator[Observation]:
    """One observation per label and period; a blank cell is a missing value. Cells may end in a tab.

    Raises:
        Unreadable: no header of the portal, no period, or no word about indicator or database.
    """
    layout = editions.portal
    body = (Record(r.line, [normalise(cell) for cell in r.cells]) for r in lines)
    roles = {label: role for role, labels in layout.row_labels.items() for label in labels}
    above: list[Record] = []
    for header in body:
        if header.cells and header.cells[0] in roles:
            break
        above.append(header)
    else:
        raise Unreadable(f"missing required column: no header line begins with {' or '.join(roles)}")
    role = roles[header.cells[0]]
    preamble = _preamble(editions, above)
    if not any(header.cells[1:]):
        raise Unreadable(f"missing required column: no period in the header on line {header.line}")
    if role == "area" and not preamble.get("indicator"):
        raise Unreadable(f"missing required preamble line {layout.preamble['indicator'][0]}: rows name areas only")
    dataset = preamble.get("dataset") or _database(editions, header, role == "area" or "area" in preamble)
    for record in body:
        if _is_note(record):
            return
        if any(record.cells) and (len(record.cells) > 1 or len(header.cells) == 1):
            yield from _melt(editions, dataset, preamble, role, header.cells, record)


def _preamble(editions: Editions, lines: list[Record]) -> dict[str, str]:
    """The `key：value` lines above the table, by what the contract calls them."""
    names = {printed: name for name, labels in editions.portal.preamble.items() for printed in labels}
    found: dict[str, str] = {}
    for record in lines:
        key, _, value = (record.cells[0] if record.cells else "").partition(":")
        if key in names and value.strip():
            found[names[key]] = value.strip()
    return found


def _database(editions: Editions, header: Record, is_regional: bool) -> str:
    """The name of the database whose export does not say it: by how often its periods come."""
    period = next(filter(None, header.cells[1:]))
    frequency: Frequency | None = None
    if match := re.fullmatch(r"\d{4}(年?|年\d{1,2}月|年第?[1-4一二三四]季度|[ABCD])", period):
        frequency = "M" if "月" in match.group(1) else "A" if match.group(1) in ("", "年") else "Q"
    if frequency is None:
        names = " or ".join(editions.portal.preamble["dataset"])
        raise Unreadable(f"missing required preamble line {names}, and {period} tells no frequency")
    return (editions.portal.regional if is_regional else "") + editions.portal.databases[frequency]


def _is_note(record: Record) -> bool:
    """Begins with a note's word and holds no value."""
    return bool(record.cells and NOTE.match(record.cells[0])) and not any(map(_NUMBER.fullmatch, record.cells[1:]))


def _melt(
    editions: Editions, dataset: str, preamble: dict[str, str], role: str, header: list[str], record: Record
) -> Iterator[Observation]:
    label, *cells = record.cells
    printed = label if role == "indicator" else preamble["indicator"]
    area = label if role == "area" else preamble.get("area", editions.nation)
    indicator, unit = editions.split_unit(printed)
    stem, basis = editions.split_basis(indicator)
    # A row without its label has no series: its values are refused for that.
    dimensions = {"area": area, "indicator": stem, "basis": basis} if label else {}
    periods = header[1:] + [""] * (len(cells) - len(header) + 1)
    for period, value in zip(periods, cells + [""] * (len(periods) - len(cells)), strict=True):
        if period or value:
            yield Observation(
                line=record.line, provider=editions.portal.provider, dataset=dataset, dimensions=dimensions,
                indicator=indicator, area=editions.area_of(area), period=period, value=value, unit=unit,
            )  # fmt: skip
