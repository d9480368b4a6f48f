"""The DAG folder as Airflow sees it, and one real Airflow that carries deliveries to a release."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DAGS = REPOSITORY / "dags"

PARSE = """
import json, sys, time
import airflow.sdk, airflow.models
import airflow.providers.standard.decorators.python, airflow.providers.standard.decorators.short_circuit
import airflow.providers.standard.operators.empty
from airflow.dag_processing.dagbag import DagBag
before, start = set(sys.modules), time.process_time()
bag = DagBag(sys.argv[1])
print(json.dumps({
    "seconds": time.process_time() - start,
    "errors": bag.import_errors,
    "dags": {dag_id: dag.fileloc for dag_id, dag in bag.dags.items()},
    "imported": sorted({name.partition(".")[0] for name in set(sys.modules) - before}),
}))
"""
FREE = {"airflow", "hfc", *sys.stdlib_module_names}
DAG_FILE = "unusual_prefix_"  # how Airflow names the module of a DAG file


def parsed(folder: Path) -> dict[str, Any]:
    """Parse a folder in a fresh process that has Airflow, and nothing of ours, imported."""
    done = subprocess.run(
        [sys.executable, "-c", PARSE, str(folder)],
        cwd=REPOSITORY,
        env={**os.environ, "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "300"},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def burdens(parse: dict[str, Any]) -> list[str]:
    """What makes a folder too heavy to be read every half minute: libraries that Airflow has not, or time.

    Processor time, which a busy machine does not stretch as it does the clock's.
    """
    names = [name for name in parse["imported"] if name not in FREE and not name.startswith(DAG_FILE)]
    slow = [f"{parse['seconds']:.1f} s of processor time"] if parse["seconds"] >= 1 else []
    return [f"imports {name}" for name in names] + slow


@pytest.fixture(scope="module")
def parse() -> dict[str, Any]:
    return parsed(DAGS)


def test_every_file_is_a_dag_of_its_name(parse: dict[str, Any]) -> None:
    assert not parse["errors"]
    files = {path.stem: str(path) for path in DAGS.glob("*.py")}
    assert parse["dags"] == files
    assert {"ingest_deliveries", "publish_release"} <= set(files)


def test_parsing_imports_nothing_heavy_and_takes_less_than_a_second(parse: dict[str, Any]) -> None:
    assert burdens(parse) == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("import great_expectations", ["imports great_expectations", "s of processor time"]),
        ("from hfc import warehouse", ["imports duckdb"]),
        ("while __import__('time').process_time() < start + 1.1: pass", ["s of processor time"]),
    ],
)
def test_a_heavy_dag_is_refused(tmp_path: Path, line: str, expected: list[str]) -> None:
    dag = (DAGS / "publish_release.py").read_text(encoding="utf-8")
    (tmp_path / "publish_release.py").write_text(f"{dag}\nstart = __import__('time').process_time()\n{line}\n")
    parse = parsed(tmp_path)
    assert not parse["errors"] and "publish_release" in parse["dags"]
    found = "\n".join(burdens(parse))
    assert all(burden in found for burden in expected), found


def test_the_readme_lists_every_dag() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", (DAGS / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert sorted(listed) == sorted(path.stem for path in DAGS.glob("*.py"))


# --- one real Airflow ------------------------------------------------------------------------------------------------

INSTITUTIONS = ("事件编号", "事件日期", "事件类型", "统一社会信用代码", "机构名称", "机构类别")
FUNDS = ("变动编号", "基金编码", "管理人代码", "变动日期", "认缴变动额(万元)", "实缴变动额(万元)")
WRONG_UNIT = tuple(name.replace("万元", "亿元") for name in FUNDS)
ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"


def uscc(number: int) -> str:
    """A well-formed code with its check character (GB 32100-2015)."""
    body = f"91310115MA{number:07d}"
    total = sum(ALPHABET.index(character) * pow(3, place, 31) for place, character in enumerate(body))
    return body + ALPHABET[-total % 31]


@dataclass
class Running:
    """A launched Airflow: its process, its home, its API."""

    process: subprocess.Popen[str]
    home: Path
    api: httpx.Client

    def deliver(self, feed: str, day: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Let a delivery appear in the landing folder at once and whole."""
        target = self.home / "landing" / feed / f"{feed}__{day}.csv"
        target.parent.mkdir(parents=True, exist_ok=True)
        written = self.home / target.name
        with open(written, "w", encoding="utf-8", newline="") as handle:
            csv.writer(handle).writerows([header, *rows])
        os.replace(written, target)

    def releases(self, state: str) -> list[dict[str, Any]]:
        """The runs of `publish_release` that ended so, oldest first."""
        runs = self.api.get("/api/v2/dags/publish_release/dagRuns", params={"order_by": "run_after"})
        return [run for run in runs.raise_for_status().json()["dag_runs"] if run["state"] == state]

    def tasks(self, run: dict[str, Any]) -> dict[str, tuple[str, int]]:
        """State and number of tries of each task of a run."""
        path = f"/api/v2/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances"
        found = self.api.get(path).raise_for_status().json()["task_instances"]
        return {task["task_id"]: (task["state"], task["try_number"]) for task in found}

    def log(self, run: dict[str, Any], task: str) -> str:
        """What a task wrote at its first try."""
        path = f"/api/v2/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances/{task}/logs/1"
        return self.api.get(path, headers={"Accept": "application/json"}).raise_for_status().text


def wait_for(what: str, condition: Callable[[], Any], seconds: float = 180) -> Any:
    """The first true answer of `condition`, within `seconds`."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.3)
    return answer


def login(url: str, home: Path) -> httpx.Client:
    """A client of the API, logged in with the password the launcher has written."""
    client = httpx.Client(base_url=url, trust_env=False, timeout=30)
    password = json.loads((home / "airflow" / "passwords.json").read_text(encoding="utf-8"))["admin"]
    token = client.post("/auth/token", json={"username": "admin", "password": password}).raise_for_status().json()
    client.headers["Authorization"] = f"Bearer {token['access_token']}"
    return client


@pytest.fixture
def running(home: Path) -> Iterator[Running]:
    """What `make airflow` starts, on a free port, looking into the landing folder every five seconds."""
    process = subprocess.Popen(
        [sys.executable, "-m", "hfc.airflow", "--home", str(home), "--port", "0"],
        cwd=REPOSITORY,
        env={**os.environ, "HFC_INGEST_CRON": "* * * * * */5"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout
        printed = []
        for line in process.stdout:  # the launcher gives up by itself when Airflow does not get healthy
            printed.append(line)
            if line.startswith("Stop:"):
                break
        address = re.search(r"http://\S+", "".join(printed))
        assert address, "".join(printed)
        with closing(login(address[0], home)) as api:
            yield Running(process, home, api)
    finally:
        process.terminate()
        process.wait(90)


def processes_of(home: Path) -> list[str]:
    """The living processes that belong to a home."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("HFC_HOME") == str(home) and process.pid != os.getpid():
                found.append(f"{process.pid} {' '.join(process.cmdline())}")
        except psutil.Error:
            continue
    return found


def test_deliveries_become_a_release_and_a_refused_one_does_not(running: Running) -> None:
    """Landing → lake → asset → build → gate → publish; then a delivery that the gate stops; then a clean stop."""
    current = running.home / "published" / "current"
    running.deliver(
        "institution_register",
        "20240205",
        INSTITUTIONS,
        [(f"E{n}", "2024-01-15", "引进", uscc(n), f"示例机构{n}", "持牌金融机构") for n in range(1, 6)],
    )
    running.deliver("fund_commitments", "20240305", FUNDS, [("C1", "S00001", uscc(1), "2024-02-10", "50000", "20000")])
    wait_for("a release", current.exists)
    published = os.readlink(current)
    first = wait_for("its run to end", lambda: running.releases("success"))[0]
    assert first["run_type"] == "asset_triggered"

    running.deliver(
        "fund_commitments",
        "20240405",
        WRONG_UNIT,
        [("C2", "S00002", uscc(2), "2024-03-10", "50000000", "20000000")],
    )
    refused = wait_for("a run that fails", lambda: running.releases("failed"))[0]
    assert refused["run_type"] == "asset_triggered"
    assert running.tasks(refused) == {"build": ("success", 1), "gate": ("failed", 1), "publish": ("upstream_failed", 0)}
    assert "fund_subscribed" in running.log(refused, "gate")
    assert os.readlink(current) == published

    assert processes_of(running.home)
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(90) == 0
    assert processes_of(running.home) == []
