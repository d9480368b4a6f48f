"""What docker-compose.yml starts, started without Docker on a real PostgreSQL: each service becomes healthy.

Airflow then has two workers, which load what one process loads, also when one of them is killed.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import httpx
import psutil
import pytest
from browser import install
from containers import REPOSITORY, VALUES, Services
from formats import FUND, FUNDS
from postgres import Database, Server, asked, owner

from hfc import pipeline
from hfc.airflow import kill_session, session_members
from hfc.home import Home
from tests.dags.test_dags import login, wait_for
from tests.deliveries import write_random_landing
from tests.e2e.test_faults import files, outcomes
from tests.e2e.test_run import age, leftovers

OF_AIRFLOW = ("api-server", "dag-processor", "triggerer", "scheduler", "worker")
SETTINGS = {
    "HFC_INGEST_CRON": "0 0 1 1 *",  # the tests start the runs
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that the web server, who is not root, can read."""
    folder = Path(tempfile.mkdtemp(prefix="hfc-services-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def services(folder: Path) -> Iterator[Services]:
    """PostgreSQL with the databases made, and everything to start the others."""
    places = {"/var/lib/hfc": "home", "/var/lib/board": "board", "/landing": "landing"}
    here = {container: folder / name for container, name in places.items()} | {"/opt/hfc": REPOSITORY}
    (folder / "landing").mkdir()
    with Server() as server, Services(folder, server, here, SETTINGS) as running:
        running.start("databases")
        running.finish("databases")
        yield running


@pytest.fixture(scope="module")
def api(services: Services, folder: Path) -> Iterator[httpx.Client]:
    """Airflow, each service of which is healthy once it is started and not before."""
    install("redis-server")
    services.start("init")
    services.finish("init")
    for name in ("broker", *OF_AIRFLOW):
        assert not services.is_healthy(name)
        services.start(name)
    for name in OF_AIRFLOW:
        services.await_health(name)
    with closing(login(f"http://127.0.0.1:{services.port(8080)}", folder / "home")) as client:
        yield client


def test_airflow_becomes_healthy_and_sees_the_dags(services: Services, api: httpx.Client) -> None:
    assert services.is_healthy("broker")
    airflow = Database(services.postgres.port, "airflow")
    dags = asked(airflow.connect("airflow"), "SELECT dag_id FROM dag WHERE NOT is_stale ORDER BY dag_id")
    files = sorted(path.stem for path in (REPOSITORY / "dags").glob("*.py"))
    assert [dag for (dag,) in dags] == files


# --- two workers ------------------------------------------------------------------------------------------------------


class Workers:
    """Airflow with two workers on one home, and another home that one process loads, one delivery after the other."""

    def __init__(self, services: Services, api: httpx.Client, folder: Path) -> None:
        self.services, self.api, self.landing = services, api, folder / "landing"
        self.home, self.alone = Home(folder / "home"), Home(folder / "alone")

    def start_run(self) -> str:
        """Begin to load what has landed; where the API has the run."""
        runs = "/api/v2/dags/ingest_deliveries/dagRuns"
        return f"{runs}/{self.api.post(runs, json={'logical_date': None}).raise_for_status().json()['dag_run_id']}"

    def ended(self, run: str) -> str:
        """How a run ended, once it has."""

        def state() -> str | None:
            found = str(self.api.get(run).raise_for_status().json()["state"])
            return found if found in ("success", "failed") else None

        return str(wait_for("the run to end", state))

    def tries(self, run: str, task: str) -> list[int]:
        """The try in which each task of this name ended well; empty where none did."""
        tasks = self.api.get(f"{run}/taskInstances").raise_for_status().json()["task_instances"]
        return [each["try_number"] for each in tasks if (each["task_id"], each["state"]) == (task, "success")]

    def load_alone(self) -> int:
        """Load what has landed in one process; how many deliveries that were."""
        waiting = pipeline.receive(self.alone, self.landing)
        for delivery in waiting:
            pipeline.load(self.alone, delivery)
        return len(waiting)

    def announced(self) -> list[str]:
        """The deliveries that Airflow has told to be loaded."""
        events = self.api.get("/api/v2/assets/events").raise_for_status().json()["asset_events"]
        return sorted(delivery for event in events for delivery in event["extra"]["deliveries"])

    def check_like_alone(self) -> None:
        """Both homes hold the same, byte for byte; every delivery that was loaded was announced, once."""
        assert files(self.home.root) == files(self.alone.root)
        loaded = {name for name, outcome in outcomes(self.alone.root).items() if outcome["outcome"] == "loaded"}
        assert self.announced() == sorted(name.removesuffix(".json") for name in loaded)

    def is_at_work(self, name: str) -> bool:
        """Whether a process of a worker has a file of a delivery open."""
        rooms = tuple(f"{self.home.root}/{room}/" for room in ("archive", "lake", "scratch"))
        for pid in session_members(self.services.processes[name].pid):
            with suppress(psutil.Error):
                if any(file.path.startswith(rooms) for file in psutil.Process(pid).open_files()):
                    return True
        return False

    def freeze_at_work(self, name: str) -> bool:
        """Stop a worker's processes; whether that was in the midst of a delivery, without which they go on."""
        self._signal(name, signal.SIGSTOP)
        if not (frozen := self.is_at_work(name)):
            self._signal(name, signal.SIGCONT)
        return frozen

    def _signal(self, name: str, number: signal.Signals) -> None:
        for pid in session_members(self.services.processes[name].pid):
            with suppress(ProcessLookupError):
                os.kill(pid, number)


@pytest.fixture(scope="module")
def workers(services: Services, api: httpx.Client, folder: Path) -> Workers:
    """A second worker; releases are not asked for here."""
    api.patch("/api/v2/dags/publish_release", json={"is_paused": True}).raise_for_status()
    services.start("worker", "second")
    wait_for("the second worker", lambda: "second@here ready" in services.said("second"))
    return Workers(services, api, folder)


def test_two_workers_load_what_one_process_loads(workers: Workers) -> None:
    write_random_landing(workers.landing, 12, size=23)
    assert workers.ended(workers.start_run()) == "success"
    assert workers.load_alone() == 100
    workers.check_like_alone()
    shares = [workers.services.said(name).count("Executing workload") for name in ("worker", "second")]
    assert min(shares) > 20, shares


def test_a_killed_worker_loses_and_doubles_nothing(workers: Workers) -> None:
    (workers.landing / "fund_commitments").mkdir(exist_ok=True)
    for number in range(1, 7):
        rows = [f"{number}-{line},{','.join(map(str, FUND[1:]))}" for line in range(50_000)]
        delivery = workers.landing / f"fund_commitments/large__202501{number:02}.csv"
        delivery.write_text("\n".join([",".join(FUNDS), *rows]), encoding="utf-8")
    run = workers.start_run()
    wait_for("the deliveries to be archived", lambda: workers.tries(run, "receive"))
    wait_for("the second worker to load", lambda: workers.freeze_at_work("second"))
    kill_session(workers.services.processes["second"])
    assert workers.ended(run) == "success"
    assert 2 in workers.tries(run, "load")
    assert workers.load_alone() == 6
    age(leftovers(workers.home.root))  # what the killed one left goes after a day
    workers.home.sweep()
    workers.check_like_alone()


# --- the others -------------------------------------------------------------------------------------------------------


def test_the_web_server_shows_the_board(services: Services, folder: Path) -> None:
    install("nginx")
    assert not services.is_healthy("board")
    services.start("board", **owner())
    services.await_health("board")
    address = f"http://127.0.0.1:{services.port(8081)}/"
    assert httpx.get(address).status_code == 404
    (folder / "board/site").mkdir(parents=True)
    (folder / "board/site/index.html").write_text("进展", encoding="utf-8")
    shown = httpx.get(address)
    assert (shown.text, shown.headers["content-type"]) == ("进展", "text/html; charset=utf-8")


def test_the_databases_are_made_once_and_passwords_set_anew(services: Services) -> None:
    roles = {"hfc_publisher": "hfc", "superset": "superset", "hfc_superset": "hfc"}
    services.postgres.run("ALTER ROLE superset PASSWORD 'forgotten'")
    services.start("databases")
    services.finish("databases")
    for role, database in roles.items():
        password = VALUES["HFC_POSTGRES_PASSWORD" if role == "hfc_publisher" else "HFC_SUPERSET_POSTGRES_PASSWORD"]
        connection = Database(services.postgres.port, database).connect(role, password)
        assert asked(connection, "SELECT current_user::text") == [(role,)]
        connection.close()
