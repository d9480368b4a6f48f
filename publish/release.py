"""Immutable releases, and the one pointer that says which of them is current.

A release is made beside the others under a temporary name, made durable, and renamed; then `published/current` moves
in one rename. A reader sees the old release or the new one, whole. A killed publication is repeated from the start.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expectations.approval import approval_of
from expectations.gate import Check, Gate, candidate_build, last_verdict
from hfc.home import (
    GateFailed,
    GateHeld,
    HfcError,
    Home,
    UsageError,
    fsync_directory,
    json_text,
    make_durable,
    on_disk,
    sha256_of,
    temporary_name,
)
from publish.data_quality import TABLE as DATA_QUALITY
from publish.data_quality import write_data_quality

if TYPE_CHECKING:
    import duckdb

DATABASE = "hfc.duckdb"
MANIFEST = "manifest.json"
TEMPORARY = ".tmp-"
# Small dictionaries that a reader of a release needs beside the published tables, and their schema in the candidate.
DICTIONARY = {
    "attainment_status": "seeds",
    "dimension_member": "seeds",
    "duty_status": "seeds",
    "feed": "lake",
    "sdmx_name": "seeds",
    "unit": "seeds",
}
# What the manifest says of a release's making: see hfc.provenance.
ORIGIN = (
    "release_id", "as_of", "code_version", "inputs_sha256", "previous_release_id", "seeds", "inputs", "history",
    "lineage",
)  # fmt: skip
# What stands wherever data is shown that is made up.
BANNER = "SYNTHETIC DATA — simulated deliveries, not real results · 模拟数据，非真实结果"
RELEASE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}")
# DuckDB 1.x clients read this one too.
STORAGE_VERSION = "v1.0.0"


@dataclass(frozen=True)
class Release:
    """What `publish` did; `created` is false when the release existed and only the pointer moved."""

    release_id: str
    path: Path
    created: bool


def publish(home: Home, forward_only: bool = False) -> Release:
    """Make the judged candidate a release and point `published/current` at it.

    With `forward_only`, the pointer stays where it is if that release knows more than this one.
    """
    sweep(home)
    build, verdict = passed_candidate(home)
    release_id = str(build["release_id"])
    path = home.releases / release_id
    created = not path.is_dir()
    if created:
        create(home, build, verdict, approvals(home, verdict))
    current = current_release(home)
    if not (forward_only and current and manifest_of(current)["as_of"] > build["as_of"]):
        point(home, release_id)
    return Release(release_id, path, created)


def rollback(home: Home, release_id: str) -> Release:
    """Point `published/current` at an earlier release."""
    path = named_release(home, release_id)
    point(home, path.name)
    return Release(path.name, path, False)


def current_release(home: Home) -> Path | None:
    """The directory of the current release, resolved once so that a reader stays with it."""
    path = home.current.resolve()
    return path if home.current.is_symlink() and path.is_dir() else None


def named_release(home: Home, name: str) -> Path:
    """The directory of a release by its identifier; or of `current`, or of `previous`, the one that current replaced.

    Raises:
        UsageError: there is no such release.
    """
    current = current_release(home)
    if name in ("current", "previous") and current is None:
        raise UsageError(f"Nothing is published in {home.root} yet: run hfc run first")
    if name == "current" and current:
        return current
    if name == "previous" and current:
        name = manifest_of(current)["previous_release_id"]
        if name is None:
            raise UsageError(f"Release {current.name} has replaced none")
    if name not in release_ids(home):
        known = ", ".join(release_ids(home)) or "none"
        raise UsageError(f"There is no release {name}; releases: {known}")
    return home.releases / name


def release_ids(home: Home) -> list[str]:
    """The complete releases, by name."""
    if not home.releases.is_dir():
        return []
    return sorted(entry.name for entry in home.releases.iterdir() if (entry / MANIFEST).is_file() and not hidden(entry))


def manifest_of(release: Path) -> dict[str, Any]:
    """The manifest of a release."""
    manifest: dict[str, Any] = json.loads((release / MANIFEST).read_text(encoding="utf-8"))
    return manifest


def vintages(home: Home) -> dict[date, Path]:
    """The releases by their as_of, oldest first; of several for one day, the one published last."""
    manifests = [manifest_of(home.releases / release_id) for release_id in release_ids(home)]
    manifests.sort(key=lambda m: (m["as_of"], m["published_at"]))
    return {date.fromisoformat(m["as_of"]): home.releases / m["release_id"] for m in manifests}


def release_as_of(home: Home, day: date) -> Path | None:
    """The newest release whose as_of is not after `day`."""
    known = [path for as_of, path in vintages(home).items() if as_of <= day]
    return known[-1] if known else None


def table_file(release: Path, table: str) -> Path:
    """Where a release keeps a published table as Parquet."""
    return release / "parquet" / f"{table}.parquet"


def hidden(entry: Path) -> bool:
    """Whether a name in the folder of releases is not a release's."""
    return entry.name.startswith(".")


def sweep(home: Home) -> None:
    """Remove what killed publications left behind."""
    for leftover in home.releases.glob(f"{TEMPORARY}*"):
        shutil.rmtree(leftover)


def passed_candidate(home: Home) -> tuple[dict[str, Any], Gate]:
    """The candidate's build record and its verdict, if the gate, or a person after it, let exactly these bytes pass.

    Raises:
        GateFailed: the candidate was refused, or is held and nobody has approved it.
        HfcError: these bytes were not judged.
    """
    build = candidate_build(home)
    release_id = str(build["release_id"])
    if not RELEASE_ID.fullmatch(release_id):
        raise HfcError(f"{release_id!r} is no usable release id")
    verdict = last_verdict(home)
    if (verdict.release_id, verdict.candidate_sha256) != (release_id, sha256_of(home.candidate)):
        raise HfcError(f"Candidate {release_id} is not the one that the gate judged: run hfc gate again")
    if verdict.held is True and not verdict.failures and verdict.complete:
        if approval_of(home, verdict):
            return build, verdict
        raise GateHeld(f"Warnings hold candidate {release_id}: a person has to approve it, nothing was published")
    if verdict.passed is not True or verdict.failures or not verdict.complete:
        raise GateFailed(f"The gate refused candidate {release_id}: nothing was published")
    return build, verdict


def approvals(home: Home, verdict: Gate) -> list[dict[str, str]]:
    """The decision on each warning of a candidate that passed: the new ones, and those of earlier releases."""
    given = approval_of(home, verdict)
    carried = [check.approval for check in verdict.checks if check.approval]
    return [*(given.entries() if given else []), *carried]


def create(home: Home, build: dict[str, Any], verdict: Gate, approved: list[dict[str, str]]) -> None:
    """Write a whole release under a temporary name, make it durable and read-only, and rename it."""
    release_id = str(build["release_id"])
    home.releases.mkdir(parents=True, exist_ok=True)
    temporary = home.releases / f"{TEMPORARY}{release_id}"
    try:
        with on_disk(home.releases / release_id):
            (temporary / "parquet").mkdir(parents=True)
            tables = write_tables(home.candidate, temporary, verdict.checks, approved)
            digest = verdict.candidate_sha256
            if sha256_of(home.candidate) != digest:
                raise HfcError(f"Candidate {release_id} changed while it was being published: run hfc run again")
            write_manifest(temporary, build, digest, tables, approved)
            seal(temporary)
            os.rename(temporary, home.releases / release_id)
            fsync_directory(home.releases)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_tables(
    candidate: Path, target: Path, checks: list[Check], approved: list[dict[str, str]]
) -> dict[str, dict[str, Any]]:
    """Write the DuckDB file and one Parquet file per published table; give rows and hash of each."""
    tables: dict[str, dict[str, Any]] = {}
    with copying(candidate, target / DATABASE) as connection:
        published = tables_in(connection, "published")
        if not published:
            raise HfcError("The candidate has no published table: run hfc build again")
        comments = comments_in(connection)
        for table in published:
            copy_table(connection, "published", table, "published", comments["published", table])
        write_data_quality(connection, "dst.published", checks, approved)
        for table in sorted([*published, DATA_QUALITY]):
            parquet = table_file(target, table)
            rows = write_parquet(connection, table, parquet)
            tables[table] = {"rows": rows, "sha256": sha256_of(parquet)}
        for table, schema in DICTIONARY.items():
            if table not in tables_in(connection, schema):
                raise HfcError(f"The candidate has no table {schema}.{table}: run hfc build again")
            copy_table(connection, schema, table, "dictionary", comments[schema, table])
    return tables


@contextmanager
def copying(candidate: Path, database: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the candidate as `src`, read-only, and the new database as `dst`."""
    import duckdb

    with duckdb.connect(config={"fsync_mode": "NONE"}) as connection:  # `seal` makes the whole release durable
        # One thread and a total order: the same rows give the same bytes.
        connection.execute("SET threads = 1")
        connection.execute(f"SET temp_directory = {literal(database.with_name('sorting'))}")  # gone when it is closed
        connection.execute(f"ATTACH {literal(candidate)} AS src (READ_ONLY)")
        connection.execute(f"ATTACH {literal(database)} AS dst (STORAGE_VERSION '{STORAGE_VERSION}')")
        connection.begin()  # each comment would be a transaction of its own
        connection.execute("CREATE SCHEMA dst.published")
        connection.execute("CREATE SCHEMA dst.dictionary")
        yield connection
        connection.commit()
        connection.execute("CHECKPOINT dst")
        connection.execute("DETACH dst")


def tables_in(connection: duckdb.DuckDBPyConnection, schema: str) -> list[str]:
    """The tables and views of one schema of the candidate, by name."""
    found = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = 'src' AND schema_name = $schema "
        "UNION ALL SELECT view_name FROM duckdb_views() WHERE database_name = 'src' AND schema_name = $schema "
        "ORDER BY ALL",
        {"schema": schema},
    ).fetchall()
    return [name for (name,) in found]


def comments_in(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], list[tuple[str | None, str]]]:
    """The comments of the candidate, by schema and table: on a column, or without one on the table itself."""
    found: dict[tuple[str, str], list[tuple[str | None, str]]] = defaultdict(list)
    rows = connection.execute(
        "SELECT schema_name, table_name, column_name, comment FROM ("
        "SELECT database_name, schema_name, table_name, NULL AS column_name, comment FROM duckdb_tables() "
        "UNION ALL SELECT database_name, schema_name, view_name, NULL, comment FROM duckdb_views() "
        "UNION ALL SELECT database_name, schema_name, table_name, column_name, comment FROM duckdb_columns()) "
        "WHERE database_name = 'src' AND comment IS NOT NULL"
    )
    for schema, table, column, comment in rows.fetchall():
        found[schema, table].append((column, comment))
    return found


def copy_table(
    connection: duckdb.DuckDBPyConnection,
    schema: str,
    table: str,
    into: str,
    comments: Iterable[tuple[str | None, str]],
) -> None:
    """Copy one table with its comments."""
    target = f"dst.{into}.{quoted(table)}"
    connection.execute(f"CREATE TABLE {target} AS SELECT * FROM src.{schema}.{quoted(table)} ORDER BY ALL")
    for column, comment in comments:
        on = f"TABLE {target}" if column is None else f"COLUMN {target}.{quoted(column)}"
        connection.execute(f"COMMENT ON {on} IS {literal(comment)}")


def write_parquet(connection: duckdb.DuckDBPyConnection, table: str, path: Path) -> int:
    """Write one published table as Parquet; give its number of rows."""
    query = f"SELECT * FROM dst.published.{quoted(table)} ORDER BY ALL"
    written = connection.execute(f"COPY ({query}) TO {literal(path)} (FORMAT parquet, COMPRESSION zstd)").fetchone()
    return int(written[0]) if written else 0


def write_manifest(
    target: Path,
    build: dict[str, Any],
    digest: str,
    tables: dict[str, dict[str, Any]],
    approved: list[dict[str, str]],
) -> None:
    """Write what the release holds, what it was made from, and what a person let pass."""
    manifest = {
        **{name: build.get(name) for name in ORIGIN},
        "published_at": datetime.now(UTC).isoformat(timespec="microseconds"),
        "candidate_sha256": digest,
        "approvals": approved,
        "tables": tables,
    }
    (target / MANIFEST).write_text(json_text(manifest), encoding="utf-8")


def seal(target: Path) -> None:
    """Make every file durable and read-only."""
    for path in target.rglob("*"):
        if path.is_file():
            path.chmod(0o444)
    make_durable(target)


def point(home: Home, release_id: str) -> None:
    """Move `published/current` to a release in one rename."""
    temporary = home.published / temporary_name("current")
    temporary.symlink_to(Path("releases") / release_id)
    os.replace(temporary, home.current)
    fsync_directory(home.published)


def literal(value: object) -> str:
    """A text as an SQL literal."""
    return "'" + str(value).replace("'", "''") + "'"


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
