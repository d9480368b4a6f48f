"""What was known when: releases of the past, and the history that they leave."""

from __future__ import annotations

import json
import os
import random
import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from oracle_shared import read_seed

from hfc import pipeline, warehouse
from hfc.home import Home
from hfc.simulate import simulate
from hfc.simulate.calendar import last_day
from publish.release import manifest_of, release_as_of
from tests.deliveries import write_notes, write_random_landing
from tests.e2e.test_run import hfc

# HFC_VINTAGES=24 is a whole two years; each costs a build.
VINTAGES = int(os.environ.get("HFC_VINTAGES", "3"))
# Simulations that are published for an earlier day and again for the last; each costs two builds.
SEEDS = int(os.environ.get("HFC_SEEDS", "1"))
METRICS = [row["metric_id"] for row in read_seed("metric")]
KEY = "metric_id, frequency, period, dimension, member"


@pytest.fixture(scope="module")
def backfilled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, list[date]]:
    """A home with a release for each of the last vintages of a random history, and these days."""
    home = Home(tmp_path_factory.mktemp("backfilled"))
    write_random_landing(home.landing, seed=11)
    pipeline.ingest(home, home.landing)
    days = warehouse.vintages(home)[-VINTAGES:]
    for day in days:
        write_notes(home.landing, METRICS, day)
    pipeline.run(home, home.landing, days[-1])
    releases = pipeline.backfill(home, days[0], days[-1])
    assert [manifest_of(release.path)["as_of"] for release in releases] == list(map(str, days))
    return home, days


def observations(release: Path) -> dict[tuple[str, ...], tuple[Any, ...]]:
    """Everything a release says, by key."""
    rows = duckdb.sql(
        f"SELECT {KEY}, value, obs_status, conf_status FROM '{release}/parquet/metric_observation.parquet'"
    ).fetchall()
    return {row[:5]: row[5:] for row in rows}


def test_a_release_of_the_past_is_a_fresh_build_of_that_day(
    backfilled: tuple[Home, list[date]], tmp_path: Path
) -> None:
    home, days = backfilled
    for day in days:
        fresh = Home(tmp_path / str(day))
        for part in (home.archive, home.lake):
            shutil.copytree(part, fresh.root / part.relative_to(home.root))
        pipeline.run(fresh, home.landing, day)
        then, now = release_as_of(home, day), fresh.current.resolve()
        assert then is not None
        for table in ("metric_observation", "plan_attainment", "delivery_outcome", "public_series"):
            then_and_now = {(path / "parquet" / f"{table}.parquet").read_bytes() for path in (then, now)}
            assert len(then_and_now) == 1, (day, table)


def test_backfill_leaves_what_exists_and_the_pointer_never_goes_back(backfilled: tuple[Home, list[date]]) -> None:
    home, days = backfilled
    again = pipeline.backfill(home, days[0], days[-1])
    assert not any(release.created for release in again)
    assert manifest_of(home.current.resolve())["as_of"] == str(days[-1])


def test_the_history_answers_as_the_releases_do(backfilled: tuple[Home, list[date]]) -> None:
    home, days = backfilled
    said = {day: observations(path) for day in days if (path := release_as_of(home, day))}
    assert len(said) == len(days)
    current = home.current.resolve()
    history = duckdb.sql(
        f"SELECT {KEY}, value, obs_status, conf_status, realtime_start, realtime_end "
        f"FROM '{current}/parquet/metric_vintage.parquet'"
    ).fetchall()
    windows: dict[tuple[str, ...], list[tuple[Any, ...]]] = {}
    for row in history:
        windows.setdefault(row[:5], []).append(row[5:])
    keys = sorted({key for known in said.values() for key in known})
    rng = random.Random(1)
    for _ in range(10_000):
        key = rng.choice(keys)
        day = days[0] + timedelta(days=rng.randrange((days[-1] - days[0]).days + 30))
        newest = max(vintage for vintage in days if vintage <= day)
        found = [w[:3] for w in windows[key] if w[3] <= day and (w[4] is None or day < w[4])]
        assert found == ([said[newest][key]] if key in said[newest] else [])


def test_the_commands_answer_and_refuse(backfilled: tuple[Home, list[date]]) -> None:
    home, days = backfilled
    shown = hfc("asof", str(days[1]), "--json", home=home.root)
    release = release_as_of(home, days[1])
    assert release is not None
    assert len(json.loads(shown.stdout)) == len(observations(release)) > 0
    before = hfc("asof", str(days[0] - timedelta(days=1)), home=home.root)
    assert before.returncode == 2 and "hfc backfill" in before.stderr
    metric, period = "institutions_admitted_cumulative", str(days[0].year)
    vintages = json.loads(hfc("vintages", metric, period, "--json", home=home.root).stdout)
    assert {"value", "realtime_start", "realtime_end", "change"} <= set(vintages[0])
    unknown = hfc("vintages", "nosuch", "2024", home=home.root)
    assert unknown.returncode == 2 and "institutions_resident" in unknown.stderr


@pytest.mark.parametrize("seed", range(12, 12 + SEEDS))
def test_simulated_deliveries_are_published_after_any_earlier_day(seed: int, tmp_path: Path) -> None:
    home, rng = Home(tmp_path / "home"), random.Random(seed)
    months = rng.randint(14, 40)
    simulate(home.landing, months, seed)
    pipeline.ingest(home, home.landing)
    days = warehouse.vintages(home)
    earlier = rng.choice([day for day in days if days[0] + timedelta(days=300) < day < last_day(months)])
    for day in (earlier, None):
        assert pipeline.run(home, home.landing, day).release


def test_a_day_whose_knowledge_is_in_no_release_is_refused(backfilled: tuple[Home, list[date]], tmp_path: Path) -> None:
    home, days = backfilled
    gap = Home(tmp_path / "gap")
    shutil.copytree(home.root, gap.root, symlinks=True)
    removed = release_as_of(gap, days[1])
    assert removed is not None
    shutil.rmtree(removed)
    refused = hfc("asof", str(days[1]), home=gap.root)
    assert refused.returncode == 2 and f"hfc backfill --from {days[1]}" in refused.stderr
