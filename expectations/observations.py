"""Expectations about `published.metric_observation`."""

from __future__ import annotations

from expectations.suite import Suite, columns_of, no_fault, not_null

KEY = ("metric_id", "frequency", "period", "dimension", "member")
COLUMNS = (
    "metric_id",
    "frequency",
    "period",
    "period_end",
    "dimension",
    "member",
    "value",
    "unit",
    "obs_status",
    "conf_status",
    "as_of",
)
PERIOD = r"^[0-9]{4}(?:-(?:0[1-9]|1[0-2])|-Q[1-4])?$"

# A suppressed value is never repeated in a message; DECIMAL is compared in SQL, where it is exact.
QUERY = """
WITH observation AS (
    SELECT
        o.*,
        concat_ws(' ', o.metric_id, o.frequency, o.period, o.dimension, o.member) AS named,
        m.metric_id AS known,
        try_cast(m.plausible_low AS DECIMAL(28, 10)) AS low,
        try_cast(m.plausible_high AS DECIMAL(28, 10)) AS high
    FROM published.metric_observation AS o
    LEFT JOIN published.metric AS m ON m.metric_id = o.metric_id
)
SELECT
    metric_id,
    frequency,
    period,
    CAST(period_end AS VARCHAR) AS period_end,
    dimension,
    member,
    unit,
    obs_status,
    conf_status,
    CAST(as_of AS VARCHAR) AS as_of,
    CASE WHEN known IS NULL THEN named END AS dictionary_fault,
    CASE
        WHEN frequency = 'M' AND length(period) = 7 AND period NOT LIKE '%Q%' THEN NULL
        WHEN frequency = 'Q' AND period LIKE '%-Q%' THEN NULL
        WHEN frequency = 'A' AND length(period) = 4 THEN NULL
        ELSE named
    END AS period_fault,
    CASE
        WHEN (value IS NULL) <> coalesce(obs_status = 'M' OR conf_status IN ('C', 'D'), false) THEN named
    END AS value_fault,
    CASE
        WHEN value < low OR value > high
            THEN concat(
                named,
                CASE WHEN conf_status = 'F' THEN concat(': ', value) END,
                ' is outside ', coalesce(low::VARCHAR, '-inf'), ' to ', coalesce(high::VARCHAR, 'inf')
            )
    END AS plausible_fault
FROM observation
"""

DOMAINS_QUERY = """
SELECT
    CASE
        WHEN t.value != 0 AND coalesce(i.value, 0) = 0 THEN concat_ws(' ', t.metric_id, t.period)
    END AS taxpayer_fault
FROM published.metric_observation AS t
LEFT JOIN published.metric_observation AS i
    ON i.metric_id = 'institutions_admitted_cumulative' AND i.period = t.period AND i.dimension = 'total'
WHERE t.metric_id = 'financial_tax_revenue' AND t.frequency = 'M' AND t.dimension = 'total'
"""


def suites() -> list[Suite]:
    """The suites of this subject."""
    import great_expectations.expectations as gxe

    rows = Suite(
        name="metric_observation",
        query=QUERY,
        expectations=(
            gxe.ExpectCompoundColumnsToBeUnique(column_list=list(KEY)),
            *not_null(*KEY, "period_end", "unit", "obs_status", "conf_status", "as_of"),
            gxe.ExpectColumnValuesToBeInSet(column="frequency", value_set=["M", "Q", "A"]),
            gxe.ExpectColumnValuesToBeInSet(column="obs_status", value_set=["A", "P", "E", "M"]),
            gxe.ExpectColumnValuesToBeInSet(column="conf_status", value_set=["F", "C", "D"]),
            gxe.ExpectColumnValuesToMatchRegex(column="period", regex=PERIOD),
            *no_fault(
                dictionary_fault="Every metric is in the dictionary.",
                period_fault="A period is written as its frequency is: 2024-03, 2024-Q1, 2024.",
                value_fault="A value is empty where it is missing or suppressed, and nowhere else.",
                plausible_fault="A value lies within the bounds that an honest number of its metric has.",
            ),
        ),
        declared_in="observations.py",
    )
    domains = Suite(
        name="metric_observation.domains",
        query=DOMAINS_QUERY,
        expectations=no_fault(
            taxpayer_fault="Financial tax revenue comes from institutions: nobody pays before the first was admitted."
        ),
        declared_in="observations.py",
        level=4,
    )
    return [columns_of("metric_observation", COLUMNS, "observations.py"), rows, domains]
