"""Expectations about each delivery as it came in: what its file in the lake holds, by the file's own statistics."""

from __future__ import annotations

from expectations.suite import Suite, no_fault

# A delivery with more than 20 percent of its rows refused is rejected whole.
QUERY = """
SELECT
    CASE WHEN coalesce(b.lake_rows, 0) != d.rows_accepted THEN concat_ws('/', d.feed, d.file) END AS rows_fault,
    CASE WHEN d.rows_quarantined > 0.2 * d.rows_in THEN concat_ws('/', d.feed, d.file) END AS share_fault,
    CASE WHEN b.last_day > d.published_on THEN concat_ws('/', d.feed, d.file) END AS future_fault
FROM lake.delivery AS d
LEFT JOIN lake.batch AS b ON d.delivery_id = b.delivery_id
WHERE d.outcome = 'loaded'
ORDER BY ALL
"""
# Only what nobody sends by accident: far more than in all five or more deliveries before it together.
HISTORY_QUERY = """
WITH history AS (
    SELECT
        d.feed,
        d.file,
        b.lake_rows,
        b.greatest_yuan,
        count(*) OVER earlier AS deliveries,
        sum(b.lake_rows) OVER earlier AS rows_before,
        max(b.greatest_yuan) OVER earlier AS greatest_before
    FROM lake.delivery AS d
    INNER JOIN lake.batch AS b ON d.delivery_id = b.delivery_id
    WHERE d.outcome = 'loaded'
    WINDOW earlier AS (
        PARTITION BY d.feed ORDER BY d.published_on, d.seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    )
)
SELECT
    CASE WHEN lake_rows > 10000 AND lake_rows > 20 * rows_before THEN concat_ws('/', feed, file) END AS size_fault,
    CASE
        WHEN rows_before >= 100 AND greatest_before > 0 AND greatest_yuan >= 1000 * greatest_before
            THEN concat_ws('/', feed, file)
    END AS unit_fault
FROM history
WHERE deliveries >= 5 AND (size_fault IS NOT NULL OR unit_fault IS NOT NULL)
ORDER BY ALL
"""


def suites() -> list[Suite]:
    """The suites of this subject."""
    batch = Suite(
        name="batch",
        query=QUERY,
        expectations=no_fault(
            share_fault="Of a loaded delivery at most 20 % of the rows are refused.",
            future_fault="Nothing in a delivery happened after the day it was published.",
        ),
        declared_in="batches.py",
        point="batch",
    )
    mirror = Suite(
        name="batch.mirror",
        query=QUERY,
        expectations=no_fault(
            rows_fault="The lake holds as many rows of a delivery as its outcome says were accepted."
        ),
        declared_in="batches.py",
        point="batch",
        level=3,
    )
    history = Suite(
        name="batch.history",
        query=HISTORY_QUERY,
        expectations=no_fault(
            size_fault="No delivery brings 20 times the rows of all five or more before it (and over 10 000).",
            unit_fault="No delivery has an amount 1000 times the greatest of the five or more before it: a wrong unit?",
        ),
        declared_in="batches.py",
        point="batch",
        level=2,
        severity="warn",
    )
    return [batch, mirror, history]
