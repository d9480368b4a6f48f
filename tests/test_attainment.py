"""A target's status never gets worse when its actual value gets better, whatever else is the case (property test)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfc import pipeline
from hfc.home import Home
from hfc.simulate import simulate

COMPILED = Path("dbt", "compiled", "hfc_metrics", "models", "published", "plan_attainment.sql")
# From bad to good; a bound that has been breached is missed.
ORDER = ("missed", "off_track", "at_risk", "on_track", "achieved")
STEP = {"M": 1, "Q": 3, "A": 12}
FIRST_YEAR = 2020


def last_day(month: date) -> date:
    """The last day of a month."""
    return (month.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)


@dataclass(frozen=True)
class Target:
    """What the test has to know of a target."""

    target_id: str
    metric_id: str
    dimension: str
    member: str
    measure: str
    operator: str
    low: Decimal
    finest: str


@dataclass(frozen=True)
class Judge:
    """The compiled model, and a candidate whose observations the test may replace."""

    connection: duckdb.DuckDBPyConnection
    sql: str
    targets: list[Target]

    def status(self, target: Target, values: list[Decimal], report_month: date) -> str:
        """The status of a target whose series has these values, from January of FIRST_YEAR on."""
        as_of = last_day(report_month)
        self.connection.begin()
        self.connection.execute("UPDATE lake.context SET as_of = ?, report_month = ?", [as_of, report_month])
        self.connection.execute(
            "UPDATE intermediate.int_feed_status SET last_loaded_on = ?, is_stale = false, is_rejected = false", [as_of]
        )
        self.connection.execute("DELETE FROM published.metric_observation")
        rows = [
            (target.metric_id, frequency, period, end, target.dimension, target.member, value, as_of)
            for frequency, period, end, value in observations(target, values)
            if end <= as_of
        ]
        self.connection.executemany(
            "INSERT INTO published.metric_observation VALUES (?, ?, ?, ?, ?, ?, ?, 'unit', 'A', 'F', ?)", rows
        )
        found = self.connection.execute(
            f"SELECT status FROM ({self.sql}) WHERE target_id = ?", [target.target_id]
        ).fetchall()
        self.connection.rollback()
        ((status,),) = found
        return str(status)


def observations(target: Target, values: list[Decimal]) -> Iterator[tuple[str, str, date, Decimal]]:
    """The series at its finest frequency, and by year: (frequency, period, end, value)."""
    step = STEP[target.finest]
    years: dict[int, list[Decimal]] = {}
    for number, value in enumerate(values):
        month = (number + 1) * step - 1
        year, end = FIRST_YEAR + month // 12, last_day(date(FIRST_YEAR + month // 12, month % 12 + 1, 1))
        years.setdefault(year, []).append(value)
        if target.finest != "A":
            yield target.finest, f"{end:%Y-%m}", end, value
        if month % 12 == 11:
            whole = sum(years[year], Decimal(0)) if target.measure == "flow" else value
            yield "A", str(year), end, whole


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    home = Home(tmp_path_factory.mktemp("judged"))
    simulate(home.landing, months=2)
    pipeline.ingest(home, home.landing)
    pipeline.build(home)
    sql = (home.warehouse / COMPILED).read_text(encoding="utf-8")
    with duckdb.connect(str(home.candidate)) as connection:
        rows = connection.execute(
            "SELECT target_id, metric_id, t.dimension, t.member, t.measure, t.operator, t.low, "
            "split_part(m.frequencies, ' ', 1) "
            "FROM published.plan_target AS t JOIN published.metric AS m USING (metric_id) ORDER BY target_id"
        ).fetchall()
        yield Judge(connection, sql, [Target(*row) for row in rows])


shares = st.decimals("0", "2.5", places=3)
# From nothing to well beyond the target, in steps smaller than the tenth that parts at risk from off track.
LADDER = [Decimal(rung) / 20 for rung in range(27)]


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_a_better_value_never_has_a_worse_status(judge: Judge, data: st.DataObject) -> None:
    target = data.draw(st.sampled_from(judge.targets))
    months = data.draw(st.integers(12, 12 * 7))
    report_month = date(FIRST_YEAR + (months - 1) // 12, (months - 1) % 12 + 1, 1)
    count = months // STEP[target.finest]
    scale = max(target.low, Decimal(1)) / (12 // STEP[target.finest] if target.measure == "flow" else 1)
    history = [scale * share for share in data.draw(st.lists(shares, min_size=count - 1, max_size=count - 1))]
    begun = len(history) % (12 // STEP[target.finest]) if target.measure == "flow" else 0
    year_so_far = sum(history[len(history) - begun :], Decimal(0))
    rungs = [max(target.low, Decimal(10)) * rung - year_so_far for rung in LADDER]
    statuses = [judge.status(target, [*history, last], report_month) for last in rungs]
    if target.operator == "=":  # less is better
        statuses.reverse()
    # Whether anything can be said does not depend on the value, but for a stock that is met without a line to it.
    unknown = statuses.count("no_data")
    assert statuses[:unknown] == ["no_data"] * unknown and set(statuses[unknown:]) <= (
        {"achieved"} if unknown else set(ORDER)
    )
    ranks = [ORDER.index(status) for status in statuses[unknown:]]
    assert ranks == sorted(ranks)
