"""With dbt on DuckDB: the models and tests of this folder; vouchers incremental, what is published external Parquet.

    python with_dbt.py        in a folder that benchmarks.whole prepares

Everything after the vouchers is made anew for each delivery. Left out besides what by_hand.py leaves out: an
archive, a lake (the database holds the vouchers), digests of what is published; and what is published stands there
before its tests ran.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from dbt.cli.main import dbtRunner

HERE = Path(__file__).parent


def build(**variables: str) -> None:
    """dbt build in the current folder, where the project is linked to."""
    os.environ["DAY"] = next(Path("arrived").iterdir()).stem[-8:]
    Path("published").mkdir(exist_ok=True)
    for name in ("dbt_project.yml", "profiles.yml", "models", "tests"):
        if not Path(name).exists():
            Path(name).symlink_to(HERE / name)
    result = dbtRunner().invoke(["build", "--quiet", "--vars", json.dumps(variables)])
    if not result.success:
        raise SystemExit(f"dbt failed: {result.exception}")


if __name__ == "__main__":
    build()
