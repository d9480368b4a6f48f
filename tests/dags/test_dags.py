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
import airflow.providers.standard.operators.empty, airflow.providers.standard.operators.hitl
import airflow.providers.standard.decorators.sensor, airflow.plugins_manager
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

    def runs(self, dag: str = "publish_release") -> list[dict[str, Any]]:
        """The runs of a DAG, oldest first."""
        runs = self.api.get(f"/api/v2/dags/{dag}/dagRuns", params={"order_by": "run_after"})
        return list(runs.raise_for_status().json()["dag_runs"])

    def releases(self, state: str) -> list[dict[str, Any]]:
        """The runs of `publish_release` that ended so, oldest first."""
        return [run for run in self.runs() if run["state"] == state]

    def current(self) -> str:
        """The release that is current."""
        return os.readlink(self.home / "published" / "current").rpartition("/")[2]

    def at(self, run: dict[str, Any], task: str = "") -> str:
        """Where the API has the tasks of a run, or one of them."""
        return f"/api/v2/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances{task and f'/{task}'}"

    def asked(self) -> dict[str, Any] | None:
        """The run that waits for a person."""
        runs = self.releases("running")
        return next((run for run in runs if self.tasks(run)["decide"][0] == "awaiting_input"), None)

    def question(self, run: dict[str, Any]) -> dict[str, Any]:
        """What a person is asked."""
        return dict(self.api.get(self.at(run, "decide/-1/hitlDetails")).raise_for_status().json())

    def answer(self, run: dict[str, Any], option: str, **form: Any) -> None:
        """Answer as a person does in the user interface, who reads first: Airflow takes an answer for a failure that comes
        before it has noted the end of the process that asks."""
        asking = str(self.api.get(self.at(run, "decide")).raise_for_status().json()["id"])

        def noted() -> bool:
            lines = (self.home / "airflow" / "scheduler.log").read_text(encoding="utf-8").splitlines()
            return any("TaskInstance Finished" in line and asking in line for line in lines)

        wait_for("the process that asks to end", noted)
        answer = {"chosen_options": [option], "params_input": form}
        self.api.patch(self.at(run, "decide/-1/hitlDetails"), json=answer).raise_for_status()

    def ended(self, run: dict[str, Any]) -> str:
        """How a run ended, once it has."""
        path = f"/api/v2/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}"

        def state() -> str | None:
            found = str(self.api.get(path).raise_for_status().json()["state"])
            return found if found in ("success", "failed") else None

        return str(wait_for(f"{run['dag_run_id']} to end", state))

    def tasks(self, run: dict[str, Any]) -> dict[str, tuple[str, int]]:
        """State and number of tries of each task of a run."""
        found = self.api.get(self.at(run)).raise_for_status().json()["task_instances"]
        return {task["task_id"]: (task["state"], task["try_number"]) for task in found}

    def alert(self, run: dict[str, Any]) -> str:
        """What was written so far because a run missed its deadline."""
        missed = self.home / "airflow" / "logs" / "executor_callbacks" / run["dag_id"] / run["dag_run_id"]
        return "".join(file.read_text() for file in missed.rglob("*") if file.is_file())

    def log(self, run: dict[str, Any], task: str) -> str:
        """What a task wrote at its first try."""
        path = self.at(run, f"{task}/logs/1")
        return self.api.get(path, headers={"Accept": "application/json"}).raise_for_status().text


def wait_for(what: str, condition: Callable[[], Any], seconds: float = 600) -> Any:
    """The first true answer of `condition`, within `seconds`."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.3)
    return answer


class Patient(httpx.HTTPTransport):
    """Asks again while SQLite is busy, as it is now and then: then Airflow has done nothing, or has taken it back."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        for _ in range(30):
            response = super().handle_request(request)
            busy = response.status_code == 503 or (response.status_code == 500 and b"Database error" in response.read())
            if not busy:
                break
            response.close()
            time.sleep(1)
        return response


def login(url: str, home: Path) -> httpx.Client:
    """A client of the API, logged in with the password the launcher has written."""
    client = httpx.Client(base_url=url, transport=Patient(), timeout=30)
    password = json.loads((home / "airflow" / "passwords.json").read_text(encoding="utf-8"))["admin"]
    token = client.post("/auth/token", json={"username": "admin", "password": password}).raise_for_status().json()
    client.headers["Authorization"] = f"Bearer {token['access_token']}"
    return client


@pytest.fixture
def running(home: Path) -> Iterator[Running]:
    """What `make airflow` starts, on a free port, looking into the landing folder every fifteen seconds."""
    process = subprocess.Popen(
        [sys.executable, "-m", "hfc.airflow", "--home", str(home), "--port", "0"],
        cwd=REPOSITORY,
        env={
            **os.environ,
            "HFC_INGEST_CRON": "* * * * * */15",
            "HFC_ALERT_MINUTES": "0.1",
            "HFC_BOARD": str(home / "board"),
        },
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


ACCOUNTS = ("年份", "行业", "劳动者报酬", "生产税净额", "固定资产折旧", "营业盈余", "总产出", "中间投入", "核算阶段")


def account(year: str, output: str) -> list[tuple[str, ...]]:
    """A year's accounts: 100 by the income approach, `output` by production; 2 percent apart a person has to decide."""
    return [(year, "66", "100", "0", "0", "0", output, "0", "最终核实")]


def test_deliveries_become_a_release_and_a_refused_one_does_not(running: Running) -> None:
    """Landing → lake → asset → build → gate → publish; warnings that a person lets pass or not; a delivery that the gate
    stops; releases of the past; a feed that is late; then a clean stop."""
    running.deliver(
        "institution_register",
        "20240205",
        INSTITUTIONS,
        [(f"E{n}", "2024-01-15", "引进", uscc(n), f"示例机构{n}", "持牌金融机构") for n in range(1, 6)],
    )
    running.deliver("fund_commitments", "20240305", FUNDS, [("C1", "S00001", uscc(1), "2024-02-10", "50000", "20000")])
    wait_for("a release", (running.home / "published" / "current").exists)
    # The clock may have started a run, too; what was loaded starts one all the same.
    wait_for("its run", lambda: [run for run in running.releases("success") if run["run_type"] == "asset_triggered"])
    wait_for("its board", (running.home / "board" / "index.html").exists)

    a_person_decides(running)
    a_refusal_is_explained(running)
    the_past_is_published(running)
    a_late_feed_is_an_alert(running)

    assert processes_of(running.home)
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(90) == 0
    assert processes_of(running.home) == []


def a_person_decides(running: Running) -> None:
    """No reason, no release; with one it is in the manifest; what was rejected stays unpublished."""
    before = running.current()
    running.deliver("value_added_accounts", "20240306", ACCOUNTS, account("2021", "90"))
    held = wait_for("a question", running.asked)
    question = running.question(held)
    assert "discrepancy" in question["body"] and "/hfc/gate/" in question["body"]
    assert running.tasks(held)["publish"] == (None, 0)
    wait_for("an alert", lambda: "No release yet" in running.alert(held))

    running.answer(held, "Approve", reason="  ")
    assert running.ended(held) == "failed"
    assert running.tasks(held)["approve"] == ("failed", 1)
    assert "An approval needs a reason" in running.log(held, "approve")
    assert running.current() == before

    clear = {
        "dry_run": False,
        "only_failed": False,
        "task_ids": ["decide"],
        "include_downstream": True,
        "dag_run_id": held["dag_run_id"],
    }
    running.api.post("/api/v2/dags/publish_release/clearTaskInstances", json=clear).raise_for_status()
    assert wait_for("the same question", running.asked)["dag_run_id"] == held["dag_run_id"]
    running.answer(held, "Approve", reason="核算口径未定, the office knows")
    assert running.ended(held) == "success"
    approved = running.current()
    assert approved != before
    manifest = json.loads((running.home / "published" / "current" / "manifest.json").read_text(encoding="utf-8"))
    (approval,) = manifest["approvals"]
    assert (approval["by"], approval["reason"]) == ("admin", "核算口径未定, the office knows")
    assert approval["at"]

    running.deliver("value_added_accounts", "20240307", ACCOUNTS, account("2022", "80"))
    held = wait_for("another question", running.asked)
    running.answer(held, "Reject")
    assert running.ended(held) == "success"
    states = {task: state for task, (state, _) in running.tasks(held).items()}
    assert states == {
        "build": "success",
        "gate": "success",
        "decide": "success",
        "approve": "skipped",
        "publish": "skipped",
    }
    assert running.current() == approved


def a_refusal_is_explained(running: Running) -> None:
    """The log has the checks, a button leads to the report, and no hand can let the candidate through."""
    before = running.current()
    wrong = [("C2", "S00002", uscc(2), "2024-03-10", "50000000", "20000000")]
    running.deliver("fund_commitments", "20240405", WRONG_UNIT, wrong)
    refused = wait_for("a run that fails", lambda: running.releases("failed"))[-1]
    after = dict.fromkeys(("decide", "approve", "publish"), ("upstream_failed", 0))
    assert running.tasks(refused) == {"build": ("success", 1), "gate": ("failed", 1), **after}
    links = running.api.get(running.at(refused, "gate/links")).raise_for_status().json()["extra_links"]
    report = links["Gate report"]
    log = running.log(refused, "gate")
    assert "fund_subscribed" in log and report in log
    page = running.api.get(report)
    assert page.status_code == 200 and "fund_subscribed" in page.text
    assert page.headers["Content-Security-Policy"] == "sandbox"
    assert running.api.get(report.replace("report.html", "data_docs/index.html")).status_code == 200
    for hidden in ("..%2Fcandidate.duckdb", "%2e%2e/gate.json", "/etc/passwd"):
        assert running.api.get(report.replace("report.html", hidden)).status_code == 404, hidden
    assert running.api.get(report.replace("/gate/", "/gate/another-")).status_code == 404
    assert httpx.get(report, trust_env=False).status_code == 401

    running.api.patch(running.at(refused, "gate"), json={"new_state": "success"}).raise_for_status()
    held = wait_for("a question that nobody should be asked", running.asked)
    running.answer(held, "Approve", reason="because I can")
    assert running.ended(held) == "failed"
    assert "can't be approved" in running.log(held, "approve")
    assert running.current() == before


def the_past_is_published(running: Running) -> None:
    """A backfill of Airflow makes the releases that are missing, once, and does not move the pointer."""
    before = running.current()
    releases = running.home / "published" / "releases"
    days = {"dag_id": "publish_release", "from_date": "2024-02-04T00:00:00Z", "to_date": "2024-02-05T00:00:00Z"}
    order = {"max_active_runs": 1, "reprocess_behavior": "completed"}

    def pause(paused: bool) -> None:
        """Where SQLite is busy, Airflow takes a backfill back, and its scheduler must not have begun it meanwhile."""
        running.api.patch("/api/v2/dags/publish_release", json={"is_paused": paused}).raise_for_status()

    def begun() -> Any:
        """The backfill, unless Airflow still takes back one for which SQLite was busy."""
        answer = running.api.post("/api/v2/backfills", json=days | order)
        return None if answer.status_code in (503, 409) else answer.raise_for_status().json()["id"]

    for _ in range(2):
        pause(True)
        path = f"/api/v2/backfills/{wait_for('the backfill to begin', begun)}"
        pause(False)
        wait_for("the backfill", lambda path=path: running.api.get(path).raise_for_status().json()["completed_at"])
        runs = [run for run in running.runs() if run["run_type"] == "backfill"]
        assert [running.ended(run) for run in runs] == ["success", "success"]
        assert len(list(releases.glob("20240205-*"))) == 1
    assert running.tasks(runs[0])["gate"][0] == "skipped"
    assert not list(releases.glob("20240204-*"))
    assert running.current() == before


def a_late_feed_is_an_alert(running: Running) -> None:
    """The run that waits for deliveries misses its deadline, and the alert names the feed."""
    # The clock may have started one not long ago, which waits, too, and lets no other begin.
    for earlier in running.runs("expect_deliveries"):
        path = f"/api/v2/dags/expect_deliveries/dagRuns/{earlier['dag_run_id']}"
        running.api.patch(path, json={"state": "failed"}).raise_for_status()
    run = (
        running.api.post("/api/v2/dags/expect_deliveries/dagRuns", json={"logical_date": None})
        .raise_for_status()
        .json()
    )
    # Cleared before its deadline, as a person does who has mended something, it goes on.
    clear = running.api.post(
        f"/api/v2/dags/expect_deliveries/dagRuns/{run['dag_run_id']}/clear", json={"dry_run": False}
    )
    assert clear.status_code == 200, clear.text
    wait_for("an alert", lambda: "risk_leads (due " in running.alert(run))
    wait_for("the run to wait", lambda: running.tasks(run)["all_in_time"][0] == "up_for_reschedule")
