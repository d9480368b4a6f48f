"""Reads exports with libraries that did not write them."""

from __future__ import annotations

import csv
import logging
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import sdmx
from frictionless import Package

from publish.release import DATABASE

logging.getLogger("sdmx").setLevel(logging.ERROR)
OBSERVATIONS = """
SELECT metric_id, frequency, period, dimension, member, value, unit, obs_status, conf_status, as_of::VARCHAR
FROM published.metric_observation
"""


def package_errors(folder: Path) -> list[str]:
    """What frictionless finds wrong with a data package."""
    report = Package(str(folder / "datapackage.json")).validate()
    return [error.type for task in report.tasks for error in task.errors] + [error.type for error in report.errors]


def data_file(folder: Path, name: str) -> Path:
    """A file of data, labelled synthetic or not."""
    return next(path for path in folder.iterdir() if path.name in (name, f"SYNTHETIC-{name}"))


def structures(folder: Path) -> Any:
    """The structure message of an export as sdmx1 reads it."""
    return sdmx.read_sdmx(folder / "structure.xml")


def sdmx_observations(folder: Path) -> list[tuple[Any, ...]]:
    """The observations of an export as sdmx1 reads them, by the columns of OBSERVATIONS."""
    (structure,) = structures(folder).structure.values()
    (data,) = sdmx.read_sdmx(data_file(folder, "metric_observation.csv"), structure=structure).data
    plain = {"FREQ", "INDICATOR", "TIME_PERIOD"}
    breakdowns = [dimension.id for dimension in structure.dimensions.components if dimension.id not in plain]
    found = []
    for observation in data.obs:
        key = {name: str(value.value) for name, value in observation.dimension.values.items()}
        known = {name: value.value for name, value in observation.attached_attribute.items()}
        divided = [(name.lower(), key[name]) for name in breakdowns if key[name] not in ("_T", "_Z")]
        ((dimension, member),) = divided or [("total", "total")]
        value = Decimal(observation.value) if observation.value else None
        found.append(
            (key["INDICATOR"], key["FREQ"], key["TIME_PERIOD"], dimension, member, value, known["UNIT_MEASURE"],
             known["OBS_STATUS"], known["CONF_STATUS"], known["AS_OF"])
        )  # fmt: skip
    return sorted(found, key=lambda row: row[:5])


def released_observations(release: Path) -> list[tuple[Any, ...]]:
    """The observations of a release."""
    with duckdb.connect(str(release / DATABASE), read_only=True) as connection:
        return sorted(connection.execute(OBSERVATIONS).fetchall(), key=lambda row: row[:5])


def cells(path: Path) -> list[list[str]]:
    """The cells of a CSV file, header first."""
    with open(path, encoding="utf-8-sig", newline="") as handle:
        return list(csv.reader(handle))
