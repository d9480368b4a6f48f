"""OpenLineage events of the steps from the lake to a release, where a receiver is configured; otherwise nothing at all.

The receiver is set by the variables of OpenLineage's own client (`OPENLINEAGE_URL`, `OPENLINEAGE_CONFIG`,
`OPENLINEAGE__TRANSPORT__…`). Each step is a job of the namespace `hfc` (`OPENLINEAGE_NAMESPACE`); what it reads and
writes are the feeds of the lake, the candidate, and the published tables. Events carry names, versions and counts,
never a row, a file's name or an error's text; an event that cannot be sent fails no step.
"""

from __future__ import annotations

import hashlib
import logging
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hfc import __version__

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, OutputDataset, RunEvent
    from openlineage.client.facet_v2 import DatasetFacet, InputDatasetFacet, OutputDatasetFacet

RECEIVERS = ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG", "OPENLINEAGE__TRANSPORT")
PRODUCER = f"urn:hfc-metrics:{__version__}"

log = logging.getLogger("hfc")


@dataclass(frozen=True)
class Dataset:
    """One table or feed in one version, with its number of rows or files where that is known."""

    name: str
    version: str
    rows: int | None = None
    files: int | None = None


@dataclass
class Step:
    """What a step has read and written, filled in while it works."""

    reads: list[Dataset] = field(default_factory=list)
    writes: list[Dataset] = field(default_factory=list)


def candidate(release_id: str) -> list[Dataset]:
    """The candidate of a release."""
    return [Dataset("warehouse.candidate", release_id)]


def feeds(deliveries: Iterable[Mapping[str, Any]]) -> list[Dataset]:
    """The feeds of the lake as these deliveries make them (`inputs` of a manifest); the bytes decide the version."""
    loaded: dict[str, list[str]] = {}
    for delivery in deliveries:
        if delivery["outcome"] == "loaded":
            loaded.setdefault(delivery["feed"], []).append(delivery["sha256"])
    return [
        Dataset(f"lake.{feed}", hashlib.sha256("".join(sorted(hashes)).encode()).hexdigest(), files=len(hashes))
        for feed, hashes in sorted(loaded.items())
    ]


def tables(manifest: Mapping[str, Any]) -> list[Dataset]:
    """The published tables of a release."""
    found = sorted(manifest["tables"].items())
    return [Dataset(f"published.{name}", manifest["release_id"], rows=table["rows"]) for name, table in found]


@contextmanager
def step(name: str) -> Iterator[Step]:
    """Tell the receiver that a step starts, and how it ends: complete, or failed with the kind of its error."""
    done = Step()
    if not any(value and variable.startswith(RECEIVERS) for variable, value in os.environ.items()):
        yield done
        return
    run_id = str(uuid.uuid4())
    send(event(name, run_id, "START", done))
    try:
        yield done
    except BaseException as error:
        send(event(name, run_id, "FAIL", done, type(error).__name__))
        raise
    send(event(name, run_id, "COMPLETE", done))


def event(job: str, run_id: str, state: str, done: Step, error: str = "") -> RunEvent:
    """One event of OpenLineage about the run of a step."""
    from openlineage.client import event_v2, facet_v2

    failure = facet_v2.error_message_run.ErrorMessageRunFacet(message=error, programmingLanguage="Python")
    return event_v2.RunEvent(
        eventType=event_v2.RunState[state],
        eventTime=datetime.now(UTC).isoformat(),
        run=event_v2.Run(run_id, {"errorMessage": failure} if error else {}),
        job=event_v2.Job(namespace(), job),
        inputs=[as_input(dataset) for dataset in done.reads],
        outputs=[as_output(dataset) for dataset in done.writes],
        producer=PRODUCER,
    )


def as_input(dataset: Dataset) -> InputDataset:
    """A dataset that was read."""
    from openlineage.client import event_v2, facet_v2

    facet = facet_v2.input_statistics_input_dataset.InputStatisticsInputDatasetFacet
    statistics: dict[str, InputDatasetFacet] = {}
    if dataset.files is not None:
        statistics["inputStatistics"] = facet(fileCount=dataset.files)
    return event_v2.InputDataset(namespace(), dataset.name, statistics, facets=version(dataset))


def as_output(dataset: Dataset) -> OutputDataset:
    """A dataset that was written."""
    from openlineage.client import event_v2, facet_v2

    facet = facet_v2.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet
    statistics: dict[str, OutputDatasetFacet] = {}
    if dataset.rows is not None:
        statistics["outputStatistics"] = facet(rowCount=dataset.rows)
    return event_v2.OutputDataset(namespace(), dataset.name, statistics, facets=version(dataset))


def version(dataset: Dataset) -> dict[str, DatasetFacet]:
    """The facet that says which version of a dataset it was."""
    from openlineage.client import facet_v2

    return {"version": facet_v2.dataset_version_dataset.DatasetVersionDatasetFacet(dataset.version)}


def namespace() -> str:
    """The namespace of jobs and datasets."""
    return os.environ.get("OPENLINEAGE_NAMESPACE") or "hfc"


def send(told: RunEvent) -> None:
    """Give an event to the receiver; one that cannot be reached is a warning."""
    from openlineage.client import OpenLineageClient

    try:
        client = OpenLineageClient()
        client.emit(told)
        client.close()
    except Exception as error:
        log.warning("An OpenLineage event about %s was not sent: %s: %s", told.job.name, type(error).__name__, error)
