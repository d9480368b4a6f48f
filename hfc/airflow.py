"""A complete Airflow on one machine: `python -m hfc.airflow`, which is what `make airflow` runs.

Everything it keeps lies in `<home>/airflow`: metadata (SQLite), logs, secrets. It listens on 127.0.0.1 only.
`airflow standalone` would do nearly this, but leaves its children behind when it is ended; here every component
leads a session of its own, and a session is ended as a whole, whatever process groups its tasks have opened.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import fcntl
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from hfc.home import HfcError, Home, UsageError, replacing

REPOSITORY = Path(__file__).resolve().parent.parent
AIRFLOW = (sys.executable, "-m", "airflow")
# In the order of starting; stopped in the reverse order, so that a task that ends can still report to the API.
# No triggerer: no task here defers. No log server: the API server reads the log files itself.
COMPONENTS: Mapping[str, Sequence[str]] = {
    "api-server": (*AIRFLOW, "api-server"),
    "dag-processor": (*AIRFLOW, "dag-processor"),
    "scheduler": (*AIRFLOW, "scheduler", "--skip-serve-logs"),
}
# Two commands of Airflow in one process: importing it is most of what each costs.
PREPARATION: Sequence[str] = (
    sys.executable,
    "-c",
    "import sys; from airflow.__main__ import main\n"
    "for sys.argv[1:] in (['db', 'migrate'], ['pools', 'set', 'warehouse', '1', 'One writer at a time']): main()",
)
USER = "admin"
PASSWORDS = "passwords.json"
STARTUP_SECONDS = 180
GRACE_SECONDS = 15
TAIL_LINES = 20

# Task processes fork from the scheduler or a worker: what it has imported, they need not (a dbt task 7.2 s -> 2.3 s).
PRELOAD = '''"""Written by `python -m hfc.airflow` at every start."""
import sys

__all__: list[str] = []

if {"scheduler", "worker"} & {*sys.argv[1:3]}:
    import dbt.adapters.duckdb
    import dbt.cli.main
    import duckdb
    import great_expectations
    import pandas
    import pyarrow
'''


class ComponentDied(HfcError):
    """A component of Airflow ended by itself, or never became healthy."""


@dataclass
class AirflowLocal:
    """Airflow for one home, as a context manager: once entered it is healthy, once left no process of it remains.

    `port` 0 takes a free one; `components` and `preparation` are there for tests.
    """

    home: Home
    port: int = 8080
    components: Mapping[str, Sequence[str]] = field(default_factory=lambda: COMPONENTS)
    preparation: Sequence[str] = PREPARATION
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict, init=False)
    held: contextlib.ExitStack = field(default_factory=contextlib.ExitStack, init=False)

    @property
    def root(self) -> Path:
        """AIRFLOW_HOME."""
        return self.home.root / "airflow"

    @property
    def url(self) -> str:
        """Where the user interface and the API are."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def password_file(self) -> Path:
        """The login, readable by its owner only."""
        return self.root / PASSWORDS

    @property
    def password(self) -> str:
        """The password of `USER`."""
        return str(json.loads(self.password_file.read_text(encoding="utf-8"))[USER])

    def __enter__(self) -> AirflowLocal:
        """Prepare, start, and wait until every component is healthy."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.held.enter_context(only_one(self.root / "launcher.lock"))
        try:
            self.port = free_port(self.port)
            self._write_files()
            self._run("preparation", self.preparation)
            started = datetime.now(UTC)
            for name, command in self.components.items():
                self.processes[name] = self._start(name, command)
            self._wait_until_healthy(started)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End every process of every component: asked first, killed after a grace period."""
        while self.processes:
            end_session(self.processes.popitem()[1], GRACE_SECONDS)
        self.held.close()

    def watch(self) -> None:
        """Never return; raise `ComponentDied` as soon as a component has ended."""
        while True:
            self.check_alive()
            time.sleep(0.5)

    def check_alive(self) -> None:
        """Raise `ComponentDied`, with the end of its log, if a component has ended."""
        for name, process in self.processes.items():
            if process.poll() is not None:
                raise ComponentDied(f"{name} ended with status {process.returncode}.\n{tail(self.log_of(name))}")

    def log_of(self, name: str) -> Path:
        """Where a component writes what it prints."""
        return self.root / f"{name}.log"

    def _write_files(self) -> None:
        """The login and the preload, the JWT secret (kept)."""
        write_login_and_preload(self.root)
        if not self._jwt_secret_file.exists():
            write_private(self._jwt_secret_file, secrets.token_hex(64))
        self.home.landing.mkdir(parents=True, exist_ok=True)

    @property
    def _jwt_secret_file(self) -> Path:
        return self.root / "jwt_secret"

    def environment(self) -> dict[str, str]:
        """What the components run with. Settings of another Airflow in the caller's environment do not leak in."""
        dropped = ("AIRFLOW__", "AIRFLOW_CONFIG", "HFC_AIRFLOW_PASSWORD")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
        bypass = [kept.get("NO_PROXY") or kept.get("no_proxy"), "127.0.0.1"]
        path = [str(REPOSITORY), kept.get("PYTHONPATH")]
        return {
            **kept,
            "PYTHONPATH": os.pathsep.join(filter(None, path)),
            "NO_PROXY": ",".join(filter(None, bypass)),
            "no_proxy": ",".join(filter(None, bypass)),
            "HFC_HOME": str(self.home.root),
            "HFC_LANDING": str(self.home.landing),
            "AIRFLOW_HOME": str(self.root),
            "GX_ANALYTICS_ENABLED": "False",  # read when GX is imported, which the scheduler does first
            **{f"AIRFLOW__{key}": value for key, value in self._settings().items()},
        }

    def _settings(self) -> dict[str, str]:
        """Airflow's settings, by SECTION__KEY."""
        return {
            "API__BASE_URL": self.url,  # the tasks' address of the API follows from it
            "API__HOST": "127.0.0.1",
            "API__PORT": str(self.port),
            "API_AUTH__JWT_SECRET": self._jwt_secret_file.read_text(encoding="utf-8"),
            "CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),  # the default DAG bundle reads this folder
            "CORE__EXECUTOR": "LocalExecutor",
            "CORE__LOAD_EXAMPLES": "False",
            "CORE__PARALLELISM": str(max(4, os.cpu_count() or 1)),
            "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.password_file),
            "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
            "DAG_PROCESSOR__REFRESH_INTERVAL": "10",
            "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.root / 'airflow.db'}",
            # A connection that failed on SQLite's lock keeps its old view of the database, and fails again and again.
            "DATABASE__SQL_ALCHEMY_POOL_ENABLED": "False",
            "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "60",  # a task cut off by a stop starts again soon after
            "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
            "USAGE_DATA_COLLECTION__ENABLED": "False",
        }

    def _run(self, name: str, command: Sequence[str]) -> None:
        """Run a command to its end."""
        self.processes[name] = self._start(name, command)
        if self.processes[name].wait(STARTUP_SECONDS) != 0:
            self.check_alive()
        del self.processes[name]

    def _start(self, name: str, command: Sequence[str]) -> subprocess.Popen[bytes]:
        with open(self.log_of(name), "wb") as log:
            return subprocess.Popen(
                command,
                env=self.environment(),
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=end_with_parent if sys.platform == "linux" else None,
            )

    def _wait_until_healthy(self, started: datetime) -> None:
        """Until the API answers and scheduler and DAG processor have given a sign of life since `started`."""
        deadline = time.monotonic() + STARTUP_SECONDS
        while waiting_for := self.unhealthy(started):
            self.check_alive()
            if time.monotonic() > deadline:
                logs = "\n".join(tail(self.log_of(name)) for name in self.components)
                raise ComponentDied(f"Not healthy after {STARTUP_SECONDS} s: {', '.join(waiting_for)}.\n{logs}")
            time.sleep(0.25)

    def unhealthy(self, since: datetime) -> list[str]:
        """The components that have not given a sign of life after `since`."""
        try:
            health = get_json(f"{self.url}/api/v2/monitor/health")
        except (OSError, ValueError):
            return ["api-server"]
        beats = {
            "scheduler": health["scheduler"].get("latest_scheduler_heartbeat"),
            "dag-processor": (health.get("dag_processor") or {}).get("latest_dag_processor_heartbeat"),
        }
        return [name for name, beat in beats.items() if not beat or datetime.fromisoformat(beat) < since]


def prepare(home: Home) -> int:
    """All that components find which something else starts (docker-compose.yml): login, preload, metadata, pool.

    Uses the settings of the environment, with AIRFLOW_HOME where the launcher has it. Gives Airflow's exit status.
    """
    root = AirflowLocal(home).root
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_login_and_preload(root)
    return subprocess.run(PREPARATION, env={**os.environ, "AIRFLOW_HOME": str(root)}, check=False).returncode


def write_login_and_preload(root: Path) -> None:
    """The password (configured, else kept, else generated) and the preload, in an AIRFLOW_HOME."""
    configured = os.environ.get("HFC_AIRFLOW_PASSWORD")
    if configured or not (root / PASSWORDS).exists():
        write_private(root / PASSWORDS, json.dumps({USER: configured or secrets.token_urlsafe(12)}))
    write_private(root / "config" / "airflow_local_settings.py", PRELOAD)


@contextlib.contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Hold the lock `path`: two schedulers on one SQLite file would destroy each other's work."""
    with open(path, "a", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"Airflow already runs for {path.parent.parent}: stop that one first.") from None
        yield


def free_port(port: int) -> int:
    """The port itself if it can be listened on, any free one for 0; else `UsageError`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise UsageError(
                f"Port {port} of 127.0.0.1 is not free ({error.strerror}): choose one with --port."
            ) from None
        return int(probe.getsockname()[1])


def write_private(target: Path, text: str) -> None:
    """Write a file that only its owner can read, atomically."""
    with replacing(target) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_text(text, encoding="utf-8")


def get_json(url: str) -> Any:
    """The JSON at a local address, past any proxy of the environment."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=5) as response:
        return json.load(response)


def tail(path: Path) -> str:
    """The end of a log, under its name."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    return "\n".join([f"--- the last lines of {path}", *lines[-TAIL_LINES:]])


def end_with_parent() -> None:
    """In the child: be asked to end when the launcher is killed and can ask no more (Linux)."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def end_session(leader: subprocess.Popen[bytes], grace: float) -> None:
    """End the leader, and whatever is left of its session: asked first, killed after `grace` seconds.

    A running task gets the grace period to finish; killed, it starts again with the next scheduler.
    """
    leader.terminate()
    deadline = time.monotonic() + grace
    while leader.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    kill_session(leader)


def kill_session(leader: subprocess.Popen[bytes]) -> None:
    """Kill the leader, and whatever is left of its session."""
    while members := session_members(leader.pid):
        for pid in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        leader.poll()
        time.sleep(0.05)
    leader.wait()


def session_members(sid: int) -> list[int]:
    """The living processes of a session."""
    members = []
    for pid in psutil.pids():
        with contextlib.suppress(ProcessLookupError, PermissionError, psutil.NoSuchProcess):
            if os.getsid(pid) == sid and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                members.append(pid)
    return members


def interrupt(number: int, _: FrameType | None) -> None:
    """A signal to end: once, so that the stopping itself is not cut short."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt(signal.Signals(number).name)


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m hfc.airflow", description="Airflow for one home, on this machine.")
    parser.add_argument("--home", help="the home directory (default: HFC_HOME, else ./var)")
    port = os.environ.get("HFC_AIRFLOW_PORT") or "8080"
    parser.add_argument(
        "--port", type=int, default=port, help="0 takes a free one (default: HFC_AIRFLOW_PORT, else 8080)"
    )
    parser.add_argument(
        "--prepare",
        action="store_true",
        help="start nothing, only get everything ready for components that something else starts",
    )
    return parser.parse_args(argv)


def run(home: Home, port: int) -> None:
    """Start, tell the person where it is, and watch until interrupted."""
    if not (REPOSITORY / "dags").is_dir():
        raise UsageError(f"No DAGs at {REPOSITORY / 'dags'}: run from a checkout of the repository.")
    print(f"Starting Airflow in {home.root / 'airflow'} (about half a minute) …", flush=True)
    with AirflowLocal(home, port) as airflow:
        print(f"Airflow is ready:  {airflow.url}")
        print(f"Login:             {USER} / {airflow.password}   (kept in {airflow.password_file})")
        print(f"Deliveries go to:  {home.landing}")
        print(f"Logs:              {airflow.root}")
        print(f"Stop:              Ctrl-C, or kill {os.getpid()}", flush=True)
        airflow.watch()


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 stopped on request or prepared, 1 a component died, 2 wrong use (port taken, already running)."""
    options = arguments(argv)
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, interrupt)
    try:
        if options.prepare:
            return prepare(Home.at(options.home))
        run(Home.at(options.home), options.port)
    except KeyboardInterrupt:
        print("Airflow is stopped.", flush=True)
    except HfcError as error:
        print(f"airflow: {error}", file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
