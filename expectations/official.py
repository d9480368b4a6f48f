"""Expectations about `published.official_reconciliation`."""

from __future__ import annotations

from expectations.suite import Suite, no_fault, not_null

QUERY = """
SELECT
    r.metric_id,
    r.period,
    r.citation,
    CAST(r.published_on AS VARCHAR) AS published_on,
    CASE
        WHEN r.computed_value IS DISTINCT FROM o.value
            THEN concat_ws(' ', r.metric_id, r.period)
    END AS computed_fault,
    CASE
        WHEN o.value IS NOT NULL AND r.official_value IS NOT NULL AND r.is_within_tolerance IS NULL
            THEN concat_ws(' ', r.metric_id, r.period)
    END AS compared_fault
FROM published.official_reconciliation AS r
LEFT JOIN published.metric_observation AS o
    ON o.metric_id = r.metric_id AND o.period = r.period AND o.dimension = 'total'
"""


def suites() -> list[Suite]:
    """The suites of this subject; an official figure that ours misses is published so, and stops nothing."""
    import great_expectations.expectations as gxe

    figures = Suite(
        name="official_reconciliation",
        query=QUERY,
        expectations=(
            gxe.ExpectCompoundColumnsToBeUnique(column_list=["metric_id", "period"]),
            *not_null("citation", "published_on"),
            *no_fault(
                computed_fault="What stands beside an official figure is what is published of the metric.",
                compared_fault="Every official figure whose counterpart is published is compared with it.",
            ),
        ),
        declared_in="official.py",
        level=5,
    )
    return [figures]
