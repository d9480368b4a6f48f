"""Many readers beside publications, and several commands at once on one home."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import watching
from formats import FORMATS, FUND, FUNDS

from hfc import pipeline
from hfc.home import Home, replacing
from publish.release import release_ids
from tests.deliveries import write_random_landing
from tests.e2e.test_faults import files
from tests.e2e.test_run import HFC, age, hfc, leftovers, parquet_bytes, whole
from tests.test_publish import make_candidate, pass_gate, published

READERS = int(os.environ.get("HFC_READERS", "4"))
PUBLICATIONS = int(os.environ.get("HFC_PUBLICATIONS", "10"))


def marked(home: Home, release_id: str) -> None:
    """A judged candidate whose tables say of which release they are."""
    mark = f"ADD COLUMN release_id VARCHAR DEFAULT '{release_id}'"
    make_candidate(
        home, release_id, extra="".join(f"ALTER TABLE published.{table} {mark};" for table in watching.TABLES[:-1])
    )
    pass_gate(home)


def test_readers_see_one_whole_release_whatever_is_published_meanwhile(tmp_path: Path) -> None:
    home, rng = Home(tmp_path), random.Random(3)
    marked(home, "r0")
    pipeline.publish(home)
    command = [sys.executable, watching.__file__, str(home.published)]
    readers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(READERS)]
    for number in range(1, PUBLICATIONS + 1):
        marked(home, f"r{number}")
        assert pipeline.publish(home).created
        if number % 4 == 0:
            pipeline.rollback(home, rng.choice(release_ids(home)))
    (home.published / "stop").touch()
    told = [json.loads(reader.communicate()[0]) for reader in readers]
    print(json.dumps(told))
    assert [error for reader in told for error in reader["errors"]] == []
    assert all(reader["looks"] and reader["releases"] > 1 for reader in told), told
    assert len(release_ids(home)) == PUBLICATIONS + 1


def start(*arguments: str | Path, home: Path) -> subprocess.Popen[str]:
    command = [str(HFC), *map(str, arguments), "--home", str(home)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@contextmanager
def holding(*arguments: str | Path, home: Path) -> Iterator[subprocess.Popen[str]]:
    """A command that is stopped where it holds the home's lock, and goes on at the end."""
    process = start(*arguments, home=home)
    lock = home / ".lock"
    while f"process {process.pid} on" not in (lock.read_text() if lock.exists() else ""):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGSTOP)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.wait()


def check_refused(ended: subprocess.CompletedProcess[str], home: Path, command: str, process: int) -> None:
    """A command was told who holds the home."""
    told = rf"{re.escape(str(home))} is in use by hfc {command} \(process {process} on {re.escape(os.uname().nodename)}, since \d{{4}}-\d\d-\d\d [0-9:+]+\); .*"
    assert ended.returncode == 1 and ended.stdout == ""
    assert re.fullmatch(told, ended.stderr.strip()), ended.stderr


@pytest.fixture(scope="module")
def landing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("landing")
    write_random_landing(folder, 11, size=1)
    return folder


@pytest.fixture(scope="module")
def beside_others(landing: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose first run was the one that held it while other commands came."""
    home = tmp_path_factory.mktemp("beside_others")
    with holding("run", "--landing", landing, home=home) as process:
        for arguments in (["run", "--landing", landing], ["ingest", "--landing", landing], ["build"], ["publish"]):
            check_refused(hfc(*arguments, home=home), home, "run", process.pid)
    assert process.returncode == 0, process.stderr.read() if process.stderr else ""
    return home


def test_a_run_beside_which_others_came_publishes(beside_others: Path) -> None:
    assert whole(beside_others) and leftovers(beside_others) == []


def test_a_run_that_finds_an_ingest_is_refused_and_gives_the_same_later(
    beside_others: Path, landing: Path, tmp_path: Path
) -> None:
    with holding("ingest", "--landing", landing, home=tmp_path) as process:
        check_refused(hfc("run", "--landing", landing, home=tmp_path), tmp_path, "ingest", process.pid)
    assert process.returncode == 0
    runs = [start("run", "--landing", landing, home=tmp_path) for _ in range(2)]
    for run in runs:
        run.communicate()
    assert sorted(run.returncode for run in runs) in ([0, 0], [0, 1])
    assert parquet_bytes(tmp_path) == parquet_bytes(beside_others)
    assert whole(tmp_path) == whole(beside_others) and leftovers(tmp_path) == []


def test_a_run_that_finds_a_publication_is_refused(landing: Path, tmp_path: Path) -> None:
    published(Home(tmp_path))
    marked(Home(tmp_path), "r2")
    with holding("publish", home=tmp_path) as process:
        check_refused(hfc("run", "--landing", landing, home=tmp_path), tmp_path, "publish", process.pid)
        assert whole(tmp_path) == "r1"
    assert (process.returncode, whole(tmp_path)) == (0, "r2")


def test_tasks_that_receive_and_load_at_once_give_what_one_gives(tmp_path: Path) -> None:
    """As Airflow's do, without the home's lock."""
    (tmp_path / "landing/fund_commitments").mkdir(parents=True)
    for number, form in enumerate(FORMATS.values()):
        rows: list[list[Any]] = [FUNDS, [f"F{number}", *FUND[1:]]]
        (tmp_path / f"landing/fund_commitments/{number}__202402{number + 1:02}").write_bytes(form(rows))
    code = (
        "import sys; from hfc import home, pipeline; from pathlib import Path; "
        "at = home.Home.at(sys.argv[1]); waiting = pipeline.receive(at, Path(sys.argv[2])); "
        "[pipeline.load(at, delivery) for delivery in waiting]"
    )
    for name, count in (("alone", 1), ("together", 4)):
        command = [sys.executable, "-c", code, str(tmp_path / name), str(tmp_path / "landing")]
        tasks = [subprocess.Popen(command) for _ in range(count)]
        assert [task.wait() for task in tasks] == [0] * count
    assert files(tmp_path / "together") == files(tmp_path / "alone")


def test_writers_of_one_file_do_not_meet_though_their_numbers_are_the_same(tmp_path: Path) -> None:
    """As in two containers, each of which counts its processes anew."""
    target = tmp_path / "file"
    with replacing(target) as one, replacing(target) as other:
        one.write_text("one")
        other.write_text("other")
    assert target.read_text() == "one" and leftovers(tmp_path) == []


def test_only_old_temporary_files_are_taken_away(tmp_path: Path) -> None:
    """What is young may be another process's, which is at work."""
    places = [
        "archive/f",
        "lake/f",
        "lake/outcomes",
        "lake/quarantine/f",
        "scratch",
        "warehouse",
        "warehouse/gate",
        "published",
    ]
    for place in places:
        (tmp_path / place).mkdir(parents=True)
        for name in (".old.tmp", ".young.tmp"):
            (tmp_path / place / name).touch()
        (tmp_path / place / "kept").symlink_to("nowhere")
    (tmp_path / "scratch/old").mkdir()
    (tmp_path / "lake/f/old.parquet").touch()
    (tmp_path / "published/.current.1.tmp").symlink_to("nowhere")
    age([*tmp_path.rglob("*old*"), tmp_path / "published/.current.1.tmp"])
    Home(tmp_path).sweep()
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if not path.is_dir())
    expected = [f"{place}/{name}" for place in places for name in (".young.tmp", "kept")]
    assert left == sorted([*expected, "lake/f/old.parquet"]) and not (tmp_path / "scratch/old").exists()
