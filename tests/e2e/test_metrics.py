"""Every published metric of random zones, on several days, against the independent calculation.

`HFC_ZONES` is the number of zones; each is another landing of all feeds.
"""

from __future__ import annotations

import json
import os
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import oracle
import oracle_attainment
import oracle_tax_revenue
import pytest
import worlds

from hfc import pipeline
from hfc.explain import recompute as calculation
from hfc.home import Home

COLUMNS = "metric_id, frequency, period, period_end, dimension, member, value, unit, obs_status, conf_status, as_of"
OUTCOME = (
    "feed", "file", "sha256", "bytes", "published_on", "rows_in", "rows_accepted", "rows_quarantined", "rows_duplicate",
    "outcome",
)  # fmt: skip
ATTAINMENT = "target_id, actual_period, actual, expected, attainment_pct, gap, required_pace, status"
DAYS = (None, date(2024, 8, 15), date(2023, 3, 31))  # the latest delivery's, two earlier ones
TOLERANCE = Decimal("1e-9")  # both are exact, up to the last of ten decimals

Row = tuple[Any, ...]


def differences(found: list[Row], expected: list[Row]) -> list[str]:
    """What is missing, too much, or different but for rounding."""
    theirs, ours = ({(*row[:3], *row[4:6]): row for row in rows} for rows in (found, expected))
    told = [f"not published: {ours[key]}" for key in sorted(ours.keys() - theirs.keys())]
    told += [f"not expected: {theirs[key]}" for key in sorted(theirs.keys() - ours.keys())]
    for key in sorted(ours.keys() & theirs.keys()):
        mine, other = ours[key][6], theirs[key][6]
        is_close = mine == other or None not in (mine, other) and abs(mine - other) <= TOLERANCE
        if not is_close or (*ours[key][:6], *ours[key][7:]) != (*theirs[key][:6], *theirs[key][7:]):
            told.append(f"published {theirs[key]}, expected {ours[key]}")
    return told


def explained_otherwise(home: Home) -> list[str]:
    """The values of the candidate that an explanation computes otherwise from the rows of the lake."""
    with duckdb.connect(str(home.candidate), read_only=True) as connection:
        rows = connection.sql(
            "SELECT o.*, m.measure FROM published.metric_observation AS o INNER JOIN published.metric AS m "
            "ON o.metric_id = m.metric_id WHERE o.conf_status = 'F'"
        ).to_arrow_table()
    cells = {calculation.cell_of(row, row["measure"]): row["value"] for row in rows.to_pylist()}
    with calculation.opened(home, json.loads((home.warehouse / "build.json").read_text(encoding="utf-8"))) as found:
        computed = calculation.recompute_all(found, list(cells))
    return [
        f"{cell}: {value}, explained {computed[cell]}" for cell, value in cells.items() if computed[cell].value != value
    ]


@pytest.fixture(scope="module", params=range(1, 1 + int(os.environ.get("HFC_ZONES", "2"))))
def zone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Path]:
    """A home that ingested a landing of all feeds."""
    landing = tmp_path_factory.mktemp("landing")
    worlds.write_zone(landing, request.param)
    home = Home(tmp_path_factory.mktemp("home"))
    pipeline.ingest(home, landing)
    return home, landing


@pytest.mark.parametrize("as_of", DAYS, ids=str)
def test_everything_published_agrees_with_the_independent_calculation(
    zone: tuple[Home, Path], as_of: date | None
) -> None:
    home, landing = zone
    pipeline.build(home, as_of)
    with duckdb.connect(str(home.candidate), read_only=True) as connection:
        found = connection.execute(f"SELECT {COLUMNS} FROM published.metric_observation").fetchall()
        attainment = connection.execute(f"SELECT {ATTAINMENT} FROM published.plan_attainment ORDER BY 1").fetchall()
        outcomes = connection.execute(f"SELECT {', '.join(OUTCOME)} FROM published.delivery_outcome").fetchall()
    calculated = oracle.compute(landing, as_of)
    assert differences(found, oracle_tax_revenue.accepting_complements(calculated.observations, found)) == []
    assert len(found) == len(calculated.observations)
    seen_on = found[0][-1]
    assert attainment == oracle_attainment.judge(found, calculated.outcomes, seen_on)
    assert explained_otherwise(home) == []
    known = [outcome for outcome in calculated.outcomes if outcome["published_on"] <= seen_on]
    assert sorted(outcomes) == sorted(tuple(outcome[name] for name in OUTCOME) for outcome in known)


def test_a_difference_is_told() -> None:
    key = ("fund_subscribed", "M", "2024-01", date(2024, 1, 31), "total", "total")
    row = (*key, Decimal(1), "cny_100m", "A", "F", None)
    for changed in ((*row[:6], Decimal("1.00000001"), *row[7:]), (*row[:6], None, *row[7:]), (*row[:8], "P", *row[9:])):
        assert len(differences([changed], [row])) == 1
    assert len(differences([], [row])) == 1 and len(differences([row], [])) == 1
    assert differences([(*row[:6], Decimal("1.0000000009"), *row[7:])], [row]) == []
