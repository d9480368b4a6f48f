"""What the lake file of each delivery holds: rows and days by the file's own statistics, and the greatest amount."""

from __future__ import annotations

from typing import Any

import duckdb

from hfc.home import Home
from ingest.columns import lake_name
from ingest.contract import Contract, load_contracts
from ingest.lake import lake_file


def load(connection: duckdb.DuckDBPyConnection, home: Home, deliveries: list[dict[str, Any]]) -> None:
    """Create `lake.batch`: rows, last day and greatest amount (in yuan, without its sign) of each loaded delivery."""
    connection.execute(
        "CREATE TABLE lake.batch (delivery_id VARCHAR, lake_rows BIGINT, last_day DATE, greatest_yuan DECIMAL(38, 16))"
    )
    for contract in load_contracts().values():
        own = [d for d in deliveries if d["feed"] == contract.feed and d["outcome"] == "loaded"]
        files = [str(path) for d in own if (path := lake_file(home, d)).exists()]
        if files:
            connection.execute(_summaries(contract), {"files": files, "days": _days(contract)})


def _days(contract: Contract) -> list[str]:
    """The columns that hold a day which has passed."""
    return [lake_name(column) for column in contract.columns if column.not_after_publication]


def _summaries(contract: Contract) -> str:
    """The statement that adds a feed's deliveries; of a feed without amounts no row is read."""
    amounts = [lake_name(column) for column in contract.columns if column.type == "money"]
    greatest = f"greatest({', '.join(f'max(abs({name}))' for name in amounts)})" if amounts else "NULL"
    return f"""
        INSERT INTO lake.batch
        SELECT parse_filename(f.file_name, true), f.num_rows, d.last_day, a.greatest_yuan
        FROM parquet_file_metadata($files) AS f
        INNER JOIN (
            SELECT
                file_name,
                max(try_cast(stats_max_value AS DATE)) FILTER (list_contains($days, path_in_schema)) AS last_day
            FROM parquet_metadata($files)
            GROUP BY file_name
        ) AS d ON f.file_name = d.file_name
        INNER JOIN (
            SELECT filename, {greatest}::DECIMAL(38, 16) AS greatest_yuan
            FROM read_parquet($files, filename = true)
            GROUP BY filename
        ) AS a ON f.file_name = a.filename
    """
