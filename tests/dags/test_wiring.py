"""What the DAGs make of the pipeline's answers, each task run for real but with a pipeline that only answers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sites import Reply, Request, site

from hfc import pipeline
from hfc.home import CandidateReplaced, GateFailed, Home

DAGS = Path(__file__).resolve().parents[2] / "dags"
Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def metadata() -> None:
    """An empty metadata database."""
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture
def dags(metadata: None) -> dict[str, Any]:
    """The DAGs, parsed anew: a test run leaves its params in the DAG object."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(DAGS)
    assert not bag.import_errors
    for task in (task for dag in bag.dags.values() for task in dag.tasks):
        task.retry_delay = timedelta()
    for dag in bag.dags.values():
        dag.deadline = None  # which a run of `dag.test()` trips over at its end
    return bag.dags


@pytest.fixture
def run(dags: dict[str, Any], home: Path) -> Run:
    """Run a DAG once; gives the state of the run and of each task (mapped ones as a list, in order)."""

    def once(dag_id: str, **conf: Any) -> dict[str, Any]:
        finished = dags[dag_id].test(run_conf=conf)
        states: dict[str, Any] = {"run": str(finished.state)}
        for instance in sorted(finished.get_task_instances(), key=lambda ti: ti.map_index):
            state = str(instance.state)
            if instance.map_index >= 0:
                states.setdefault(instance.task_id, []).append(state)
            else:
                states[instance.task_id] = state
        return states

    return once


@pytest.fixture
def deliveries(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let these deliveries wait; their load ends as said, `broken` by an exception."""

    def wait(**outcomes: str) -> None:
        def load(_: Home, delivery_id: str) -> SimpleNamespace:
            if outcomes[delivery_id] == "broken":
                raise RuntimeError("a fault of ours")
            return SimpleNamespace(file=delivery_id, outcome=outcomes[delivery_id], summary=lambda: delivery_id)

        monkeypatch.setattr(pipeline, "receive", lambda home, landing: list(outcomes))
        monkeypatch.setattr(pipeline, "load", load)

    return wait


@pytest.mark.parametrize(
    ("outcomes", "load", "announce", "state"),
    [
        ({}, "skipped", "skipped", "success"),
        ({"a": "loaded", "b": "unchanged"}, ["success", "success"], "success", "success"),
        ({"a": "unchanged"}, ["success"], "skipped", "success"),
        ({"a": "rejected"}, ["success"], "skipped", "success"),
        ({"a": "broken", "b": "loaded"}, ["failed", "success"], "success", "failed"),
        ({"a": "broken"}, ["failed"], "upstream_failed", "failed"),
    ],
)
def test_only_what_was_loaded_is_announced(
    run: Run, deliveries: Callable[..., None], outcomes: dict[str, str], load: Any, announce: str, state: str
) -> None:
    deliveries(**outcomes)
    states = run("ingest_deliveries")
    assert (states["load"], states["announce"], states["run"]) == (load, announce, state)


def test_a_failed_receive_fails_the_run(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(home: Home, landing: Path) -> list[str]:
        raise OSError("no such share")

    monkeypatch.setattr(pipeline, "receive", fail)
    states = run("ingest_deliveries")
    assert (states["receive"], states["announce"], states["run"]) == ("failed", "upstream_failed", "failed")


SOURCES = """sources:
  - {{name: open, feed: public_series, kind: http, url: "{url}/open.csv"}}
  - {{name: closed, feed: public_series, kind: http, url: "{url}/closed.csv", auth: {{airflow_connection: {connection}}}}}
"""


def portal(request: Request) -> Reply:
    """Gives `closed.csv` only for the secret."""
    refused = request.path == "/closed.csv" and request.headers.get("Authorization") != "Bearer wiring-secret"
    return Reply(request.path.encode(), status=403 if refused else 200)


@pytest.mark.parametrize(
    ("connection", "fetch", "state"),
    [("portal", ["success", "success"], "success"), ("nowhere", ["success", "failed"], "failed")],
)
def test_each_source_is_fetched_with_the_secret_of_its_connection(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch, connection: str, fetch: list[str], state: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_PORTAL", '{"conn_type": "http", "password": "wiring-secret"}')
    with site(portal) as web:
        text = SOURCES.format(url=web.url, connection=connection)
        (home / "sources.yaml").write_text(text, encoding="utf-8")
        states = run("fetch_sources")
    assert (states["fetch"], states["run"]) == (fetch, state)
    landed = {path.read_text() for path in (home / "landing" / "public_series").glob("*.csv")}
    assert landed == {"/open.csv", "/closed.csv"} if state == "success" else {"/open.csv"}


def test_without_sources_there_is_nothing_to_fetch(run: Run, home: Path) -> None:
    assert run("fetch_sources") == {"run": "success", "sources": "success", "fetch": "skipped"}
    assert not (home / "landing").exists()


def test_without_a_folder_there_is_no_board(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HFC_BOARD", raising=False)
    assert run("show_board") == {"run": "success", "site": "skipped"}


def answer(
    monkeypatch: pytest.MonkeyPatch, *, loaded: bool = True, up_to_date: bool = False, refused_by: str = ""
) -> list[Any]:
    """A pipeline that builds, judges and publishes as said; gives the list of what it was asked."""
    asked: list[Any] = []

    def build(home: Home, as_of: date | None = None) -> SimpleNamespace:
        asked.append(("build", as_of))
        if refused_by == "build":
            raise GateFailed("1 dbt test refused the candidate")
        return SimpleNamespace(up_to_date=up_to_date, release_id="r1", as_of=as_of)

    def gate(home: Home, release_id: str) -> None:
        asked.append(("gate", release_id))
        if refused_by == "gate":
            raise GateFailed("1 check refused the candidate")
        if refused_by == "another run":
            raise CandidateReplaced("The candidate is that of r2")

    def publish(home: Home, release_id: str, forward_only: bool) -> SimpleNamespace:
        asked.append(("publish", release_id, forward_only))
        return SimpleNamespace(release_id="r1", path=home.releases / "r1")

    def catch_up(home: Home) -> None:
        asked.append(("catch_up",))

    for step in (build, gate, publish, catch_up):
        monkeypatch.setattr(pipeline, step.__name__, step)
    monkeypatch.setattr(pipeline, "vintages", lambda home: [VINTAGE] if loaded else [])
    monkeypatch.setattr(pipeline, "is_released", lambda home, day: False)
    return asked


@pytest.mark.parametrize(
    ("others", "waits"),
    [
        ({}, False),
        ({"a": {"build": "running", "publish": None}}, False),
        ({"a": {"build": "success", "publish": None}}, True),
        ({"a": {"build": "success", "publish": "up_for_retry"}}, True),
        ({"a": {"build": "success", "publish": "success"}, "b": {"build": "success", "publish": "skipped"}}, False),
        ({"a": {"build": "success", "publish": "upstream_failed"}, "b": {"build": "failed", "publish": None}}, False),
    ],
)
def test_a_build_waits_while_the_candidate_of_another_run_is_on_its_way(
    dags: dict[str, Any], others: dict[str, Any], waits: bool
) -> None:
    from airflow.sdk.exceptions import AirflowRescheduleException

    wait_for_turn = dags["publish_release"].get_task("build").python_callable.__globals__["wait_for_turn"]
    states = {"own": {"build": "success", "publish": None}, **others}
    ti = SimpleNamespace(dag_id="publish_release", run_id="own", get_task_states=lambda **_: states)
    with pytest.raises(AirflowRescheduleException) if waits else nullcontext():
        wait_for_turn(ti)


VINTAGE = date(2024, 2, 29)
WAITED = {"decide": "skipped", "approve": "skipped"}


def test_a_release_goes_through_build_gate_and_publish(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answer(monkeypatch)
    states = run("publish_release")
    assert states == {"run": "success", "build": "success", "gate": "success", "publish": "success", **WAITED}
    assert asked == [("build", None), ("gate", "r1"), ("publish", "r1", False)]


def test_a_person_may_ask_for_a_past_day(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answer(monkeypatch)
    run("publish_release", as_of="2024-02-29")
    assert asked[0] == ("build", VINTAGE)


@pytest.mark.parametrize(("loaded", "asked"), [(True, [("build", None), ("catch_up",)]), (False, [])])
def test_nothing_is_judged_when_there_is_nothing_to_release(
    run: Run, monkeypatch: pytest.MonkeyPatch, loaded: bool, asked: list[Any]
) -> None:
    done = answer(monkeypatch, loaded=loaded, up_to_date=True)
    states = run("publish_release")
    assert states == {"run": "success", "build": "success", "gate": "skipped", "publish": "skipped", **WAITED}
    assert done == asked


@pytest.mark.parametrize(
    ("refused_by", "states"),
    [
        ("build", {"build": "failed", "gate": "upstream_failed"}),
        ("gate", {"build": "success", "gate": "failed"}),
        ("another run", {"build": "success", "gate": "failed"}),
    ],
)
def test_a_refusal_is_final(run: Run, monkeypatch: pytest.MonkeyPatch, refused_by: str, states: dict[str, str]) -> None:
    asked = answer(monkeypatch, refused_by=refused_by)
    after = dict.fromkeys(("decide", "approve", "publish"), "upstream_failed")
    assert run("publish_release") == {"run": "failed", **states, **after}
    assert len(asked) == len(set(asked))
