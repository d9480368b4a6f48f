"""How long the whole way lasts, from a CSV to published Parquet: ours, by hand, and what one would pick instead.

    make benchmark [ROWS=10000000] [ROUNDS=3] [GROWTH="1000000 50000000"]       wants 30 GB of disk

All in one run on one machine, in rounds, each in a process of its own; what is printed is each one's median. Everybody
gets three years of tax vouchers in one file, then one month more in another, and the register; refuses the same lines;
and comes to the same metrics, which is asserted. `ways/` says of each what it leaves out. How time and memory grow is
measured of ours and by hand, also with next to no rows: what other sizes take more is the time of their rows.
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import duckdb
import psutil

from benchmarks.ingest import TAXPAYERS, Measure, median, timed, write
from hfc.home import SEEDS, Home

ROOT = Path(__file__).parent.parent
WAYS = Path(__file__).parent / "ways"
OTHERS = ROOT / ".venv-others"
OURS, BY_HAND = "hfc run", "by hand"
# Each way's script, and those of the others with the environment that has their packages.
HERE = {BY_HAND: "by_hand.py", "pandas": "with_pandas.py"}
ELSEWHERE = {
    "dbt": ("dbt", "with_dbt.py"),
    "dlt and dbt": ("dbt", "with_dlt.py"),
    "SQLMesh": ("sqlmesh", "with_sqlmesh.py"),
}
STEPS = ("ingest", "build", "gate", "publish")
MONTHS = 36
FEW = 10_000  # so few that they cost next to nothing
FIRST, NEXT = "20250110", "20250210"  # when the deliveries were published
# Of ten taxpayers one is not registered, and one leaves; the others are of four categories.
REGISTER = """
SELECT format('E{{:06d}}', n) AS "事件编号", DATE '2020-01-01' + (n % 365)::INTEGER AS "事件日期", '引进' AS "事件类型",
    format('91430100MA{{:07d}}X', n) AS "统一社会信用代码", '合成机构' || n AS "机构名称",
    ['持牌金融机构', '金融科技企业', '配套机构', '基金机构'][n // 10 % 4 + 1] AS "机构类别"
FROM range({taxpayers}) AS numbers(n) WHERE n % 10 > 0
UNION ALL
SELECT format('L{{:06d}}', n), DATE '2023-01-01' + (n % 365)::INTEGER, '迁出', format('91430100MA{{:07d}}X', n),
    '合成机构' || n, NULL
FROM range({taxpayers}) AS numbers(n) WHERE n % 10 = 1
"""
METRICS = "SELECT metric_id, frequency, period, dimension, member, value FROM {table} WHERE value NOTNULL"
# dbt-duckdb writes a row of NULLs where nothing is to be written.
REFUSED = "SELECT rule, list(line ORDER BY line) FROM read_parquet('{files}') WHERE rule NOTNULL GROUP BY rule"
Metrics = dict[tuple[str, ...], Decimal | float]
Found = tuple[Metrics, dict[str, list[int | None]]]


class Case:
    """The deliveries of one size, and what each way has made of them, in one folder."""

    def __init__(self, folder: Path, rows: int, taxpayers: int = TAXPAYERS) -> None:
        self.folder, self.rows = folder, rows
        self.tax = {day: folder / "deliveries" / f"tax_collections__{day}.csv" for day in (FIRST, NEXT)}
        self.register = folder / "deliveries" / f"institution_register__{FIRST}.csv"
        self.register.parent.mkdir(parents=True)
        write(self.tax[FIRST], rows, taxpayers=taxpayers)
        write(self.tax[NEXT], rows, rows, rows + rows // MONTHS, taxpayers)
        duckdb.execute(f"COPY ({REGISTER.format(taxpayers=taxpayers)}) TO '{self.register}' (FORMAT csv)")
        self.measures: dict[tuple[str, str], list[Measure]] = defaultdict(list)
        self.expected: dict[str, Found] = {}

    def place(self, way: str) -> Path:
        """The folder of a way."""
        return self.folder / way.replace(" ", "_")

    def prepare(self, way: str) -> None:
        """An empty folder for a way, with what it needs besides the deliveries of tax."""
        shutil.rmtree(self.place(way), ignore_errors=True)
        register = self.place(way) / ("landing/institution_register" if way == OURS else "register")
        register.mkdir(parents=True)
        os.link(self.register, register / self.register.name)
        (self.place(way) / "seeds").symlink_to(SEEDS)

    def deliver(self, way: str, day: str) -> None:
        """Put a delivery where a way looks for it."""
        arrived = self.place(way) / ("landing/tax_collections" if way == OURS else "arrived")
        shutil.rmtree(arrived, ignore_errors=True)
        arrived.mkdir()
        os.link(self.tax[day], arrived / self.tax[day].name)

    def run(self, way: str, name: str, *steps: str) -> None:
        """Measure a way, whole or some of its steps."""
        if way == OURS:
            command = [str(Path(sys.executable).with_name("hfc")), *(steps or ["run"]), "--home", "."]
        elif way in HERE:
            command = [sys.executable, str(WAYS / HERE[way]), *steps]
        else:
            environment, script = ELSEWHERE[way]
            command = [str(OTHERS / environment / "bin" / "python"), str(WAYS / script)]
        self.measures[way, name].append(timed(command, self.place(way)))

    def found(self, way: str) -> Found:
        """The metrics that a way came to, and the lines that it has refused by each rule."""
        place = self.place(way)
        with duckdb.connect() as connection:
            if way == OURS:
                home = Home(place)
                connection.execute(f"ATTACH '{home.candidate}' AS ours (READ_ONLY)")
                table, refused = (
                    "ours.intermediate.int_tax_metric_period",
                    home.quarantine / "tax_collections" / "*.parquet",
                )
            else:
                table, refused = f"'{place}/published/metric.parquet'", place / "published" / "quarantine*.parquet"
            metrics = connection.execute(METRICS.format(table=table)).fetchall()
            rules = connection.execute(REFUSED.format(files=refused)).fetchall()
        return {tuple(key): value for *key, value in metrics}, dict(rules)

    def check(self, way: str, day: str) -> None:
        """Stop if a way has come to anything else than the first one did: to the last digit, where it has decimals."""
        (metrics, refused), (expected, rules) = self.found(way), self.expected.setdefault(day, self.found(way))
        for rule in {*refused, *rules}:
            lines, right = refused.get(rule, []), rules.get(rule, [])
            same = lines == right or lines == [None] * len(right)  # one way does not know the lines
            assert same, f"{way}, {day}: refuses other lines than expected by {rule}"
        assert metrics.keys() == expected.keys(), f"{way}, {day}: {sorted(metrics.keys() ^ expected.keys())[:3]}"
        for key, value in metrics.items():
            known = expected[key]
            exact = isinstance(value, Decimal)
            same = value == known if exact else math.isclose(value, known, rel_tol=1e-9, abs_tol=1e-9)
            assert same, f"{way}, {day}: {key} is {value} instead of {known}"

    def whole(self, way: str) -> None:
        """Three years from nothing to published."""
        self.prepare(way)
        self.deliver(way, FIRST)
        self.run(way, "whole")
        self.check(way, FIRST)

    def month(self, way: str) -> None:
        """One month more, after the three years."""
        self.deliver(way, NEXT)
        self.run(way, "month")
        self.check(way, NEXT)

    def steps(self, way: str) -> None:
        """Three years, step by step."""
        self.prepare(way)
        self.deliver(way, FIRST)
        for step in STEPS:
            self.run(way, step, step)
        self.check(way, FIRST)

    def overhead(self) -> None:
        """A run with nothing new, `hfc status`, and the demonstration's second run: all of it installed and warm."""
        self.run(OURS, "nothing new")
        self.run(OURS, "hfc status", "status")
        command = ["make", "--silent", "-C", str(ROOT), "run", f"HOME_DIR={self.folder / 'demo'}"]
        timed(command)
        self.measures[OURS, "make run"].append(timed(command))

    def median(self, way: str, name: str) -> Measure:
        """The median of each figure of what was measured."""
        return median(self.measures[way, name])


def line(name: str, *measures: Measure) -> str:
    """A row of a table: a name, and three figures of each measure."""
    return f"{name:14}" + "".join(f"{m.wall:10.1f}{m.work:8.1f}{m.peak:9.2f}" for m in measures)


def head(name: str, *over: str) -> str:
    """The two lines above a table."""
    titles = "".join(f"{title:>27}" for title in over)
    return f"\n{name:14}{titles}\n{'':14}" + f"{'wall s':>10}{'work s':>8}{'peak GB':>9}" * len(over)


def report(case: Case, ways: Sequence[str]) -> None:
    """The medians of one size."""
    print(head(f"{case.rows:,}", "whole", "one month more"), f"{'of by hand':>12}")
    by_hand = case.median(BY_HAND, "whole").wall
    for way in ways:
        whole, month = case.median(way, "whole"), case.median(way, "month")
        print(line(way, whole, month), f"{whole.wall / by_hand:12.2f}")
    print(head("step by step", OURS, BY_HAND), f"{'ratio':>12}")
    for step in (*STEPS, "month"):
        ours, floor = case.median(OURS, step), case.median(BY_HAND, step)
        print(line(step, ours, floor), f"{ours.wall / floor.wall:12.1f}")
    print(head("overhead", OURS))
    for name in ("nothing new", "hfc status", "make run"):
        print(line(name, case.median(OURS, name)))


def growth(cases: Sequence[Case]) -> None:
    """Ours and by hand at every size, and which part of what all rows take, beyond the first size, a month does."""
    for way in (OURS, BY_HAND):
        print(head(way, "whole", "one month more") + f"{'of the rows, a month: wall':>28}{'work':>8}")
        few, few_month = (cases[0].median(way, name) for name in ("whole", "month"))
        print(line(f"{cases[0].rows:,}", few, few_month))
        for case in cases[1:]:
            whole, month = case.median(way, "whole"), case.median(way, "month")
            walls = (month.wall - few_month.wall) / (whole.wall - few.wall)
            works = (month.work - few_month.work) / (whole.work - few.work)
            print(line(f"{case.rows:,}", whole, month), f"{walls:27.1%}{works:8.1%}")


def compare(case: Case, ways: Sequence[str]) -> None:
    """Measure these ways once; the first of them says what is right."""
    for way in ways:
        print(f"{case.rows:,} rows: {way}", file=sys.stderr)
        case.whole(way)
        case.month(way)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="?", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--growth", nargs="*", type=int, default=[1_000_000, 50_000_000], help="other sizes")
    arguments = parser.parse_args()
    if not (OTHERS / ".installed").exists():
        raise SystemExit(f"The packages of the others are not in {OTHERS}: run make benchmark")
    print(f"{os.cpu_count()} cores, {psutil.virtual_memory().total / 1024**3:.0f} GB, medians of {arguments.rounds}")
    with tempfile.TemporaryDirectory(prefix="hfc-benchmark-") as name:
        sizes = sorted({FEW, arguments.rows, *arguments.growth})
        cases = {rows: Case(Path(name, str(rows)), rows) for rows in sizes}
        case, ways = cases[arguments.rows], [OURS, *HERE, *ELSEWHERE]
        for _ in range(arguments.rounds):
            compare(case, ways)
            for way in (OURS, BY_HAND):
                case.steps(way)
            case.overhead()
            for other in cases.values():
                if other is not case:
                    compare(other, (OURS, BY_HAND))
        report(case, ways)
        growth(list(cases.values()))


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
