"""The lake into a published release; wiring only, the work is `hfc.pipeline`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

from airflow.sdk import Asset, Param, dag, task
from airflow.sdk.exceptions import AirflowFailException

from hfc import pipeline
from hfc.home import GateFailed, Home

LAKE = Asset(name="lake", uri="x-hfc://lake")
RELEASE = Asset(name="release", uri="x-hfc://release")

log = logging.getLogger("hfc")


@contextmanager
def refusal_is_final() -> Iterator[None]:
    """A refused candidate fails its task at once: judging it again would give the same verdict."""
    try:
        yield
    except GateFailed as refused:
        raise AirflowFailException(str(refused)) from None


@dag(
    description="Lake to release: build the candidate, judge it, and move the pointer when every check passed.",
    schedule=[LAKE],
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    params={
        "as_of": Param(
            None,
            type=["null", "string"],
            format="date",
            title="As of",
            description="Publish what was known on this day (YYYY-MM-DD). Empty: everything known today.",
        )
    },
    # A person at the command line may hold the home for a moment; the one slot keeps every other DAG away.
    default_args={
        "owner": "hfc-metrics",
        "pool": "warehouse",
        "retries": 2,
        "retry_delay": timedelta(minutes=1),
        "execution_timeout": timedelta(hours=2),
    },
    tags=["hfc", "publish"],
)
def publish_release() -> None:
    """### Lake → candidate → gate → release

    Runs when `ingest_deliveries` has loaded something (asset `lake`). Nothing is visible before the gate passed;
    publication is one rename of `published/current`, and a failed gate leaves it where it was.

    - **Nothing changed** since the current release: `gate` and `publish` are skipped, the log of `build` says so.
    - **`build` or `gate` failed with a refusal**: the log lists the tests or checks, and the path of the report. A
      corrected delivery starts the next run by itself; after `hfc replay` trigger this DAG by hand.
    - **A release for a past day**: trigger this DAG by hand and fill in *As of*.

    The pool `warehouse` has one slot: the candidate has one writer at a time.
    """

    @task.short_circuit
    def build(params: dict[str, Any] | None = None) -> str | None:
        """One `dbt build` of the candidate from the lake. Skips what follows when the release has these inputs."""
        as_of = (params or {}).get("as_of")
        with refusal_is_final():
            built = pipeline.build(Home.at(), as_of=date.fromisoformat(as_of) if as_of else None)
        if built.up_to_date:
            log.info("Release %s already has exactly these inputs: nothing to judge or publish.", built.release_id)
            return None
        log.info("Built the candidate of release %s as of %s.", built.release_id, built.as_of)
        return built.release_id

    @task
    def gate() -> None:
        """Judge the candidate by the expectations; what they refuse is not published."""
        with refusal_is_final():
            pipeline.gate(Home.at())

    @task(outlets=[RELEASE])
    def publish(outlet_events: Any = None) -> str:
        """Make the candidate an immutable release and point `published/current` at it."""
        release = pipeline.publish(Home.at())
        outlet_events[RELEASE].extra = {"release_id": release.release_id}
        log.info("Published release %s: %s", release.release_id, release.path)
        return release.release_id

    build() >> gate() >> publish()


publish_release()
