"""Financial tax revenue: against an independent calculation, and built in steps against built at once."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import deliveries
import duckdb
import oracle
import oracle_shared
import oracle_tax_revenue
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import worlds
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest

from hfc import carried, pipeline, warehouse
from hfc.corrections import in_force
from hfc.home import Home, write_json
from ingest.lake import lake_file

COLUMNS = "metric_id, frequency, period, period_end, dimension, member, value, unit, obs_status, conf_status, as_of"
TABLES = (
    *carried.TABLES,
    "staging.stg_tax_collections_versions",
    "staging.stg_tax_collections_superseded",
    "intermediate.int_tax_cell",
    "intermediate.int_tax_concentration",
    "intermediate.int_tax_suppression",
    "intermediate.int_tax_metric_monthly",
    "intermediate.int_tax_metric_period",
)


def write_landing(landing: Path, seed: int, size: int = 3) -> None:
    """Random deliveries of the register and of tax, most of it paid by institutions of the register."""
    rng = random.Random(seed)
    register = deliveries.Register(rng, size)
    for world in (register, worlds.Tax(rng, register)):
        deliveries.write_feed(rng, landing / world.feed, world, size)


@dataclass
class Project:
    """The parsed dbt project; builds what tax needs and skips the tests."""

    manifest: Manifest
    counted: list[int] = field(default_factory=list)
    moved: list[int] = field(default_factory=list)

    def build(self, home: Home, as_of: date, *more: str, folder: Path = warehouse.PROJECT) -> None:
        """As `warehouse.build`, of the tax tables and `more` only, by the project or a changed copy of it."""
        context, known = warehouse._plan(home, as_of, {})
        corrections = in_force(as_of)
        basis = carried.basis(home, context["code_version"], [c.correction_id for c in corrections], known)
        counted = carried.set_aside(home, basis)
        warehouse._create_sources(home, context, known, [], corrections, counted)
        os.environ["HFC_CANDIDATE"] = str(home.candidate)
        select = ["+int_tax_suppression", "int_tax_taxpayer", "stg_tax_collections", *more]
        arguments = ["--quiet", "--no-write-json", "build", "--select", *select, *places(home, folder)]
        done = dbtRunner(manifest=self.manifest if folder == warehouse.PROJECT else None).invoke(
            [*arguments, "--exclude", "resource_type:test", "resource_type:unit_test"]
        )
        DuckDBConnectionManager.close_all_connections()
        assert done.success, done.exception or [r.message for r in done.result.results if r.status == "error"]  # type: ignore[union-attr]
        write_json(home.warehouse / "build.json", {"carried": carried.record(home, basis)})
        self.counted.append(len(counted))
        self.moved.append(len(rows(home, "intermediate.int_tax_window_change")))


def places(home: Home, folder: Path = warehouse.PROJECT) -> list[str]:
    read = ["--project-dir", str(folder), "--profiles-dir", str(folder)]
    return [*read, "--target-path", str(home.warehouse / "dbt"), "--log-path", str(home.warehouse / "logs")]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    home = Home(tmp_path_factory.mktemp("parse"))
    os.environ["HFC_CANDIDATE"] = str(home.candidate)
    manifest = dbtRunner().invoke(["--quiet", "parse", *places(home)]).result
    assert isinstance(manifest, Manifest)
    return Project(manifest)


def rows(home: Home, table: str, columns: str = "*", where: str = "true") -> list[tuple[Any, ...]]:
    with duckdb.connect(str(home.candidate), read_only=True) as candidate:
        return candidate.execute(f"SELECT {columns} FROM {table} WHERE {where} ORDER BY ALL").fetchall()


def tax_observations(home: Home) -> list[tuple[Any, ...]]:
    return rows(home, "published.metric_observation", COLUMNS, "metric_id LIKE '%tax_revenue%'")


def publication_days(landing: Path) -> list[date]:
    feeds = ("institution_register", "tax_collections")
    return sorted({d.published_on for feed in feeds for d in oracle.find_deliveries(landing, feed)})


@pytest.mark.parametrize("seed", [1, 2])
def test_every_observation_agrees_with_the_independent_calculation(project: Project, tmp_path: Path, seed: int) -> None:
    landing, home = tmp_path / "landing", Home(tmp_path / "home")
    write_landing(landing, seed)
    pipeline.ingest(home, landing)
    days = publication_days(landing)
    for as_of in (days[-1] + timedelta(days=40), days[len(days) // 2]):
        project.build(home, as_of, "+metric_observation", "+int_delivery_outcome")
        calculated = oracle.compute(landing, as_of)
        expected = [row for row in calculated.observations if "tax_revenue" in row[0]]
        found = tax_observations(home)
        assert found == sorted(oracle_tax_revenue.accepting_complements(expected, found))
        assert {row[8] for row in expected} == {"A", "M"} and {row[9] for row in expected} == {"F", "C"}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(oracle_tax_revenue, "RULE", (0, 0))
            expected = [row for row in oracle.compute(landing, as_of).observations if "tax_revenue" in row[0]]
        unseen = "metric_id, frequency, period, dimension, member, value::DECIMAL(28, 10)"
        shown = rows(
            home, "intermediate.int_tax_metric_period", unseen, f"last_month <= '{oracle_shared.report_day(as_of)}'"
        )
        assert sorted(shown, key=str) == sorted(((*row[:3], *row[4:7]) for row in expected), key=str)
        names = ("file", "published_on", "outcome", "rows_in", "rows_accepted", "rows_quarantined", "rows_duplicate")
        found = rows(home, "intermediate.int_delivery_outcome", ", ".join(names), "feed = 'tax_collections'")
        outcomes = [o for o in calculated.outcomes if o["feed"] == "tax_collections" and o["published_on"] <= as_of]
        assert found == sorted(tuple(o[n] for n in names) for o in outcomes)


@pytest.fixture(scope="module")
def published(project: Project, tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, date]:
    """A home with everything delivered, built by the project as it is."""
    folder = tmp_path_factory.mktemp("published")
    write_landing(folder / "landing", 3)
    home, as_of = Home(folder / "home"), publication_days(folder / "landing")[-1]
    pipeline.ingest(home, folder / "landing")
    project.build(home, as_of)
    return home, as_of


METRIC = "metric_id, month, dimension, member, value"


@pytest.mark.parametrize(
    ("seed", "line", "edited", "changed"),
    [
        ("metric_scope", "supporting,2022-01-01,false", "supporting,2022-01-01,true", {"total", "category", "reason"}),
        ("tax_sharing", "vat,2022-01-01,50,12.5,37.5", "vat,2022-01-01,40,22.5,37.5", {"fiscal_level"}),
        ("tax_sharing", "standard,deed,2022-01-01", "standard,deed,2022-01-01,0,100,0,x\nstandard,deed,2024-01-01",
         {"fiscal_level"}),
    ],
)  # fmt: skip
def test_one_line_of_a_seed_changes_the_numbers(
    project: Project, published: tuple[Home, date], tmp_path: Path, seed: str, line: str, edited: str, changed: set[str]
) -> None:
    home, as_of = published
    folder = tmp_path / "dbt_project"
    shutil.copytree(warehouse.PROJECT, folder, ignore=shutil.ignore_patterns("target", "logs"))
    path = folder / "seeds" / f"{seed}.csv"
    text = path.read_text(encoding="utf-8")
    assert text.count(line) == 1
    path.write_text(text.replace(line, edited), encoding="utf-8")
    other = in_one_go(home, "edited")
    project.build(other, as_of, folder=folder)
    before = set(rows(home, "intermediate.int_tax_metric_monthly", METRIC))
    after = set(rows(other, "intermediate.int_tax_metric_monthly", METRIC))
    assert {row[2] for row in before ^ after} >= changed
    if seed == "tax_sharing":
        assert {row[2] for row in before ^ after} == changed


def test_a_head_office_shares_one_tax_otherwise(project: Project, published: tuple[Home, date], tmp_path: Path) -> None:
    home, as_of = published
    folder = tmp_path / "dbt_project"
    shutil.copytree(warehouse.PROJECT, folder, ignore=shutil.ignore_patterns("target", "logs"))
    paid = rows(home, "staging.stg_tax_collections", "uscc", "tax_type = 'corporate_income'")
    with open(folder / "seeds" / "tax_sharing_override.csv", "a", encoding="utf-8") as seed:
        seed.writelines(f"{uscc},corporate_income,head_office,made up\n" for (uscc,) in sorted(set(paid)))
    other = in_one_go(home, "edited")
    project.build(other, as_of, folder=folder)
    whole = rows(other, "(FROM intermediate.int_tax_level WHERE tax_type = 'corporate_income')", "DISTINCT scheme")
    assert whole == [("head_office",)]
    others = "(FROM intermediate.int_tax_level WHERE tax_type = 'corporate_income' AND fiscal_level != 'central')"
    assert rows(other, others, "DISTINCT amount_yuan") == [(0,)]


def in_one_go(home: Home, name: str = "once") -> Home:
    """A home with the same lake and nothing built."""
    other = Home(home.root.with_name(name))
    shutil.rmtree(other.root, ignore_errors=True)
    other.root.mkdir()
    other.lake.symlink_to(home.lake)
    return other


def steps(home: Home, landing: Path, rng: random.Random) -> Iterator[date]:
    """Days to build for, while deliveries arrive: forward and back in time, and late arrivals of old vintages."""
    files = [path for path in sorted(landing.glob("*/*")) if not path.name.endswith(".meta.yaml")]
    rng.shuffle(files)
    part = landing.with_name("arrived")
    for batch in (files[: len(files) * 2 // 3], files):
        for path in batch:
            for source in (path, path.with_name(path.name + ".meta.yaml")):
                target = part / source.relative_to(landing)
                target.parent.mkdir(parents=True, exist_ok=True)
                if source.exists() and not target.exists():
                    shutil.copy2(source, target)
        pipeline.ingest(home, part)
        days = publication_days(part)
        yield from sorted(rng.sample(days[len(days) // 4 :], 2))
        yield rng.choice(days[len(days) // 2 :])
    yield days[-1] + timedelta(days=100)
    pipeline.replay(home, "tax_collections")
    yield days[-1] + timedelta(days=100)


@pytest.mark.parametrize("seed", [5])
def test_built_in_steps_is_built_at_once(project: Project, tmp_path: Path, seed: int) -> None:
    landing, home = tmp_path / "landing", Home(tmp_path / "home")
    write_landing(landing, seed)
    project.counted.clear()
    project.moved.clear()
    for as_of in steps(home, landing, random.Random(seed)):
        project.build(home, as_of)
        in_steps = {table: rows(home, table) for table in TABLES}
        counted, moved = project.counted[-1], project.moved[-1]
        once = in_one_go(home)
        project.build(once, as_of)
        assert {table: rows(once, table) for table in TABLES} == in_steps, (as_of, counted, moved)
        project.counted.pop(), project.moved.pop()
    # Some of it really was carried over, moved by the register, and begun from scratch.
    assert max(project.counted) > 0 and max(project.moved) > 0 and project.counted.count(0) > 1


def test_only_deliveries_in_which_a_voucher_of_another_can_stand_are_near(tmp_path: Path) -> None:
    home = Home(tmp_path)
    vouchers = {"1": [["A1", "A5"], []], "2": [[], ["A7", "B2"]], "3": [["C1"], ["C9"]], "new": [["B1", "B3"], []]}
    known = [{"feed": carried.FEED, "delivery_id": name} for name in vouchers]
    for delivery, groups in zip(known, vouchers.values(), strict=True):
        lake_file(home, delivery).parent.mkdir(parents=True, exist_ok=True)
        with pq.ParquetWriter(lake_file(home, delivery), pa.schema({"voucher_no": pa.string()})) as writer:
            for group in groups:  # of a piece without plain rows the group is empty
                writer.write_table(pa.table({"voucher_no": pa.array(group, pa.string())}))
    with duckdb.connect() as connection:
        assert carried.near(connection, home, known[:3], known[3:]) == [known[1]]
        assert carried.near(connection, home, known[:3], []) == []
        assert carried.near(connection, home, known, known) == [known[1], known[3]]


CHANGES: dict[str, Callable[[Home, dict[str, Any]], None]] = {
    "other code": lambda home, basis: basis.update(code_version="other"),
    "another correction": lambda home, basis: basis["corrections"].append("c"),
    "a delivery gone": lambda home, basis: basis["files"].popitem(),
    "a file replaced": lambda home, basis: basis["files"].update({min(basis["files"]): [1, 1]}),
    "a candidate changed": lambda home, basis: os.utime(home.candidate, (1, 1)),
    "a build killed": lambda home, basis: (home.warehouse / "build.json").unlink(),
    "a record cut off": lambda home, basis: (home.warehouse / "build.json").write_text("{"),
}


@pytest.mark.parametrize("change", [None, *CHANGES])
def test_nothing_is_carried_over_in_doubt(published: tuple[Home, date], tmp_path: Path, change: str | None) -> None:
    home = Home(tmp_path / "home")
    shutil.copytree(published[0].root, home.root)
    (home.warehouse / "previous.duckdb").write_bytes(b"left by a killed build")
    context, known = warehouse._plan(home, published[1], {})
    basis = carried.basis(home, context["code_version"], [], known)
    if change:
        CHANGES[change](home, basis)
    counted = carried.set_aside(home, basis)
    assert not home.candidate.exists() and not (home.warehouse / "build.json").exists()
    assert (home.warehouse / "previous.duckdb").exists() == (change is None)
    assert counted == (set() if change else set(basis["files"])) and basis["files"]
