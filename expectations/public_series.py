"""Expectations about `published.public_series`."""

from __future__ import annotations

from expectations.suite import Suite, no_fault, not_null

KEY = ("provider", "dataset", "series_key", "period")
# SDMX code list CL_OBS_STATUS; every kind of missing is published as M.
STATUSES = tuple("ABDEFGIJKMNPSUVW")

QUERY = """
SELECT
    provider,
    dataset,
    CAST(series_key AS VARCHAR) AS series_key,
    period,
    obs_status,
    CASE
        WHEN (value IS NULL) <> coalesce(obs_status = 'M', false)
            THEN concat_ws(' ', provider, dataset, series_key, period)
    END AS value_fault
FROM published.public_series
"""


def suites() -> list[Suite]:
    """The suites of this subject."""
    import great_expectations.expectations as gxe

    series = Suite(
        name="public_series",
        query=QUERY,
        expectations=(
            gxe.ExpectCompoundColumnsToBeUnique(column_list=list(KEY)),
            *not_null(*KEY, "obs_status"),
            gxe.ExpectColumnValuesToBeInSet(column="obs_status", value_set=list(STATUSES)),
            *no_fault(value_fault="A value is empty where it is missing, and nowhere else."),
        ),
        declared_in="public_series.py",
    )
    return [series]
