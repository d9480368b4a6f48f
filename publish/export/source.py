"""What an export reads: the published tables of one release with their comments, its dictionary and its feeds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfc import carried
from hfc.home import HfcError
from publish.release import DATABASE, DICTIONARY, manifest_of, quoted, table_file

if TYPE_CHECKING:
    import duckdb

# Rows that are in memory at a time.
BATCH = 10_000
FEEDS = """
SELECT
    f.feed, f.title_zh, f.title_en, bool_or(o.synthetic) AS synthetic, count(*) AS deliveries,
    count(*) FILTER (o.licence IS NULL) AS deliveries_without_licence, max(o.published_on)::VARCHAR AS latest,
    coalesce(list(DISTINCT o.source_url ORDER BY o.source_url) FILTER (o.source_url IS NOT NULL), []) AS urls,
    coalesce(list(DISTINCT o.licence ORDER BY o.licence) FILTER (o.licence IS NOT NULL), []) AS licences,
    coalesce(list(DISTINCT o.note ORDER BY o.note) FILTER (o.note IS NOT NULL), []) AS notes
FROM published.delivery_outcome AS o
INNER JOIN dictionary.feed AS f ON f.feed = o.feed
WHERE o.outcome = 'loaded'
GROUP BY f.feed, f.title_zh, f.title_en
ORDER BY f.feed
"""


@dataclass(frozen=True)
class Column:
    """A column with its type in DuckDB and its comment."""

    name: str
    kind: str
    comment: str


@dataclass(frozen=True)
class Table:
    """A published table; `rows` is how many it has, by the release's manifest."""

    name: str
    comment: str
    columns: tuple[Column, ...]
    rows: int
    sha256: str


@dataclass(frozen=True)
class Source:
    """An opened release."""

    release: Path
    connection: duckdb.DuckDBPyConnection

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The manifest of the release."""
        return manifest_of(self.release)

    @cached_property
    def facts(self) -> dict[str, Any]:
        """The row of the table `release`: identifier, as_of, whether data is synthetic."""
        return self.records("FROM published.release")[0]

    @property
    def as_of(self) -> date:
        """The day whose knowledge the release shows."""
        day: date = self.facts["as_of"]
        return day

    @property
    def synthetic(self) -> bool:
        """Whether any data of the release is made up."""
        return bool(self.facts["synthetic"])

    def file(self, name: str) -> str:
        """What a file of data is called: one with synthetic data says so, wherever it is copied to."""
        return f"SYNTHETIC-{name}" if self.synthetic else name

    @cached_property
    def feeds(self) -> list[dict[str, Any]]:
        """The feeds whose deliveries the release has loaded: titles, addresses, licences and notes as delivered."""
        return self.records(FEEDS)

    @cached_property
    def tables(self) -> list[Table]:
        """The published tables, by name."""
        comments = dict(
            self.connection.execute(
                "SELECT table_name, coalesce(comment, '') FROM duckdb_tables() WHERE schema_name = 'published'"
            ).fetchall()
        )
        columns: dict[str, list[Column]] = {name: [] for name in comments}
        for table, *column in self.connection.execute(
            "SELECT table_name, column_name, data_type, coalesce(comment, '') FROM duckdb_columns() "
            "WHERE schema_name = 'published' ORDER BY table_name, column_index"
        ).fetchall():
            columns[table].append(Column(*column))
        return [
            Table(name, comments[name], tuple(columns[name]), entry["rows"], entry["sha256"])
            for name, entry in sorted(self.manifest["tables"].items())
        ]

    def rows(self, table: Table) -> Iterator[tuple[Any, ...]]:
        """The rows of a table, in a total order."""
        cursor = self.connection.cursor()
        cursor.execute(f"FROM published.{quoted(table.name)} ORDER BY ALL")
        while batch := cursor.fetchmany(BATCH):
            yield from batch

    def records(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a statement by column."""
        result = self.connection.execute(sql)
        names = [column[0] for column in result.description or []]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def parquet(self, table: Table) -> Path:
        """The Parquet file of a table."""
        return table_file(self.release, table.name)

    def feeds_of(self, table: str) -> list[str]:
        """The feeds that a table was computed from, by the release's lineage; all if it is about the deliveries."""
        lineage = self.manifest.get("lineage") or {}
        seen, waiting = set[str](), [f"published.{table}"]
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting += lineage.get(name, [])
        if any(name.startswith("carried.") for name in seen):
            seen.add(f"lake.{carried.FEED}")
        known = [feed["feed"] for feed in self.feeds]
        found = [feed for feed in known if f"lake.{feed}" in seen]
        about_deliveries = "lake.delivery" in seen or f"published.{table}" not in lineage
        return found or (known if about_deliveries else [])


def plain(number: Decimal) -> str:
    """A decimal as text: exact, without exponent and trailing zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


@contextmanager
def opened(release: Path) -> Iterator[Source]:
    """A release to export from, read-only.

    Raises:
        HfcError: it was made before releases held the names that an export shows.
    """
    import duckdb

    with duckdb.connect(str(release / DATABASE), read_only=True) as connection:
        found = connection.execute("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'dictionary'").fetchall()
        if missing := sorted(set(DICTIONARY) - {name for (name,) in found}):
            as_of = manifest_of(release)["as_of"]
            raise HfcError(
                f"Release {release.name} holds no dictionary of {', '.join(missing)}, which an export shows: make a "
                f"release of that day again with hfc backfill --from {as_of} --to {as_of}, and export that one"
            )
        yield Source(release, connection)
