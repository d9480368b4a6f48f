"""What one suite is: a query on the candidate and the expectations that its rows have to meet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Suite:
    """Expectations about the rows of one query.

    Rules over several columns are computed by the query: a column named `…_fault` is NULL where the rule holds and
    otherwise names the row, so that the report says which one it is.
    """

    name: str
    query: str
    expectations: tuple[Any, ...]


def columns_of(table: str, columns: tuple[str, ...]) -> Suite:
    """The suite that pins the names and the order of a table's columns."""
    import great_expectations.expectations as gxe

    return Suite(
        name=f"{table}.columns",
        query=f"SELECT * FROM published.{table} LIMIT 0",
        expectations=(gxe.ExpectTableColumnsToMatchOrderedList(column_list=list(columns)),),
    )


def not_null(*columns: str) -> tuple[Any, ...]:
    """One expectation per column that no value is missing."""
    import great_expectations.expectations as gxe

    return tuple(gxe.ExpectColumnValuesToNotBeNull(column=column) for column in columns)


def no_fault(*columns: str) -> tuple[Any, ...]:
    """One expectation per computed fault column that it is empty."""
    import great_expectations.expectations as gxe

    return tuple(gxe.ExpectColumnValuesToBeNull(column=column) for column in columns)
