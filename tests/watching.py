"""A reader in a process of its own: it looks at what is published, again and again, and tells what it saw.

For releases whose tables say in a column `release_id` of which release each row is.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import duckdb

TABLES = ("metric", "plan_target", "metric_observation", "plan_attainment", "duty_board", "delivery_outcome", "release")


def in_database(path: Path) -> set[str]:
    """The releases that the tables of a database say they are of."""
    found: set[str] = set()
    with duckdb.connect(str(path), read_only=True) as connection:
        for table in TABLES:
            found |= {name for (name,) in connection.sql(f"SELECT release_id FROM published.{table}").fetchall()}
    return found


def in_parquet(*paths: Path) -> set[str]:
    """The releases that Parquet files say they are of."""
    sql = "SELECT DISTINCT release_id FROM read_parquet(?, union_by_name = true)"
    return {name for (name,) in duckdb.execute(sql, [list(map(str, paths))]).fetchall()}


def look(published: Path, number: int) -> str:
    """Read all that is published through one resolved path, then each file by itself through the pointer."""
    current = published / "current"
    release = current.resolve()
    parquet = [Path("parquet") / f"{table}.parquet" for table in TABLES]
    manifest = json.loads((release / "manifest.json").read_bytes())
    whole = {release.name, manifest["release_id"], *in_database(release / "hfc.duckdb")}
    whole |= in_parquet(*(release / path for path in parquet))
    for seen in (whole, in_database(current / "hfc.duckdb"), in_parquet(current / parquet[number % len(TABLES)])):
        if len(seen) != 1:
            raise ValueError(f"mixed releases: {sorted(seen)}")
    return release.name


def watch(published: Path) -> None:
    """Look until there is a file `stop`; then print how often, how many releases were seen, and what went wrong."""
    os.nice(5)  # many of them are not to keep the publications waiting
    seen: list[str] = []
    errors: list[str] = []
    while not (published / "stop").exists():
        try:
            seen.append(look(published, len(seen)))
        except Exception as error:
            errors.append(repr(error))
    print(json.dumps({"looks": len(seen), "releases": len(set(seen)), "errors": errors}))


if __name__ == "__main__":
    watch(Path(sys.argv[1]))
