"""The table `data_quality` of a release: the verdict of its gate, check by check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from expectations.gate import Check

if TYPE_CHECKING:
    import duckdb

TABLE = "data_quality"
COMMENT = "Every declared check of this release: what it compares, what was allowed and what was seen."
# Name, type and meaning of each column.
COLUMNS = (
    ("check_id", "VARCHAR PRIMARY KEY", "Identifier of the check: suite, rule and column."),
    ("suite", "VARCHAR NOT NULL", "What is judged: a suite of expectations, or dbt for the tests between models."),
    ("rule", "VARCHAR NOT NULL", "The expectation of Great Expectations, or the test of dbt."),
    ("column_name", "VARCHAR", "The column or columns that the check is about; empty for a whole table."),
    (
        "level",
        "INTEGER NOT NULL CHECK (level BETWEEN 0 AND 5)",
        "Validation level as Eurostat counts: 0 format and structure, 1 within the table, 2 against earlier versions, "
        "3 mirror, 4 between domains, 5 against external sources.",
    ),
    (
        "point",
        "VARCHAR NOT NULL CHECK (point IN ('batch', 'candidate', 'release'))",
        "When it is judged: batch, each delivery as it came in; candidate, the tables of this release; release, this "
        "release against the one before it.",
    ),
    (
        "severity",
        "VARCHAR NOT NULL CHECK (severity IN ('block', 'warn'))",
        "block: a failure stops the release; warn: it holds the release until a person approves it, with a reason.",
    ),
    ("executed", "BOOLEAN NOT NULL CHECK (executed)", "Whether the check ran; a release has no other."),
    (
        "outcome",
        "VARCHAR NOT NULL CHECK (outcome = 'passed' OR (outcome = 'warned' AND severity = 'warn'))",
        "passed, or warned where a person let it pass.",
    ),
    ("observed", "VARCHAR NOT NULL", "What was seen."),
    ("limit", "VARCHAR NOT NULL", "What is allowed: the parameters of the check, as JSON."),
    (
        "reason",
        "VARCHAR CHECK ((reason IS NULL) = (outcome = 'passed'))",
        "Why a person let the warning pass; empty where the check passed.",
    ),
)


def write_data_quality(
    connection: duckdb.DuckDBPyConnection, schema: str, checks: list[Check], approved: list[dict[str, str]]
) -> None:
    """Create the table in `schema` from the checks of a verdict that passed, and the decisions on its warnings."""
    reasons = {entry["check_id"]: entry["reason"] for entry in approved}
    table = f"{schema}.{TABLE}"
    columns = ", ".join(f'"{name}" {kind}' for name, kind, _ in COLUMNS)
    connection.execute(f"CREATE TABLE {table} ({columns})")
    rows = [row_of(check, reasons) for check in checks]
    if rows:
        values = ", ".join([f"({', '.join('?' * len(COLUMNS))})"] * len(rows))
        connection.execute(f"INSERT INTO {table} VALUES {values}", [value for row in rows for value in row])
    connection.execute(f"COMMENT ON TABLE {table} IS '{COMMENT}'")
    for name, _, meaning in COLUMNS:
        connection.execute(f'COMMENT ON COLUMN {table}."{name}" IS $${meaning}$$')


def row_of(check: Check, reasons: dict[str, str]) -> list[Any]:
    """One check of the verdict as a row, in the order of COLUMNS; `reasons` are of the warnings, by check."""
    outcome = "passed" if check.success else "warned"
    return [check.check_id, check.suite, check.expectation, check.column, check.level, check.point, check.severity,
            check.executed, outcome, check.observed, check.limit, reasons.get(check.check_id)]  # fmt: skip
