"""The benchmark of the whole way still runs, and all who can run here come to the same numbers."""

from __future__ import annotations

from pathlib import Path

from benchmarks.whole import FIRST, HERE, NEXT, OURS, Case, compare


def test_everybody_comes_to_the_same_metrics_and_refuses_the_same_rows(tmp_path: Path) -> None:
    case = Case(tmp_path, 2_000, taxpayers=200)
    case.whole(OURS)
    compare(case, list(HERE))
    for day in (FIRST, NEXT):
        metrics, refused = case.expected[day]
        assert len({metric for metric, *_ in metrics}) == 4
        assert len(refused) == 9  # every rule that a row of tax can break but `format`
    assert "2025-01" in {period for _, _, period, *_ in metrics}
