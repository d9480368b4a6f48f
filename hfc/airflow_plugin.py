"""What the project adds to Airflow: from when a deadline counts, and pages about a candidate.

The pages are the gate's report and Great Expectations' Data Docs. They lie in the home, where a browser cannot get at
them (it does not follow a `file://` link from a page), so the API server hands them out, at `/hfc/gate/<release>/`,
read-only and to those who may read the logs of `publish_release`. Installed with the project, by its entry point
`airflow.plugins`; every process of Airflow loads it: import lightly.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.plugins_manager import AirflowPlugin
from airflow.sdk import BaseOperatorLink
from airflow.sdk.configuration import conf
from airflow.sdk.definitions.callback import SyncCallback
from airflow.sdk.definitions.deadline import BaseDeadlineReference, DeadlineAlert

from hfc.home import Home

if TYPE_CHECKING:
    from datetime import datetime

    from fastapi import FastAPI
    from sqlalchemy.orm import Session

PREFIX = "/hfc"
DAG = "publish_release"
# Pages made from deliveries: no script of theirs runs, and the browser keeps them apart from Airflow's login.
SANDBOX = {"Content-Security-Policy": "sandbox", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


class FirstQueued(BaseDeadlineReference):
    """A deadline counts from when a run was first queued.

    With Airflow's own DAGRUN_QUEUED_AT it would begin anew when a run is cleared, but in 3.3 clearing such a run fails
    (apache/airflow#70368).
    """

    required_kwargs = frozenset({"dag_id", "run_id"})

    def _evaluate_with(self, *, session: Session, dag_id: str, run_id: str) -> datetime | None:
        """Asked once, by the process that creates the run."""
        from airflow.models import DagRun
        from sqlalchemy import select

        return session.scalar(select(DagRun.queued_at).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))


def deadline(name: str, overdue: Callable[..., None]) -> DeadlineAlert:
    """What calls `overdue` (of `hfc.alerts`) when a run lasts longer than `HFC_ALERT_MINUTES`, else two hours."""
    minutes = float(os.environ.get("HFC_ALERT_MINUTES") or 120)
    return DeadlineAlert(
        name=name, reference=FirstQueued(), interval=timedelta(minutes=minutes), callback=SyncCallback(overdue)
    )


class GateReportLink(BaseOperatorLink):
    """The button of a task that leads to the report on the candidate that it judged."""

    name = "Gate report"
    xcom_key = "gate_report"

    def get_link(self, operator: object, *, ti_key: object) -> str:
        """Asked in the task's own process, at its end: nobody else has judged a candidate meanwhile."""
        return report_url(Home.at())


def report_url(home: Home) -> str:
    """Where the report on the last verdict can be read in a browser; empty if there is none."""
    from expectations.gate import report_file

    release_id = judged_release(home)
    base = conf.get("api", "base_url", fallback="").rstrip("/")
    return f"{base}{PREFIX}/gate/{release_id}/{report_file(home).name}" if release_id else ""


def judged_release(home: Home) -> str | None:
    """The release of the candidate that the last verdict is about, if there is one."""
    from expectations.gate import gate_file

    file = gate_file(home)
    return str(json.loads(file.read_text(encoding="utf-8"))["release_id"]) if file.is_file() else None


@cache
def pages() -> FastAPI:
    """The pages below `PREFIX`."""
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
    from airflow.api_fastapi.core_api.security import requires_access_dag
    from fastapi import Depends, FastAPI, HTTPException
    from fastapi.responses import FileResponse

    from expectations.gate import report_file

    app = FastAPI(openapi_url=None)
    allowed = requires_access_dag("GET", DagAccessEntity.TASK_LOGS, DAG)

    @app.get("/gate/{release_id}/{path:path}", dependencies=[Depends(allowed)])
    def page(release_id: str, path: str) -> FileResponse:
        """A file of the report on a candidate, as long as no other one was judged."""
        home = Home.at()
        if release_id != judged_release(home):
            raise HTTPException(404, f"The gate has judged another candidate since {release_id}: {report_url(home)}")
        file = inside(report_file(home).parent, path)
        if file is None:
            raise HTTPException(404, f"The report on {release_id} has no page {path}")
        return FileResponse(file, headers=SANDBOX)

    return app


def inside(folder: Path, path: str) -> Path | None:
    """The file at `path` below `folder`, if it is one and really lies there, whatever dots and links say."""
    file = (folder / path).resolve()
    return file if file.is_file() and file.is_relative_to(folder.resolve()) else None


async def serve(scope: Any, receive: Any, send: Any) -> None:
    """The pages, made when they are first asked for: only the API server has them to serve."""
    await pages()(scope, receive, send)


class HfcPlugin(AirflowPlugin):
    """What Airflow finds by the entry point."""

    name = "hfc"
    deadline_references = [FirstQueued]
    fastapi_apps = [{"app": serve, "url_prefix": PREFIX, "name": "HFC gate reports"}]
