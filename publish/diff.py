"""What changed from one release to another: cell by cell of the observations, and in numbers for every other table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from publish.history import KEY
from publish.release import literal, manifest_of, quoted, table_file

if TYPE_CHECKING:
    import duckdb

OBSERVATIONS = "metric_observation"
SAID = ("value", "unit", "obs_status", "conf_status")
# Of equal rows these differ in every release.
CLOCKS = ("as_of", "release_id", "created_at")
CELLS = f"""
SELECT
    {KEY},
    CASE WHEN o.as_of IS NULL THEN 'added' WHEN n.as_of IS NULL THEN 'removed' ELSE 'changed' END AS difference,
    o.value AS old_value, n.value AS new_value, n.value - o.value AS change,
    o.obs_status AS old_obs_status, n.obs_status AS new_obs_status,
    o.conf_status AS old_conf_status, n.conf_status AS new_conf_status
FROM read_parquet($old) AS o FULL JOIN read_parquet($new) AS n USING ({KEY})
WHERE o.as_of IS NULL OR n.as_of IS NULL
    OR ({", ".join(f"o.{name}" for name in SAID)}) IS DISTINCT FROM ({", ".join(f"n.{name}" for name in SAID)})
ORDER BY {KEY}
"""


@dataclass(frozen=True)
class TableDifference:
    """How many rows of a table stand in one of two releases only, compared by the columns that both have, but for the
    release's own identifier and clock. `columns` names those that only one has."""

    table: str
    old_rows: int | None
    new_rows: int | None
    only_old: int
    only_new: int
    columns: list[str]


@dataclass(frozen=True)
class Difference:
    """The cells of the observations that differ, and the tables that do."""

    old: str
    new: str
    cells: list[dict[str, Any]]
    tables: list[TableDifference]

    @property
    def is_none(self) -> bool:
        return not self.cells and not self.tables


def difference(old: Path, new: Path) -> Difference:
    """Compare two releases."""
    import duckdb

    tables_before, tables_now = manifest_of(old)["tables"], manifest_of(new)["tables"]
    with duckdb.connect() as connection:
        files = {"old": str(table_file(old, OBSERVATIONS)), "new": str(table_file(new, OBSERVATIONS))}
        result = connection.execute(CELLS, files)
        names = [column[0] for column in result.description or []]
        cells = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
        found = []
        for table in sorted({*tables_before, *tables_now} - {OBSERVATIONS}):
            before, now = tables_before.get(table), tables_now.get(table)
            if before and now and before["sha256"] == now["sha256"]:
                continue
            counts = _compared(connection, table_file(old, table), table_file(new, table)) if before and now else None
            only_old, only_new, columns = counts or ((before or {}).get("rows", 0), (now or {}).get("rows", 0), [])
            if only_old or only_new or columns or counts is None:
                rows = ((before or {}).get("rows"), (now or {}).get("rows"))
                found.append(TableDifference(table, *rows, only_old, only_new, columns))
    return Difference(old.name, new.name, cells, found)


def _compared(connection: duckdb.DuckDBPyConnection, old: Path, new: Path) -> tuple[int, int, list[str]]:
    """How many rows stand in one file only, and which columns do."""
    columns = [_columns(connection, path) for path in (old, new)]
    common = ", ".join(quoted(name) for name in columns[0] if name in columns[1] and name not in CLOCKS)
    selected = [f"SELECT {common} FROM read_parquet({literal(path)})" for path in (old, new)]
    counts = [
        connection.execute(f"SELECT count(*) FROM ({mine} EXCEPT ALL {other})").fetchall()[0][0]
        for mine, other in (selected, reversed(selected))
    ]
    return counts[0], counts[1], sorted({*columns[0]} ^ {*columns[1]})


def _columns(connection: duckdb.DuckDBPyConnection, path: Path) -> list[str]:
    return [name for name, *_ in connection.execute(f"DESCRIBE FROM read_parquet({literal(path)})").fetchall()]
