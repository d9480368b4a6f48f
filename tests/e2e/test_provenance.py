"""Every published number follows from its deliveries: computed again, explained, compared between releases."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from hfc import explain, pipeline
from hfc.home import SEEDS, Home, UsageError, sha256_of
from hfc.simulate import simulate
from publish.release import DATABASE, manifest_of
from tests.e2e.test_run import HFC, hfc

EARLIER = date(2024, 2, 27)
TAX = "financial_tax_revenue"
KEY = "metric_id, frequency, period, dimension, member"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home of simulated deliveries with two releases, the first for an earlier day, and without a candidate."""
    home = Home(tmp_path_factory.mktemp("demo"))
    simulate(home.landing, months=26)
    pipeline.run(home, home.landing, EARLIER)
    pipeline.run(home, home.landing)
    shutil.rmtree(home.warehouse)
    return home


def previous(home: Home) -> Path:
    return home.releases / manifest_of(home.current.resolve())["previous_release_id"]


def observations(release: Path) -> list[dict[str, Any]]:
    table = duckdb.sql(f"SELECT * FROM '{release}/parquet/metric_observation.parquet'").to_arrow_table()
    return table.to_pylist()


def dictionary(release: Path) -> list[dict[str, Any]]:
    return duckdb.sql(f"SELECT * FROM '{release}/parquet/metric.parquet' WHERE computed").to_arrow_table().to_pylist()


def test_every_published_value_of_a_demo_follows_from_its_rows(demo: Home) -> None:
    for release in (demo.current.resolve(), previous(demo)):
        found = explain.verify(demo, release)
        assert found.different == []
        rows = observations(release)
        assert (found.values, found.suppressed) == (
            sum(row["conf_status"] == "F" for row in rows),
            sum(row["conf_status"] != "F" for row in rows),
        )
    total = {
        (row["metric_id"], row["frequency"]) for row in observations(demo.current.resolve()) if row["member"] == "total"
    }
    declared = {
        (metric["metric_id"], letter)
        for metric in dictionary(demo.current.resolve())
        for letter in metric["frequencies"].split()
    }
    assert total == declared


def test_an_explanation_of_each_metric_and_dimension(demo: Home) -> None:
    release = demo.current.resolve()
    for metric in dictionary(release):
        for dimension in metric["dimensions"].split():
            own = [
                r for r in observations(release) if (r["metric_id"], r["dimension"]) == (metric["metric_id"], dimension)
            ]
            row = max(
                own, key=lambda r: (r["conf_status"] == "F", r["value"] is not None and r["value"] != 0, r["period"])
            )
            found = explain.explain(demo, release, row["metric_id"], row["period"], dimension, row["member"], True)
            assert found.matches and found.recomputed == row["value"] and found.differs == []
            feeds = metric["source_feeds"].split()
            assert {f"lake.{feed}" for feed in feeds} <= {*found.path} and found.path[
                -1
            ] == "published.metric_observation"
            assert {delivery["feed"] for delivery in found.deliveries} <= {*feeds}
            for delivery in found.deliveries:
                assert list((demo.archive / delivery["feed"]).glob(f"{delivery['sha256']}*"))
                assert delivery["licence"] and delivery["published_on"] <= found.as_of and delivery["rows"] > 0
            assert found.rows is not None and len(found.rows) == sum(delivery["rows"] for delivery in found.deliveries)
            contributions = [entry["contribution"] for entry in found.rows]
            if row["value"] is not None and None not in contributions:
                assert abs(sum(contributions, Decimal(0)) - row["value"]) < Decimal("1e-6")


def test_the_command_line_explains(demo: Home) -> None:
    done = hfc("explain", "institutions_resident", "2023", "--member", "fund", home=demo.root)
    assert done.returncode == 0, done.stderr
    for text in ("在驻机构数", "Institutions resident", "institution_register__", "int_institution_event", "Confirmed"):
        assert text in done.stdout.replace("_synthetic", "")
    done = hfc("explain", "institutions_resident", "2023", "--release", "previous", "--json", home=demo.root)
    explained = json.loads(done.stdout)
    assert explained["matches"] and explained["as_of"] == str(EARLIER)
    assert all(delivery["published_on"] <= str(EARLIER) for delivery in explained["deliveries"])
    done = hfc("explain", home=demo.root)
    assert done.returncode == 0 and "published values" in done.stdout


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("nothing", "2023"), "has no metric nothing; metrics: "),
        (("institutions_resident", "1999"), "has no value of institutions_resident in 1999; periods: "),
        (("institutions_resident", "2023", "category"), "Name one member of institutions_resident"),
    ],
)
def test_what_cannot_be_explained_says_what_can(demo: Home, asked: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        explain.explain(demo, demo.current.resolve(), *asked)


def test_wrong_use_of_the_command_is_told(demo: Home) -> None:
    done = hfc("explain", "institutions_resident", "2023", "--release", "nothing", home=demo.root)
    assert done.returncode == 2 and "There is no release nothing; releases: " in done.stderr and done.stdout == ""
    done = hfc("explain", "institutions_resident", home=demo.root)
    assert done.returncode == 2 and "Name a period of institutions_resident" in done.stderr


def secrets(home: Home) -> set[str]:
    rows = duckdb.sql(f"SELECT voucher_no, uscc FROM '{home.lake}/tax_collections/*.parquet'").fetchall()
    return {text for row in rows for text in row if text}


def test_taxpayers_are_shown_when_asked_for_and_never_to_a_file(demo: Home, tmp_path: Path) -> None:
    known = secrets(demo)
    command = ["explain", TAX, "2023-05", "--dimension", "category", "--member", "licensed"]
    for form in ((), ("--json",)):
        done = hfc(*command, *form, home=demo.root)
        assert done.returncode == 0 and not any(secret in done.stdout + done.stderr for secret in known)
        shown = hfc(*command, "--confidential", *form, home=demo.root)
        assert shown.returncode == 0 and sum(secret in shown.stdout for secret in known) > 3
    hidden = json.loads(hfc(*command, "--json", home=demo.root).stdout)
    assert hidden["rows"] is None and hidden["matches"]
    # Which deliveries of the register tell of the taxpayers could tell who they are.
    register = [d for d in hidden["deliveries"] if d["feed"] == "institution_register"]
    assert {delivery["rows"] for delivery in register} == {None}
    assert len(register) == len([d for d in manifest_of(demo.current.resolve())["inputs"]
                                 if (d["feed"], d["outcome"]) == ("institution_register", "loaded")])  # fmt: skip
    with open(tmp_path / "rows", "w") as file:
        arguments = [str(HFC), *command, "--confidential", "--home", str(demo.root)]
        refused = subprocess.run(arguments, stdout=file, stderr=subprocess.PIPE, text=True, check=False)
    assert refused.returncode == 2 and "into no file" in refused.stderr and (tmp_path / "rows").read_text() == ""


def changed_copy(home: Home, name: str, assignment: str, condition: str) -> Path:
    """A copy of the current release with other observations."""
    copy = home.releases / name
    shutil.copytree(home.current.resolve(), copy)
    (copy / DATABASE).chmod(0o644)
    with duckdb.connect(str(copy / DATABASE)) as connection:
        connection.execute(f"UPDATE published.metric_observation SET {assignment} WHERE {condition}")
    return copy


def test_a_number_that_does_not_follow_from_its_rows_is_told(demo: Home) -> None:
    copy = changed_copy(demo, "wrong", "value = value + 1", "metric_id = 'risk_leads_open' AND period = '2023-05'")
    try:
        done = hfc("explain", "risk_leads_open", "2023-05", "--release", "wrong", home=demo.root)
        assert done.returncode == 1 and "Does not match: published" in done.stderr
        assert "neither code nor seeds have changed since" in done.stderr
        assert hfc("explain", "risk_leads_open", "2023-04", "--release", "wrong", home=demo.root).returncode == 0
        done = hfc("explain", "--release", "wrong", "--json", home=demo.root)
        assert done.returncode == 1 and "1 values of release wrong do not follow" in done.stderr
        (told,) = json.loads(done.stdout)["different"]
        assert Decimal(told["value"]) == Decimal(told["recomputed"]) + 1
    finally:
        shutil.rmtree(copy)


def test_a_suppressed_value_stays_so(demo: Home) -> None:
    where = f"metric_id = '{TAX}' AND period = '2023-05' AND member = 'vat'"
    (value,) = [
        row["value"]
        for row in observations(demo.current.resolve())
        if (row["metric_id"], row["period"], row["member"]) == (TAX, "2023-05", "vat")
    ]
    copy = changed_copy(demo, "suppressed", "value = NULL, conf_status = 'C'", where)
    try:
        command = ("explain", TAX, "2023-05", "--member", "vat", "--release", "suppressed")
        done = hfc(*command, "--json", home=demo.root)
        told = json.loads(done.stdout)
        assert done.returncode == 0 and (told["matches"], told["recomputed"], told["deliveries"]) == (None, None, [])
        assert "Suppressed (C)" in hfc(*command, home=demo.root).stdout
        assert value is None or str(value.normalize()) in hfc(*command, "--confidential", home=demo.root).stdout
        assert explain.verify(demo, copy).suppressed == 1 + explain.verify(demo, demo.current.resolve()).suppressed
    finally:
        shutil.rmtree(copy)


def test_a_release_whose_rows_are_gone_says_what_to_do(demo: Home) -> None:
    (file,) = list((demo.lake / "risk_leads").glob("*.parquet"))[:1]
    aside = file.rename(file.with_suffix(".aside"))
    try:
        done = hfc("explain", "risk_leads_open", "2023-05", home=demo.root)
        assert done.returncode == 1 and "run hfc replay risk_leads" in done.stderr
    finally:
        aside.rename(file)


def test_the_manifest_says_what_a_release_was_made_from(demo: Home) -> None:
    before, now = manifest_of(previous(demo)), manifest_of(demo.current.resolve())
    assert now["seeds"] == {path.stem: sha256_of(path) for path in SEEDS.glob("*.csv")}
    assert now["previous_release_id"] == before["release_id"] and before["previous_release_id"] is None
    observed = previous(demo) / "parquet" / "metric_observation.parquet"
    entry = {"as_of": str(EARLIER), "release_id": before["release_id"], "sha256": sha256_of(observed)}
    assert before["history"] == [] and now["history"] == [entry]
    with duckdb.connect(str(demo.current.resolve() / DATABASE), read_only=True) as connection:
        ((inputs, code),) = connection.execute("SELECT inputs_sha256, code_version FROM published.release").fetchall()
    assert (now["inputs_sha256"], now["code_version"]) == (inputs, code)
    assert now["lineage"]["intermediate.int_fund_monthly"] == [
        "intermediate.int_feed_month", "staging.stg_fund_commitments",
    ]  # fmt: skip
    for delivery in now["inputs"]:
        assert (
            json.loads((demo.deliveries / f"{delivery['delivery_id']}.json").read_text())["sha256"]
            == delivery["sha256"]
        )


def test_two_releases_are_compared_cell_by_cell(demo: Home) -> None:
    done = hfc("diff", "previous", "current", "--json", home=demo.root)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    old, new = (
        {tuple(row[name] for name in KEY.split(", ")): row for row in observations(release)}
        for release in (previous(demo), demo.current.resolve())
    )
    said = ("value", "unit", "obs_status", "conf_status")
    expected = {key: "added" for key in new.keys() - old.keys()} | {key: "removed" for key in old.keys() - new.keys()}
    expected |= {k: "changed" for k in old.keys() & new.keys() if any(old[k][name] != new[k][name] for name in said)}
    assert {tuple(c[name] for name in KEY.split(", ")): c["difference"] for c in found["cells"]} == expected
    assert set(expected.values()) == {"added", "removed", "changed"}
    for cell in found["cells"]:
        key = tuple(cell[name] for name in KEY.split(", "))
        if cell["difference"] == "changed" and cell["change"] is not None:
            assert Decimal(cell["change"]) == new[key]["value"] - old[key]["value"]
    tables = {table["table"]: table for table in found["tables"]}
    assert tables["delivery_outcome"]["only_old"] == 0 < tables["delivery_outcome"]["only_new"]
    assert "unit" not in tables and "metric" not in tables
    text = hfc("diff", home=demo.root).stdout
    assert f"{sum(word == 'added' for word in expected.values())} added" in text
    same = hfc("diff", "current", "current", home=demo.root)
    assert same.returncode == 0 and "say the same" in same.stdout


def test_a_manifest_without_lineage_is_refused(demo: Home) -> None:
    copy = changed_copy(demo, "older", "value = value", "false")
    try:
        manifest = {name: value for name, value in manifest_of(copy).items() if name != "lineage"}
        (copy / "manifest.json").chmod(0o644)
        (copy / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        with pytest.raises(UsageError, match="does not name its models"):
            explain.verify(demo, copy)
    finally:
        shutil.rmtree(copy)
