"""Expectations about the plan's targets and their attainment."""

from __future__ import annotations

import csv
from typing import Any

from expectations.suite import Suite, no_fault, not_null
from hfc.home import SEEDS

STATUSES = ("achieved", "on_track", "at_risk", "off_track", "missed", "no_data")

TARGET_QUERY = (
    "SELECT target_id, metric_id, dimension, member, CAST(year AS VARCHAR) AS year FROM published.plan_target"
)
ATTAINMENT_QUERY = """
SELECT
    a.target_id,
    a.metric_id,
    a.status,
    a.reason,
    CAST(a.as_of AS VARCHAR) AS as_of,
    CASE WHEN t.target_id IS NULL THEN a.target_id END AS target_fault
FROM published.plan_attainment AS a
LEFT JOIN published.plan_target AS t ON t.target_id = a.target_id
"""


def suites() -> list[Suite]:
    """The suites of this subject."""
    import great_expectations.expectations as gxe

    target = Suite(
        name="plan_target",
        query=TARGET_QUERY,
        expectations=each_target_once("dimension", "member", "year"),
        declared_in="plan.py",
    )
    attainment = Suite(
        name="plan_attainment",
        query=ATTAINMENT_QUERY,
        expectations=(
            *each_target_once("status", "as_of"),
            gxe.ExpectColumnValuesToBeInSet(column="status", value_set=list(STATUSES)),
            *no_fault(target_fault="What is judged is a target of the plan."),
        ),
        declared_in="plan.py",
    )
    return [target, attainment]


def each_target_once(*columns: str) -> tuple[Any, ...]:
    """Every target of the plan has one row, which names its metric and leaves none of `columns` empty."""
    import great_expectations.expectations as gxe

    with open(SEEDS / "plan_target.csv", encoding="utf-8", newline="") as handle:
        targets = len(list(csv.DictReader(handle)))
    return (
        gxe.ExpectTableRowCountToEqual(value=targets),
        gxe.ExpectColumnValuesToBeUnique(column="target_id"),
        *not_null("target_id", "metric_id", *columns),
    )
