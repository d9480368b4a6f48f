"""Expectations about `published.official_reconciliation`."""

from __future__ import annotations

from expectations.suite import Suite, no_fault, not_null

# What is published beside the official figure is what is published of the metric.
QUERY = """
SELECT
    r.metric_id,
    r.period,
    r.citation,
    CAST(r.published_on AS VARCHAR) AS published_on,
    CASE
        WHEN r.computed_value IS DISTINCT FROM o.value
            THEN concat_ws(' ', r.metric_id, r.period)
    END AS computed_fault
FROM published.official_reconciliation AS r
LEFT JOIN published.metric_observation AS o
    ON o.metric_id = r.metric_id AND o.period = r.period AND o.dimension = 'total'
"""
TOLERANCE_QUERY = """
SELECT
    CASE
        WHEN NOT is_within_tolerance
            THEN concat(metric_id, ' ', period, ': computed ', computed_value, ', official ', official_value)
    END AS tolerance_fault
FROM published.official_reconciliation
"""


def suites() -> list[Suite]:
    """The suites of this subject; an official figure that ours misses is told and stops nothing."""
    import great_expectations.expectations as gxe

    figures = Suite(
        name="official_reconciliation",
        query=QUERY,
        expectations=(
            gxe.ExpectCompoundColumnsToBeUnique(column_list=["metric_id", "period"]),
            *not_null("citation", "published_on"),
            *no_fault("computed_fault"),
        ),
    )
    tolerance = Suite(
        name="official_reconciliation.tolerance",
        query=TOLERANCE_QUERY,
        expectations=no_fault("tolerance_fault"),
        level=5,
        severity="warn",
    )
    return [figures, tolerance]
