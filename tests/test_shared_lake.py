"""A lake at a URL: whichever home does the work, and wherever it is stopped, every home has the lake of one home alone."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from formats import FUNDS
from s3fs import S3FileSystem

from hfc import pipeline
from hfc.home import HfcError, Home, UsageError
from ingest import lake, shared
from tests.deliveries import write_random_landing
from tests.e2e.test_faults import files, outcomes
from tests.e2e.test_run import HFC, hfc


@pytest.fixture(params=["file", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where the lake is shared: in a folder, or in a bucket."""
    if request.param == "file":
        address = f"file://{tmp_path}/there"
    else:
        _, endpoint = request.getfixturevalue("bucket")
        address = f"s3://bucket/{tmp_path.name}"
        settings = {"FSSPEC_S3_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
        for name, value in {**settings, "AWS_DEFAULT_REGION": "us-east-1"}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("fsspec.config.conf", {"s3": {"endpoint_url": endpoint}})
    monkeypatch.setenv("HFC_LAKE", address)
    yield address
    shared._opened.cache_clear()


def visible(home: Home) -> dict[str, bytes]:
    """The archive and the lake, but for locks and notes."""
    return {name: content for name, content in files(home.root).items() if "/." not in name}


def alone(home: Home, *landings: Path) -> dict[str, bytes]:
    """The lake that a home which shares with nobody makes of these folders, one after the other."""
    url = os.environ.pop("HFC_LAKE")
    try:
        for landing in landings:
            pipeline.ingest(home, landing)
    finally:
        os.environ["HFC_LAKE"] = url
    return visible(home)


def parquet(home: Home) -> dict[str, bytes]:
    """The published tables."""
    return {path.name: path.read_bytes() for path in (home.current / "parquet").iterdir()}


def write_funds(landing: Path, day: str, *amounts: str) -> None:
    folder = landing / "fund_commitments"
    folder.mkdir(parents=True, exist_ok=True)
    rows = [f"{day}-{number},SAB123,68501913-3,2024-01-02,{amount},0" for number, amount in enumerate(amounts)]
    (folder / f"funds__{day}.csv").write_text("\n".join([",".join(FUNDS), *rows]), encoding="utf-8")


def test_homes_take_turns(url: str, tmp_path: Path) -> None:
    first, second = (Home(tmp_path / name) for name in ("first", "second"))
    for number, home in enumerate((first, second)):
        write_random_landing(tmp_path / f"landing{number}", 40 + number, size=2)
        waiting = pipeline.receive(home, tmp_path / f"landing{number}")
        for position, delivery_id in enumerate(waiting):
            pipeline.load((first, second)[position % 2], delivery_id)
    expected = alone(Home(tmp_path / "alone"), tmp_path / "landing0", tmp_path / "landing1")
    third = Home(tmp_path / "third")
    assert lake.pending(third) == []
    shared.pull(third, everything=True)
    lakes = {name: content for name, content in expected.items() if name.startswith("lake/")}
    assert visible(third) == lakes


@pytest.mark.parametrize("url", ["s3"], indirect=True)
def test_a_run_elsewhere_publishes_the_same(url: str, tmp_path: Path) -> None:
    write_random_landing(tmp_path / "landing", 7, size=2)
    (tmp_path / "nothing").mkdir()
    expected = alone(Home(tmp_path / "alone"), tmp_path / "landing")
    here, there = (Home(tmp_path / name) for name in ("here", "there"))
    assert hfc("ingest", "--landing", tmp_path / "landing", home=here.root).returncode == 0
    assert visible(here) == expected
    ended = hfc("run", "--landing", tmp_path / "nothing", home=there.root)
    assert ended.returncode == 0, ended.stderr
    ended = hfc("run", "--landing", tmp_path / "nothing", home=tmp_path / "alone", HFC_LAKE="")
    assert ended.returncode == 0, ended.stderr
    assert os.readlink(there.current) == os.readlink(tmp_path / "alone/published/current")
    assert parquet(there) == parquet(Home(tmp_path / "alone"))


def test_a_replay_is_seen_by_all(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_funds(tmp_path / "landing", "20250101", *["100"] * 9, "bad")
    first, second = (Home(tmp_path / name) for name in ("first", "second"))
    pipeline.ingest(first, tmp_path / "landing")
    shared.pull(second, everything=True)
    before = visible(second)
    monkeypatch.setattr("ingest.parsing.QUARANTINE_LIMIT", 0.01)
    pipeline.replay(first, "fund_commitments")
    shared.pull(second, everything=True)
    assert {name for name in before if name not in visible(second)} == {"lake/fund_commitments/000001.parquet"}
    (outcome,) = outcomes(second.root).values()
    assert outcome["outcome"] == "rejected"


def test_numbers_are_taken_once(url: str, tmp_path: Path) -> None:
    for place in ("a", "b"):
        for day in range(10, 22):
            write_funds(tmp_path / place, f"202501{day}", "100", {"a": "7", "b": "8"}[place])
    running = [
        subprocess.Popen(
            [HFC, "ingest", "--quiet", "--landing", tmp_path / place, "--home", tmp_path / f"home_{place}"]
        )
        for place in ("a", "b")
    ]
    assert [process.wait(120) for process in running] == [0, 0]
    third = Home(tmp_path / "third")
    known = lake.known_deliveries(third)
    assert [delivery["outcome"] for delivery in known] == ["loaded"] * 24
    assert len({delivery["delivery_id"] for delivery in known}) == 24


@pytest.mark.parametrize("url", ["s3"], indirect=True)
def test_a_folder_that_fills_while_it_is_listed_has_no_file_yet(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_funds(tmp_path / "landing", "20250101", "100")
    pipeline.ingest(Home(tmp_path / "first"), tmp_path / "landing")
    listed = S3FileSystem._lsdir

    async def before_the_first_file(system: S3FileSystem, *arguments: Any, **options: Any) -> list[dict[str, Any]]:
        monkeypatch.setattr(S3FileSystem, "_lsdir", listed)
        return []

    monkeypatch.setattr(S3FileSystem, "_lsdir", before_the_first_file)
    second = Home(tmp_path / "second")
    assert lake.known_deliveries(second) == []
    assert len(lake.known_deliveries(second)) == 1


# --- stopped anywhere -------------------------------------------------------------------------------------------------


class Stopped(BaseException):
    """As if the process were killed."""


def stop_at(monkeypatch: pytest.MonkeyPatch, number: int, after: bool) -> None:
    """Stop before or after the so-manieth time that something is done at the URL."""
    count = 0

    def stopping(method: Callable[..., Any]) -> Callable[..., Any]:
        def stops(*arguments: Any) -> Any:
            nonlocal count
            count += 1
            if count == number and not after:
                raise Stopped
            result = method(*arguments)
            if count == number:
                raise Stopped
            return result

        return stops

    for name in ("files", "get", "put", "remove", "create"):
        monkeypatch.setattr(shared._There, name, stopping(getattr(shared._There, name)))


def content(home: Home) -> list[Any]:
    """What is in the lake, whatever the numbers: one that was taken by a process that was killed stays a gap."""
    shared.pull(home, everything=True)
    found = []
    for delivery in lake.known_deliveries(home):
        accepted, refused = lake.lake_file(home, delivery), lake.quarantine_file(home, delivery)
        rows = duckdb.sql(f"SELECT * EXCLUDE (delivery_id) FROM '{refused}'").fetchall() if refused.exists() else []
        facts = {name: value for name, value in delivery.items() if name not in ("delivery_id", "seq")}
        found.append((facts, accepted.exists() and accepted.read_bytes(), rows))
    return found


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("url", ["file"], indirect=True)
def test_stopped_anywhere_another_home_goes_on(
    url: str, after: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    landing = tmp_path / "landing"
    write_funds(landing, "20250101", *["100"] * 9, "bad")
    write_funds(landing, "20250102", "100", "bad")
    shutil.copy(landing / "fund_commitments/funds__20250101.csv", landing / "fund_commitments/again__20250103.csv")
    pipeline.ingest(Home(tmp_path / "undisturbed"), landing)
    expected = content(Home(tmp_path / "undisturbed"))
    assert [facts["outcome"] for facts, *_ in expected] == ["loaded", "rejected", "unchanged"]
    stops = 0
    while True:
        there, one, other = (tmp_path / f"{name}{stops}" for name in ("there", "one", "other"))
        monkeypatch.setenv("HFC_LAKE", f"file://{there}")
        with monkeypatch.context() as disturbed:
            stop_at(disturbed, stops + 1, after)
            try:
                pipeline.ingest(Home(one), landing)
                break
            except Stopped:
                stops += 1
        for home in (Home(other), Home(one)):
            pipeline.ingest(home, landing)
            assert content(home) == expected, f"stopped at {stops}"
    assert stops > 20


@pytest.mark.parametrize("url", ["file"], indirect=True)
def test_an_outcome_is_never_copied_without_its_rows(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, other = (Home(tmp_path / name) for name in ("first", "other"))
    write_funds(tmp_path / "landing", "20250101", "100")
    (waiting,) = pipeline.receive(first, tmp_path / "landing")
    listed = shared._There.files

    def loading_meanwhile(there: Any, folder: str) -> dict[str, str]:
        found = listed(there, folder)
        monkeypatch.setattr(shared._There, "files", listed)
        pipeline.load(first, waiting)
        return found

    monkeypatch.setattr(shared._There, "files", loading_meanwhile)
    shared.pull(other, everything=True)
    assert (other.lake / "fund_commitments/000001.parquet").exists() and not outcomes(other.root)
    shared.pull(other, everything=True)
    assert outcomes(other.root).keys() == {"000001.json"}


# --- refused ----------------------------------------------------------------------------------------------------------


def test_a_home_with_deliveries_of_its_own_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path / "home")
    write_funds(tmp_path / "landing", "20250101", "100")
    pipeline.ingest(home, tmp_path / "landing")
    monkeypatch.setenv("HFC_LAKE", f"file://{tmp_path}/there")
    with pytest.raises(
        UsageError, match=r"1 deliveries of its own, such as lake/deliveries/000001.json.*copy its folders"
    ):
        pipeline.ingest(home, tmp_path / "landing")
    for room in ("archive", "lake"):
        shutil.copytree(home.root / room, tmp_path / "there" / room)
    assert pipeline.ingest(home, tmp_path / "landing") == []


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("s3://nobucket/lake", "The lake at s3://nobucket/lake could not be used: .*bucket.*HFC_LAKE"),
        ("sftp://user:s3cret@127.0.0.1:1/lake", "The lake at sftp://127.0.0.1:1/lake|sftp://127.0.0.1:1/lake: "),
        ("nothing://lake", "HFC_LAKE is no URL that fsspec can open: nothing://lake"),
    ],
)
@pytest.mark.parametrize("url", ["s3"], indirect=True)
def test_a_place_that_cannot_be_used_is_told(
    url: str, address: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HFC_LAKE", address)
    write_funds(tmp_path / "landing", "20250101", "100")
    with pytest.raises(HfcError, match=told) as raised:
        pipeline.ingest(Home(tmp_path / "home"), tmp_path / "landing")
    assert "s3cret" not in str(raised.value)
