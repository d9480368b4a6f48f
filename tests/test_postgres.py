"""PostgreSQL shows the current release: whole, to everybody who may see it, whatever happens meanwhile."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

import duckdb
import psycopg2
import pytest
import watching
from postgres import PASSWORD, PUBLISHER, Database, Server, asked, programs
from psycopg2.extensions import connection as Connection

from hfc import pipeline
from hfc.home import HfcError, Home, UsageError
from publish import postgres as target
from publish.release import BANNER
from tests.test_publish import ROOT, hfc, make_candidate, pass_gate

READERS = int(os.environ.get("HFC_READERS", "4"))
PUBLICATIONS = int(os.environ.get("HFC_PUBLICATIONS", "10"))
BI = (ROOT / "docs/bi.md").read_text(encoding="utf-8")
CODE = "91430100MA0000000X"
TAXPAYERS = f"CREATE TABLE stg_tax AS SELECT '{CODE}' AS uscc, 12.5 AS amount; CREATE TABLE int_tax AS FROM stg_tax;"
MARTS = "".join(
    f"CREATE TABLE published.{table} AS SELECT '2024-01' AS period, 1.5::DECIMAL(28, 10) AS value;"
    for table in target.MARTS
)
KINDS = f"""
CREATE TABLE published.kinds AS SELECT 1.0000000001::DECIMAL(28, 10) AS a, 2.0000000000000001::DECIMAL(38, 16) AS b,
    '文 ''x'' $$' AS c, DATE '2024-02-29' AS d, TIMESTAMP '2024-02-29 01:02:03.000004' AS e, true AS f, 5 AS g,
    9007199254740993::BIGINT AS h, 0.1::DOUBLE AS i, 7::TINYINT AS "order", TIMESTAMPTZ '2024-02-29 01:02:03+08' AS k
UNION ALL SELECT {", ".join(["NULL"] * 11)};
COMMENT ON TABLE published.kinds IS 'It''s 表';
COMMENT ON COLUMN published.kinds."order" IS 'Order · 序';
"""
INSUFFICIENT_PRIVILEGE = "42501"
FORBIDDEN = (
    "INSERT INTO published.release (release_id) VALUES ('r2')",
    "UPDATE published.metric_observation SET value = 0",
    "DELETE FROM published.metric",
    "CREATE TABLE published.mine (one integer)",
    "CREATE TABLE public.mine (one integer)",
    "CREATE VIEW dictionary.mine AS SELECT 1 AS one",
    "CREATE SCHEMA mine",
    "DROP VIEW published.metric",
    "CREATE OR REPLACE VIEW published.metric AS SELECT 1 AS one",
    "COMMENT ON VIEW published.metric IS 'mine'",
    "SELECT * FROM marts.tax_revenue",
    "SELECT * FROM releases._current",
    "UPDATE releases._current SET publication = 0",
    "SELECT * FROM releases.metric_observation",
    'SELECT * FROM releases."metric_observation@1"',
    "SELECT nextval('releases._publication')",
    "SET ROLE hfc_publisher",
    "COPY published.metric TO '/tmp/metric'",
    "SELECT pg_read_file('PG_VERSION')",
)
BY_CONNECTION = """
import os, sys
from hfc.home import Home, UsageError
from publish.postgres import state
print(state(Home.at(sys.argv[1])))
os.environ["HFC_POSTGRES_CONN_ID"] = "nowhere"
try:
    state(Home.at(sys.argv[1]))
except UsageError as error:
    print(error)
"""
OURS = "n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'"
MAY = f"""
SELECT DISTINCT n.nspname, c.relkind::text, p.right FROM pg_class AS c INNER JOIN pg_namespace AS n ON n.oid = relnamespace
CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS p("right")
WHERE {OURS} AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    AND has_schema_privilege('{{role}}', n.oid, 'USAGE') AND has_table_privilege('{{role}}', c.oid, p.right)
"""
MAY_MAKE = f"SELECT n.nspname FROM pg_namespace AS n WHERE {OURS} AND has_schema_privilege('{{role}}', n.oid, 'CREATE')"
NAMES = "SELECT attname FROM pg_attribute WHERE attrelid = '{}'::regclass AND attnum > 0 ORDER BY attnum"


@pytest.fixture
def home(tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home that publishes to the database."""
    monkeypatch.setenv("HFC_POSTGRES_DSN", database.address())
    return Home(tmp_path / "home")


def published(home: Home, release_id: str, extra: str = "", as_of: str = "2025-01-20") -> None:
    """Publish a small release, whose tables say which one it is; beside it stands what nobody may see."""
    told = "".join(
        f"ALTER TABLE published.{table} ADD COLUMN told VARCHAR DEFAULT '{release_id}';" for table in watching.TABLES
    )
    make_candidate(home, release_id, as_of, TAXPAYERS + MARTS + told + extra)
    pass_gate(home)
    pipeline.publish(home)


def shown(database: Database) -> str:
    """The release that readers see."""
    return str(database.ask("SELECT told FROM published.release")[0][0])


def publications(database: Database) -> list[str]:
    """The publications of which rows are there."""
    found = database.ask(
        "SELECT DISTINCT split_part(relname, '@', 2) FROM pg_class WHERE relname LIKE '%@%' ORDER BY 1"
    )
    return [number for (number,) in found]


def login(database: Database, group: str, name: str) -> Connection:
    """A new login of a group of readers, made as the page for BI tools says."""
    statements = re.findall(r"^    ((?:CREATE|ALTER) ROLE metabase .*;)", BI, re.MULTILINE)
    assert len(statements) == 3
    for statement in statements:
        statement = statement.replace("metabase", name).replace("hfc_reader", group).replace("'…'", f"'{PASSWORD}'")
        asked(database.connect(), statement)
    return database.connect(name)


def test_every_row_of_a_release_is_there_with_its_comments(home: Home, database: Database) -> None:
    published(home, "r1", KINDS)
    with duckdb.connect(str(home.current / "hfc.duckdb"), read_only=True) as connection:
        tables = connection.sql("SELECT schema_name, table_name FROM duckdb_tables()").fetchall()
        assert len(tables) > 20
        for schema, table in tables:
            place = "marts" if table in target.MARTS else schema
            expected = connection.sql(f"FROM {schema}.{table}").fetchall()
            assert Counter(database.ask(f"SELECT * FROM {place}.{table}")) == Counter(expected), table
    kinds = "SELECT string_agg(format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = '{}'::regclass"
    assert database.ask(kinds.format("published.kinds")) == [
        (
            "numeric(28,10), numeric(38,16), text, date, timestamp without time zone, boolean, integer, bigint, "
            "double precision, smallint, timestamp with time zone",
        )
    ]
    comments = "SELECT obj_description('published.kinds'::regclass), col_description('published.kinds'::regclass, 10)"
    assert database.ask(comments) == [(f"{BANNER}. It's 表", "Order · 序")]
    published(home, "r2", f"{KINDS} UPDATE published.release SET synthetic = false")
    assert database.ask(comments) == [("It's 表", "Order · 序")]


def test_what_a_reader_may_still_see_stays_until_he_is_done(home: Home, database: Database) -> None:
    published(home, "r1")
    reader = login(database, "hfc_reader", f"slow_{database.name}")
    asked(reader, "BEGIN ISOLATION LEVEL REPEATABLE READ")
    assert asked(reader, "SELECT told FROM published.release") == [("r1",)]
    published(home, "r2")
    published(home, "r3")
    assert shown(database) == "r3" and len(publications(database)) == 3
    assert asked(reader, "SELECT DISTINCT told FROM published.metric") == [("r1",)]
    assert len(asked(reader, "SELECT * FROM dictionary.attainment_status")) > 3
    asked(reader, "COMMIT")
    asked(reader, "BEGIN ISOLATION LEVEL READ COMMITTED")
    assert asked(reader, "SELECT told FROM published.release") == [("r3",)]
    published(home, "r4")  # what the reader has locked cannot be dropped
    assert shown(database) == "r4" and len(publications(database)) > 1
    assert asked(reader, "SELECT told FROM published.release") == [("r4",)]
    asked(reader, "COMMIT")
    pipeline.catch_up(home)
    assert len(publications(database)) == 1


def test_only_the_current_partition_is_read_and_nothing_else_is_told(home: Home, database: Database) -> None:
    published(home, "r1")
    holder = login(database, "hfc_reader", f"holder_{database.name}")
    asked(holder, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM published.metric")
    published(home, "r2")
    assert len(publications(database)) == 2
    reader = login(database, "hfc_reader", f"curious_{database.name}")
    plan = "\n".join(line for (line,) in asked(reader, "EXPLAIN (ANALYZE) SELECT count(*) FROM published.metric"))
    assert plan.count("never executed") == 1, plan
    asked(reader, "SET default_transaction_read_only = off")
    asked(reader, "CREATE FUNCTION pg_temp.tell(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS "
                  "$$ BEGIN RAISE NOTICE 'told %', $1; RETURN true; END $$")  # fmt: skip
    asked(reader, "SET enable_partition_pruning = off")
    asked(reader, "SELECT * FROM published.metric WHERE pg_temp.tell(told)")
    assert {notice.split()[-1] for notice in reader.notices if "told" in notice} == {"r2"}


def test_readers_only_read_and_only_what_is_published(home: Home, database: Database, postgres: Server) -> None:
    published(home, "r1")
    name = f"reader_{database.name}"
    reader = login(database, "hfc_reader", name)
    for setting, value in (("default_transaction_read_only", "on"), ("statement_timeout", "1min")):
        assert asked(reader, f"SHOW {setting}") == [(value,)]
    asked(reader, "SET default_transaction_read_only = off")
    answers = {}
    for statement in FORBIDDEN:
        with pytest.raises(psycopg2.Error) as refusal:
            asked(reader, statement)
        answers[statement] = refusal.value.pgcode
    assert set(answers.values()) == {INSUFFICIENT_PRIVILEGE}, answers
    analyst = login(database, "hfc_analyst", f"analyst_{database.name}")
    assert asked(analyst, "SELECT value FROM marts.tax_revenue") == [(Decimal("1.5"),)]
    for role, schemas in ((name, {"published", "dictionary"}), ("hfc_analyst", {"published", "dictionary", "marts"})):
        may = database.ask(MAY.format(role=role))
        assert {(kind, right) for _, kind, right in may} == {("v", "SELECT")}
        assert {schema for schema, _, _ in may} == schemas
        assert database.ask(MAY_MAKE.format(role=role)) == []
    dumped = subprocess.run(
        [programs() / "pg_dump", "--dbname", database.address("postgres")], check=True, capture_output=True, text=True
    ).stdout
    assert "fund_subscribed" in dumped and CODE not in dumped and "stg_" not in dumped and "int_" not in dumped


def test_a_release_with_other_columns_and_tables_leaves_views_of_others_alone(home: Home, database: Database) -> None:
    published(home, "r1")
    asked(database.connect(), "CREATE VIEW public.theirs AS SELECT * FROM published.unit_scorecard")
    old = [name for (name,) in database.ask(NAMES.format("published.unit_scorecard"))]
    published(
        home,
        "r2",
        "ALTER TABLE published.unit_scorecard DROP COLUMN leads;"
        "ALTER TABLE published.unit_scorecard ADD COLUMN note VARCHAR DEFAULT 'new';"
        "COMMENT ON COLUMN published.unit_scorecard.note IS 'A note';"
        "CREATE TABLE published.later AS SELECT 1 AS one;",
    )
    assert [name for (name,) in database.ask(NAMES.format("published.unit_scorecard"))] == [*old, "note"]
    assert database.ask("SELECT unit_name, leads, note FROM published.unit_scorecard") == [("甲", None, "new")]
    assert database.ask("SELECT unit_name, leads FROM public.theirs") == [("甲", None)]
    assert database.ask("SELECT one FROM published.later") == [(1,)]
    pipeline.rollback(home, "r1")
    assert database.ask("SELECT unit_name, leads, note FROM published.unit_scorecard") == [("甲", 25, None)]
    assert database.ask("SELECT unit_name, leads FROM public.theirs") == [("甲", 25)]
    assert database.ask("SELECT one FROM published.later") == []


def test_a_column_of_another_type_is_told_and_what_to_do(home: Home, database: Database) -> None:
    published(home, "r1")
    with pytest.raises(
        HfcError, match="leads of published.*integer in PostgreSQL, but bigint in release r2.*DROP SCHEMA"
    ):
        published(home, "r2", "ALTER TABLE published.unit_scorecard ALTER leads TYPE BIGINT")
    assert os.readlink(home.current) == "releases/r2" and shown(database) == "r1"
    asked(database.connect(), "DROP SCHEMA releases CASCADE")
    pipeline.catch_up(home)
    assert shown(database) == "r2"
    with pytest.raises(HfcError, match="column of_time of table later has the type TIME, for which"):
        published(home, "r3", "CREATE TABLE published.later AS SELECT TIME '10:00' AS of_time")


def test_a_change_of_columns_waits_for_readers_and_keeps_none_waiting(home: Home, database: Database) -> None:
    published(home, "r1")
    slow, quick = (login(database, "hfc_reader", f"{name}_{database.name}") for name in ("slow", "quick"))
    asked(slow, "BEGIN; SELECT 1 FROM published.metric")
    waits = f"SELECT 1 FROM pg_stat_activity WHERE datname = '{database.name}' AND wait_event_type = 'Lock'"
    with ThreadPoolExecutor() as pool:
        change = pool.submit(published, home, "r2", "ALTER TABLE published.metric ADD COLUMN more INTEGER DEFAULT 3")
        try:
            for _ in range(3):
                while not database.ask(waits):
                    assert not change.done(), change.result()
                assert asked(quick, "SELECT DISTINCT told FROM published.metric") == [("r1",)]
            assert not change.done()
        finally:
            asked(slow, "COMMIT")
        change.result()
    assert asked(quick, "SELECT DISTINCT told, more FROM published.metric") == [("r2", 3)]


def test_postgres_follows_the_pointer(home: Home, database: Database) -> None:
    published(home, "r1")
    published(home, "r2", as_of="2025-02-20")
    make_candidate(home, "r0", "2024-12-20", "ALTER TABLE published.release ADD COLUMN told VARCHAR DEFAULT 'r0'")
    pass_gate(home)
    assert pipeline.publish(home, forward_only=True).created and shown(database) == "r2"
    pipeline.rollback(home, "r1")
    assert shown(database) == "r1"
    manifest = home.releases / "r1" / "manifest.json"
    manifest.chmod(0o644)
    manifest.write_text(manifest.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    state = target.state(home)
    assert state == {"release_id": "r1", "up_to_date": False, "error": None}  # another r1, of a home made anew
    pipeline.retain(home, 0)
    assert target.state(home) == {"release_id": "r1", "up_to_date": True, "error": None}


def test_a_server_out_of_reach_stops_no_release_and_is_caught_up_with(
    home: Home, database: Database, postgres: Server
) -> None:
    published(home, "r1")
    make_candidate(home, "r2", extra="ALTER TABLE published.release ADD COLUMN told VARCHAR DEFAULT 'r2'")
    pass_gate(home)
    postgres.stop()
    try:
        failed, status = hfc(home, "publish"), hfc(home, "status")
    finally:
        postgres.start()
    assert failed.returncode == 1 and failed.stdout == ""
    assert failed.stderr.startswith(
        "PostgreSQL does not show release r2, which is published on disk; hfc rollback current"
    )
    assert "Connection refused" in failed.stderr and len(failed.stderr.splitlines()) == 1
    assert os.readlink(home.current) == "releases/r2"
    assert status.returncode == 0 and "PostgreSQL cannot be asked: " in status.stdout
    assert "PostgreSQL shows r1, which is not the current one; hfc rollback current" in hfc(home, "status").stdout
    assert hfc(home, "publish").returncode == 0 and shown(database) == "r2"
    wrong = database.address(password=f"{PASSWORD}!")
    refused = hfc(home, "rollback", "r1", HFC_POSTGRES_DSN=wrong)
    assert refused.returncode == 1 and "password authentication failed" in refused.stderr
    for shown_text in (failed.stderr, status.stdout, refused.stderr):
        assert PASSWORD not in shown_text and quote(PASSWORD, safe="") not in shown_text


@pytest.mark.parametrize(
    "address",
    [
        "s3cret",
        "host=127.0.0.1 password=s3cret",
        "postgresql://hfc:s3@cret@127.0.0.1/hfc",
        "postgresql://hfc:s3cret/@127.0.0.1/hfc",
        "postgresql://hfc@127.0.0.1/hfc?password=s3cret",
        "mysql://hfc:s3cret@127.0.0.1/hfc",
    ],
)
def test_what_is_no_address_is_refused_and_not_repeated(
    home: Home, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("HFC_POSTGRES_DSN", address)
    with pytest.raises(UsageError, match="HFC_POSTGRES_DSN is no address like postgresql://") as refusal:
        target.configured(home)
    assert "s3" not in str(refusal.value) and "cret" not in str(refusal.value)


@pytest.mark.parametrize(
    "address", ["postgresql://hfc:s3cr%zz@127.0.0.1/hfc", "postgresql://hfc:s3cret@127.0.0.1:s3cret/hfc"]
)
def test_what_libpq_says_of_a_password_is_hidden(home: Home, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("HFC_POSTGRES_DSN", address)
    state = target.state(home)
    assert state and "***" in state["error"] and "s3cr" not in state["error"]


def test_the_address_can_be_an_airflow_connection(
    home: Home, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(home, "r1")
    monkeypatch.setenv("HFC_POSTGRES_CONN_ID", "warehouse")
    with pytest.raises(UsageError, match="either HFC_POSTGRES_DSN or HFC_POSTGRES_CONN_ID"):
        target.configured(home)
    described = {"conn_type": "postgres", "host": "127.0.0.1", "port": database.port, "login": PUBLISHER,
                 "password": PASSWORD, "schema": database.name, "extra": {"sslmode": "prefer"}}  # fmt: skip
    told = subprocess.run(
        [sys.executable, "-c", BY_CONNECTION, str(home.root)],
        cwd=ROOT,
        env={**os.environ, "HFC_POSTGRES_DSN": "", "AIRFLOW_CONN_WAREHOUSE": json.dumps(described)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "{'release_id': 'r1', 'up_to_date': True, 'error': None}" in told
    assert "There is no Airflow connection nowhere (HFC_POSTGRES_CONN_ID)" in told
