"""What Airflow runs when a deadline has passed: one message for a person, which says where to look.

Airflow imports these by name in a process of its own, with what it knows about the run as `context`. The message stands
in `<AIRFLOW_HOME>/logs/executor_callbacks/`; the user interface shows the missed deadline itself.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from hfc import pipeline
from hfc.home import SHANGHAI, Home

log = logging.getLogger("hfc")


def release_is_overdue(context: dict[str, Any]) -> None:
    """A run of `publish_release` has neither published nor ended in time: it works, fails again and again, or waits."""
    log.error(
        "No release yet from %s, which had until %s: its page shows whether it still works or waits for a decision.",
        run_of(context),
        context["deadline"]["deadline_time"],
    )


def deliveries_are_overdue(context: dict[str, Any]) -> None:
    """Feeds are still late although `expect_deliveries` has waited for them."""
    today = datetime.now(SHANGHAI).date()
    late = pipeline.late_feeds(Home.at(), today)
    log.error("Late on %s (%s): %s", today, run_of(context), ", ".join(late) or "none any more")


def run_of(context: dict[str, Any]) -> str:
    """The name of the run that is late."""
    run = context["dag_run"]
    return f"{run['dag_id']} {run['dag_run_id']}"
