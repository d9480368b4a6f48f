"""Row groups that are encoded apart stand in the file that one writer would have written, byte for byte."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.row_groups import encoded, write_together

CODES = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema({
    "sheet": pa.string(),
    "line": pa.int64(),
    "voucher_no": pa.string(),
    "uscc": CODES,
    "treasury_date": pa.date32(),
    "amount_yuan": pa.decimal64(18, 6),
    "void": pa.bool_(),
    "flags": pa.list_(CODES),
    **{f"{'很' * 50}_{number}": pa.float64() for number in range(16)},
})  # fmt: skip
OPTIONS: dict[str, Any] = {
    "compression": "zstd",
    "store_schema": False,
    "store_decimal_as_integer": True,
    "use_dictionary": ["uscc", "treasury_date", "flags.list.element"],
    "column_encoding": {"line": "DELTA_BINARY_PACKED"},
    "write_statistics": ["line", "voucher_no", "treasury_date", "void"],
}


def group(first: int, rows: int) -> pa.Table:
    """Rows with a missing value here and there; no two groups are equally long in the file."""

    def row(n: int) -> dict[str, Any]:
        return {
            "line": n,
            "voucher_no": f"V{n * 7919 % 10007:d}" * (n % 3),
            "uscc": f"C{n % 5}" if n % 11 else None,
            "treasury_date": date(2024, 1, 1) + timedelta(n % 40),
            "amount_yuan": Decimal(n * n) / 4 if n % 3 else None,
            "void": n % 13 == 0,
            "flags": ["uscc_check"] if n % 4 == 0 else None,
        }

    return pa.Table.from_pylist([row(n) for n in range(first, first + rows)], schema=SCHEMA)


def written(folder: Path, tables: list[pa.Table]) -> Path:
    target = folder / "together.parquet"
    write_together(target, (encoded(table, **OPTIONS) for table in tables))
    return target


@settings(deadline=None, max_examples=25)
@given(st.lists(st.sampled_from([0, 1, 2, 40, 3000]), min_size=1, max_size=20))
def test_row_groups_encoded_apart_are_the_file_of_one_writer(sizes: list[int]) -> None:
    tables = [group(1000 * number, size) for number, size in enumerate(sizes)]
    with TemporaryDirectory() as folder:
        alone = Path(folder, "alone.parquet")
        with pq.ParquetWriter(alone, SCHEMA, **OPTIONS) as writer:
            for table in tables:
                writer.write_table(table)
        assert written(Path(folder), tables).read_bytes() == alone.read_bytes()


def test_the_file_reads_as_its_groups_say(tmp_path: Path) -> None:
    tables = [group(0, 30), group(30, 0), group(30, 30_000), group(30_030, 5)]
    target = written(tmp_path, tables)
    assert pq.ParquetFile(target).metadata.num_row_groups == 4
    with duckdb.connect() as connection:
        found = connection.sql(
            f"SELECT count(*), sum(line), sum(amount_yuan), count(flags), max(voucher_no) FROM '{target}'"
        ).fetchall()
        everything = pa.concat_tables(tables)
        expected = connection.sql(
            "SELECT count(*), sum(line), sum(amount_yuan), count(flags), max(voucher_no) FROM everything"
        ).fetchall()
    assert found == expected and everything.num_rows == found[0][0]
