"""Files from the sources into the landing folder; wiring only, the work is `hfc.pipeline`."""

from __future__ import annotations

import logging
import os
from datetime import timedelta
from typing import Any

from airflow.sdk import dag, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

from hfc import pipeline
from hfc.home import Home

log = logging.getLogger("hfc")


@dag(
    description="Sources to landing folder: what is new behind HTTP, in folders, in S3 buckets, behind SFTP.",
    schedule=os.environ.get("HFC_FETCH_CRON") or "0 22 * * *",
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    default_args={
        "owner": "hfc-metrics",
        "execution_timeout": timedelta(hours=1),
        "retries": 1,  # for a process that was killed, or lost with its machine
        "retry_delay": timedelta(seconds=10),
    },
    tags=["hfc", "ingest"],
)
def fetch_sources() -> None:
    """### Sources → landing folder

    Asks every source of `<home>/sources.yaml` once a day (`HFC_FETCH_CRON`, in UTC), in parallel, and puts what is
    new into the landing folder, where `ingest_deliveries` finds it. Without that file there is nothing to do.

    A source that fails makes its own task red and holds up no other; the next run asks it again. Credentials come
    from the Airflow connections (or environment variables) that `sources.yaml` names. See docs/sources.md.
    """

    @task
    def sources() -> list[str]:
        """The names of the sources, one `fetch` for each."""
        return pipeline.source_names(Home.at())

    @task(
        map_index_template="{{ source }}",
        # a mapped task does not take its docstring for its documentation
        doc_md="Land what is new at one source. A source that failed is not tried again: it was, often enough.",
    )
    def fetch(source: str) -> dict[str, Any]:
        context: Any = get_current_context()
        context["source"] = source
        home = Home.at()
        (result,) = pipeline.fetch(home, home.landing, [source])
        if result.outcome == "failed":
            raise AirflowFailException(result.summary())
        context["source"] = f"{source}: {result.outcome}"
        log.info("%s", result.summary())
        return {"source": source, "files": result.files}

    fetch.expand(source=sources())


fetch_sources()
