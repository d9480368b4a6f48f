"""The same dbt project on Spark: what it publishes are the bytes that DuckDB's build publishes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from browser import install

from hfc import pipeline
from hfc.home import Home
from hfc.simulate import simulate
from tests.e2e.test_run import parquet_bytes
from tests.test_publish import hfc


def run_on_spark(home: Home, landing: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`hfc run --target spark`, in a process of its own."""
    return hfc(home, "run", "--target", "spark", "--quiet", "--landing", str(landing), **environment)


def test_spark_publishes_the_same_bytes(tmp_path: Path) -> None:
    landing = tmp_path / "landing"
    simulate(landing, months=14)
    on_duckdb, on_spark = Home(tmp_path / "duckdb"), Home(tmp_path / "spark")
    expected = pipeline.run(on_duckdb, landing)
    if not shutil.which("java"):
        install("openjdk-17-jre-headless")
    done = run_on_spark(on_spark, landing)
    assert done.returncode == 0, done.stderr
    assert (on_spark.warehouse / "spark/published/metric_observation").is_dir()
    assert on_spark.current.resolve().name == expected.build.release_id
    assert parquet_bytes(on_spark.root) == parquet_bytes(on_duckdb.root)


def test_without_spark_it_says_what_to_do(tmp_path: Path) -> None:
    landing = tmp_path / "landing"
    simulate(landing, months=1)
    (tmp_path / "none/pyspark").mkdir(parents=True)
    (tmp_path / "none/pyspark/__init__.py").write_text("raise ImportError\n", encoding="utf-8")
    done = run_on_spark(Home(tmp_path), landing, PYTHONPATH=str(tmp_path / "none"))
    assert done.returncode == 2
    assert "Spark is not installed: run make spark first" in done.stderr
