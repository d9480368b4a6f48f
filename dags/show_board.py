"""The board of the current release, where people look at it; wiring only, the work is that of `hfc site`."""

from __future__ import annotations

import logging
import os
from datetime import timedelta
from pathlib import Path

from airflow.sdk import Asset, dag, task
from airflow.sdk.exceptions import AirflowSkipException

from hfc.home import Home

RELEASE = Asset(name="release", uri="x-hfc://release")

log = logging.getLogger("hfc")


@dag(
    description="Release to board: the static pages of the current release, in the folder that HFC_BOARD names.",
    schedule=[RELEASE],
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    default_args={
        "owner": "hfc-metrics",
        "retries": 2,
        "retry_delay": timedelta(minutes=1),
        "execution_timeout": timedelta(hours=1),
    },
    tags=["hfc", "publish"],
)
def show_board() -> None:
    """### Release → board

    Runs when `publish_release` has published, and writes the board of `published/current` into the folder `HFC_BOARD`,
    which is replaced as a whole. Without that variable there is nothing to do. Airflow does not see what a person
    publishes or takes back with `hfc`: then trigger this DAG by hand.
    """

    @task
    def site() -> str:
        """Write the pages."""
        from hfc.explain import paths
        from publish.release import named_release
        from publish.site import make_site

        if not (folder := os.environ.get("HFC_BOARD")):
            raise AirflowSkipException("HFC_BOARD names no folder for the board")
        release = named_release(Home.at(), "current")
        made = make_site(release, Path(folder), paths(release))
        log.info("Board of release %s: %s", made.release_id, made.path)
        return made.release_id

    site()


show_board()
