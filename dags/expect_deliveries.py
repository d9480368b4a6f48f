"""Whether every feed has delivered in time; wiring only, the work is `hfc.pipeline`."""

from __future__ import annotations

import logging
from datetime import datetime

from airflow.sdk import dag, task

from hfc import pipeline
from hfc.airflow_plugin import deadline
from hfc.alerts import deliveries_are_overdue
from hfc.home import SHANGHAI, Home

log = logging.getLogger("hfc")


@dag(
    description="The delivery calendar: waits every day until no feed is late, and raises an alert if that takes long.",
    schedule="30 0 * * *",
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    deadline=deadline("deliveries", deliveries_are_overdue),
    default_args={"owner": "hfc-metrics", "retries": 1},  # for a process that was killed, or lost with its machine
    tags=["hfc", "ingest"],
)
def expect_deliveries() -> None:
    """### Is a feed late?

    Each contract says how often its feed delivers, on which day that is due, and how many days of grace it has
    (`hfc status` shows the same). A run begins every morning and ends as soon as no feed is late. Late feeds keep it
    waiting: after two hours (`HFC_ALERT_MINUTES`) the run misses its deadline and an alert names them, and after a day
    it fails and the next one begins. What came late is loaded by `ingest_deliveries`, as ever.
    """

    @task.sensor(mode="reschedule", poke_interval=600, timeout=84_600)
    def all_in_time() -> bool:
        """Wait until no feed is late; the log names those that are."""
        late = pipeline.late_feeds(Home.at(), datetime.now(SHANGHAI).date())
        if late:
            log.warning("Late: %s", ", ".join(late))
        return not late

    all_in_time()


expect_deliveries()
