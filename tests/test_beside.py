"""A step in a process of its own gives what it gives here, and never outlives its caller."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest

from expectations import gate as gates
from hfc.beside import Beside
from hfc.home import DiskTrouble, HfcError, Home, UsageError, one_line
from tests.test_publish import make_candidate

ENDS = 60  # seconds


def fill_the_disk(place: Path) -> None:
    """Fail as a step does whose disk is full."""
    raise DiskTrouble(errno.ENOSPC, place)


def test_it_gives_the_same_verdict_and_the_same_errors(tmp_path: Path) -> None:
    home = Home(tmp_path)
    make_candidate(home)
    with Beside("gate", gates.declared_suites, "") as beside:
        beside.start()
        assert asdict(beside.call(gates.gate, home, {})) == asdict(gates.gate(home))
    (home.warehouse / "build.json").unlink()
    with Beside("gate", gates.declared_suites, "") as beside, pytest.raises(UsageError, match="run hfc build first"):
        beside.call(gates.gate, home, {})


def test_trouble_with_the_disk_comes_back_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    with Beside("build", os.getpid) as beside, pytest.raises(DiskTrouble, match="No space left") as told:
        beside.call(fill_the_disk, tmp_path)
    assert told.value.trouble == errno.ENOSPC


def test_an_unexpected_error_is_one_line_and_with_hfc_debug_shows_where(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = one_line(ValueError("invalid literal for int() with base 10: 'x'"))
    for debug in ("", "1"):
        monkeypatch.setenv("HFC_DEBUG", debug)
        with Beside("build", os.getpid) as beside, pytest.raises(HfcError) as told:
            beside.call(int, "x")
        assert str(told.value) == expected
        assert ("Traceback" in capfd.readouterr().err) == bool(debug)


def test_one_that_dies_gives_no_answer() -> None:
    with (
        Beside("gate", os.getpid) as beside,
        pytest.raises(HfcError, match=r"gate ended .* \(status -9\): run hfc gate"),
    ):
        beside.call(signal.raise_signal, signal.SIGKILL)


def test_one_that_cannot_get_ready_tells_why() -> None:
    with Beside("gate", int, "x") as beside, pytest.raises(HfcError, match="ValueError: invalid literal"):
        beside.call(os.getpid)


def test_a_call_of_what_is_not_there_gives_no_answer(capfd: pytest.CaptureFixture[str]) -> None:
    with Beside("gate", os.getpid) as beside, pytest.raises(HfcError, match=r"\(status 1\): run hfc gate"):
        beside.call(fill_the_disk, Path())
    assert "ModuleNotFoundError" in capfd.readouterr().err


def test_what_a_library_prints_is_no_answer(capfd: pytest.CaptureFixture[str]) -> None:
    with Beside("build", print, "ready") as beside:
        assert beside.call(print, "done") is None
    assert capfd.readouterr().err == "ready\ndone\n"


def test_an_interrupt_is_the_caller_s(capfd: pytest.CaptureFixture[str]) -> None:
    with Beside("build", os.getpid) as beside:
        pid = beside.start()
        assert beside.call(os.kill, pid, signal.SIGINT) is None
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("step", ["get_ready", "call"])
def test_it_ends_with_its_caller_and_says_nothing(step: str) -> None:
    # As dbt does, it holds a lock of processes.
    lock = 'import multiprocessing, time; lock = multiprocessing.get_context("spawn").RLock()'
    busy = f"exec, {lock + '; print(1, flush=True); time.sleep(600)'!r}"
    first, second = (busy, "os.getpid") if step == "get_ready" else ("os.getpid", busy)
    code = (
        "import os\nfrom hfc.beside import Beside\n"
        f"beside = Beside('build', {first})\nprint(beside.start(), flush=True)\nbeside.call({second})"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as caller:
        assert caller.stdout and caller.stderr
        beside = psutil.Process(int(caller.stdout.readline()))
        assert caller.stderr.readline() == "1\n"
        caller.kill()
        assert beside.wait(ENDS) is None
        assert caller.stderr.read() == ""


def test_it_ends_when_the_caller_is_done_with_it() -> None:
    with Beside("build", time.sleep, 600) as beside:
        process = psutil.Process(beside.start())
    assert not process.is_running()
