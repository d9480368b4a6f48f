"""What was known when: the observations of one release, and how a number changed from release to release."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hfc.home import UsageError
from publish.release import DATABASE

KEY = "metric_id, frequency, period, dimension, member"
OBSERVATIONS = f"""
SELECT {KEY}, value, unit, obs_status, conf_status, as_of FROM published.metric_observation
WHERE coalesce(metric_id = $metric, true) ORDER BY {KEY}
"""
# `change` is empty where there is nothing to compare with.
HISTORY = """
SELECT
    v.dimension, v.member, v.value, m.unit, v.obs_status, v.conf_status, v.realtime_start, v.realtime_end,
    v.value - lag(v.value) OVER (PARTITION BY v.dimension, v.member ORDER BY v.realtime_start) AS change
FROM published.metric_vintage AS v
INNER JOIN published.metric AS m ON m.metric_id = v.metric_id
WHERE v.metric_id = $metric AND v.period = $period AND coalesce(v.member = $member, true)
ORDER BY v.dimension, v.member, v.realtime_start
"""


def observations(release: Path, metric: str | None = None) -> tuple[list[str], list[dict[str, Any]]]:
    """Column names and rows of everything a release says, or of one metric.

    Raises:
        UsageError: the release knows no such metric.
    """
    if metric is not None:
        _check_metric(release, metric)
    return _ask(release, OBSERVATIONS, {"metric": metric})


def history(
    release: Path, metric: str, period: str, member: str | None = None
) -> tuple[list[str], list[dict[str, Any]]]:
    """Column names and rows: every value of a metric's period that was published, oldest first, and the change.

    Raises:
        UsageError: no release has said anything about it.
    """
    _check_metric(release, metric)
    names, records = _ask(release, HISTORY, {"metric": metric, "period": period, "member": member})
    if not records:
        of_member = f" of member {member}" if member else ""
        raise UsageError(f"No release up to {release.name} has a value of {metric} in {period}{of_member}")
    return names, records


def _check_metric(release: Path, metric: str) -> None:
    _, records = _ask(release, "SELECT metric_id FROM published.metric ORDER BY metric_id", {})
    known = [record["metric_id"] for record in records]
    if metric not in known:
        raise UsageError(f"There is no metric {metric}; metrics: {', '.join(known)}")


def _ask(release: Path, sql: str, parameters: dict[str, Any]) -> tuple[list[str], list[dict[str, Any]]]:
    import duckdb

    with duckdb.connect(str(release / DATABASE), read_only=True) as connection:
        result = connection.execute(sql, parameters)
        names = [column[0] for column in result.description or []]
        return names, [dict(zip(names, row, strict=True)) for row in result.fetchall()]
