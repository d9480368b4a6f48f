"""The launcher, with stand-ins for Airflow's components: what it does when something is in its way."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hfc import airflow as launcher
from hfc.airflow import AirflowLocal, ComponentDied, end_session, session_members
from hfc.home import Home, UsageError

# A component that dies, and one whose child has gone to a process group of its own, as Airflow's tasks do.
DIES = (sys.executable, "-c", "print('no such table'); raise SystemExit(3)")
SURVIVES = (
    sys.executable,
    "-c",
    "import os, time, signal\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "if os.fork() == 0: os.setpgid(0, 0)\n"
    "time.sleep(600)",
)
NOTHING = (sys.executable, "-c", "")


def local(home: Path, **components: tuple[str, ...]) -> AirflowLocal:
    return AirflowLocal(Home(home), 0, components=components, preparation=NOTHING)


def test_a_component_that_dies_is_named_with_the_end_of_its_log(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "GRACE_SECONDS", 1)
    airflow = local(home, scheduler=DIES, other=SURVIVES)
    with (
        pytest.raises(ComponentDied, match=r"(?s)scheduler ended with status 3.*scheduler\.log.*no such table"),
        airflow,
    ):
        pass
    assert not airflow.processes


def test_a_session_is_ended_whole() -> None:
    leader = subprocess.Popen(SURVIVES, start_new_session=True)
    deadline = time.monotonic() + 60
    while not {os.getpgid(pid) for pid in session_members(leader.pid)} > {leader.pid}:
        assert time.monotonic() < deadline, "the child has not opened a process group of its own"
        time.sleep(0.05)
    end_session(leader, grace=0.2)
    assert not session_members(leader.pid)


def test_a_taken_port_is_wrong_use(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "hfc.airflow", "--home", str(home), "--port", str(port)],
            cwd=launcher.REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert f"Port {port} of 127.0.0.1 is not free" in done.stderr


def test_one_home_has_one_airflow(home: Path) -> None:
    first, second = local(home, scheduler=DIES), local(home, scheduler=DIES)
    first.root.mkdir(mode=0o700)
    with launcher.only_one(first.root / "launcher.lock"), pytest.raises(UsageError, match="already runs"), second:
        pass


def test_secrets_are_kept_and_only_the_owners(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    for configured in ("", "", "chosen by hand"):
        monkeypatch.setenv("HFC_AIRFLOW_PASSWORD", configured)
        with pytest.raises(ComponentDied), (airflow := local(home, scheduler=DIES)):
            pass
        seen.append((airflow.password, airflow.environment()["AIRFLOW__API_AUTH__JWT_SECRET"]))
    assert seen[0] == seen[1]
    assert seen[2] == ("chosen by hand", seen[0][1])
    assert len(seen[0][1]) >= 64
    files = [airflow.password_file, airflow.root / "jwt_secret"]
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600, 0o600]
    assert json.loads(airflow.password_file.read_text()) == {"admin": "chosen by hand"}


def test_another_airflows_settings_do_not_leak_in(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://production/airflow")
    monkeypatch.setenv("AIRFLOW__CORE__HOSTNAME_CALLABLE", "elsewhere.name")
    with pytest.raises(ComponentDied), (airflow := local(home, scheduler=DIES)):
        pass
    environment = airflow.environment()
    assert environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == f"sqlite:///{home}/airflow/airflow.db"
    assert "AIRFLOW__CORE__HOSTNAME_CALLABLE" not in environment
