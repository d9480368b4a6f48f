"""Expectations about financial value-added that a person has to decide on."""

from __future__ import annotations

from expectations.suite import Suite, no_fault

# Two approaches to one year that lie far apart: a mistake in an account, or something that a note explains. Only the
# years that need a word are rows, so that what is observed stays the same while they do.
QUERY = """
SELECT concat(o.period, ' ', o.dimension, ' ', o.member, ': ', round(o.value, 4), ' %') AS discrepancy_fault
FROM published.metric_observation AS o
ANTI JOIN published.revision_note AS n
    ON o.metric_id = n.metric_id AND o.period BETWEEN left(n.from_period, 4) AND left(n.to_period, 4)
WHERE o.metric_id = 'financial_value_added_discrepancy' AND abs(o.value) > 2
ORDER BY o.period, o.dimension, o.member
"""


def suites() -> list[Suite]:
    """The suites of this subject."""
    discrepancy = Suite(
        name="value_added.discrepancy",
        query=QUERY,
        expectations=no_fault(
            discrepancy_fault="Where the two approaches to a year's value-added lie over 2 % apart, a note says why."
        ),
        declared_in="value_added.py",
        level=3,
        severity="warn",
    )
    return [discrepancy]
