"""How long the tax metrics of a build last, against one hand-written DuckDB script, from scratch and after a new month.

    .venv/bin/python -m benchmarks.build [ROWS]        default 10,000,000 in 36 months; wants 3 GB of disk

All in one run on one machine, each in a process of its own, over one lake that the real intake has made of simulated
deliveries. `few rows` is the same build of the same feeds with next to no tax: what dbt and the other models cost. Both
ways of building have to give the same tables, and the script the same metrics.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import tempfile
from datetime import date
from pathlib import Path

import duckdb

from benchmarks.ingest import Measure, measure
from hfc.home import Home
from hfc.simulate import simulate
from hfc.simulate.calendar import last_day
from hfc.warehouse import PROJECT, report_month
from ingest import lake

MONTHS = 36
BUILD = """
import sys
from datetime import date
from pathlib import Path
from hfc.home import Home
from hfc.warehouse import build
build(Home(Path(sys.argv[1])), date.fromisoformat(sys.argv[2]))
"""
BY_HAND = """
import duckdb, json, sys
from pathlib import Path
facts = json.loads(Path(sys.argv[1]).read_text())
with duckdb.connect(sys.argv[2]) as connection:
    connection.execute("SET enable_progress_bar = false")
    connection.execute("CREATE TABLE delivery (delivery_id VARCHAR, published_on DATE, seq BIGINT)")
    connection.executemany("INSERT INTO delivery VALUES (?, ?, ?)", facts.pop("deliveries"))
    for statement in connection.extract_statements(Path("benchmarks/tax_by_hand.sql").read_text()):
        connection.execute(statement, {name: facts[name] for name in statement.named_parameters})
"""
NODES = r"model\.hfc_metrics\.(stg|int)_tax_|test\.hfc_metrics\.tax_in_and_out"
TABLES = ("int_tax_taxpayer", "int_tax_window", "int_tax_delivered_cell", "int_tax_cell", "int_tax_metric_period")


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
    results = json.loads((home.warehouse / "dbt" / "run_results.json").read_text(encoding="utf-8"))["results"]
    return measured, sum(r["execution_time"] for r in results if re.match(NODES, r["unique_id"]))


def by_hand(home: Home, as_of: date, database: Path) -> Measure:
    """The hand-written script over the same files of the lake."""
    known = [d for d in lake.known_deliveries(home, as_of) if d["outcome"] == "loaded"]
    files = {
        name: [str(lake.lake_file(home, d)) for d in known if d["feed"] == feed]
        for name, feed in (("tax", "tax_collections"), ("register", "institution_register"))
    }
    deliveries = [[d["delivery_id"], d["published_on"], d["seq"]] for d in known]
    facts = {"deliveries": deliveries, **files, "seeds": str(PROJECT / "seeds")}
    facts["report_month"] = report_month(as_of).isoformat()
    database.with_suffix(".json").write_text(json.dumps(facts), encoding="utf-8")
    return measure(BY_HAND, database.with_suffix(".json"), database)


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
    found = {"few rows": built(few, before), "by hand": (by_hand(home, before, folder / "by_hand.duckdb"), 0.0)}
    found["from scratch"] = built(home, before)
    metric = "SELECT metric_id, frequency, dimension, member, value::DECIMAL(28, 10) FROM {} WHERE value NOTNULL"
    compared = [(metric.format("one.intermediate.int_tax_metric_period"), metric.format("other.metric"))]
    assert not differing(home.candidate, folder / "by_hand.duckdb", compared), "the script gives other metrics"
    found["after a new month"] = built(home, now)
    shutil.copyfile(home.candidate, folder / "in_steps.duckdb")
    shutil.rmtree(home.warehouse)
    found["from scratch again"] = built(home, now)
    compared = [(f"FROM one.intermediate.{t}", f"FROM other.intermediate.{t}") for t in TABLES]
    assert not (different := differing(home.candidate, folder / "in_steps.duckdb", compared)), different
    report(found)


def report(found: dict[str, tuple[Measure, float]]) -> None:
    """The table, and what a build costs beyond the one with few rows."""
    print(f"{'':20}{'wall s':>8}{'work s':>8}{'peak GB':>9}{'of tax s':>10}")
    for name, (m, nodes) in found.items():
        print(f"{name:20}{m.wall:8.1f}{m.work:8.1f}{m.peak:9.2f}{nodes:10.1f}")
    (_, few), (_, full), (_, month) = (found[name] for name in ("few rows", "from scratch", "after a new month"))
    hand = found["by hand"][0].wall
    print(f"tax beyond few rows: from scratch {full - few:.1f} s, {(full - few) / hand:.2f} of by hand; "
          f"after a new month {month - few:.1f} s, {(month - few) / (full - few):.0%} of from scratch")  # fmt: skip


if __name__ == "__main__":
    main()
