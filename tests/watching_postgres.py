"""A reader of PostgreSQL in a process of its own: it looks at the views, again and again, and tells what it saw.

For releases whose tables say in a column `told` of which release each row is. At READ COMMITTED it looks by one prepared
statement, at REPEATABLE READ by a statement for each view in one transaction.

    python tests/watching_postgres.py ADDRESS ISOLATION STOP
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import psycopg2
from psycopg2.extensions import connection as Connection
from watching import TABLES

VIEWS = [*(f"published.{table}" for table in TABLES), "theirs.joined"]
QUERIES = [f"SELECT '{view}' AS view, told, count(*) FROM {view} GROUP BY told" for view in VIEWS]


def look(connection: Connection, queries: list[str]) -> tuple[str, dict[str, int]]:
    """The one release that all views show, and how many rows of it each."""
    with connection, connection.cursor() as cursor:
        seen = []
        for query in queries:
            cursor.execute(query)
            seen += cursor.fetchall()
    releases = {told for _, told, _ in seen}
    if len(releases) != 1 or len(seen) != len(VIEWS):
        raise ValueError(f"not one release: {seen}")
    return str(releases.pop()), {view: rows for view, _, rows in seen}


def watch(address: str, isolation: str, stop: Path) -> None:
    """Look until there is a file `stop`; then print how often, how many releases were seen, and what went wrong."""
    os.nice(5)  # many of them are not to keep the publications waiting
    connection = psycopg2.connect(address)
    connection.set_session(isolation_level=isolation)
    queries = QUERIES
    if isolation == "READ COMMITTED":
        with connection, connection.cursor() as cursor:
            cursor.execute(f"PREPARE look AS {' UNION ALL '.join(QUERIES)}")
        queries = ["EXECUTE look"]
    seen: list[str] = []
    errors: list[str] = []
    _, rows = look(connection, queries)  # every release here has as many
    while not stop.exists():
        try:
            release, found = look(connection, queries)
            seen.append(release)
            if found != rows:
                raise ValueError(f"{found} rows of {release} instead of {rows}")
        except Exception as error:
            errors.append(repr(error))
    print(json.dumps({"looks": len(seen), "releases": len(set(seen)), "errors": errors}))


if __name__ == "__main__":
    watch(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
