"""The table `data_quality` of a release: the verdict of its gate, check by check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
        "severity",
        "VARCHAR NOT NULL CHECK (severity IN ('block', 'warn'))",
        "block: a failure stops the release; warn: it is reported.",
    ),
    ("executed", "BOOLEAN NOT NULL CHECK (executed)", "Whether the check ran; a release has no other."),
    (
        "outcome",
        "VARCHAR NOT NULL CHECK (outcome = 'passed' OR (outcome = 'warned' AND severity = 'warn'))",
        "passed or warned.",
    ),
    ("observed", "VARCHAR NOT NULL", "What was seen."),
    ("limit", "VARCHAR NOT NULL", "What is allowed: the parameters of the check, as JSON."),
)


def write_data_quality(connection: duckdb.DuckDBPyConnection, schema: str, checks: list[dict[str, Any]]) -> None:
    """Create the table in `schema` from the checks of a verdict that passed."""
    table = f"{schema}.{TABLE}"
    columns = ", ".join(f'"{name}" {kind}' for name, kind, _ in COLUMNS)
    connection.execute(f"CREATE TABLE {table} ({columns})")
    placeholders = ", ".join("?" * len(COLUMNS))
    for check in checks:
        connection.execute(f"INSERT INTO {table} VALUES ({placeholders})", row_of(check))
    connection.execute(f"COMMENT ON TABLE {table} IS '{COMMENT}'")
    for name, _, meaning in COLUMNS:
        connection.execute(f'COMMENT ON COLUMN {table}."{name}" IS $${meaning}$$')


def row_of(check: dict[str, Any]) -> list[Any]:
    """One check of the verdict as a row, in the order of COLUMNS."""
    suite, rule, column = check["suite"], check["expectation"], check["column"]
    outcome = "passed" if check["success"] else "warned"
    identifier = "/".join(filter(None, (suite, rule, column)))
    return [identifier, suite, rule, column, *(check[key] for key in ("level", "severity", "executed")), outcome,
            check["observed"], check["limit"]]  # fmt: skip
