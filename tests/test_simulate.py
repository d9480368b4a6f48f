"""Simulated deliveries: the same bytes each time, labelled, of every feed, as messy and as plausible as they claim."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
import yaml
from oracle_shared import read_seed

from hfc import pipeline
from hfc.home import Home, sha256_of
from hfc.simulate import simulate
from hfc.simulate.writing import LABEL
from ingest.contract import load_contracts

MONTHS = 26
LOADED = """
SELECT d.feed, d.outcome, count(*), sum(rows_in), sum(rows_quarantined), sum(rows_duplicate)
FROM outcome AS d GROUP BY ALL
"""


def digests(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home that loaded a simulation of two years and a little."""
    home = Home(tmp_path_factory.mktemp("simulated"))
    simulate(home.landing, MONTHS)
    pipeline.ingest(home, home.landing)
    return home


def lake(home: Home, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect() as connection:
        for feed in load_contracts():
            files = f"read_parquet('{home.lake}/{feed}/*.parquet', filename = 'delivery_id')"
            connection.execute(
                f"CREATE VIEW {feed} AS SELECT * REPLACE (parse_filename(delivery_id, true) AS delivery_id) FROM {files}"
            )
        connection.execute(f"CREATE VIEW outcome AS FROM read_json('{home.outcomes}/*.json', union_by_name = true)")
        return connection.execute(sql).fetchall()


def test_the_same_arguments_write_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first", "second"):
        simulate(tmp_path / name, 8, seed=7, tax_rows=5_000)
    assert digests(tmp_path / "first") == digests(tmp_path / "second")
    simulate(tmp_path / "other", 8, seed=8, tax_rows=5_000)
    alike = digests(tmp_path / "first").items() & digests(tmp_path / "other").items()
    assert not any("tax_collections" in name and "meta" not in name for name, _ in alike)


def test_a_longer_simulation_covers_every_feed_in_many_forms(home: Home) -> None:
    files = [path for path in home.landing.glob("*/*") if not path.name.endswith(".meta.yaml")]
    assert {path.parent.name for path in files} == set(load_contracts())
    assert {".csv", ".tsv", ".xlsx", ".xls", ".gz"} <= {path.suffix for path in files}
    assert any(b"\xc4\xa3\xc4\xe2" in path.read_bytes() for path in files), "none in GB18030"


def test_every_file_says_that_it_is_synthetic(home: Home) -> None:
    for path in home.landing.glob("*/*"):
        if path.parent.name != "public_series" and not path.name.endswith(".meta.yaml"):
            sidecar = yaml.safe_load(path.with_name(path.name + ".meta.yaml").read_text(encoding="utf-8"))
            assert "synthetic" in path.name and sidecar["synthetic"] is True and sidecar["note"] == LABEL


def test_what_is_wrong_stays_the_exception(home: Home) -> None:
    found = lake(home, LOADED)
    assert {feed for feed, outcome, *_ in found if outcome == "loaded"} == set(load_contracts())
    assert Counter({outcome: count for _, outcome, count, *_ in found if outcome != "loaded"}) == {
        "rejected": 1,
        "unchanged": 1,
    }
    rows, quarantined, duplicate = (sum(int(row[i]) for row in found if row[1] == "loaded") for i in (3, 4, 5))
    assert 0 < quarantined < rows / 200 and duplicate < rows / 200
    ((differing,),) = lake(
        home, "SELECT count(*) FROM outcome WHERE reason LIKE '%control total%' AND rows_quarantined = 0"
    )
    assert differing == 0


def test_taxes_are_paid_by_those_in_the_register_and_by_some_others(home: Home) -> None:
    sql = """
        WITH institution AS (
            SELECT uscc, min(event_date) AS since, max(event_date) FILTER (WHERE event_type IN ('leave', 'deregister')) AS until
            FROM institution_register GROUP BY uscc
        )
        SELECT count(*), count(i.uscc), count(*) FILTER (WHERE t.treasury_date >= i.until)
        FROM tax_collections AS t LEFT JOIN institution AS i ON t.uscc = i.uscc
    """
    ((vouchers, registered, departed),) = lake(home, sql)
    assert 0.9 * vouchers < registered < vouchers and 0 < departed < 0.1 * vouchers


def test_taxes_have_the_size_and_the_seasons_of_the_plan(home: Home) -> None:
    months = dict(
        lake(
            home,
            "SELECT strftime(treasury_date, '%Y-%m'), sum(amount_yuan) / 1e8 FROM tax_collections WHERE NOT void GROUP BY 1",
        )
    )
    year = sum(value for month, value in months.items() if month.startswith("2023"))
    assert 70 < year < 100
    peaks = [months[f"2023-{month}"] for month in ("01", "04", "07", "10")]
    assert min(peaks) > max(value for month, value in months.items() if month in ("2023-02", "2023-06", "2023-09"))
    kinds = dict(lake(home, "SELECT kind, count(*) FROM tax_collections GROUP BY kind"))
    assert kinds["collection"] > 10 * kinds["refund"] > 10 * kinds["reversal"] > 0


def test_accounts_are_revised_and_both_approaches_nearly_agree(home: Home) -> None:
    sql = """
        SELECT year, stage, sum(compensation_yuan + net_taxes_on_production_yuan + depreciation_yuan + operating_surplus_yuan),
            sum(gross_output_yuan - intermediate_consumption_yuan)
        FROM value_added_accounts GROUP BY ALL ORDER BY ALL
    """
    accounts = {(year, stage): (income, production) for year, stage, income, production in lake(home, sql)}
    assert {stage for year, stage in accounts if year == "2022"} == {"preliminary", "final"}
    assert accounts["2022", "preliminary"] != accounts["2022", "final"]
    assert 120 < accounts["2022", "final"][0] / 10**8 < 130
    assert all(abs(income / production - 1) < Decimal("0.02") for income, production in accounts.values())


def test_a_correction_and_a_withdrawal_come_with_a_later_delivery(home: Home) -> None:
    ((void, corrected),) = lake(
        home,
        "SELECT count(*) FILTER (WHERE void), count(DISTINCT voucher_no) FROM tax_collections WHERE voucher_no IN "
        "(SELECT voucher_no FROM tax_collections GROUP BY 1 HAVING count(DISTINCT amount_yuan) > 1)",
    )
    assert corrected > 0
    assert lake(home, "SELECT count(*) FROM tax_collections WHERE void")[0][0] > 0 == void


def test_a_note_explains_each_tax_metric_of_a_month_whose_vouchers_are_mended(home: Home) -> None:
    sql = """
        WITH told AS (
            SELECT t.voucher_no, strftime(any_value(t.treasury_date), '%Y-%m') AS month, max(d.published_on) AS mended_on
            FROM tax_collections AS t INNER JOIN outcome AS d ON t.delivery_id = d.delivery_id
            GROUP BY t.voucher_no HAVING count(DISTINCT d.delivery_id) > 1
        ), noted AS (
            SELECT n.*, d.published_on
            FROM revision_notes AS n INNER JOIN outcome AS d ON n.delivery_id = d.delivery_id
        )
        SELECT month, mended_on, list(DISTINCT n.metric_id ORDER BY n.metric_id)
        FROM told
        LEFT JOIN noted AS n
            ON n.from_period = told.month AND n.to_period = told.month AND n.published_on = told.mended_on
        GROUP BY ALL ORDER BY month
    """
    metrics = read_seed("metric")
    taxed = sorted(row["metric_id"] for row in metrics if "tax_collections" in row["source_feeds"])
    found = lake(home, sql)
    assert len(found) > 10 and {tuple(noted) for *_, noted in found} == {tuple(taxed)}


def vouchers(folder: Path) -> Iterator[str]:
    for path in sorted((folder / "tax_collections").glob("*")):
        if not path.name.endswith(".meta.yaml"):
            content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            text = content.decode("gb18030" if b"\xc4\xa3\xc4\xe2" in content else "utf-8")
            yield from (row[0] for row in csv.reader(text.splitlines()) if row and row[0].isdigit())


def test_tax_rows_says_how_many_vouchers_there_are(tmp_path: Path) -> None:
    simulate(tmp_path, 3, tax_rows=10_001)
    found = list(vouchers(tmp_path))
    assert len(set(found)) == 10_001 and len(found) <= 10_005
