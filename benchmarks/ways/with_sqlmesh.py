"""With SQLMesh on DuckDB: the models of this folder, vouchers incremental by day of publication, the tests as audits.

    python with_sqlmesh.py        in a folder that benchmarks.whole prepares

Each delivery is one `run` on the day after its publication. Everything but the vouchers is made anew. Left out besides
what by_hand.py leaves out: an archive, lines (its tables do not keep the order of a file), a lake (the database holds
the vouchers), digests of what is published.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from by_hand import HERE, sql
from sqlmesh.core.config import Config, DuckDBConnectionConfig, GatewayConfig, ModelDefaultsConfig
from sqlmesh.core.context import Context

MODELS = sorted(path.stem for path in (HERE / "models").glob("*.sql"))
TESTS = sorted(path.stem for path in (HERE / "tests").glob("*.sql"))
TABLES = {name: f"main.{name}" for name in MODELS}
KINDS = {"voucher": "INCREMENTAL_BY_TIME_RANGE (time_column published_on)"}


def write_project(start: datetime) -> None:
    """The same statements under SQLMesh's heads."""
    for folder in ("models", "audits"):
        Path(folder).mkdir(exist_ok=True)
    for name in MODELS:
        head = f"name main.{name}, kind {KINDS.get(name, 'FULL')}, start '{start:%Y-%m-%d}', optimize_query false"
        text = f"MODEL ({head});\n{sql(f'models/{name}', TABLES, line='NULL')}"
        Path(f"models/{name}.sql").write_text(text, encoding="utf-8")
    for name in TESTS:
        text = f"AUDIT (name {name}, standalone true);\n{sql(f'tests/{name}', TABLES)}"
        Path(f"audits/{name}.sql").write_text(text, encoding="utf-8")


def main() -> None:
    """Plan at first, run later, then publish."""
    name = next(Path("arrived").iterdir()).stem[-8:]
    day = datetime.strptime(name, "%Y%m%d")
    is_new = not Path("models").exists()
    if is_new:
        write_project(day)
    gateway = GatewayConfig(connection=DuckDBConnectionConfig(database="plain.duckdb", concurrent_tasks=2))
    config = Config(
        gateways={"": gateway}, model_defaults=ModelDefaultsConfig(dialect="duckdb"), disable_anonymized_analytics=True
    )
    context = Context(paths=".", config=config)
    now = day + timedelta(days=1)
    if is_new:
        context.plan(auto_apply=True, no_prompts=True, execution_time=now)
    else:
        context.run(execution_time=now)
    Path("published").mkdir(exist_ok=True)
    for table, target in (("metric", "metric"), ("quarantine", f"quarantine_{name}")):
        context.engine_adapter.execute(
            f"COPY (SELECT * FROM main.{table}) TO 'published/{target}.parquet' (FORMAT parquet, COMPRESSION zstd)"
        )
    context.close()


if __name__ == "__main__":
    main()
