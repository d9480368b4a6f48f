"""Open data of a release: exact, described, safe to open, whole or not there, and labelled if it is made up."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import sys
import time
import zipfile
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import faults
import openpyxl
import pytest
from open_data import cells, data_file, package_errors, released_observations, sdmx_observations, structures
from openpyxl.utils.escape import unescape
from pysdmx.errors import Invalid
from pysdmx.io.xml.doc_validation import validate_doc
from python_calamine import CalamineWorkbook

from hfc.home import HfcError, Home, UsageError
from publish import release as releases
from publish.export import FORMATS, downloads, export
from publish.export.workbook import is_exact
from tests.test_publish import hfc, make_candidate, pass_gate

# What spreadsheets, readers of text and binary numbers stumble over, a row each.
TEXTS = ("=1+1", "+86", "-", "@sum", "\tx", "\rx", "\nx", "'=1", "＝1", "plain", "a,b", 'say "hi"', "two\nlines", "007", "1E5",
         "TRUE", "2024-01-02", "http://example.org", "_x0041_", " padded ", "数据")  # fmt: skip
NUMBERS = ("0", "0.1", "-0.0000000001", "123456789012345", "1234567890123456", "12345678901.2345", "12345678901.23456",
           "999999999999999999.9999999999", "100000000000000000", "9.95", "5e-7")  # fmt: skip
DAYS = ("1899-12-31", "1900-02-28", "1900-03-01", "2024-02-29", "9999-12-31")
AWKWARD = f"""
CREATE TABLE published.awkward (id INTEGER, text VARCHAR, number DECIMAL(28, 10), whole BIGINT, day DATE, flag BOOLEAN);
INSERT INTO published.awkward (id, text) SELECT n + 100, t FROM (VALUES {", ".join(f"({n}, $${text}$$)" for n, text in enumerate(TEXTS))}) AS v(n, t);
INSERT INTO published.awkward (id, number) SELECT n + 200, t::DECIMAL(28, 10) FROM (VALUES {", ".join(f"({n}, '{text}')" for n, text in enumerate(NUMBERS))}) AS v(n, t);
INSERT INTO published.awkward (id, whole) VALUES (300, 9007199254740993), (301, 1), (302, NULL);
INSERT INTO published.awkward (id, day) VALUES {", ".join(f"({n + 400}, '{day}')" for n, day in enumerate(DAYS))};
INSERT INTO published.awkward (id, flag) VALUES (500, true), (501, false);
COMMENT ON TABLE published.awkward IS 'What readers stumble over';
COMMENT ON COLUMN published.awkward.number IS 'A number, 亿元';
"""
OBSERVED = """
INSERT INTO published.metric_observation VALUES
    ('financial_tax_revenue', 'A', '2024', '2024-12-31', 'total', 'total', 999999999999999999.9999999999, 'cny_100m', 'A', 'F', '2025-01-20'),
    ('financial_tax_revenue', 'A', '2024', '2024-12-31', 'category', 'fund', NULL, 'cny_100m', 'A', 'C', '2025-01-20'),
    ('financial_tax_revenue', 'A', '2024', '2024-12-31', 'tax_type', 'vat', NULL, 'cny_100m', 'P', 'D', '2025-01-20'),
    ('financial_tax_revenue', 'A', '2024', '2024-12-31', 'fiscal_level', 'central', -0.0000000001, 'cny_100m', 'E', 'F', '2025-01-20'),
    ('financial_value_added', 'Q', '2024-Q1', '2024-03-31', 'division', '66', 1234567890.1234567891, 'cny_100m', 'E', 'F', '2025-01-20'),
    ('tax_revenue_out_of_scope', 'M', '2024-01', '2024-01-31', 'reason', 'category', 0, 'cny_100m', 'A', 'F', '2025-01-20');
UPDATE lake.feed SET title_en = 'Fund "commitments" & more, it''s <one>';
UPDATE published.metric SET definition_en = 'Less < more & "quoted", it''s ''so''' WHERE metric_id = 'fund_subscribed';
"""
# As in a release, where no number is binary.
DECIMALS = "".join(
    f"ALTER TABLE published.{table} ALTER {column} TYPE DECIMAL(28, 10);"
    for table, columns in (
        ("metric", ("tolerance", "plausible_low", "plausible_high", "revision_relative", "revision_absolute")),
        ("plan_target", ("low", "high")),
        ("plan_attainment", ("low", "high")),
    )
    for column in columns
)
REAL = "UPDATE published.release SET synthetic = false; UPDATE published.delivery_outcome SET synthetic = false;"


def publish(root: Path, extra: str = "", release_id: str = "r1") -> Path:
    """A small release with these statements done to it before."""
    home = Home(root)
    make_candidate(home, release_id, extra=DECIMALS + extra)
    pass_gate(home)
    return releases.publish(home).path


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish(tmp_path_factory.mktemp("home"), AWKWARD + OBSERVED)


@pytest.fixture(scope="module")
def folder(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The release in every format."""
    target = tmp_path_factory.mktemp("exports")
    made = downloads(release, target)
    assert [done.format for done in made] == list(FORMATS) == [done.path.name for done in made]
    for done in made:
        assert done.files == {path.name: path.stat().st_size for path in done.path.iterdir()}
    return target


def rows_of(release: Path, table: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(release / releases.DATABASE), read_only=True) as connection:
        return connection.execute(f"FROM published.{table} ORDER BY ALL").fetchall()


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("form", FORMATS)
def test_the_same_release_gives_the_same_bytes(release: Path, folder: Path, tmp_path: Path, form: str) -> None:
    home = Home(release.parents[2])
    done = hfc(home, "export", "--format", form, "--out", str(tmp_path / "x"), "--json", TZ="America/New_York")
    assert done.returncode == 0, done.stderr
    assert bytes_of(tmp_path / "x") == bytes_of(folder / form)
    told = json.loads(done.stdout)
    assert told["path"] == str(tmp_path / "x") and set(told["files"]) == set(bytes_of(folder / form))


@pytest.mark.parametrize("form", FORMATS)
def test_frictionless_accepts_the_package(folder: Path, form: str) -> None:
    assert package_errors(folder / form) == []


def damage_data(folder: Path) -> None:
    path = data_file(folder, "metric_observation.csv")
    path.write_bytes(path.read_bytes().replace(b"12.5", b"12.6"))


def damage_row(folder: Path) -> None:
    path = data_file(folder, "metric_observation.csv")
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def damage_key(folder: Path) -> None:
    path = data_file(folder, "metric_observation.csv")
    path.write_bytes(path.read_bytes().replace(b"2024-02,2024-02-29", b"2024-01,2024-01-31"))


def damage_type(folder: Path) -> None:
    path = data_file(folder, "metric_observation.csv")
    path.write_bytes(path.read_bytes().replace(b"12.5", b"n.a."))


def damage_header(folder: Path) -> None:
    path = data_file(folder, "metric_observation.csv")
    path.write_bytes(path.read_bytes().replace(b"obs_status", b"status"))


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (damage_data, "hash-count"),
        (damage_row, "row-count"),
        (damage_key, "primary-key"),
        (damage_type, "type-error"),
        (damage_header, "incorrect-label"),
    ],
)
def test_frictionless_refuses_a_damaged_package(folder: Path, tmp_path: Path, damage: Any, fault: str) -> None:
    copy = shutil.copytree(folder / "csv", tmp_path / "copy")
    damage(copy)
    assert fault in package_errors(copy)


@pytest.mark.parametrize("form", ("parquet", "xlsx"))
def test_frictionless_refuses_another_file(folder: Path, tmp_path: Path, form: str) -> None:
    copy = shutil.copytree(folder / form, tmp_path / "copy")
    path = next(path for path in copy.iterdir() if path.suffix == f".{form}")
    path.write_bytes(path.read_bytes() + b"\0")
    assert "hash-count" in package_errors(copy)


def test_the_package_says_what_it_is(release: Path, folder: Path) -> None:
    described = json.loads((folder / "csv/datapackage.json").read_text(encoding="utf-8"))
    assert (described["release_id"], described["as_of"], described["synthetic"]) == ("r1", "2025-01-20", True)
    (source,) = described["sources"]
    assert source["title"] == '基金认缴变动 · Fund "commitments" & more, it\'s <one>'
    assert (source["licences"], source["deliveries"], source["synthetic"]) == (["CC0-1.0"], 7, True)
    assert described["licenses"] == [{"name": "CC0-1.0", "title": "CC0-1.0"}]
    tables = {resource["name"]: resource for resource in described["resources"]}
    assert set(tables) == set(releases.manifest_of(release)["tables"])
    awkward = tables["awkward"]
    assert awkward["description"] == "What readers stumble over" and awkward["rows"] == len(rows_of(release, "awkward"))
    fields = {field["name"]: field for field in awkward["schema"]["fields"]}
    assert [field["type"] for field in fields.values()] == ["integer", "string", "number", "integer", "date", "boolean"]
    assert fields["number"]["description"] == "A number, 亿元"
    about = (folder / "csv/README.txt").read_text(encoding="utf-8")
    assert all(text in about for text in ("r1", "2025-01-20", "CC0-1.0", releases.BANNER))


def test_a_table_names_the_feeds_it_was_computed_from(tmp_path: Path) -> None:
    """By the lineage of the release: public figures do not carry the licence of the funds."""
    other = """
    INSERT INTO lake.feed VALUES ('public_series', '公开统计序列', 'Public statistics', 'record', 400);
    INSERT INTO published.delivery_outcome
    SELECT * REPLACE ('public_series' AS feed, 'https://data.example/x' AS source_url, '公开 (facts)' AS licence)
    FROM published.delivery_outcome LIMIT 1;
    INSERT INTO lake.feed VALUES ('tax_collections', '税收入库明细', 'Tax collections', 'record', 93);
    INSERT INTO published.delivery_outcome
    SELECT * REPLACE ('tax_collections' AS feed) FROM published.delivery_outcome LIMIT 1;
    INSERT INTO lake.feed VALUES ('price_indices', '价格指数', 'Price indices', 'record', 200);
    INSERT INTO published.delivery_outcome
    SELECT * REPLACE ('price_indices' AS feed, NULL AS licence) FROM published.delivery_outcome LIMIT 1;
    """
    home = Home(tmp_path)
    make_candidate(home, extra=DECIMALS + other)
    build = json.loads((home.warehouse / "build.json").read_text(encoding="utf-8"))
    build["lineage"] = {
        "published.public_series": ["staging.stg_public_series"],
        "staging.stg_public_series": ["lake.public_series"],
        "published.metric_observation": ["lake.fund_commitments", "lake.delivery"],
        "published.plan_attainment": ["carried.tax_counted"],
        "published.official_reconciliation": ["lake.fund_commitments", "lake.price_indices"],
        "published.metric": ["seeds.metric"],
        "published.release": ["lake.delivery"],
    }
    (home.warehouse / "build.json").write_text(json.dumps(build), encoding="utf-8")
    pass_gate(home)
    done = export(releases.publish(home).path, "csv", tmp_path / "csv")
    described = json.loads((done.path / "datapackage.json").read_text(encoding="utf-8"))
    tables = {resource["name"]: resource for resource in described["resources"]}
    every = ["fund_commitments", "price_indices", "public_series", "tax_collections"]
    assert tables["public_series"]["feeds"] == ["public_series"]
    assert tables["public_series"]["licenses"] == [{"name": "facts", "title": "公开 (facts)"}]
    assert tables["metric_observation"]["feeds"] == ["fund_commitments"]
    assert tables["plan_attainment"]["feeds"] == ["tax_collections"]
    assert tables["metric"]["feeds"] == [] and "licenses" not in tables["metric"]
    assert tables["release"]["feeds"] == tables["data_quality"]["feeds"] == every
    # One delivery that states no licence, and nothing is claimed of what comes from it.
    assert "licenses" not in described and "licenses" not in tables["official_reconciliation"]
    assert "Price indices (price_indices). SYNTHETIC. Licence: not stated." in (done.path / "README.txt").read_text(
        "utf-8"
    )
    assert {source.get("path") for source in described["sources"]} == {None, "https://data.example/x"}
    assert package_errors(done.path) == []


def test_parquet_is_the_release_byte_for_byte(release: Path, folder: Path) -> None:
    for table in releases.manifest_of(release)["tables"]:
        copy = data_file(folder / "parquet", f"{table}.parquet")
        assert copy.read_bytes() == releases.table_file(release, table).read_bytes()


def test_a_damaged_release_is_not_exported(release: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(release, tmp_path / "r1")
    file = releases.table_file(copy, "awkward")
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(HfcError, match="awkward.parquet is not what the manifest of the release says"):
        export(copy, "parquet", tmp_path / "out")
    assert not (tmp_path / "out").exists() and hidden(tmp_path) == []


def test_a_csv_file_holds_every_value_and_no_formula(release: Path, folder: Path) -> None:
    for table in releases.manifest_of(release)["tables"]:
        path = data_file(folder / "csv", f"{table}.csv")
        assert path.read_bytes().startswith(b"\xef\xbb\xbf")
        _, *found = cells(path)
        expected = rows_of(release, table)
        assert len(found) == len(expected)
        for printed, row in zip(found, expected, strict=True):
            assert [read(text, value) for text, value in zip(printed, row, strict=True)] == list(row)
            for text, value in zip(printed, row, strict=True):
                assert not (isinstance(value, str) and text.startswith(("=", "+", "-", "@", "\t", "\r", "＝")))


def read(text: str, value: Any) -> Any:
    """A cell as a value of the type of `value`, by what docs/open-data.md says of it."""
    if value is None or text == "":
        return None if text == "" else text
    if isinstance(value, bool):
        return {"true": True, "false": False}[text]
    if isinstance(value, str):
        return text.removeprefix("'")
    if isinstance(value, Decimal):
        assert "E" not in text and not (text.endswith("0") and "." in text)
    return type(value).fromisoformat(text) if isinstance(value, date) else type(value)(text)


def test_a_workbook_holds_every_value(release: Path, folder: Path) -> None:
    path = data_file(folder / "xlsx", "hfc-metrics.xlsx")
    book = openpyxl.load_workbook(path)
    second = CalamineWorkbook.from_path(str(path))
    for table in releases.manifest_of(release)["tables"]:
        sheet = book[table]
        assert sheet.freeze_panes == "A2"
        rows = rows_of(release, table)
        found = [[cell for cell in row] for row in sheet.iter_rows(min_row=2, max_row=len(rows) + 1)] if rows else []
        for row, values in zip(found, rows, strict=True):
            assert [value_of(cell.value, value) for cell, value in zip(row, values, strict=True)] == list(values)
            assert "f" not in {cell.data_type for cell in row}
        assert second.get_sheet_by_name(table).height == len(rows) + 1


def value_of(found: Any, value: Any) -> Any:
    """A cell of a workbook as a value of the type of `value`; a number has to be what Excel keeps of it."""
    if isinstance(value, (Decimal, int)) and not isinstance(value, bool):
        assert isinstance(found, str) != is_exact(value)
        return type(value)(found if isinstance(found, str) else repr(found))
    if isinstance(value, date) and not isinstance(value, datetime):
        return date.fromisoformat(found) if isinstance(found, str) else found.date()
    return unescape(found) if isinstance(found, str) else found


@pytest.mark.parametrize(
    ("number", "exact"),
    [
        ("123456789012345", True),
        ("1234567890123456", False),
        ("-0.000123456789012345", True),
        ("12345678.12345678", False),
        ("100000000000000000000", True),
    ],
)
def test_excel_keeps_fifteen_digits(number: str, exact: bool) -> None:
    assert is_exact(Decimal(number)) == exact


def test_a_workbook_opens_with_what_it_is_and_the_dictionary(release: Path, folder: Path) -> None:
    path = data_file(folder / "xlsx", "hfc-metrics.xlsx")
    book = openpyxl.load_workbook(path)
    assert book.sheetnames[:4] == ["readme", "dictionary", "members", "columns"]
    assert book.properties.created == datetime(2025, 1, 20) and releases.BANNER in book.properties.description
    lines = [cell.value for cell in book["readme"]["A"] if cell.value]
    assert lines[1:] == [line for line in (folder / "xlsx/README.txt").read_text(encoding="utf-8").splitlines() if line]
    for name, sheet in (("openpyxl", [[cell.value for cell in row] for row in book["dictionary"]]),
                        ("calamine", CalamineWorkbook.from_path(str(path)).get_sheet_by_name("dictionary").to_python())):  # fmt: skip
        head, *rows = sheet
        metrics = {row[0]: dict(zip(head, row, strict=True)) for row in rows}
        expected = dict(zip(metrics, rows_of(release, "metric"), strict=True))
        assert set(metrics) == {row[0] for row in rows_of(release, "metric")}, name
        for metric, row in expected.items():
            assert tuple(metrics[metric][column] for column in list(head)[1:5]) == row[1:5]
        assert (
            metrics["fund_subscribed"]["unit_zh"] == "亿元"
            and metrics["fund_subscribed"]["unit_en"] == "CNY 100 million"
        )
    described = {(row[0].value, row[1].value): row[3].value for row in book["columns"]}
    assert described["awkward", "number"] == "A number, 亿元"


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("CREATE TABLE published.long AS SELECT n::INTEGER AS n FROM range(1048576) AS r(n);", "long has 1048576 rows"),
        ("UPDATE published.metric SET warnings_en = repeat('x', 32768) WHERE metric_id = 'fund_subscribed';", "text of 32768"),
    ],
)  # fmt: skip
def test_what_excel_cannot_hold_is_refused(tmp_path: Path, extra: str, message: str) -> None:
    release = publish(tmp_path / "home", extra)
    with pytest.raises(HfcError, match=message):
        export(release, "xlsx", tmp_path / "xlsx")
    assert not (tmp_path / "xlsx").exists() and hidden(tmp_path) == []
    assert export(release, "parquet", tmp_path / "parquet").files


def test_sdmx_reads_back_without_loss(release: Path, folder: Path) -> None:
    found = sdmx_observations(folder / "sdmx-csv")
    assert found == released_observations(release) and len(found) == 18
    assert {row[8] for row in found} == {"F", "C", "D"} and {row[7] for row in found} == {"A", "P", "E", "M"}
    assert all((row[5] is None) == (row[7] == "M" or row[8] != "F") for row in found)


@pytest.mark.parametrize(
    ("old", "new"),
    [(",12.5,", ",12.50001,"), (",_T,2024,,", ",_T,2024,0,"), (",A,C,", ",A,F,"), (",fund,", ",fintech,"), ("2024-Q1", "2024-Q2")],
)  # fmt: skip
def test_a_loss_would_be_seen(release: Path, folder: Path, tmp_path: Path, old: str, new: str) -> None:
    copy = shutil.copytree(folder / "sdmx-csv", tmp_path / "copy")
    path = data_file(copy, "metric_observation.csv")
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    assert sdmx_observations(copy) != released_observations(release)


def test_sdmx_says_what_applies_to_a_metric(folder: Path) -> None:
    head, *rows = cells(data_file(folder / "sdmx-csv", "metric_observation.csv"))
    assert head[:3] == ["STRUCTURE", "STRUCTURE_ID", "ACTION"]
    found = {(row["INDICATOR"], row["TAX_TYPE"], row["CATEGORY"], row["DIVISION"]) for row in (dict(zip(head, r, strict=True)) for r in rows)}  # fmt: skip
    assert ("fund_subscribed", "_Z", "_Z", "_Z") in found and ("financial_tax_revenue", "_T", "fund", "_Z") in found
    assert ("financial_tax_revenue", "vat", "_T", "_Z") in found and (
        "financial_value_added",
        "_Z",
        "_Z",
        "66",
    ) in found


def test_the_structure_is_valid_and_holds_the_dictionary(release: Path, folder: Path) -> None:
    validate_doc((folder / "sdmx-csv/structure.xml").read_text(encoding="utf-8"))
    message = structures(folder / "sdmx-csv")
    for row in rows_of(release, "metric"):
        code = message.codelist["CL_INDICATOR"][row[0]]
        assert (code.name["zh"], code.name["en"], code.description["zh"], code.description["en"]) == row[1:5]
    with duckdb.connect(str(release / releases.DATABASE), read_only=True) as connection:
        members = connection.execute("FROM dictionary.dimension_member").fetchall()
        units = connection.execute("SELECT unit, label_zh, label_en FROM dictionary.unit").fetchall()
    for dimension, member, zh, en, _ in members:
        if dimension != "total":
            name = message.codelist[f"CL_{dimension.upper()}"][member].name
            assert (name["zh"], name["en"]) == (zh, en)
    assert {(code.id, code.name["zh"], code.name["en"]) for code in message.codelist["CL_UNIT_MEASURE"]} == set(units)
    assert message.codelist["CL_TAX_TYPE"]["_T"].name["zh"] == "合计"
    assert message.codelist["CL_CONF_STATUS"]["C"].name["en"] == "Confidential"
    (structure,) = message.structure.values()
    head, *rows = cells(data_file(folder / "sdmx-csv", "metric_observation.csv"))
    for component in [*structure.dimensions.components, *structure.attributes.components]:
        representation = component.local_representation
        if representation.enumerated is not None:
            assert {row[head.index(component.id)] for row in rows} <= set(representation.enumerated.items)


def test_a_structure_that_is_not_valid_is_seen(folder: Path) -> None:
    text = (folder / "sdmx-csv/structure.xml").read_text(encoding="utf-8")
    with pytest.raises(Invalid):
        validate_doc(text.replace("<str:Code id=", "<str:Code name=", 1))


def test_what_is_made_up_says_so_and_what_is_not_does_not(folder: Path, tmp_path: Path) -> None:
    made_up = {path.name for path in folder.rglob("*") if path.suffix in (".csv", ".parquet", ".xlsx")}
    assert all(name.startswith("SYNTHETIC-") for name in made_up)
    assert structures(folder / "sdmx-csv").header.test is True
    downloads(publish(tmp_path / "home", REAL), tmp_path / "real")
    names = {path.name for path in (tmp_path / "real").rglob("*") if path.is_file()}
    assert names & {"metric.csv", "metric.parquet", "hfc-metrics.xlsx"} and not any(
        "SYNTHETIC" in name for name in names
    )
    assert structures(tmp_path / "real/sdmx-csv").header.test is False
    for name, content in bytes_of(tmp_path / "real").items():
        if name.endswith(".xlsx"):
            with zipfile.ZipFile(tmp_path / "real" / name) as archive:
                content = b"".join(map(archive.read, archive.namelist()))
        assert releases.BANNER.encode() not in content, name


@pytest.mark.parametrize("form", FORMATS)
def test_an_intact_export_is_replaced(release: Path, folder: Path, tmp_path: Path, form: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    export(release, "csv", out)
    export(release, form, out)
    assert bytes_of(out) == bytes_of(folder / form) and hidden(tmp_path) == []


def other_file(out: Path) -> None:
    (out / "notes.txt").write_text("mine", encoding="utf-8")


def other_content(out: Path) -> None:
    path = next(out.glob("*metric.csv"))
    path.write_text("mine", encoding="utf-8")


def no_description(out: Path) -> None:
    (out / "datapackage.json").unlink()


def another_package(out: Path) -> None:
    for path in out.iterdir():
        path.unlink()
    (out / "datapackage.json").write_text('{"resources": []}', encoding="utf-8")


@pytest.mark.parametrize("change", [other_file, other_content, no_description, another_package])
def test_what_is_no_intact_export_is_left_alone(release: Path, tmp_path: Path, change: Any) -> None:
    out = tmp_path / "out"
    export(release, "csv", out)
    change(out)
    before = bytes_of(out)
    with pytest.raises(UsageError, match="name an empty or a new folder"):
        export(release, "csv", out)
    assert bytes_of(out) == before and hidden(tmp_path) == []


def test_a_failed_export_leaves_the_one_before(release: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(release, "xlsx", out)
    before = bytes_of(out)
    long = publish(tmp_path / "home", "UPDATE published.metric SET warnings_en = repeat('x', 32768);")
    with pytest.raises(HfcError):
        export(long, "xlsx", out)
    assert bytes_of(out) == before and hidden(tmp_path) == []


@pytest.mark.parametrize("form", ("csv", "xlsx"))
def test_a_full_disk_or_a_kill_leaves_a_whole_export(release: Path, folder: Path, tmp_path: Path, form: str) -> None:
    """At some of its writes, the last of which is after the new one took its place; a later export clears up."""
    out = tmp_path / "place/out"
    export(release, "sdmx-csv", out)
    whole = (bytes_of(out), bytes_of(folder / form))
    command = [sys.executable, "-m", "hfc.cli", "export", "--format", form, "--home", release.parents[2], "--out"]
    writes = faults.run([*command, tmp_path / "other/out"], tmp_path).writes
    chosen = random.Random(form).sample(range(1, writes + 1), int(os.environ.get("HFC_FAULTS", "2")))
    for number, write in enumerate(chosen):
        full = number % 2 == 0
        done = faults.run([*command, out], tmp_path, write, error=errno.ENOSPC if full else None)
        assert done.failed
        assert not full or (done.returncode == 1 and "No space left on device" in done.stderr), done.stderr
        assert bytes_of(out) in whole
    assert hidden(out.parent)
    for name in hidden(out.parent):
        os.utime(out.parent / name, (time.time() - 2 * 86_400,) * 2)
    export(release, form, out)
    assert bytes_of(out) == bytes_of(folder / form) and hidden(out.parent) == []


def test_a_release_without_the_names_is_refused(release: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(release, tmp_path / "r1")
    (copy / releases.DATABASE).chmod(0o644)
    with duckdb.connect(str(copy / releases.DATABASE)) as connection:
        connection.execute("DROP TABLE dictionary.sdmx_name")
    with pytest.raises(HfcError, match="no dictionary of sdmx_name.*hfc backfill --from 2025-01-20 --to 2025-01-20"):
        export(copy, "csv", tmp_path / "out")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--format", "pdf"), "There is no format pdf; formats: parquet, csv, xlsx, sdmx-csv"),
        (("--format", "csv", "--release", "r9"), "There is no release r9"),
    ],
)
def test_wrong_use_is_told(release: Path, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    done = hfc(Home(release.parents[2]), "export", *arguments, "--out", str(tmp_path / "out"))
    assert done.returncode == 2 and message in done.stderr and not (tmp_path / "out").exists()


def test_a_file_is_no_folder(release: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="is a file"):
        export(release, "csv", tmp_path / "out")
