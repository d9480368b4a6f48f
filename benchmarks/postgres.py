"""How long a release takes to PostgreSQL, against a bare copy of the same table by ADBC.

    .venv/bin/python -m benchmarks.postgres [ROWS] [--rounds N]    default 10,000,000, 3; wants 6 GB of disk

Both in one run against one server of its own, which writes nothing durably, each in a process of its own, in rounds;
what is printed is each one's median. The floor copies the table into an empty one; `publish` makes partitions, fills
and analyses them, describes the views, moves the pointer, and drops the publication before.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import duckdb

from benchmarks.ingest import Measure, measure, median
from hfc.home import Home
from publish.release import DATABASE, MANIFEST, point
from tests.postgres import Server, asked

# A column `synthetic` and nothing else is what the publication asks of the table `release`.
RELEASE = """
CREATE SCHEMA published;
CREATE TABLE published.release AS SELECT true AS synthetic;
CREATE TABLE published.metric_observation AS
SELECT format('metric_{{}}', hash(n) % 50) AS metric_id, 'M' AS frequency, strftime(day, '%Y-%m') AS period,
    last_day(day) AS period_end, 'division' AS dimension, (hash(n + 1) % 100)::VARCHAR AS member,
    CASE WHEN n % 20 > 0 THEN (hash(n + 2) % 1000000000)::DECIMAL(28, 10) / 1000 END::DECIMAL(28, 10) AS value,
    'cny_100m' AS unit, 'A' AS obs_status, CASE WHEN n % 20 > 0 THEN 'F' ELSE 'C' END AS conf_status,
    DATE '2026-01-20' AS as_of, n AS seq
FROM (SELECT n, DATE '2019-01-01' + INTERVAL (n % 84) MONTH AS day FROM range({rows}) AS numbers(n))
"""
FLOOR_TABLE = """
CREATE TABLE floor (metric_id text, frequency text, period text, period_end date, dimension text, member text,
    value numeric(28, 10), unit text, obs_status text, conf_status text, as_of date, seq bigint)
"""
FLOOR = """
import sys
import duckdb
from adbc_driver_postgresql import dbapi
with duckdb.connect(sys.argv[1], read_only=True) as source, dbapi.connect(sys.argv[2]) as target:
    source.execute("SET enable_progress_bar = false")
    with target.cursor() as cursor:
        rows = source.sql("FROM published.metric_observation").to_arrow_reader(100_000)
        cursor.adbc_ingest("floor", rows, mode="append")
    target.commit()
"""
PUBLISH = """
import os, sys
from hfc.home import Home
from publish import postgres
os.environ["HFC_POSTGRES_DSN"] = sys.argv[2]
postgres.publish(Home.at(sys.argv[1]))
"""


def main() -> None:
    """Print one row for each way of copying, and the ratio to the floor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="?", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    tries: dict[str, list[Measure]] = {"floor: bare copy by ADBC": [], "publish": []}
    with tempfile.TemporaryDirectory(prefix="hfc-benchmark-") as folder, Server() as server:
        home, database = Home(Path(folder)), server.database()
        release = home.releases / "r1"
        release.mkdir(parents=True)
        with duckdb.connect(str(release / DATABASE)) as connection:
            connection.execute("SET enable_progress_bar = false")
            connection.execute(RELEASE.format(rows=arguments.rows))
        point(home, release.name)
        floor, published = tries.values()
        for number in range(arguments.rounds):
            asked(database.connect(), f"DROP TABLE IF EXISTS floor; {FLOOR_TABLE}")
            floor.append(measure(FLOOR, release / DATABASE, database.address()))
            (release / MANIFEST).write_text(json.dumps({"round": number}), encoding="utf-8")  # another release
            published.append(measure(PUBLISH, home.root, database.address()))
            ((rows,),) = database.ask("SELECT count(*) FROM published.metric_observation")
            assert rows == arguments.rows
    print(f"{arguments.rows:,} rows")
    print(f"{'':26}{'wall s':>8}{'ratio':>7}{'work s':>8}{'peak GB':>9}")
    for name, measures in tries.items():
        m = median(measures)
        print(f"{name:26}{m.wall:8.1f}{m.wall / median(floor).wall:7.2f}{m.work:8.1f}{m.peak:9.2f}")


if __name__ == "__main__":
    main()
