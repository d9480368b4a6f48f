"""Readers of PostgreSQL beside publications, and publications that are cut off."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import watching
import watching_postgres
from postgres import Database, Server, asked

from hfc import pipeline
from hfc.home import HfcError, Home
from publish import postgres as target
from publish import release as releases
from tests.test_postgres import login, publications, published, shown

READERS = int(os.environ.get("HFC_READERS", "4"))
PUBLICATIONS = int(os.environ.get("HFC_PUBLICATIONS", "10"))


@pytest.fixture
def home(tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home that publishes to the database."""
    monkeypatch.setenv("HFC_POSTGRES_DSN", database.address())
    return Home(tmp_path / "home")


@contextmanager
def readers(database: Database, stop: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Readers at both isolation levels, and a view of somebody else on ours."""
    asked(database.connect(), "CREATE SCHEMA theirs")
    somebody = login(database, "hfc_analyst", f"somebody_{database.name}")
    asked(database.connect(), f"GRANT ALL ON SCHEMA theirs TO somebody_{database.name}")
    asked(somebody, "SET default_transaction_read_only = off")
    asked(somebody, "CREATE VIEW theirs.joined AS SELECT o.told FROM published.metric_observation AS o "
                    "INNER JOIN published.metric AS m USING (metric_id, told)")  # fmt: skip
    asked(somebody, "GRANT USAGE ON SCHEMA theirs TO PUBLIC")
    isolations = ["READ COMMITTED"] * READERS + ["REPEATABLE READ"] * max(1, READERS * 2 // 5)
    command = [sys.executable, watching_postgres.__file__, database.address(f"somebody_{database.name}")]
    started = [subprocess.Popen([*command, level, stop], stdout=subprocess.PIPE, text=True) for level in isolations]
    try:
        yield started
    finally:
        stop.touch()


def test_readers_see_one_whole_release_whatever_is_published_meanwhile(
    home: Home, database: Database, tmp_path: Path
) -> None:
    rng = random.Random(5)
    published(home, "r0")
    with readers(database, tmp_path / "stop") as watchers:
        for number in range(1, PUBLICATIONS + 1):
            added = "".join(
                f"ALTER TABLE published.metric ADD COLUMN new_{n} INTEGER DEFAULT {n};" for n in range(number // 5)
            )
            published(home, f"r{number}", added)
            if number % 4 == 0:
                pipeline.rollback(home, rng.choice(releases.release_ids(home)))
            if number % 7 == 0:
                pipeline.retain(home, 3)
    told = [json.loads(watcher.communicate()[0]) for watcher in watchers]
    print(json.dumps(told))
    assert [error for reader in told for error in reader["errors"]] == []
    assert all(reader["looks"] and reader["releases"] > 1 for reader in told), told
    pipeline.catch_up(home)
    assert len(publications(database)) == 1


def test_cut_off_anywhere_it_is_whole_and_the_next_call_ends_it(
    home: Home, database: Database, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server ends the session at some statement, as it does when our process was killed."""
    published(home, "r1")
    published(home, "r2", "CREATE TABLE published.later AS SELECT 1 AS one")
    end = f"SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = '{database.name}' AND application_name = 'hfc'"
    statements = []
    last = 0

    class Cut(target.Session):
        def run(self, *given: str) -> None:
            for statement in given:
                self.at(statement)
                super().run(statement)

        def ask(self, query: str) -> list[tuple[Any, ...]]:
            self.at(query)
            return super().ask(query)

        def at(self, statement: str) -> None:
            statements.append(statement)
            if len(statements) == last:
                postgres.run(end)

    monkeypatch.setattr(target, "Session", Cut)
    pipeline.rollback(home, "r1")
    rng, count = random.Random(2), len(statements)
    assert count > 150
    for last in sorted(rng.sample(range(1, count + 1), int(os.environ.get("HFC_KILLS", "10")))):
        new, old = ("r2", "r1") if shown(database) == "r1" else ("r1", "r2")
        statements.clear()
        try:
            pipeline.rollback(home, new)
        except HfcError as failed:
            assert "hfc rollback current tries again" in str(failed)
        assert whole(database) in (old, new)
        statements.clear()
        last = 0
        pipeline.catch_up(home)
        assert whole(database) == new and len(publications(database)) == 1


def whole(database: Database) -> str:
    """The release that all views show."""
    query = " UNION ".join(f"SELECT told FROM published.{table}" for table in watching.TABLES)
    ((told,),) = database.ask(query)
    return str(told)
