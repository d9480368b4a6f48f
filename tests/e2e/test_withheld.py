"""Tax cells that would tell of a taxpayer: withheld in every table, never told by a command, and never let through."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from open_data import package_errors, released_observations, sdmx_observations

from hfc import pipeline
from hfc.home import PROJECT, Home
from hfc.simulate import simulate
from publish.export import FORMATS, downloads
from publish.release import MANIFEST, manifest_of
from tests.e2e.test_run import hfc

TAX = "financial_tax_revenue"
KEY = "metric_id, frequency, period, dimension, member"
WORD = rb"[-_0-9A-Za-z\x80-\xff]+"
TRUTH = f"""
    SELECT {KEY}, p.value::DECIMAL(28, 10) AS truth, o.conf_status
    FROM published.metric_observation AS o
    INNER JOIN intermediate.int_tax_metric_period AS p USING ({KEY})
    WHERE o.conf_status != 'F' ORDER BY {KEY}
"""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home that has published a short demo."""
    home = Home(tmp_path_factory.mktemp("demo"))
    simulate(home.landing, months=8)
    pipeline.run(home, home.landing)
    return home


@pytest.fixture(scope="module")
def withheld(demo: Home) -> list[dict[str, Any]]:
    """The withheld cells and what they really come to."""
    with duckdb.connect(str(demo.candidate), read_only=True) as candidate:
        found: list[dict[str, Any]] = candidate.sql(TRUTH).to_arrow_table().to_pylist()
    assert {cell["conf_status"] for cell in found} == {"C", "D"}
    return found


def ask(home: Home, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(home.current / "hfc.duckdb"), read_only=True) as release:
        return release.execute(sql).fetchall()


def test_less_than_fifteen_percent_of_the_tax_cells_are_withheld(demo: Home) -> None:
    ((withheld, cells),) = ask(
        demo,
        "SELECT count(*) FILTER (conf_status != 'F'), count(*) FROM published.metric_observation "
        "WHERE metric_id LIKE '%tax_revenue%' AND obs_status != 'M'",
    )
    assert 0 < withheld < 0.15 * cells


def test_a_withheld_cell_has_no_value_in_any_table(demo: Home, withheld: list[dict[str, Any]]) -> None:
    for table in ("metric_observation", "metric_vintage"):
        assert ask(demo, f"SELECT * FROM published.{table} WHERE conf_status != 'F' AND value IS NOT NULL") == []
    columns = {TAX: f"{TAX}_cny_100m", f"{TAX}_ytd": f"{TAX}_ytd_cny_100m", f"{TAX}_gross": f"{TAX}_gross_cny_100m"}
    looked_at = 0
    for cell in withheld:
        if cell["metric_id"] in columns:
            place = " AND ".join(f"{name} = '{cell[name]}'" for name in KEY.split(", ")[1:])
            value = f"SELECT {columns[cell['metric_id']]} FROM published.tax_revenue WHERE {place}"
            assert ask(demo, value) == [(None,)]
            looked_at += 1
    assert looked_at > 10


@pytest.mark.parametrize(("conf_status", "why"), [("C", "fewer than 3 taxpayers"), ("D", "readers could compute")])
def test_an_explanation_of_a_withheld_cell_tells_why_and_nothing_else(
    demo: Home, withheld: list[dict[str, Any]], conf_status: str, why: str
) -> None:
    cell = max((c for c in withheld if c["conf_status"] == conf_status), key=lambda c: abs(c["truth"]))
    command = [
        "explain",
        cell["metric_id"],
        cell["period"],
        "--dimension",
        cell["dimension"],
        "--member",
        cell["member"],
    ]
    shown, told = hfc(*command, home=demo.root), hfc(*command, "--json", home=demo.root)
    assert shown.returncode == told.returncode == 0 and f"Suppressed ({conf_status})" in shown.stdout
    assert why in shown.stdout and why in told.stdout
    value = f"{cell['truth'].normalize():f}"
    assert all(part not in shown.stdout + told.stdout for part in (value, value[:8]))
    explained = json.loads(told.stdout)
    assert [explained[name] for name in ("rows", "recomputed", "matches", "lacks")] == [None] * 4
    assert explained["deliveries"] == [] and explained["observation"]["value"] is None
    # On a terminal, rows and all, for those who may see them.
    assert value in hfc(*command, "--confidential", home=demo.root).stdout


def test_an_explanation_of_a_published_cell_counts_no_vouchers(demo: Home) -> None:
    ((period,),) = ask(
        demo,
        f"SELECT max(period) FROM published.metric_observation WHERE metric_id = '{TAX}' AND member = 'total' "
        "AND frequency = 'M' AND value IS NOT NULL",
    )
    explained = json.loads(hfc("explain", TAX, period, "--json", home=demo.root).stdout)
    assert explained["matches"] and {delivery["rows"] for delivery in explained["deliveries"]} == {None}
    assert "Confirmed: computed again, " in hfc("explain", TAX, period, home=demo.root).stdout


@pytest.fixture
def careless(demo: Home) -> Iterator[Path]:
    """Another release, which shows what the current one withholds."""
    current = demo.current.resolve()
    other = demo.releases / "20000101-careless"
    shutil.copytree(current, other)
    file = other / "parquet" / "metric_observation.parquet"
    file.unlink()
    with duckdb.connect(str(demo.candidate), read_only=True) as candidate:
        candidate.execute(
            f"COPY (SELECT o.* REPLACE (coalesce(o.value, p.value)::DECIMAL(28, 10) AS value, 'F' AS conf_status) "
            f"FROM published.metric_observation AS o LEFT JOIN intermediate.int_tax_metric_period AS p USING ({KEY})) "
            f"TO '{file}'"
        )
    manifest = manifest_of(current) | {"release_id": other.name, "as_of": "2000-01-01"}
    (other / MANIFEST).chmod(0o644)
    (other / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    yield other
    shutil.rmtree(other)


def test_the_attack_finds_nothing_and_says_how_much_it_tried(demo: Home, withheld: list[dict[str, Any]]) -> None:
    shown, told = hfc("disclosure", "attack", home=demo.root), hfc("disclosure", "attack", "--json", home=demo.root)
    assert shown.returncode == told.returncode == 0, shown.stderr
    found = json.loads(told.stdout)
    assert found["told"] == [] and found["closest"] >= 1 and found["releases"] == 1
    statuses = [cell["conf_status"] for cell in withheld]
    assert all(found["attacked"][status] == statuses.count(status) for status in ("C", "D"))
    assert "told too closely: 0" in shown.stdout and set(found) == {
        "release_id", "releases", "attacked", "closest", "told",
    }  # fmt: skip


def test_the_attack_names_what_another_release_gives_away(
    demo: Home, withheld: list[dict[str, Any]], careless: Path
) -> None:
    shown, told = hfc("disclosure", "attack", home=demo.root), hfc("disclosure", "attack", "--json", home=demo.root)
    assert shown.returncode == told.returncode == 1 and "hfc rollback" in shown.stderr
    found = json.loads(told.stdout)
    names = KEY.split(", ")
    sensitive = {tuple(cell[name] for name in names) for cell in withheld if cell["conf_status"] == "C"}
    assert {tuple(cell[name] for name in names) for cell in found["told"] if cell["conf_status"] == "C"} == sensitive
    values = {f"{abs(cell['truth'] * 10**8):.2f}".rstrip("0").rstrip(".") for cell in withheld}
    values |= {f"{cell['truth'].normalize():f}" for cell in withheld}
    said = shown.stdout + shown.stderr + told.stdout + told.stderr
    assert not [value for value in values if len(value) > 5 and value in said]
    assert Decimal(str(found["closest"])) == 0


def test_the_attack_needs_the_candidate_of_the_release(demo: Home, careless: Path) -> None:
    done = hfc("disclosure", "attack", "--release", careless.name, home=demo.root)
    assert done.returncode == 2 and "run hfc build --as-of 2000-01-01 first" in done.stderr


def test_a_build_that_lets_sensitive_cells_through_is_refused(demo: Home, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    shutil.copytree(demo.root, home.root, symlinks=True)
    project = tmp_path / "project"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("target", "logs"))
    model = project / "models" / "intermediate" / "int_tax_suppression.py"
    text = model.read_text(encoding="utf-8")
    changed = text.replace("from_pylist(rows,", "from_pylist([row for row in rows if row['conf_status'] == 'D'],")
    assert changed != text
    model.write_text(changed, encoding="utf-8")
    done = hfc("run", home=home.root, HFC_PROJECT=str(project))
    assert done.returncode == 3 and "tax_cells_that_tell_of_a_taxpayer_are_withheld" in done.stderr, done.stderr
    assert home.current.resolve().name == demo.current.resolve().name


@pytest.fixture(scope="module")
def exported(demo: Home, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's release in every format."""
    folder = tmp_path_factory.mktemp("exports")
    downloads(demo.current.resolve(), folder)
    return folder


def test_open_data_of_a_whole_release_is_sound_and_without_loss(demo: Home, exported: Path) -> None:
    assert {folder.name: package_errors(folder) for folder in exported.iterdir()} == dict.fromkeys(FORMATS, [])
    assert sdmx_observations(exported / "sdmx-csv") == released_observations(demo.current.resolve())
    described = json.loads((exported / "csv/datapackage.json").read_text(encoding="utf-8"))
    feeds = {resource["name"]: resource["feeds"] for resource in described["resources"]}
    assert feeds["public_series"] == ["public_series"] and feeds["plan_target"] == []
    assert "tax_collections" in feeds["tax_revenue"] and "public_series" not in feeds["tax_revenue"]


def test_open_data_withholds_what_the_release_withholds(exported: Path, withheld: list[dict[str, Any]]) -> None:
    found = {row[:5]: row for row in sdmx_observations(exported / "sdmx-csv")}
    for cell in withheld:
        row = found[tuple(cell[name] for name in KEY.split(", "))]
        assert row[5] is None and row[8] == cell["conf_status"]


def test_open_data_names_no_taxpayer(demo: Home, exported: Path) -> None:
    codes = {
        "tax_collections": ("voucher_no", "uscc"),
        "institution_register": ("event_id", "uscc", "name"),
        "listing_pipeline": ("record_id", "uscc", "name"),
        "fund_commitments": ("change_id", "fund_code", "manager_code"),
    }
    secrets = {
        text.encode()
        for feed, columns in codes.items()
        for row in duckdb.sql(f"SELECT {', '.join(columns)} FROM '{demo.lake}/{feed}/*.parquet'").fetchall()
        for text in row
        if text
    }
    assert len(secrets) > 2000
    written = b"".join(map(readable, sorted(path for path in exported.rglob("*") if path.is_file())))
    # Each word once: a file says most of them a thousand times.
    words = b"\n".join(set(re.findall(WORD, written)))
    assert b"financial_tax_revenue" in words and all(re.fullmatch(WORD, secret) for secret in secrets)
    assert [secret for secret in secrets if secret in words] == []


def readable(path: Path) -> bytes:
    """What a file holds, for its reader."""
    if path.suffix == ".parquet":
        return repr(duckdb.sql(f"FROM '{path}'").fetchall()).encode()
    if path.suffix == ".xlsx":
        with zipfile.ZipFile(path) as archive:
            return b"".join(map(archive.read, archive.namelist()))
    return path.read_bytes()
