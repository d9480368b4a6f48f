"""By hand: DuckDB, the statements of `models/` and `tests/`, and whatever an expert knows to leave out.

    python by_hand.py [ingest] [build] [gate] [publish]        in a folder that benchmarks.whole prepares; else all four

Within one delivery a voucher stands once, and the register has not changed since. So each delivery adds its own cells,
and takes off those of the vouchers that it repeats. Not done: other formats and spellings than machines', a
refused row's second fault, suppression, lineage, approvals, and being killed at any moment.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType

import duckdb
import jinja2

HERE = Path(__file__).parent
# What the models read, and where a row of that stands: tables keep the order of a file.
DELIVERY = {"delivery": "read_csv('arrived/*.csv', all_varchar = true, filename = true)", "line": "rowid + 2"}
LAKE = "read_parquet('lake/*.parquet')"


def sql(statement: str, tables: Mapping[str, str] = MappingProxyType({}), **variables: str) -> str:
    """A model or a test, which reads some tables under other names than their own."""
    text = (HERE / f"{statement}.sql").read_text(encoding="utf-8")
    return jinja2.Template(text).render(ref=lambda table: tables.get(table, table), var={**DELIVERY, **variables}.get)


class Script:
    """The steps; between them stand files only."""

    def __init__(self) -> None:
        self.day = next(Path("arrived").iterdir()).stem[-8:]
        self.lake = Path("lake", f"{self.day}.parquet")
        self.quarantine = Path("published", f"quarantine_{self.day}.parquet")
        self.connection = duckdb.connect("by_hand.duckdb")
        self.connection.execute("SET enable_progress_bar = false")

    def ingest(self) -> None:
        """The delivery into the archive and the lake, its refused rows into quarantine."""
        with ThreadPoolExecutor() as executor:
            archived = executor.submit(self.archive)
            for model in ("arrived", "twice", "miswritten"):
                self.connection.execute(f"CREATE OR REPLACE TEMP TABLE {model} AS {sql(f'models/{model}')}")
            for model, target in (("voucher", self.lake), ("quarantine", self.quarantine)):
                target.parent.mkdir(exist_ok=True)
                self.connection.execute(f"COPY ({sql(f'models/{model}')}) TO '{target}' (COMPRESSION zstd)")
            archived.result()

    def archive(self) -> None:
        """Keep the bytes of the delivery under their digest."""
        Path("archive").mkdir(exist_ok=True)
        for path in Path("arrived").iterdir():
            with open(path, "rb") as file:
                shutil.copyfile(path, Path("archive", hashlib.file_digest(file, "sha256").hexdigest()))

    def build(self) -> None:
        """The cells of the delivery to those of the ones before, and the metrics of all."""
        new = f"read_parquet('{self.lake}')"
        cells = sql("models/cell", {"voucher": new, "superseded": "repeated"})
        for model in ("register", "residence"):
            self.connection.execute(f"CREATE TABLE IF NOT EXISTS {model} AS {sql(f'models/{model}')}")
        self.connection.execute(f"CREATE TABLE IF NOT EXISTS superseded AS FROM {new} LIMIT 0")
        self.connection.execute("CREATE TEMP TABLE repeated AS FROM superseded LIMIT 0")
        if before := [str(path) for path in self.lake.parent.iterdir() if path != self.lake]:
            self.connection.execute(
                f"INSERT INTO repeated FROM read_parquet({before}) WHERE voucher_no IN (SELECT voucher_no FROM {new}) "
                "AND (voucher_no, published_on) NOT IN (SELECT (voucher_no, published_on) FROM superseded)"
            )
        self.connection.execute("INSERT INTO superseded FROM repeated")
        self.connection.execute(f"CREATE TABLE IF NOT EXISTS cell AS FROM ({cells}) LIMIT 0")
        self.connection.execute(
            "CREATE OR REPLACE TABLE cell AS SELECT * REPLACE (sum(yuan) AS yuan, sum(vouchers) AS vouchers) "
            f"FROM (FROM cell UNION ALL ({cells})) GROUP BY ALL"
        )
        self.connection.execute(f"CREATE OR REPLACE TABLE metric AS {sql('models/metric', {'voucher': new})}")

    def gate(self) -> None:
        """Stop at the first test that finds a row."""
        tables = {"voucher": LAKE, "quarantine": f"read_parquet('{self.quarantine}')"}
        for test in sorted((HERE / "tests").glob("*.sql")):
            if found := self.connection.execute(sql(f"tests/{test.stem}", tables)).fetchone():
                raise SystemExit(f"{test.stem}: {found}")

    def publish(self) -> None:
        """The metrics as Parquet in one order, and the digests of what is published."""
        self.connection.execute("COPY (FROM metric ORDER BY ALL) TO 'published/metric.parquet' (COMPRESSION zstd)")
        digests = {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in Path("published").glob("*.parquet")
        }
        Path("published/manifest.json").write_text(json.dumps(digests), encoding="utf-8")


if __name__ == "__main__":
    script = Script()
    for step in sys.argv[1:] or ("ingest", "build", "gate", "publish"):
        getattr(script, step)()
