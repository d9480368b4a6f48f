"""What one suite is: a query on the candidate and the expectations that its rows have to meet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# What a check compares, as Eurostat's validation levels count it.
LEVELS = (
    "format and structure",
    "within the table",
    "against earlier versions",
    "mirror",
    "between domains",
    "against external sources",
)
# Expectations that look at single values or at the columns alone.
_FORMAT = (
    "expect_table_columns_to_match_ordered_list",
    "expect_column_values_to_not_be_null",
    "expect_column_values_to_be_in_set",
    "expect_column_values_to_match_regex",
)


@dataclass(frozen=True)
class Suite:
    """Expectations about the rows of one query.

    Rules over several columns are computed by the query: a column named `…_fault` is NULL where the rule holds and
    otherwise names the row, so that the report says which one it is. `declared_in` is the file of this folder that
    declares them, `point` when they are judged (see `expectations.rules.POINTS`), `level` that of the rules that are
    more than a matter of format (see LEVELS). A failure of the severity `warn` holds the candidate: such a query gives
    only rows that a person has to decide on, so that what was observed stays the same while they do.
    """

    name: str
    query: str
    expectations: tuple[Any, ...]
    declared_in: str
    point: str = "candidate"
    level: int = 1
    severity: str = "block"

    def level_of(self, expectation: str) -> int:
        """The validation level of one of the expectations, by its type."""
        return 0 if expectation in _FORMAT else self.level


def columns_of(table: str, columns: tuple[str, ...], declared_in: str) -> Suite:
    """The suite that pins the names and the order of a table's columns."""
    import great_expectations.expectations as gxe

    return Suite(
        name=f"{table}.columns",
        query=f"SELECT * FROM published.{table} LIMIT 0",
        expectations=(gxe.ExpectTableColumnsToMatchOrderedList(column_list=list(columns)),),
        declared_in=declared_in,
    )


def not_null(*columns: str) -> tuple[Any, ...]:
    """One expectation per column that no value is missing."""
    import great_expectations.expectations as gxe

    return tuple(gxe.ExpectColumnValuesToNotBeNull(column=column) for column in columns)


def no_fault(**rules: str) -> tuple[Any, ...]:
    """One expectation per computed fault column that it is empty; the rule that it computes is said in a sentence."""
    import great_expectations.expectations as gxe

    return tuple(gxe.ExpectColumnValuesToBeNull(column=column, notes=says) for column, says in rules.items())
