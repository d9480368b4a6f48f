"""One value of a public series, and its record of the feed's columns."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ingest.contract import Contract, normalise
from ingest.readers.records import Record, Unreadable


@dataclass(frozen=True)
class Observation:
    """One printed value, still text; `dimensions` are all that identify its series, the period left out."""

    line: int
    provider: str
    dataset: str
    dimensions: Mapping[str, str]
    indicator: str
    period: str
    value: str
    area: str = ""
    unit: str = ""
    obs_status: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


def observation_records(contract: Contract, observations: Iterable[Observation]) -> Iterator[Record]:
    """A header of the contract's columns, then one record per observation.

    Raises:
        Unreadable: an observation holds something else than text (a JSON list where a number belongs).
    """
    yield Record(1, [column.id for column in contract.columns])
    for observation in observations:
        try:
            series_key, attributes = canonical_json(observation.dimensions), canonical_json(observation.attributes)
            cells = {**vars(observation), "series_key": series_key, "attributes": attributes}
            record = Record(observation.line, [normalise(cells[column.id]) for column in contract.columns])
            text = "".join(record.cells).encode()
        except (TypeError, UnicodeEncodeError):
            raise Unreadable(f"unreadable: value {observation.line} holds neither text nor a number") from None
        if b"\0" in text:
            raise Unreadable(f"unreadable: value {observation.line} holds a NUL character")
        yield record


def canonical_json(values: Mapping[str, str]) -> str:
    """A JSON object with sorted keys, without spaces and without empty values; empty text where nothing is left."""
    present = {normalise(key): normalise(value) for key, value in values.items() if normalise(value)}
    return json.dumps(present, ensure_ascii=False, sort_keys=True, separators=(",", ":")) if present else ""


def canonical_period(text: str) -> str:
    """A month 2020M01 or 2020-M01, a quarter and a year 2020-A1 in the spelling of the feed; others as they are."""
    if match := re.fullmatch(r"(\d{4})-?M(\d{2})", text):
        return f"{match.group(1)}-{match.group(2)}"
    return re.sub(r"^(\d{4})-?A1$", r"\1", text)
