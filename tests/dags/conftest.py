"""One temporary AIRFLOW_HOME for the tests of this folder, set before anything imports Airflow."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest

AIRFLOW_HOME = tempfile.mkdtemp(prefix="hfc-airflow-")
atexit.register(shutil.rmtree, AIRFLOW_HOME, ignore_errors=True)
os.environ["AIRFLOW_HOME"] = AIRFLOW_HOME
os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(Path(__file__).resolve().parents[2] / "dags")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__USAGE_DATA_COLLECTION__ENABLED"] = "False"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, which the tasks find by `HFC_HOME`."""
    monkeypatch.setenv("HFC_HOME", str(tmp_path))
    monkeypatch.delenv("HFC_LANDING", raising=False)
    return tmp_path
