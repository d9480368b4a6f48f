"""How long the tax metrics of a build last, against one hand-written DuckDB script, from scratch and after a new month.

    .venv/bin/python -m benchmarks.build [ROWS]        default 10,000,000 in 36 months; wants 3 GB of disk

All in one run on one machine, each in a process of its own, over one lake that the real intake has made of simulated
deliveries. `few rows` is the same build of the same feeds with next to no tax: what dbt and the other models cost. Both
ways of building have to give the same tables, and the script the same metrics.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import duckdb

from benchmarks.ingest import Measure, measure
from hfc.home import Home
from hfc.simulate import simulate
from hfc.warehouse import PROJECT
from ingest import lake

MONTHS = 36
BUILD = """
import sys
from pathlib import Path
from hfc.home import Home
from hfc.warehouse import build
build(Home(Path(sys.argv[1])))
"""
BY_HAND = """
import duckdb, json, sys
from pathlib import Path
facts = json.loads(Path(sys.argv[1]).read_text())
with duckdb.connect(sys.argv[2]) as connection:
    connection.execute("CREATE TABLE delivery (delivery_id VARCHAR, published_on DATE, seq BIGINT)")
    connection.executemany("INSERT INTO delivery VALUES (?, ?, ?)", facts.pop("deliveries"))
    for statement in connection.extract_statements(Path("benchmarks/tax_by_hand.sql").read_text()):
        connection.execute(statement, {name: facts[name] for name in statement.named_parameters})
"""
TABLES = ("int_tax_taxpayer", "int_tax_window", "int_tax_delivered_cell", "int_tax_cell", "int_tax_metric_period")


def ingest(home: Home, landing: Path) -> None:
    """Load what has landed."""
    for delivery in lake.receive(home, landing):
        lake.load(home, delivery)


def deliver(landing: Path, later: Path, rows: int) -> None:
    """The deliveries about the first months, and apart from them those about the month after."""
    simulate(landing, months=MONTHS + 1, tax_rows=rows * (MONTHS + 1) // MONTHS)
    for path in landing.glob("*/*202502*"):
        target = later / path.relative_to(landing)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)


def built(home: Home) -> tuple[Measure, float]:
    """A build in a process of its own, and the seconds that its nodes about tax say they took."""
    measured = measure(BUILD, home.root)
    results = json.loads((home.warehouse / "dbt" / "run_results.json").read_text(encoding="utf-8"))["results"]
    return measured, sum(result["execution_time"] for result in results if "tax_" in result["unique_id"])


def by_hand(home: Home, folder: Path) -> Measure:
    """The hand-written script over the same lake."""
    known = [d for d in lake.known_deliveries(home) if d["outcome"] == "loaded"]
    files = {
        name: [str(lake.lake_file(home, d)) for d in known if d["feed"] == feed]
        for name, feed in (("tax", "tax_collections"), ("register", "institution_register"))
    }
    deliveries = [[d["delivery_id"], d["published_on"], d["seq"]] for d in known]
    facts = {"deliveries": deliveries, **files, "seeds": str(PROJECT / "seeds"), "report_month": "2024-12-01"}
    (folder / "facts.json").write_text(json.dumps(facts), encoding="utf-8")
    (folder / "by_hand.duckdb").unlink(missing_ok=True)
    return measure(BY_HAND, folder / "facts.json", folder / "by_hand.duckdb")


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
    with tempfile.TemporaryDirectory(prefix="hfc-benchmark-") as name:
        folder = Path(name)
        few, home, later = Home(folder / "few"), Home(folder / "home"), folder / "later"
        deliver(folder / "few-landing", folder / "few-later", 50 * MONTHS)
        ingest(few, folder / "few-landing")
        deliver(folder / "landing", later, rows)
        ingest(home, folder / "landing")
        shutil.rmtree(folder / "landing")
        print(f"{rows:,} rows", file=sys.stderr)
        built(few)  # so that the first measured one finds the bytecode and the files of the packages at hand
        found = {"few rows": built(few), "by hand": (by_hand(home, folder), 0.0), "from scratch": built(home)}
        metric = "SELECT metric_id, frequency, dimension, member, value::DECIMAL(28, 10) FROM {} WHERE value NOTNULL"
        compared = [(metric.format("one.intermediate.int_tax_metric_period"), metric.format("other.metric"))]
        assert not differing(home.candidate, folder / "by_hand.duckdb", compared)
        ingest(home, later)
        found["after a new month"] = built(home)
        shutil.copyfile(home.candidate, folder / "in_steps.duckdb")
        shutil.rmtree(home.warehouse)
        found["from scratch again"] = built(home)
        compared = [(f"FROM one.intermediate.{t}", f"FROM other.intermediate.{t}") for t in TABLES]
        assert not (different := differing(home.candidate, folder / "in_steps.duckdb", compared)), different
    report(found)


def report(found: dict[str, tuple[Measure, float]]) -> None:
    """The table, and what a build costs beyond the one with few rows."""
    print(f"{'':20}{'wall s':>8}{'work s':>8}{'peak GB':>9}{'tax nodes s':>13}")
    for name, (m, nodes) in found.items():
        print(f"{name:20}{m.wall:8.1f}{m.work:8.1f}{m.peak:9.2f}{nodes:13.1f}")
    few, full, month, hand = (found[n][0] for n in ("few rows", "from scratch", "after a new month", "by hand"))
    for unit in ("wall", "work"):
        tax, new = (getattr(m, unit) - getattr(few, unit) for m in (full, month))
        print(f"{unit}: tax from scratch {tax:.1f} s, {tax / getattr(hand, unit):.2f} of by hand; "
              f"a new month {new:.1f} s, {new / tax:.0%} of from scratch")  # fmt: skip


if __name__ == "__main__":
    main()
