"""How long the tax metrics of a build last, against one hand-written DuckDB script, from scratch and after a new month.

    .venv/bin/python -m benchmarks.build [ROWS]        default 10,000,000 in 36 months; wants 3 GB of disk

All in one run on one machine, three times in turn, each in a process of its own, over one lake that the real intake has
made of simulated deliveries. `few rows` is the same build of the same feeds with next to no tax: what dbt and the other
models cost. Both ways of building have to give the same tables, and the script the same metrics.
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import sys
import tempfile
from collections import defaultdict
from datetime import date
from pathlib import Path

import duckdb

from benchmarks.ingest import Measure, measure, median
from hfc.home import Home
from hfc.simulate import simulate
from hfc.simulate.calendar import last_day
from hfc.warehouse import PROJECT
from ingest import lake

MONTHS = 36
TIMES = 3
BUILD = """
import sys
from datetime import date
from pathlib import Path
from hfc.home import Home
from hfc.warehouse import build
build(Home(Path(sys.argv[1])), date.fromisoformat(sys.argv[2]))
"""
BY_HAND = """
import duckdb, os, sys
from benchmarks.ways.by_hand import sql
relations, database, project = sys.argv[1:]
os.chdir(project)
with duckdb.connect(database) as connection:
    connection.execute("SET enable_progress_bar = false")
    connection.execute(relations)
    for model in ("residence", "superseded", "cell", "metric"):
        connection.execute(f"CREATE TABLE {model} AS {sql(f'models/{model}')}")
"""
# Not the disclosure control, which the script has not.
CONTROL = "series|measured|contribution|concentration|suppression"
NODES = rf" (?:(?:staging|intermediate)\.(?:stg|int)_tax_(?!{CONTROL})|tax_in_and_out).* in ([\d.]+)s\]"
TABLES = ("int_tax_window", "int_tax_taxpayer", "int_tax_cell", "int_tax_metric_period", "int_tax_concentration")


def delivered(folder: Path, rows: int) -> Home:
    """A home that has taken in simulated deliveries: so many tax vouchers in the first months, and one month more."""
    landing, home = folder / "landing", Home(folder / "home")
    simulate(landing, months=MONTHS + 1, tax_rows=rows * (MONTHS + 1) // MONTHS)
    for delivery in lake.receive(home, landing):
        lake.load(home, delivery)
    shutil.rmtree(landing)
    return home


def built(home: Home, as_of: date) -> tuple[Measure, float]:
    """A build in a process of its own, and the seconds of its tax models and of the test that reads the whole feed."""
    measured = measure(BUILD, home.root, as_of.isoformat())
    log = (home.warehouse / "logs" / "dbt.log").read_text(encoding="utf-8")
    return measured, sum(map(float, re.findall(NODES, log)))


def by_hand(home: Home, as_of: date, database: Path) -> Measure:
    """The hand-written script over the same files of the lake."""
    relations = ""
    for name, feed in (("voucher", "tax_collections"), ("register", "institution_register")):
        rows = " UNION ALL ".join(
            f"SELECT DATE '{d['published_on']}' AS published_on, * FROM read_parquet('{lake.lake_file(home, d)}')"
            for d in lake.known_deliveries(home, as_of)
            if d["feed"] == feed and d["outcome"] == "loaded"
        )
        relations += f"CREATE VIEW {name} AS {rows};"
    return measure(BY_HAND, relations, database, PROJECT)


def differing(one: Path, other: Path, queries: list[tuple[str, str]]) -> list[str]:
    """The queries on one database that give other rows than their counterparts on the other."""
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{one}' AS one (READ_ONLY); ATTACH '{other}' AS other (READ_ONLY)")
        return [
            query
            for query, counterpart in queries
            if connection.execute(
                f"(({query}) EXCEPT ALL ({counterpart})) UNION ALL (({counterpart}) EXCEPT ALL ({query})) LIMIT 1"
            ).fetchall()
        ]


def main() -> None:
    """Print one row for each build, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="?", type=int, default=10_000_000)
    rows = parser.parse_args().rows
    before, now = last_day(MONTHS), last_day(MONTHS + 1)
    with tempfile.TemporaryDirectory(prefix="hfc-benchmark-") as name:
        folder = Path(name)
        few = delivered(folder / "few", 50 * MONTHS)
        print(f"{rows:,} rows in {MONTHS} months", file=sys.stderr)
        compare(few, delivered(folder / "many", rows), before, now, folder)


def compare(few: Home, home: Home, before: date, now: date, folder: Path) -> None:
    """Measure every way, hold that all give the same, and print."""
    built(few, now)  # so that the first measured one finds the packages' files at hand
    script, in_steps = folder / "by_hand.duckdb", folder / "in_steps.duckdb"
    found: dict[str, list[tuple[Measure, float]]] = defaultdict(list)
    for _ in range(TIMES):
        shutil.rmtree(home.warehouse, ignore_errors=True)
        script.unlink(missing_ok=True)
        found["few rows"].append(built(few, before))
        found["by hand"].append((by_hand(home, before, script), 0.0))
        found["from scratch"].append(built(home, before))
        metric = "SELECT metric_id, frequency, period, dimension, member, value FROM {} WHERE value NOTNULL"
        compared = [(metric.format("one.intermediate.int_tax_metric_period"), metric.format("other.metric"))]
        assert not differing(home.candidate, script, compared), "the script gives other metrics"
        found["after a new month"].append(built(home, now))
    shutil.copyfile(home.candidate, in_steps)
    shutil.rmtree(home.warehouse)
    built(home, now)
    compared = [(f"FROM one.intermediate.{t}", f"FROM other.intermediate.{t}") for t in TABLES]
    assert not (different := differing(home.candidate, in_steps, compared)), different
    report(found)


def report(found: dict[str, list[tuple[Measure, float]]]) -> None:
    """The table of medians, and what a build costs beyond the one with few rows."""
    print(f"{'medians of ' + str(TIMES):20}{'wall s':>8}{'work s':>8}{'peak GB':>9}{'of tax s':>10}")
    figures = {
        name: (median([m for m, _ in runs]), statistics.median(nodes for _, nodes in runs))
        for name, runs in found.items()
    }
    for name, (m, nodes) in figures.items():
        print(f"{name:20}{m.wall:8.1f}{m.work:8.1f}{m.peak:9.2f}{nodes:10.2f}")
    (_, few), (_, full), (_, month) = (figures[name] for name in ("few rows", "from scratch", "after a new month"))
    hand = figures["by hand"][0].wall
    print(f"tax beyond few rows: from scratch {full - few:.2f} s, {(full - few) / hand:.2f} of by hand; "
          f"after a new month {month - few:.2f} s, {(month - few) / (full - few):.0%} of from scratch")  # fmt: skip


if __name__ == "__main__":
    main()
