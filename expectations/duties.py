"""Expectations about the duties of the plan: the board, their measures, and the scorecard of the units."""

from __future__ import annotations

from expectations.suite import Suite, no_fault, not_null

STATUSES = ("done", "in_progress", "not_started", "blocked", "not_reported")
MONTH = r"^[0-9]{4}-(?:0[1-9]|1[0-2])$"

# A duty says when it was reported, or that it was not; nothing is reported before its month is there.
BOARD_QUERY = """
SELECT
    duty_no,
    month,
    status,
    title_zh,
    title_en,
    lead_unit,
    supporting_units,
    measures_zh,
    measures_en,
    CASE
        WHEN (status = 'not_reported') <> (reported_month IS NULL) OR reported_month > month
            THEN concat_ws(' ', 'duty', duty_no, month, status, 'reported for', coalesce(reported_month, 'no month'))
    END AS report_fault
FROM published.duty_board
"""
MEASURE_QUERY = """
SELECT
    duty_no,
    measure_id,
    month,
    printed_unit,
    CASE
        WHEN value IS NOT NULL AND (unit IS NULL OR label_zh IS NULL OR label_en IS NULL)
            THEN concat_ws(' ', 'duty', duty_no, measure_id, month)
    END AS label_fault
FROM published.duty_measure_observation
"""
SCORECARD_QUERY = """
SELECT
    unit_name,
    month,
    CASE
        WHEN lead_overdue > leads - lead_done - lead_not_reported
            OR support_overdue > supports - support_done - support_not_reported
            THEN concat_ws(' ', unit_name, month)
    END AS overdue_fault
FROM published.unit_scorecard
"""


def suites() -> list[Suite]:
    """The suites of this subject."""
    import great_expectations.expectations as gxe

    board = Suite(
        name="duty_board",
        query=BOARD_QUERY,
        expectations=(
            gxe.ExpectCompoundColumnsToBeUnique(column_list=["duty_no", "month"]),
            *not_null("title_zh", "title_en", "lead_unit", "supporting_units", "measures_zh", "measures_en"),
            gxe.ExpectColumnValuesToMatchRegex(column="month", regex=MONTH),
            gxe.ExpectColumnValuesToBeInSet(column="status", value_set=list(STATUSES)),
            *not_null("status"),
            *no_fault(
                report_fault="A duty says for which month it was reported, or that it was not, and never a later month."
            ),
        ),
        declared_in="duties.py",
    )
    measure = Suite(
        name="duty_measure_observation",
        query=MEASURE_QUERY,
        expectations=(
            gxe.ExpectCompoundColumnsToBeUnique(column_list=["duty_no", "measure_id", "month"]),
            gxe.ExpectColumnValuesToMatchRegex(column="month", regex=MONTH),
            *not_null("printed_unit"),
            *no_fault(label_fault="A measure that has a value has its unit and its labels."),
        ),
        declared_in="duties.py",
    )
    scorecard = Suite(
        name="unit_scorecard",
        query=SCORECARD_QUERY,
        expectations=(
            gxe.ExpectCompoundColumnsToBeUnique(column_list=["unit_name", "month"]),
            gxe.ExpectColumnValuesToMatchRegex(column="month", regex=MONTH),
            *no_fault(overdue_fault="A unit has no more overdue duties than reported ones that are not done."),
        ),
        declared_in="duties.py",
    )
    return [board, measure, scorecard]
