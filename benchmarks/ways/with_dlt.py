"""With dlt for the loading, by Arrow, and dbt for everything behind it.

    python with_dlt.py        in a folder that benchmarks.whole prepares

The cells of a delivery go into a table as text; the models of with_dbt.py read that instead of the file. Left out: what
with_dbt.py leaves out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dlt
import pyarrow as pa
import pyarrow.csv
from with_dbt import build


@dlt.resource(name="delivery", write_disposition="replace")
def cells(path: Path) -> Iterator[pa.Table]:
    """The rows of a file, every cell as text."""
    with open(path, encoding="utf-8") as file:
        names = file.readline().rstrip("\r\n").split(",")
    types = pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True)
    for batch in pa.csv.open_csv(path, pa.csv.ReadOptions(block_size=1 << 25), convert_options=types):
        yield pa.Table.from_batches([batch])


def main() -> None:
    """Load, then build."""
    path = next(Path("arrived").iterdir())
    target = dlt.destinations.duckdb("plain.duckdb", naming_convention="direct")
    pipeline = dlt.pipeline("benchmark", pipelines_dir=".dlt", destination=target, dataset_name="raw")
    pipeline.run(cells(path), loader_file_format="parquet")
    build(delivery=f"(SELECT *, '{path}' AS filename FROM raw.delivery)")


if __name__ == "__main__":
    main()
