"""dbt's data tests on a candidate, by the statements that dbt has compiled.

What dbt itself takes for a test is 25 ms around a statement of one or two, and there are hundreds. So it compiles them
once for each version of the project (`hfc.warehouse`), and they run here, two at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb

from expectations.gate import Check
from expectations.rules import Rule
from hfc.home import HfcError


def statement(node: Any) -> str:
    """What a compiled test of dbt asks: how many rows it finds, and whether it fails by that, as dbt's own
    `get_test_sql` does."""
    fails_if = node.config.warn_if if node.config.severity.lower() == "warn" else node.config.error_if
    limit = f"LIMIT {node.config.limit}" if node.config.limit is not None else ""
    return (
        f"SELECT coalesce({node.config.fail_calc}, 0), {node.config.fail_calc} {fails_if}\n"
        f"FROM ({node.compiled_code}\n{limit}) AS found"
    )


def run(
    candidate: Path,
    statements: Mapping[str, str],
    rules: Sequence[Rule],
    log: Callable[[str], object],
    incomplete: bool = False,
) -> list[Check]:
    """The verdict on each rule, by the statement of its name, which is logged if it fails.

    Of an incomplete candidate only those tests are run whose tables are there.

    Raises:
        HfcError: a test could not be run.
    """

    def verdict(rule: Rule) -> Check | None:
        start = time.perf_counter()
        try:
            with connection.cursor() as cursor:
                ((failures, fails),) = cursor.execute(statements[rule.expectation]).fetchall()
        except duckdb.Error as error:
            if incomplete and isinstance(error, duckdb.CatalogException):
                return None
            raise HfcError(f"dbt's test {rule.expectation} could not be run: {error}") from error
        because = f": {failures} rows, by {statements[rule.expectation]}" if fails else ""
        log(f"{'FAIL' if fails else 'PASS'} {rule.expectation} [in {time.perf_counter() - start:.2f}s]{because}")
        return Check.of(rule, not fails, f"{failures} rows")

    with duckdb.connect(str(candidate), read_only=True) as connection, ThreadPoolExecutor(2) as threads:
        return [check for check in threads.map(verdict, rules) if check]
