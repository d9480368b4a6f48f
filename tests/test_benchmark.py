"""The benchmark of the whole way still runs, and all who can run here come to the same numbers."""

from __future__ import annotations

from pathlib import Path

import duckdb

from benchmarks.ingest import measure
from benchmarks.whole import FIRST, HERE, NEXT, OURS, Case, compare


def test_everybody_comes_to_the_same_metrics_and_refuses_the_same_rows(tmp_path: Path) -> None:
    case = Case(tmp_path, 2_000, taxpayers=200)
    case.whole(OURS)
    compare(case, list(HERE))
    for day in (FIRST, NEXT):
        metrics, refused = case.expected[day]
        assert len({metric for metric, *_ in metrics}) == 4
        assert len(refused) == 9  # every rule that a row of tax can break but `format`
    flagged = [
        duckdb.sql(f"SELECT count(*) FILTER ({wrong}), count(*) FROM '{case.place(way)}/{lake}.parquet'").fetchall()[0]
        for way, lake, wrong in (
            (OURS, "lake/tax_collections/*", "list_contains(flags, 'uscc_check')"),
            ("by hand", f"lake/{FIRST}", "uscc_check"),
            ("pandas", f"lake/{FIRST}", "uscc_check"),
        )
    ]
    assert flagged[0] == flagged[1] == flagged[2] and 0 < flagged[0][0] < flagged[0][1]
    assert "2025-01" in {period for _, _, period, *_ in metrics}


def test_memory_is_that_of_all_processes_of_a_command_at_once() -> None:
    hold = "import time; held = bytes(1 << 28) + b'x'; time.sleep(1)"
    held = f"import subprocess, sys; both = [subprocess.Popen([sys.executable, '-c', {hold!r}]) for _ in range(2)]"
    assert 0.25 < measure(hold).peak < 0.4
    assert 0.5 < measure(f"{held}; [one.wait() for one in both]").peak < 0.8
