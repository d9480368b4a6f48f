"""How long taking in a large tax delivery lasts, against the least that DuckDB needs to read the same file typed.

    .venv/bin/python -m benchmarks.ingest [ROWS] [--rounds N]    default 10,000,000, 3; wants 3 GB of disk and of memory

All in one run on one machine, each in a process of its own, in rounds; what is printed is each one's median. The floor
reads the CSV into typed columns, drops lines that do not fit, and does nothing else; `ingest` archives, judges every
row rule, finds duplicates and conflicting keys, writes quarantine and the lake.
"""

from __future__ import annotations

import argparse
import os
import resource
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path

import duckdb
import psutil

SAMPLING = 0.1  # seconds
NAME = "tax_collections__20250110.csv"
HEADER = "税票号码,统一社会信用代码,税种,税款所属期,入库日期,业务类型,实缴金额(元)\n"
TYPES = ("增值税", "企业所得税", "个人所得税", "城市维护建设税", "印花税", "证券交易印花税", "房产税", "城镇土地使用税",
         "土地增值税", "契税", "车船税", "环境保护税", "其他税收")  # fmt: skip
TAXPAYERS = 20_000
# Of 10,000 rows eight have a fault each, of 20,000 one stands twice, of 100,000 one has the key of another row.
# What comes after the first three years corrects, with one row of 1,000, a voucher of the month before.
ROWS = """
SELECT format('SYN{{:09d}}', CASE WHEN r % 100000 = 7 THEN r - 1
        WHEN r >= {rows} AND r % 1000 = 11 THEN r - {rows} // 36 ELSE r END) AS voucher_no,
    CASE r % 10000 WHEN 1 THEN '914301'
        ELSE format('91430100MA{{:07d}}X', (hash(r) % {taxpayers})::BIGINT) END AS uscc,
    CASE r % 10000 WHEN 101 THEN '营业税' ELSE {types}[(hash(r + 1) % {count})::INTEGER + 1] END AS tax_type,
    CASE r % 10000 WHEN 201 THEN '2022-13' ELSE strftime(month, '%Y-%m') END AS tax_period,
    CASE r % 10000 WHEN 301 THEN '2022-02-30' WHEN 401 THEN '2030-01-01'
        ELSE strftime(month + INTERVAL (hash(r + 5) % 28) DAY, '%Y-%m-%d') END,
    CASE WHEN hash(r + 2) % 50 = 0 THEN '退库' ELSE '入库' END AS kind,
    CASE WHEN r % 10000 = 501 THEN '未缴' WHEN r % 10000 = 701 THEN NULL ELSE
    CASE WHEN (hash(r + 2) % 50 = 0) = (r % 10000 = 601) THEN '' ELSE '-' END
    || format('{{:.2f}}', (hash(r + 3) % 10000000) / 100.0 + 0.01) END
FROM (
    SELECT unnest(CASE WHEN n % 20000 = 3 THEN [n, n] ELSE [n] END) AS r,
        DATE '2022-01-01' + INTERVAL (r * 36 // {rows}) MONTH AS month
    FROM range({first}, {last}) AS numbers(n)
)
"""
FLOOR = """
import duckdb, sys
columns = {'voucher_no': 'VARCHAR', 'uscc': 'VARCHAR', 'tax_type': 'VARCHAR', 'tax_period': 'VARCHAR',
           'treasury_date': 'DATE', 'kind': 'VARCHAR', 'amount': 'DECIMAL(18,2)'}
read = f"read_csv('{sys.argv[1]}', columns = {columns}, header = true, delim = ',', ignore_errors = true)"
duckdb.execute(f"CREATE TABLE t AS FROM {read}")
"""
INGEST = """
import sys
from pathlib import Path
from hfc.home import Home
from ingest import lake
home = Home(Path(sys.argv[1]))
for delivery in lake.receive(home, Path(sys.argv[2])):
    print(lake.load(home, delivery).summary(), file=sys.stderr)
"""


@dataclass(frozen=True)
class Measure:
    """One command: seconds on the wall, seconds of both cores' work, peak memory in GB of its processes together."""

    wall: float
    work: float
    peak: float


def measure(code: str, *arguments: str | Path) -> Measure:
    """Run `code` in a Python of its own."""
    return timed([sys.executable, "-c", code, *map(str, arguments)])


def timed(command: list[str], cwd: Path | None = None) -> Measure:
    """Run a command in a process of its own; what it prints is shown if it fails.

    Raises:
        SystemExit: it failed.
    """
    with tempfile.TemporaryFile() as printed:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=cwd, stdout=printed)
        with ThreadPoolExecutor(1) as executor:
            peak = executor.submit(peak_of, process.pid)
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.perf_counter() - start
        if status:
            printed.seek(0)
            sys.stderr.buffer.write(printed.read())
            raise SystemExit(f"the measured process failed: {shlex.join(command)}")
    return Measure(wall, usage.ru_utime + usage.ru_stime, peak.result() / 1024**3)


def peak_of(pid: int) -> int:
    """The most bytes that a process and those below it were seen to hold at once, until it ends."""
    peak = 0
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        while True:
            peak = max(peak, process.memory_info().rss + sum(map(resident, process.children(recursive=True))))
            time.sleep(SAMPLING)
    return peak


def resident(process: psutil.Process) -> int:
    """The bytes that a process holds; none if it has ended."""
    with suppress(psutil.NoSuchProcess):
        return int(process.memory_info().rss)
    return 0


def median(tries: list[Measure]) -> Measure:
    """The median of each figure."""
    return Measure(*map(statistics.median, zip(*map(astuple, tries), strict=True)))


def write(target: Path, rows: int, first: int = 0, last: int | None = None, taxpayers: int = TAXPAYERS) -> None:
    """A synthetic, slightly faulty delivery in UTF-8: rows `first` to `last`; `rows` are three years."""
    span = {"first": first, "last": rows if last is None else last}
    query = ROWS.format(types=list(TYPES), count=len(TYPES), taxpayers=taxpayers, rows=rows, **span)
    body = target.with_name(".body")
    duckdb.execute(f"COPY ({query}) TO '{body}' (FORMAT csv, HEADER false)")
    with open(target, "wb") as out, open(body, "rb") as rest:
        out.write(HEADER.encode())
        while data := rest.read(1 << 24):
            out.write(data)
    body.unlink()


def main() -> None:
    """Print one row for each way of taking the file in, and its ratio to the floor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="?", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    rows = arguments.rows
    with tempfile.TemporaryDirectory(prefix="hfc-benchmark-") as folder:
        utf8, gb18030 = (Path(folder, kind, "tax_collections", NAME) for kind in ("utf8", "gb18030"))
        for path in (utf8, gb18030):
            path.parent.mkdir(parents=True)
        write(utf8, rows)
        with (
            open(utf8, encoding="utf-8", newline="") as source,
            open(gb18030, "w", encoding="gb18030", newline="") as out,
        ):
            while text := source.read(1 << 22):
                out.write(text)
        print(f"{rows:,} rows, {utf8.stat().st_size / 1e6:,.0f} MB, {os.cpu_count()} cores")
        tries: dict[str, list[Measure]] = {}
        for _ in range(arguments.rounds):
            for name, code, paths in (
                ("floor: DuckDB typed read", FLOOR, [utf8]),
                ("ingest, UTF-8", INGEST, [Path(folder, "home"), utf8.parent.parent]),
                ("ingest, GB18030", INGEST, [Path(folder, "home"), gb18030.parent.parent]),
            ):
                tries.setdefault(name, []).append(measure(code, *paths))
                shutil.rmtree(Path(folder, "home"), ignore_errors=True)
    floor, plain, other = found = list(map(median, tries.values()))
    print(f"{'':26}{'wall s':>8}{'ratio':>7}{'work s':>8}{'ratio':>7}{'peak GB':>9}")
    for name, m in zip(tries, found, strict=True):
        print(f"{name:26}{m.wall:8.1f}{m.wall / floor.wall:7.2f}{m.work:8.1f}{m.work / floor.work:7.2f}{m.peak:9.2f}")
    print(f"{'GB18030 to UTF-8':26}{'':8}{other.wall / plain.wall:7.2f}{'':8}{other.work / plain.work:7.2f}")


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
