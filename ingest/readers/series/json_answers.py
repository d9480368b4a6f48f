"""Public statistics in JSON, whatever its form: parsed in the child of `ingest.readers.child`, as hostile text may be.

One cell of JSON an observation goes from the child to the parent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ingest.contract import Editions, load_contracts
from ingest.readers.records import Reading, Record, Unreadable
from ingest.readers.series.answers import easyquery_observations, read_json, world_bank_observations
from ingest.readers.series.observations import Observation
from ingest.readers.series.sdmx_json import is_sdmx_json, json_observations


def observations(read: Reading) -> Iterator[Observation]:
    """The observations of a document that the child has read."""
    for record in read.records():
        yield Observation(**json.loads(record.cells[0]))


def sheets(path: Path, scratch: Path) -> Iterator[tuple[None, Iterator[Record]]]:
    """The one table of a document, for `observations`.

    Raises:
        Unreadable: JSON of no known form, or the service's error.
    """
    editions = next(contract.editions for contract in load_contracts().values() if contract.editions)
    found = _observations(editions, read_json(path))
    yield None, (Record(item.line, [json.dumps(asdict(item))]) for item in found)


def _observations(editions: Editions, document: Any) -> Iterable[Observation]:
    if isinstance(document, list):
        return world_bank_observations(editions, document)
    if "returncode" in document:
        return easyquery_observations(editions, document)
    if is_sdmx_json(document):
        return json_observations(editions.sdmx, document)
    raise Unreadable(
        "unreadable: JSON of no known form: expected SDMX-JSON, an answer of easyquery or one of the World Bank"
    )
