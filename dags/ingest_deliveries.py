"""Deliveries from the landing folder into the lake; wiring only, the work is `hfc.pipeline`."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import Asset, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from hfc import pipeline
from hfc.home import Home

LAKE = Asset(name="lake", uri="x-hfc://lake")
# Airflow refuses to map a task over more than [core] max_map_length (1024) values; the rest waits for the next run.
AT_ONCE = 500

log = logging.getLogger("hfc")


@dag(
    description="Landing folder to lake: archive each new delivery, validate it, and announce what was loaded.",
    schedule=os.environ.get("HFC_INGEST_CRON") or "*/5 * * * *",
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    default_args={
        "owner": "hfc-metrics",
        "execution_timeout": timedelta(hours=1),
        "retries": 1,  # a process that was killed, or lost with its machine, has not reported what it did
        "retry_delay": timedelta(seconds=10),
    },
    tags=["hfc", "ingest"],
)
def ingest_deliveries() -> None:
    """### Landing folder → lake

    Looks into the landing folder every few minutes (`HFC_INGEST_CRON`), archives the bytes of each new file and
    loads every delivery that waits, in parallel, each into its own lake file.

    | a delivery was | its `load` task | a release follows |
    |---|---|---|
    | loaded | succeeds | yes |
    | unchanged (already in the lake) | succeeds | no |
    | rejected by its contract | succeeds with a warning; the outcome row says why | no |
    | not readable because of a fault of ours | fails; tried again by the next run | for the other deliveries, yes |

    Only the last one makes the run red: a supplier's error is the supplier's to mend and stands in
    `delivery_outcome`; a fault of ours is ours. When something was loaded, the asset `lake` tells `publish_release`.
    """

    @task
    def receive() -> list[str]:
        """Archive the new files of the landing folder; give the deliveries that wait to be loaded, in order."""
        home = Home.at()
        return pipeline.receive(home, home.landing)[:AT_ONCE]

    @task(
        map_index_template="{{ delivery }}",
        # a mapped task does not take its docstring for its documentation
        doc_md="Parse and validate one delivery into the lake; refused rows go to quarantine, the outcome is recorded.",
    )
    def load(delivery_id: str) -> dict[str, str]:
        context: Any = get_current_context()
        context["delivery"] = delivery_id
        result = pipeline.load(Home.at(), delivery_id)
        context["delivery"] = f"{result.file}: {result.outcome}"
        log.log(logging.WARNING if result.outcome == "rejected" else logging.INFO, "%s", result.summary())
        return {"delivery": delivery_id, "outcome": result.outcome}

    @task(outlets=[LAKE], trigger_rule="all_done_min_one_success", retries=2, retry_delay=timedelta(seconds=30))
    def announce(results: Iterable[dict[str, str]], *, outlet_events: Any = None) -> None:
        """Emit the asset `lake` for the deliveries that were loaded, even if another one failed."""
        loaded = [result["delivery"] for result in results if result["outcome"] == "loaded"]
        if not loaded:
            raise AirflowSkipException("No delivery was loaded: the lake is as it was, no release is needed.")
        outlet_events[LAKE].extra = {"deliveries": loaded}
        log.info("Loaded %d: %s", len(loaded), ", ".join(loaded))

    # The run's colour: red when a task above failed, though `announce` went on with the rest.
    all_loaded = EmptyOperator(
        task_id="all_loaded",
        trigger_rule="none_failed",
        doc_md="Does nothing; fails the run when the load of a delivery failed, which `announce` passes over.",
    )

    results: Any = load.expand(delivery_id=receive())  # what the tasks will return
    [results, announce(results)] >> all_loaded


ingest_deliveries()
