"""How long taking in a large tax delivery lasts, against the least that DuckDB needs to read the same file typed.

    .venv/bin/python -m benchmarks.ingest [ROWS]        default 10,000,000; wants about 3 GB of disk and of memory

All in one run on one machine, each in a process of its own: the floor reads the CSV into typed columns and does nothing
else; `ingest` archives, judges every row rule, finds duplicates and conflicting keys, writes quarantine and the lake.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import duckdb

NAME = "tax_collections__20250110.csv"
HEADER = "税票号码,统一社会信用代码,税种,税款所属期,入库日期,业务类型,实缴金额(元)\n"
TYPES = ("增值税", "企业所得税", "个人所得税", "城市维护建设税", "印花税", "证券交易印花税", "房产税", "城镇土地使用税",
         "土地增值税", "契税", "车船税", "环境保护税", "其他税收")  # fmt: skip
# One row in 10,000 has a fault, one in 20,000 stands twice, one in 100,000 has a key that another row has, too.
ROWS = """
SELECT format('SYN{{:09d}}', CASE WHEN r % 100000 = 7 THEN r - 1 ELSE r END) AS voucher_no,
    CASE WHEN r % 10000 = 1 THEN '914301' ELSE format('91430100MA{{:07d}}X', (hash(r) % 20000)::BIGINT) END AS uscc,
    {types}[(hash(r + 1) % {count})::INTEGER + 1] AS tax_type,
    strftime(DATE '2022-01-01' + INTERVAL (r * 36 // {rows}) MONTH, '%Y-%m') AS tax_period,
    strftime(DATE '2022-01-01' + INTERVAL (r * 36 // {rows}) MONTH + INTERVAL (hash(r + 5) % 28) DAY, '%Y-%m-%d'),
    CASE WHEN hash(r + 2) % 50 = 0 THEN '退库' ELSE '入库' END AS kind,
    CASE WHEN hash(r + 2) % 50 = 0 THEN '-' ELSE '' END || format('{{:.2f}}', (hash(r + 3) % 10000000) / 100.0 + 0.01)
FROM (SELECT unnest(CASE WHEN n % 20000 = 3 THEN [n, n] ELSE [n] END) AS r FROM range({rows}) AS numbers(n))
"""
FLOOR = """
import duckdb, sys
columns = {'voucher_no': 'VARCHAR', 'uscc': 'VARCHAR', 'tax_type': 'VARCHAR', 'tax_period': 'VARCHAR',
           'treasury_date': 'DATE', 'kind': 'VARCHAR', 'amount': 'DECIMAL(18,2)'}
duckdb.execute(f"CREATE TABLE t AS FROM read_csv('{sys.argv[1]}', columns = {columns}, header = true, delim = ',')")
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
    """One process: seconds on the wall, seconds of both cores' work, peak memory in GB."""

    wall: float
    work: float
    peak: float


def measure(code: str, *arguments: str | Path) -> Measure:
    """Run `code` in a Python of its own."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit("the measured process failed")
    return Measure(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024**2)


def write(target: Path, rows: int) -> None:
    """A synthetic, slightly faulty delivery in UTF-8."""
    query = ROWS.format(types=list(TYPES), count=len(TYPES), rows=rows)
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
    rows = parser.parse_args().rows
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
        floor = measure(FLOOR, utf8)
        found = {
            "floor: DuckDB typed read": floor,
            "ingest, UTF-8": measure(INGEST, Path(folder, "home-1"), utf8.parent.parent),
            "ingest, GB18030": measure(INGEST, Path(folder, "home-2"), gb18030.parent.parent),
            "floor again": measure(FLOOR, utf8),
        }
    print(f"{'':26}{'wall s':>8}{'ratio':>7}{'work s':>8}{'ratio':>7}{'peak GB':>9}")
    for name, m in found.items():
        print(f"{name:26}{m.wall:8.1f}{m.wall / floor.wall:7.2f}{m.work:8.1f}{m.work / floor.work:7.2f}{m.peak:9.2f}")


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
