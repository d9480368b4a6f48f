"""The lake into a published release; wiring only, the work is `hfc.pipeline`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Asset, AssetOrTimeSchedule, CronTriggerTimetable, Param, dag, task
from airflow.sdk.exceptions import AirflowFailException, AirflowRescheduleException

from hfc import pipeline
from hfc.airflow_plugin import GateReportLink, deadline, report_url
from hfc.alerts import release_is_overdue
from hfc.home import CandidateReplaced, GateFailed, GateHeld, Home, UsageError

LAKE = Asset(name="lake", uri="x-hfc://lake")
RELEASE = Asset(name="release", uri="x-hfc://release")
OVER = {"success", "failed", "skipped", "upstream_failed", "removed"}

log = logging.getLogger("hfc")


@contextmanager
def final() -> Iterator[None]:
    """A refused candidate, or one that is no longer there, fails its task at once: trying again changes nothing."""
    try:
        yield
    except (GateFailed, CandidateReplaced, UsageError) as refused:
        raise AirflowFailException(str(refused)) from None


def findings(home: Home, verdict: GateFailed) -> str:
    """What did not pass, and where it can be read."""
    return f"{verdict}\nIn the browser: {report_url(home)}"


def wait_for_turn(ti: Any) -> None:
    """Give the slot back for a moment while the candidate of another run is on its way: Airflow's limit of runs at once
    does not count backfills and other runs together. What holds the slot sees whether another run has built."""
    runs = ti.get_task_states(dag_id=ti.dag_id, task_ids=["build", "publish"])
    for run_id, states in runs.items():
        if run_id != ti.run_id and states.get("build") == "success" and states.get("publish") not in OVER:
            log.info("The candidate of %s is on its way: waiting for it.", run_id)
            raise AirflowRescheduleException(datetime.now(UTC) + timedelta(seconds=5))  # type: ignore[no-untyped-call]


def is_backfill(dag_run: Any) -> bool:
    """Whether a run belongs to a backfill of Airflow: its logical date is the day whose knowledge it publishes."""
    return bool(dag_run.run_type == "backfill")


@dag(
    description="Lake to release: build the candidate, judge it, and move the pointer when every check passed.",
    # The clock is there for backfills, which need days; its own runs catch up with what was loaded by hand.
    schedule=AssetOrTimeSchedule(timetable=CronTriggerTimetable("0 0 * * *", timezone="UTC"), assets=[LAKE]),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    deadline=deadline("release", release_is_overdue),
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
        "weight_rule": "upstream",  # what a run has begun goes before what another one would begin
        "retries": 2,
        "retry_delay": timedelta(minutes=1),
        "execution_timeout": timedelta(hours=2),
    },
    tags=["hfc", "publish"],
)
def publish_release() -> None:
    """### Lake → candidate → gate → release

    Runs when `ingest_deliveries` has loaded something (asset `lake`), and every morning. Nothing is visible before the
    gate passed; publication is one rename of `published/current`, and a failed gate leaves it where it was.

    - **Nothing changed** since the current release: all but `build` is skipped, the log of `build` says so.
    - **`build` or `gate` failed with a refusal**: the log lists the tests or checks, and the button *Gate report* leads
      to the report. A corrected delivery starts the next run by itself; after `hfc replay` trigger this DAG by hand.
    - **`decide` waits**: only warnings failed, and a person has to say whether the release may have them (*Required
      actions*). *Approve* needs a reason, which the release's manifest keeps with the name of who gave it; *Reject*,
      or no answer for three days, leaves `published/current` where it was. What a check blocks nobody can approve.
    - **A release for a past day**: trigger this DAG by hand and fill in *As of*.
    - **Releases for many past days**: a backfill, with one active run at a time; days on which nothing became known, or
      that have their release, are skipped, and `published/current` never moves back.

    The pool `warehouse` has one slot, and `build` waits while the candidate of another run is on its way. A task that
    finds another candidate in its place all the same (a person's, by `hfc run`) fails; clear the run from `build` on.
    """

    @task.short_circuit
    def build(params: dict[str, Any] | None = None, dag_run: Any = None, ti: Any = None) -> str | None:
        """One `dbt build` of the candidate from the lake. Skips what follows when there is nothing to release."""
        wait_for_turn(ti)
        home, as_of = Home.at(), (params or {}).get("as_of")
        day = dag_run.logical_date.date() if is_backfill(dag_run) else date.fromisoformat(as_of) if as_of else None
        if not (days := pipeline.vintages(home)):
            log.info("Nothing is loaded yet: nothing to release.")
            return None
        if is_backfill(dag_run) and (day not in days or pipeline.is_released(home, day)):
            log.info("Nothing became known on %s that has no release yet.", day)
            return None
        with final():
            built = pipeline.build(home, as_of=day)
            if built.up_to_date:
                pipeline.catch_up(home)
        if built.up_to_date:
            log.info("Release %s already has exactly these inputs: nothing to judge or publish.", built.release_id)
            return None
        log.info("Built the candidate of release %s as of %s.", built.release_id, built.as_of)
        return built.release_id

    @task.branch
    def gate(release_id: str, ti: Any = None) -> str:
        """Judge the candidate by the expectations: publish, let a person decide, or fail."""
        home = Home.at()
        with final():
            try:
                pipeline.gate(home, release_id=release_id)
                return "publish"
            except GateHeld as held:
                found = findings(home, held)
            except GateFailed as refused:
                raise GateFailed(findings(home, refused)) from None
        log.warning("%s", found)
        ti.xcom_push("findings", found)
        return "decide"

    decide = ApprovalOperator(
        task_id="decide",
        subject="Publish release {{ ti.xcom_pull('build') }} although warnings hold it?",
        # Indented, the findings are shown as they stand: what came in a delivery makes no link and no heading.
        body="[Gate report]({{ ti.xcom_pull('gate', key='gate_report') }})\n\n"
        "    {{ ti.xcom_pull('gate', key='findings') | string | indent }}",
        params={"reason": Param("", title="Reason", description="Kept in the release. No approval without one.")},
        defaults="Reject",
        response_timeout=timedelta(days=3),
        execution_timeout=None,
        ignore_downstream_trigger_rules=True,  # rejected, nothing after it runs, whatever else succeeded
        doc_md="A person decides whether the gate's warnings may stand in a release. Holds no slot while it waits.",
    )

    @task
    def approve(release_id: str, answer: dict[str, Any]) -> None:
        """Record who approved the candidate and why; without a reason, or for another candidate, fail."""
        by, reason = answer["responded_by_user"]["name"], answer["params_input"].get("reason")
        with final():
            # The form lets anything through: what is no text is no reason.
            pipeline.approve(Home.at(), reason if isinstance(reason, str) else "", by, release_id=release_id)

    @task(outlets=[RELEASE], trigger_rule="none_failed_min_one_success")
    def publish(release_id: str, dag_run: Any = None, outlet_events: Any = None) -> str:
        """Make the candidate an immutable release and point `published/current` at it."""
        with final():
            release = pipeline.publish(Home.at(), release_id=release_id, forward_only=is_backfill(dag_run))
        outlet_events[RELEASE].extra = {"release_id": release.release_id}
        log.info("Published release %s: %s", release.release_id, release.path)
        return release.release_id

    built: Any = build()
    judged: Any = gate(built)
    judged.operator.operator_extra_links = (GateReportLink(),)
    published = publish(built)
    judged >> [decide, published]
    answered: Any = decide.output
    decide >> approve(built, answered) >> published


publish_release()
