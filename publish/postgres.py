"""The current release in PostgreSQL, too, where a database is configured (`HFC_POSTGRES_DSN`, `HFC_POSTGRES_CONN_ID`).

Readers have a view for each table of the release, in the schemas `published`, `dictionary` and `marts`. The rows stand
in the schema `releases`, which no reader can see: a table for each view, partitioned by publication. A publication
makes new, empty partitions, fills them by ADBC, and then moves one row, `releases._current`, with which every view
compares: a reader sees the old release or the new one, whole, at any isolation level. A publication that was cut short
leaves partitions that nobody sees; they go with those of the release before, once no reader can see these either. A
lock that readers feel is asked for alone, and only for a moment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from hfc.credentials import HIDDEN, Secret, airflow_connection
from hfc.home import HfcError, Home, UsageError, sha256_of
from publish.release import BANNER, DATABASE, MANIFEST, current_release, literal, quoted

if TYPE_CHECKING:
    import duckdb
    from adbc_driver_manager.dbapi import Connection

DSN, CONNECTION = "HFC_POSTGRES_DSN", "HFC_POSTGRES_CONN_ID"
# An address in which nothing but the password can be mistaken for it, so that it can be kept out of every message.
ADDRESS = re.compile(r"postgres(?:ql)?://(?:[^:@/?#\s]*(?::(?P<password>[^:@/?#\s]*))?@)?[^@\s]*")
READER, ANALYST = "hfc_reader", "hfc_analyst"
READERS = {"published": (READER, ANALYST), "dictionary": (READER, ANALYST), "marts": (ANALYST,)}
MARTS = ("fund_capital", "institution_counts", "tax_revenue", "value_added")
# PostgreSQL's own names; ADBC sends values in binary, so that the types have to be exactly these.
TYPES = {
    "VARCHAR": "text",
    "BOOLEAN": "boolean",
    "TINYINT": "smallint",
    "SMALLINT": "smallint",
    "INTEGER": "integer",
    "BIGINT": "bigint",
    "DOUBLE": "double precision",
    "DATE": "date",
    "TIMESTAMP": "timestamp without time zone",
    "TIMESTAMP WITH TIME ZONE": "timestamp with time zone",
}
BATCH_ROWS = 100_000
OLDEST_SERVER = 15  # before it everybody could make tables in the schema `public`
OTHER_PUBLICATION_SECONDS = 60
# Shorter than `deadlock_timeout`: a reader that waits for us is never taken for the cause of a deadlock.
LOCK_MILLISECONDS, LOCK_ATTEMPTS, LOCK_PAUSE_SECONDS = 300, 200, 0.2
LOCK_NOT_AVAILABLE = "55P03"
SET_UP = (
    "CREATE SCHEMA IF NOT EXISTS releases",
    "CREATE SEQUENCE releases._publication",
    "CREATE TABLE releases._current (only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row), "
    "publication bigint NOT NULL, release_id text NOT NULL, manifest_sha256 text NOT NULL)",
)
# Snapshots taken before the pointer was last moved; their owners may see what it pointed at.
OLD_SNAPSHOTS = """
SELECT count(*) FROM pg_stat_activity AS a CROSS JOIN releases._current AS c
WHERE a.datname = current_database() AND age(a.backend_xmin) >= age(c.xmin)
"""
OLD_PARTITIONS = """
SELECT relname::text FROM pg_class
WHERE relnamespace = 'releases'::regnamespace AND relname ~ '@[0-9]+$'
    AND split_part(relname, '@', 2)::bigint IS DISTINCT FROM (SELECT publication FROM releases._current)
ORDER BY relname
"""
COLUMNS = """
SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = to_regclass({table}) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
TABLES = """
SELECT c.schema_name, c.table_name, t.comment, c.column_name, c.data_type, c.comment
FROM duckdb_columns() AS c INNER JOIN duckdb_tables() AS t USING (database_name, schema_name, table_name)
WHERE c.database_name = current_database() AND c.schema_name IN ('published', 'dictionary')
ORDER BY c.table_name, c.column_index
"""


REMEDY = "hfc rollback current tries again"


class PostgresFailed(HfcError):
    """PostgreSQL does not show the current release, which is published on disk."""


@dataclass(frozen=True)
class Column:
    """A column of a table, with its type in PostgreSQL."""

    name: str
    type: str
    comment: str | None


@dataclass(frozen=True)
class Table:
    """A table of a release; `source` is its schema there."""

    source: str
    name: str
    comment: str | None
    columns: tuple[Column, ...]

    @property
    def schema(self) -> str:
        """The schema in which readers find it."""
        return "marts" if self.name in MARTS else self.source

    @property
    def view(self) -> str:
        return f"{self.schema}.{quoted(self.name)}"

    @property
    def rows(self) -> str:
        """The table with the rows of every publication that is there."""
        return f"releases.{quoted(self.name)}"

    def partition(self, publication: int) -> str:
        return f"{self.name}@{publication}"


class Session:
    """A connection of the role that publishes; only what is done in a `transaction` stays."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.cursor = connection.cursor()

    def run(self, *statements: str) -> None:
        """Run statements that have no result."""
        for statement in statements:
            self.cursor.execute(statement)

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a SELECT."""
        self.cursor.execute(query)
        rows: list[tuple[Any, ...]] = self.cursor.fetchall()
        return rows

    def columns(self, table: str) -> dict[str, str]:
        """Names and types of the columns of a table or view, in their order; none where there is no such table."""
        return dict(self.ask(COLUMNS.format(table=literal(table))))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What is done inside happens as a whole, or not at all."""
        try:
            yield
            self.connection.commit()
        except BaseException:
            self.connection.rollback()
            raise


def publish(home: Home) -> None:
    """Make PostgreSQL show the release that `published/current` points at; nothing where none is configured.

    Raises:
        UsageError: the configuration is wrong.
        PostgresFailed: it could not be done; what readers saw before they still see, and the next call does it.
    """
    release = current_release(home)
    if release is None or (address := configured(home)) is None:
        return
    failure = f"PostgreSQL does not show release {release.name}, which is published on disk; {REMEDY}"
    with session(address, failure) as server:
        prepare(server)
        clear(server)
        if shown(server) != identity(release):
            show(server, release)
            clear(server)


def state(home: Home) -> dict[str, Any] | None:
    """Which release PostgreSQL shows, and whether it is the current one; None where none is configured."""
    if (address := configured(home)) is None:
        return None
    release = current_release(home)
    try:
        with session(address, "PostgreSQL cannot be asked") as server:
            found = shown(server) if server.columns("releases._current") else None
    except PostgresFailed as failed:
        return {"release_id": None, "up_to_date": None, "error": str(failed)}
    up_to_date = found == (identity(release) if release else None)
    return {"release_id": found[0] if found else None, "up_to_date": up_to_date, "error": None}


def configured(home: Home) -> str | None:
    """The address of the database, from the environment or from the Airflow connection that it names.

    Raises:
        UsageError: it is no address, or there is no such connection.
    """
    address, name = os.environ.get(DSN), os.environ.get(CONNECTION)
    if address and name:
        raise UsageError(f"Set either {DSN} or {CONNECTION}, not both")
    if name:
        connection = airflow_connection(home, name)
        if connection is None:
            raise UsageError(
                f"There is no Airflow connection {name} ({CONNECTION}): add it in Airflow, or outside of Airflow set "
                f"AIRFLOW_CONN_{name.upper()}"
            )
        address = connection.get_uri()
    if address and (not ADDRESS.fullmatch(address) or "password=" in address):
        raise UsageError(
            f"{CONNECTION if name else DSN} is no address like postgresql://user:password@host:port/database, with "
            "what is no letter or digit of the password written as %xx"
        )
    return address or None


@contextmanager
def session(address: str, failure: str) -> Iterator[Session]:
    """A session whose errors are told as `failure`, without the password."""
    import adbc_driver_manager
    from adbc_driver_postgresql import dbapi

    before, _, options = address.partition("?")
    try:
        with dbapi.connect(f"{before}?connect_timeout=10&application_name=hfc&{options}") as connection:
            server = Session(connection)
            with server.cursor:
                begin(server)
                yield server
    except (adbc_driver_manager.Error, PostgresFailed) as error:
        told = " ".join(hidden(address, str(error)).split())
        raise PostgresFailed(f"{failure}: {told}") from None


def begin(server: Session) -> None:
    """Settings of the session."""
    with server.transaction():
        server.run(
            "SET default_transaction_read_only = off",
            "SET statement_timeout = 0",
            "SET client_min_messages = warning",
            f"SET lock_timeout = {LOCK_MILLISECONDS}",
        )


def hidden(address: str, text: str) -> str:
    """A text without the password of the address."""
    found = ADDRESS.fullmatch(address)
    password = found["password"] if found else None
    return Secret(unquote(password)).hide(text.replace(password, HIDDEN)) if password else text


def identity(release: Path) -> tuple[str, str]:
    """What tells a release from every other one, even if a home that was lost has made it again."""
    return release.name, sha256_of(release / MANIFEST)


def shown(server: Session) -> tuple[str, str] | None:
    """The identity of the release that readers see."""
    found = server.ask("SELECT release_id, manifest_sha256 FROM releases._current")
    return found[0] if found else None


def prepare(server: Session) -> None:
    """Wait for another publication to end; make schemas and roles where they are missing."""
    with server.transaction():
        server.run(f"SET LOCAL lock_timeout = '{OTHER_PUBLICATION_SECONDS} s'")
        server.ask("SELECT pg_advisory_lock(hashtext('hfc publish')) IS NULL")
    ((version,),) = server.ask("SELECT current_setting('server_version_num')::integer / 10000")
    if version < OLDEST_SERVER:
        raise PostgresFailed(f"the server is of version {version}, and has to be of {OLDEST_SERVER} or later")
    roles = {role for (role,) in server.ask("SELECT rolname::text FROM pg_roles")}
    with server.transaction():
        server.run(*(f"CREATE ROLE {role} NOLOGIN" for role in (READER, ANALYST) if role not in roles))
        if not server.columns("releases._current"):
            server.run(*SET_UP)
            for schema, readers in READERS.items():
                server.run(f"CREATE SCHEMA IF NOT EXISTS {schema}")
                server.run(f"GRANT USAGE ON SCHEMA {schema} TO {', '.join(readers)}")


def show(server: Session, release: Path) -> None:
    """Bring a release in as a new publication, and point at it."""
    import duckdb

    with duckdb.connect(str(release / DATABASE), read_only=True) as source:
        source.execute("SET enable_progress_bar = false")
        tables = tables_of(source)
        for table in tables:
            widen(server, release.name, table)
        with server.transaction():
            ((publication,),) = server.ask("SELECT nextval('releases._publication')")
            for table in tables:
                add_partition(server, table, publication)
        # A statement that was planned before the partitions were there must not be one that sees the pointer moved:
        # the time that filling them takes lies in between.
        with server.transaction():
            for table in tables:
                fill(server, source, table, publication)
        ((synthetic,),) = source.execute("SELECT bool_or(synthetic) FROM published.release").fetchall()
    with server.transaction():
        for table in tables:
            describe(server, table, f"{BANNER}. " if synthetic else "")
        server.run(
            "INSERT INTO releases._current (publication, release_id, manifest_sha256) "
            f"VALUES ({publication}, {', '.join(map(literal, identity(release)))}) ON CONFLICT (only_row) DO UPDATE "
            "SET publication = excluded.publication, release_id = excluded.release_id, "
            "manifest_sha256 = excluded.manifest_sha256"
        )


def tables_of(source: duckdb.DuckDBPyConnection) -> list[Table]:
    """The tables of a release, with their comments."""
    found: dict[tuple[str, str, str | None], list[Column]] = {}
    for schema, table, comment, column, kind, meaning in source.execute(TABLES).fetchall():
        place = f"column {column} of table {table}"
        found.setdefault((schema, table, comment), []).append(Column(column, type_of(kind, place), meaning))
    return [Table(*named, tuple(columns)) for named, columns in found.items()]


def type_of(kind: str, place: str) -> str:
    """The type of PostgreSQL that holds exactly the values of a type of DuckDB."""
    if kind.startswith("DECIMAL("):
        return kind.replace("DECIMAL", "numeric")
    if kind not in TYPES:
        raise PostgresFailed(f"{place} has the type {kind}, for which publish/postgres.py names none of PostgreSQL")
    return TYPES[kind]


def widen(server: Session, release_id: str, table: Table) -> None:
    """Make the table and the view where they are missing, and add the columns that they have not.

    A column that a release has no more stays, without values: views of others may show it.

    Raises:
        PostgresFailed: a column has another type there.
    """
    if not (there := server.columns(table.rows)):
        patiently(server, f"CREATE TABLE {table.rows} (_publication bigint NOT NULL) PARTITION BY LIST (_publication)")
    for column in table.columns:
        if there.get(column.name, column.type) != column.type:
            raise PostgresFailed(
                f"column {column.name} of {table.view} is {there[column.name]} in PostgreSQL, but {column.type} in "
                f"release {release_id}. All that is there is a copy: DROP SCHEMA releases CASCADE, which drops the "
                "views of others that depend on it, too"
            )
    if new := [column for column in table.columns if column.name not in there]:
        added = ", ".join(f"ADD COLUMN {quoted(column.name)} {column.type}" for column in new)
        patiently(server, f"ALTER TABLE {table.rows} {added}")
    seen = server.columns(table.view)
    if unseen := [column.name for column in table.columns if column.name not in seen]:
        patiently(
            server,
            f"CREATE OR REPLACE VIEW {table.view} WITH (security_barrier) AS "
            f"SELECT {', '.join(map(quoted, [*seen, *unseen]))} FROM {table.rows} "
            "WHERE _publication = (SELECT publication FROM releases._current)",
            f"GRANT SELECT ON {table.view} TO {', '.join(READERS[table.schema])}",
        )


def patiently(server: Session, *statements: str) -> None:
    """Run statements in a transaction of their own, of which the first has to wait until no reader is in its way.

    Readers that come meanwhile wait behind it: so it waits but for a moment, lets them pass, and tries again.
    """
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_fixed

    for attempt in Retrying(
        retry=retry_if_exception(is_busy),
        stop=stop_after_attempt(LOCK_ATTEMPTS),
        wait=wait_fixed(LOCK_PAUSE_SECONDS),
        reraise=True,
    ):
        with attempt, server.transaction():
            server.run(*statements)


def is_busy(error: BaseException) -> bool:
    """Whether a lock was not to be had in time."""
    return getattr(error, "sqlstate", None) == LOCK_NOT_AVAILABLE


def add_partition(server: Session, table: Table, publication: int) -> None:
    """Room for the rows of one publication; what is copied into it belongs to that."""
    partition = f"releases.{quoted(table.partition(publication))}"
    server.run(
        f"CREATE TABLE {partition} (LIKE {table.rows})",
        f"ALTER TABLE {partition} ALTER COLUMN _publication SET DEFAULT {publication}",
        f"ALTER TABLE {table.rows} ATTACH PARTITION {partition} FOR VALUES IN ({publication})",
    )


def fill(server: Session, source: duckdb.DuckDBPyConnection, table: Table, publication: int) -> None:
    """Copy the rows of a table, a batch at a time."""
    rows = source.sql(f"SELECT * FROM {table.source}.{quoted(table.name)}").to_arrow_reader(BATCH_ROWS)
    server.cursor.adbc_ingest(table.partition(publication), rows, mode="append", db_schema_name="releases")
    server.run(f"ANALYZE releases.{quoted(table.partition(publication))}")


def describe(server: Session, table: Table, label: str) -> None:
    """Let the view say what the release says of the table, after the label."""
    server.run(f"COMMENT ON VIEW {table.view} IS {literal(label + (table.comment or ''))}")
    for column in table.columns:
        if column.comment:
            server.run(f"COMMENT ON COLUMN {table.view}.{quoted(column.name)} IS {literal(column.comment)}")


def clear(server: Session) -> None:
    """Drop the partitions of other publications than the current one, unless a reader may still see or read them."""
    with server.transaction():
        ((old_snapshots,),) = server.ask(OLD_SNAPSHOTS)
        partitions = [] if old_snapshots else [name for (name,) in server.ask(OLD_PARTITIONS)]
    for partition in partitions:
        try:
            with server.transaction():
                server.run(f"DROP TABLE releases.{quoted(partition)}")
        except Exception as error:
            if not is_busy(error):
                raise
            return
