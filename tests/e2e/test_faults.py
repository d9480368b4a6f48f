"""A disk that is full or broken: said so, blamed on no delivery, and healed by the next run."""

from __future__ import annotations

import errno
import json
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

import faults
import pytest
from formats import FORMATS, FUND, FUNDS

from expectations.gate import gate_file
from hfc import pipeline
from hfc.home import Home
from tests.deliveries import write_random_landing
from tests.e2e.test_run import age, leftovers, parquet_bytes, whole
from tests.test_publish import make_candidate, pass_gate, published

POINTS = int(os.environ.get("HFC_FAULTS", "2"))


@dataclass(frozen=True)
class Trouble:
    """What happens at a write, and what is said of it; without an error the command is killed there."""

    error: int | None = None
    once: bool = False
    told: str = ""
    remedy: str = ""


TROUBLES = (
    Trouble(errno.ENOSPC, False, "No space left on device", "make room"),
    Trouble(errno.EIO, True, "Input/output error", "have the disk checked"),
    Trouble(),
)

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in faults.CALLS, reason="needs Linux to fail writes"
)


def command(*arguments: str | Path, home: Path) -> list[str]:
    return [sys.executable, "-m", "hfc.cli", *map(str, arguments), "--home", str(home)]


def points(writes: int) -> list[tuple[int, Trouble]]:
    """Some of the writes of a command at equal distances, with what happens there, by turns."""
    chosen = [(2 * number + 1) * writes // (2 * POINTS) + 1 for number in range(POINTS)]
    return [(point, TROUBLES[number % len(TROUBLES)]) for number, point in enumerate(chosen)]


def disturb(arguments: list[str], home: Path, point: int, trouble: Trouble) -> bool:
    """Run a command that gets into trouble: it fails, and says in one line what is wrong, where, and what to do.

    True if it ended well, which it may where it did not need the one write that failed.
    """
    ended = faults.run(arguments, home, point, point if trouble.once else None, trouble.error)
    assert ended.failed, f"only {ended.writes} writes"
    if trouble.error is None:
        age(leftovers(home))
        return False
    if trouble.once and ended.returncode == 0:
        return True
    assert ended.returncode == 1, ended.stderr
    (line,) = [line for line in ended.stderr.splitlines() if trouble.told in line]
    assert str(home) in line and f"{trouble.remedy}, then run again" in line and "Traceback" not in ended.stderr
    return False


def outcomes(home: Path) -> dict[str, Any]:
    """The outcomes so far, by delivery."""
    return {path.name: json.loads(path.read_bytes()) for path in (home / "lake/outcomes").glob("[0-9]*.json")}


def files(home: Path) -> dict[str, bytes]:
    """The archive and the lake."""
    return {
        str(path.relative_to(home)): path.read_bytes()
        for room in ("archive", "lake")
        for path in (home / room).rglob("*")
        if path.is_file()
    }


def undisturbed_writes(arguments: list[str], home: Path) -> int:
    """Run a command that nothing disturbs; with how many writes it ends well."""
    ended = faults.run(arguments, home)
    assert ended.returncode == 0, ended.stderr
    return ended.writes


@pytest.fixture(scope="module")
def every_format(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, int]:
    """A landing with a delivery in each format, one of its rows faulty; a home that has loaded it; with how many writes."""
    landing, home = tmp_path_factory.mktemp("formats"), tmp_path_factory.mktemp("loaded")
    (landing / "fund_commitments").mkdir()
    for number, (name, form) in enumerate(FORMATS.items()):
        rows = [[f"{name} {line}", "SAB123", "68501913-3", date(2024, 1, 2), 1.5, -2.0] for line in range(9)]
        rows[number % 9][1] = "?"
        suffix = name.replace(" ", "_")
        (landing / "fund_commitments" / f"funds__202402{number + 1:02}.{suffix}").write_bytes(form([FUNDS, *rows]))
    writes = undisturbed_writes(command("ingest", "--landing", landing, home=home), home)
    assert {(o["outcome"], o["rows_accepted"], o["rows_quarantined"]) for o in outcomes(home).values()} == {
        ("loaded", 8, 1)
    }
    return landing, home, writes


def test_no_delivery_is_blamed_for_the_disk(every_format: tuple[Path, Path, int], tmp_path: Path) -> None:
    landing, loaded, writes = every_format
    for point, trouble in points(writes):
        home = tmp_path / f"{point}"
        home.mkdir()
        ingest = command("ingest", "--landing", landing, home=home)
        disturb(ingest, home, point, trouble)
        assert outcomes(home).items() <= outcomes(loaded).items()
        undisturbed_writes(ingest, home)
        assert files(home) == files(loaded)
        assert leftovers(home) == []


def test_a_publication_in_trouble_leaves_the_release_before(tmp_path: Path) -> None:
    home, undisturbed = tmp_path / "home", tmp_path / "undisturbed"
    published(Home(home))
    make_candidate(Home(home), "r2", "2025-02-20")
    pass_gate(Home(home))
    shutil.copytree(home, undisturbed, symlinks=True)
    writes = undisturbed_writes(command("publish", home=undisturbed), undisturbed)
    for point, trouble in points(writes):
        tried = tmp_path / f"{point}"
        shutil.copytree(home, tried, symlinks=True)
        passed = disturb(command("publish", home=tried), tried, point, trouble)
        # The last write of all makes the pointer's move durable.
        assert whole(tried) == ("r2" if passed or point == writes else "r1")
        undisturbed_writes(command("publish", home=tried), tried)
        assert whole(tried) == "r2" and parquet_bytes(tried) == parquet_bytes(undisturbed)
        Home(tried).sweep()
        assert leftovers(tried) == []


@pytest.fixture(scope="module")
def run_undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, int]:
    """A landing, a home after its first run, and with how many writes."""
    landing, home = tmp_path_factory.mktemp("landing"), tmp_path_factory.mktemp("undisturbed")
    write_random_landing(landing, 11, size=1)
    return landing, home, undisturbed_writes(command("run", "--landing", landing, home=home), home)


def test_a_run_in_trouble_is_healed_by_the_next(run_undisturbed: tuple[Path, Path, int], tmp_path: Path) -> None:
    landing, undisturbed, writes = run_undisturbed
    for point, trouble in points(writes):
        home = tmp_path / f"{point}"
        home.mkdir()
        run = command("run", "--landing", landing, home=home)
        if not disturb(run, home, point, trouble):
            assert whole(home) is None
        assert outcomes(home).items() <= outcomes(undisturbed).items()
        undisturbed_writes(run, home)
        assert whole(home) and parquet_bytes(home) == parquet_bytes(undisturbed)
        assert leftovers(home) == []


def test_a_gate_in_trouble_gives_no_verdict(run_undisturbed: tuple[Path, Path, int], tmp_path: Path) -> None:
    """Nor does a page of the Data Docs that could not be written go missing unnoticed."""
    home = tmp_path / "home"
    shutil.copytree(run_undisturbed[1], home, symlinks=True)
    gate = command("gate", home=home)
    for point, trouble in points(undisturbed_writes(gate, home)):
        passed = disturb(gate, home, point, trouble)
        assert gate_file(Home(home)).exists() == passed
    undisturbed_writes(gate, home)
    Home(home).sweep()
    assert leftovers(home) == []


def test_a_full_disk_keeps_nobody_from_a_rollback(tmp_path: Path) -> None:
    published(Home(tmp_path), "r1")
    published(Home(tmp_path), "r2", "2025-02-20")
    ended = faults.run(command("rollback", "r1", home=tmp_path), tmp_path, 1, 1, errno.ENOSPC)
    assert (ended.returncode, whole(tmp_path)) == (0, "r1"), ended.stderr


@pytest.mark.parametrize("name", ["csv.gz", "xlsx", "Parquet"])
def test_a_reader_that_the_disk_stops_refuses_nothing(tmp_path: Path, name: str) -> None:
    """Loaded as a task of Airflow does, without the home's lock; each write of the reader fails in turn."""
    delivery = tmp_path / "landing/fund_commitments/funds__20240201"
    delivery.parent.mkdir(parents=True)
    delivery.write_bytes(FORMATS[name]([FUNDS, FUND]))
    home = Home(tmp_path)
    (waiting,) = pipeline.receive(home, tmp_path / "landing")
    code = f"from hfc import home, pipeline; pipeline.load(home.Home.at({str(tmp_path)!r}), {waiting!r})"
    home.scratch.mkdir()
    for point in count(1):
        ended = faults.run([sys.executable, "-c", code], home.scratch, point, point, errno.EIO)
        if not ended.failed:
            break
        assert "DiskTrouble: Input/output error" in ended.stderr and outcomes(tmp_path) == {}
    assert ended.returncode == 0 and ended.writes >= 1, ended.stderr
    assert {outcome["outcome"] for outcome in outcomes(tmp_path).values()} == {"loaded"}
