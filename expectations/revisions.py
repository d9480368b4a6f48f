"""Expectations about `published.metric_revision`: what this release says otherwise than the one before."""

from __future__ import annotations

from expectations.suite import Suite, no_fault

QUERY = """
SELECT
    CASE
        WHEN NOT is_explained
            THEN concat(
                concat_ws(' ', metric_id, period, dimension, member), ': ', previous_value, ' became ',
                coalesce(value::VARCHAR, 'missing'), ', ', tolerance, ' may pass without a note'
            )
    END AS note_fault
FROM published.metric_revision
ORDER BY ALL
"""


def suites() -> list[Suite]:
    """The suites of this subject."""
    revision = Suite(
        name="metric_revision",
        query=QUERY,
        expectations=no_fault(
            note_fault="A past value that moves beyond its metric's tolerance has a revision note that covers it."
        ),
        declared_in="revisions.py",
        point="release",
        level=2,
    )
    return [revision]
