"""From deliveries to published numbers, through the command line, as a person or the scheduler would run it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import deliveries
import duckdb
import oracle
import oracle_attainment
import pytest

from hfc import pipeline
from hfc.home import Home, sha256_of
from hfc.simulate import simulate
from publish.release import DATABASE, current_release, manifest_of

HFC = Path(sys.executable).parent / "hfc"
COLUMNS = "metric_id, frequency, period, period_end, dimension, member, value, unit, obs_status, conf_status, as_of"
ATTAINMENT = "target_id, actual_period, actual, expected, attainment_pct, gap, required_pace, status"


def hfc(*arguments: str | Path, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(HFC), *map(str, arguments), "--home", str(home)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "COLUMNS": "", **environment},
        check=False,
    )


def parquet_bytes(home: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((home / "published/current/parquet").glob("*.parquet"))}


def whole(home: Path) -> str | None:
    """The identifier of the current release, which is whole: its files, and the tables of its database, are those that
    its manifest names; None where nothing is published."""
    release = current_release(Home(home))
    if release is None:
        assert not (home / "published/current").is_symlink()
        return None
    manifest = manifest_of(release)
    files = {path.stem: sha256_of(path) for path in (release / "parquet").iterdir()}
    assert files == {name: table["sha256"] for name, table in manifest["tables"].items()}
    with duckdb.connect(str(release / DATABASE), read_only=True) as connection:
        assert connection.sql("SELECT release_id FROM published.release").fetchall() == [(release.name,)]
        rows = {name: connection.sql(f"SELECT count(*) FROM published.{name}").fetchall()[0][0] for name in files}
    assert rows == {name: table["rows"] for name, table in manifest["tables"].items()}
    assert manifest["release_id"] == release.name
    return release.name


def leftovers(home: Path) -> list[Path]:
    """What is neither a delivery's, nor the candidate's, nor a release's."""
    hidden = [path for path in home.glob("**/.*") if path.name not in (".lock", ".user.yml")]
    return sorted([*hidden, *home.glob("scratch/*"), *home.glob("warehouse/*.wal"), *home.glob("warehouse/previous.*")])


def age(paths: Iterable[Path]) -> None:
    """As if these files had been there for two days."""
    for path in paths:
        os.utime(path, (time.time() - 2 * 86_400,) * 2, follow_symlinks=False)


def observations(home: Path) -> list[tuple[object, ...]]:
    source = home / "published/current/parquet/metric_observation.parquet"
    return duckdb.sql(f"SELECT {COLUMNS} FROM '{source}' ORDER BY ALL").fetchall()


def attainment(database: Path) -> list[tuple[object, ...]]:
    with duckdb.connect(str(database), read_only=True) as connection:
        return connection.execute(f"SELECT {ATTAINMENT} FROM published.plan_attainment ORDER BY target_id").fetchall()


def judged_independently(landing: Path, as_of: date) -> list[tuple[object, ...]]:
    calculated = oracle.compute(landing, as_of)
    return oracle_attainment.judge(calculated.observations, calculated.outcomes, as_of)


@pytest.fixture(scope="module")
def landing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("landing")
    deliveries.write_random_landing(folder, 11, size=3)
    return folder


@pytest.fixture(scope="module")
def undisturbed(landing: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """A home after its first run, and how many seconds that took."""
    home, start = tmp_path_factory.mktemp("undisturbed"), time.monotonic()
    done = hfc("run", "--landing", landing, home=home)
    assert done.returncode == 0, done.stderr
    return home, time.monotonic() - start


@pytest.fixture(scope="module")
def published(undisturbed: tuple[Path, float]) -> Path:
    return undisturbed[0]


def test_every_observation_agrees_with_the_independent_calculation(published: Path, landing: Path) -> None:
    expected = oracle.compute(landing)
    assert observations(published) == sorted(expected.observations)
    assert len(expected.observations) > 500
    as_of = expected.observations[0][-1]
    assert attainment(published / "published/current/hfc.duckdb") == judged_independently(landing, as_of)


def test_delivery_outcomes_agree_with_the_independent_calculation(published: Path, landing: Path) -> None:
    names = ("feed", "file", "sha256", "bytes", "published_on", "rows_in", "rows_accepted", "rows_quarantined",
             "rows_duplicate", "outcome")  # fmt: skip
    source = published / "published/current/parquet/delivery_outcome.parquet"
    as_of = observations(published)[0][-1]
    found = duckdb.sql(f"SELECT {', '.join(names)} FROM '{source}' ORDER BY ALL").fetchall()
    expected = [tuple(o[n] for n in names) for o in oracle.compute(landing).outcomes if o["published_on"] <= as_of]
    assert found == sorted(expected)


def test_an_earlier_day_sees_what_was_known_then(landing: Path, tmp_path: Path) -> None:
    done = hfc("run", "--landing", landing, "--as-of", "2023-08-15", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert observations(tmp_path) == sorted(oracle.compute(landing, date(2023, 8, 15)).observations)
    assert attainment(tmp_path / "published/current/hfc.duckdb") == judged_independently(landing, date(2023, 8, 15))


@pytest.fixture(scope="module")
def long_history(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Path]:
    """A home that ingested the demo, what was there before it (funds all of 2021, institutions its second half), and
    one delivery of the funds that can't be read."""
    landing = tmp_path_factory.mktemp("long_history")
    simulate(landing)
    for folder in landing.iterdir():
        if folder.name not in deliveries.WITH_METRICS:
            shutil.rmtree(folder)
    funds = [f"2021-F{month:02},SAB123,68501913-3,2021-{month:02}-15,{month}.7,1" for month in range(1, 13)]
    events = [
        f"2021-{month:02},2021-{month:02}-15,引进,91999999MA00000{month:02}X,机构,基金机构" for month in range(7, 13)
    ]
    for feed, name, lines in (
        ("fund_commitments", "funds__20220105", ["变动编号,基金编码,管理人代码,变动日期,认缴变动额(亿元),实缴变动额(亿元)", *funds]),
        ("fund_commitments", "funds__20230915", ["无法读取"]),
        ("institution_register", "register__20220105", ["事件编号,事件日期,事件类型,统一社会信用代码,机构名称,机构类别", *events]),
    ):  # fmt: skip
        (landing / feed / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    home = Home(tmp_path_factory.mktemp("long_history_home"))
    pipeline.ingest(home, landing)
    return home, landing


@pytest.mark.parametrize(
    ("as_of", "statuses"),
    [
        # Flows of 2022: capital against the pace of 2021, institutions against months.
        (date(2022, 6, 15), {"no_data", "on_track", "at_risk", "off_track"}),
        # The latest delivery of the funds was rejected: 2022 keeps its judgement, 2024 loses it.
        (date(2023, 9, 20), {"no_data", "on_track", "at_risk", "off_track", "achieved", "missed"}),
        # Both feeds are stale: 2022 and 2024 keep their judgement.
        (date(2026, 8, 1), {"no_data", "achieved", "missed"}),
    ],
)
def test_attainment_agrees_with_the_independent_judgement(
    long_history: tuple[Home, Path], as_of: date, statuses: set[str]
) -> None:
    home, landing = long_history
    pipeline.build(home, as_of)
    found = attainment(home.candidate)
    assert found == judged_independently(landing, as_of)
    assert {row[-1] for row in found} == statuses and len(found) == 38


def test_order_threads_and_time_zone_change_no_byte(published: Path, landing: Path, tmp_path: Path) -> None:
    part = tmp_path / "landing"
    files = [path for path in landing.glob("*/*") if not path.name.endswith(".meta.yaml")]
    random.Random(1).shuffle(files)
    for batch in (files[: len(files) // 2], files):
        for path in batch:
            for source in (path, path.with_name(path.name + ".meta.yaml")):
                target = part / source.relative_to(landing)
                target.parent.mkdir(parents=True, exist_ok=True)
                if source.exists():
                    shutil.copy2(source, target)
        done = hfc("ingest", "--landing", part, home=tmp_path, TZ="Asia/Shanghai", HFC_THREADS="1")
        assert done.returncode == 0, done.stderr
    done = hfc("run", "--landing", part, home=tmp_path, TZ="Asia/Shanghai", HFC_THREADS="1")
    assert done.returncode == 0, done.stderr
    assert parquet_bytes(tmp_path) == parquet_bytes(published)


def test_a_second_run_publishes_nothing_new(published: Path, landing: Path) -> None:
    before = os.readlink(published / "published/current")
    done = hfc("run", "--landing", landing, home=published)
    assert done.returncode == 0 and "othing new" in done.stdout + done.stderr
    assert os.readlink(published / "published/current") == before


def test_killed_anywhere_then_run_again_gives_the_same_bytes(
    undisturbed: tuple[Path, float], landing: Path, tmp_path: Path
) -> None:
    """A home is killed until something is published, whole; then the next one. The last one is healed by a run.

    Runs last longer and shorter, as busy as the machine is: kills come later until one finds a release.
    """
    published, seconds = undisturbed
    rng = random.Random(7)
    home = tmp_path / "0"
    for number in range(int(os.environ.get("HFC_KILLS", "10"))):
        command = [str(HFC), "run", "--landing", str(landing), "--home", str(home)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.2, seconds))
        process.send_signal(signal.SIGKILL)
        process.wait()
        if whole(home):
            assert parquet_bytes(home) == parquet_bytes(published)
            shutil.rmtree(home)
            home = tmp_path / f"{number + 1}"
            seconds *= 0.9
        else:
            seconds *= 1.02
    home.mkdir(exist_ok=True)
    age(leftovers(home))
    done = hfc("run", "--landing", landing, home=home)
    assert done.returncode == 0, done.stderr
    assert whole(home) and parquet_bytes(home) == parquet_bytes(published)
    assert leftovers(home) == leftovers(published) == []


def test_a_delivery_that_fails_the_gate_publishes_nothing(published: Path, landing: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(published, home, symlinks=True)
    before = os.readlink(home / "published/current")
    bad = tmp_path / "landing/fund_commitments/funds__20241231.csv"
    bad.parent.mkdir(parents=True)
    bad.write_text(
        "变动编号,基金编码,管理人代码,变动日期,认缴变动额(亿元),实缴变动额(亿元)\n"
        "WRONG-UNIT,SAB123,68501913-3,2024-01-02,50000000,1\n",
        encoding="utf-8",
    )
    done = hfc("run", "--landing", bad.parent.parent, home=home)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "Traceback" not in done.stderr and "fund_subscribed" in done.stderr
    assert os.readlink(home / "published/current") == before


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["run", "--landing", "/nowhere/at/all"], 2),
        (["run", "--as-of", "yesterday"], 2),
        (["board", "--as-of", "1999-01-01"], 2),
        (["query", "select nonsense from nowhere"], 2),
        (["query", "create table x as select 1"], 2),
        (["rollback", "no-such-release"], 2),
        (["frobnicate"], 2),
    ],
)
def test_bad_use_gives_one_message(published: Path, arguments: list[str], status: int) -> None:
    done = hfc(*arguments, home=published)
    assert done.returncode == status, done.stdout + done.stderr
    assert done.stderr.strip() and "Traceback" not in done.stderr


def test_a_release_answers_people_and_programs(published: Path) -> None:
    done = hfc("query", "select count(*) as n from plan_attainment", "--json", home=published)
    assert done.returncode == 0 and "38" in done.stdout
    for command in ("board", "status", "quarantine"):
        plain, machine = hfc(command, home=published), hfc(command, "--json", home=published)
        assert plain.returncode == 0 and plain.stdout.strip(), plain.stderr
        json.loads(machine.stdout)


def test_released_files_are_read_only(published: Path) -> None:
    release = (published / "published/current").resolve()
    assert {path.stat().st_mode & 0o777 for path in release.rglob("*") if path.is_file()} == {0o444}
