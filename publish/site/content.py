"""What the board shows of a release: its published tables as rows, and its manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from hfc.home import UsageError
from publish.export.source import Source
from publish.release import DATABASE

Row = dict[str, Any]
# Metric, frequency, dimension and member.
SeriesKey = tuple[str, str, str, str]
ROWS = {
    "release": "FROM published.release",
    "metric": "FROM published.metric ORDER BY metric_id",
    "unit": "FROM dictionary.unit ORDER BY unit",
    "member": "FROM dictionary.dimension_member ORDER BY dimension, sort, member",
    "feed": "FROM dictionary.feed ORDER BY feed",
    "attainment_status": "FROM dictionary.attainment_status ORDER BY sort, status",
    "duty_status": "FROM dictionary.duty_status ORDER BY sort, status",
    "target": """
        SELECT a.*, t.scope, t.label_zh, t.label_en, t.quote, t.assumption
        FROM published.plan_attainment AS a INNER JOIN published.plan_target AS t ON a.target_id = t.target_id
        ORDER BY a.year DESC, list_position(['overall', 'stage', 'action', 'guideline'], t.scope), a.target_id
    """,
    "observation": "FROM published.metric_observation ORDER BY ALL",
    "superseded": """
        FROM published.metric_vintage WHERE realtime_end IS NOT NULL
        ORDER BY metric_id, frequency, dimension, member, period, realtime_start
    """,
    "duty": "FROM published.duty_board ORDER BY month, duty_no",
    "unit_score": "FROM published.unit_scorecard ORDER BY month, leads DESC, supports DESC, unit_name",
    "check": "FROM published.data_quality ORDER BY outcome DESC, severity DESC, level DESC, check_id",
    "reconciliation": "FROM published.official_reconciliation ORDER BY metric_id, period",
    "revision": "FROM published.metric_revision ORDER BY metric_id, frequency, dimension, member, period",
    "note": "FROM published.revision_note ORDER BY published_on DESC, note_id",
    "delivery": "FROM published.delivery_outcome ORDER BY feed, published_on DESC, file, sha256",
}


@dataclass(frozen=True)
class Content:
    """One release: `rows` by the names of ROWS, `series` its observations by series, each in the order of time."""

    manifest: Row
    rows: dict[str, list[Row]]
    series: dict[SeriesKey, list[Row]]
    metrics: dict[str, Row]
    units: dict[str, Row]
    models: Mapping[str, list[str]]

    @property
    def release(self) -> Row:
        """The row of the table `release`."""
        return self.rows["release"][0]

    @property
    def release_id(self) -> str:
        return str(self.release["release_id"])

    @property
    def as_of(self) -> date:
        day: date = self.release["as_of"]
        return day

    @property
    def synthetic(self) -> bool:
        """Whether any delivery behind the release is synthetic."""
        return bool(self.release["synthetic"])

    def of(self, name: str, **values: object) -> list[Row]:
        """The rows of a table that have these values."""
        return [row for row in self.rows[name] if all(row[key] == value for key, value in values.items())]

    def members(self, dimension: str) -> list[Row]:
        """The members of a dimension, in the order of the dictionary."""
        return self.of("member", dimension=dimension)


def read_content(release: Path, models: Mapping[str, list[str]]) -> Content:
    """Read all that the board shows of a release.

    Raises:
        UsageError: the release lacks a table, because it was made by older code.
    """
    import duckdb

    rows = {}
    with duckdb.connect(str(release / DATABASE), read_only=True) as connection:
        source = Source(release, connection)
        for name, query in ROWS.items():
            try:
                rows[name] = source.records(query)
            except duckdb.CatalogException as error:
                table = query.partition("FROM ")[2].split()[0]
                raise UsageError(
                    f"Release {release.name} has no table {table}: older code made it, and there is no board of it"
                ) from error
    series: dict[SeriesKey, list[Row]] = {}
    for row in rows["observation"]:
        series.setdefault(_key(row), []).append(row)
    return Content(
        manifest=source.manifest,
        rows=rows,
        series=series,
        metrics={row["metric_id"]: row for row in rows["metric"]},
        units={row["unit"]: row for row in rows["unit"]},
        models=models,
    )


def _key(row: Row) -> SeriesKey:
    return row["metric_id"], row["frequency"], row["dimension"], row["member"]
