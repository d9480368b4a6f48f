"""Expectations about `published.delivery_outcome` and `published.release`."""

from __future__ import annotations

from expectations.suite import Suite, not_null

OUTCOMES = ("loaded", "unchanged", "rejected")

# `unaccounted` is what got lost, or was counted twice, between the delivery and the lake.
OUTCOME_QUERY = """
SELECT
    feed,
    file,
    sha256,
    outcome,
    CAST(coalesce(rows_in - (rows_accepted + rows_quarantined + rows_duplicate), -1) AS BIGINT) AS unaccounted,
    CAST(coalesce(least(rows_in, rows_accepted, rows_quarantined, rows_duplicate), -1) AS BIGINT) AS fewest
FROM published.delivery_outcome
"""
RELEASE_QUERY = "SELECT release_id, CAST(as_of AS VARCHAR) AS as_of FROM published.release"


def suites(release_id: str) -> list[Suite]:
    """The suites of this subject; the candidate has to call itself `release_id`."""
    import great_expectations.expectations as gxe

    outcome = Suite(
        name="delivery_outcome",
        query=OUTCOME_QUERY,
        expectations=(
            *not_null("feed", "file", "sha256", "outcome"),
            gxe.ExpectColumnValuesToBeInSet(column="outcome", value_set=list(OUTCOMES)),
            gxe.ExpectColumnValuesToBeBetween(
                column="unaccounted",
                min_value=0,
                max_value=0,
                notes="Every row that came in is accepted, quarantined or a duplicate, and is counted once.",
            ),
            gxe.ExpectColumnValuesToBeBetween(column="fewest", min_value=0, notes="No count of rows is below zero."),
        ),
        declared_in="deliveries.py",
        point="batch",
    )
    release = Suite(
        name="release",
        query=RELEASE_QUERY,
        expectations=(
            gxe.ExpectTableRowCountToEqual(value=1),
            *not_null("release_id", "as_of"),
            gxe.ExpectColumnValuesToBeInSet(
                column="release_id", value_set=[release_id], notes="The candidate calls itself what its build did."
            ),
        ),
        declared_in="deliveries.py",
    )
    return [outcome, release]
