"""Public statistics in every form they are published in: from real files, re-keyed excerpts and broken ones."""

from __future__ import annotations

import http.server
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import httpx
import openpyxl
import pytest
import xlwt
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hfc import warehouse
from hfc.home import Home
from ingest import lake
from ingest.contract import load_contracts
from ingest.readers.records import Reading, Record, Unreadable
from ingest.readers.series.yearbook import Heading, sheet_observations

ROOT = Path(__file__).parent.parent
REAL = ROOT.parent / "shared" / "realdata"
FIXTURES = Path(__file__).parent / "fixtures" / "series"
EDITIONS = load_contracts()["public_series"].editions

needs_real_files = pytest.mark.skipif(not REAL.is_dir(), reason=f"no real published files at {REAL}")


def ingest(folder: Path, data: bytes | str, name: str = "delivery__20260312.csv") -> lake.Outcome:
    """Land `data` as one delivery below `folder` and load it."""
    path = folder / "landing" / "public_series" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    home = Home(folder / "home")
    (delivery_id,) = lake.receive(home, folder / "landing")
    outcome = lake.load(home, delivery_id)
    assert outcome.rows_in == outcome.rows_accepted + outcome.rows_quarantined + outcome.rows_duplicate
    return outcome


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """The accepted rows below `folder`, in the order they arrived, with their dimensions and attributes read."""
    table = duckdb.sql(f"FROM read_parquet('{folder}/home/lake/public_series/*.parquet')").to_arrow_table()
    return [
        {
            **row,
            "dimensions": json.loads(row["series_key"]),
            "attributes": json.loads(row["attributes"] or "{}"),
        }
        for row in table.to_pylist()
    ]


def load(folder: Path, data: bytes | str, name: str = "delivery__20260312.csv") -> list[dict[str, Any]]:
    """The rows of a delivery that must load whole."""
    outcome = ingest(folder, data, name)
    assert (outcome.outcome, outcome.rows_quarantined) == ("loaded", 0), outcome.reason
    rows = rows_of(folder)
    assert len(rows) == outcome.rows_in
    return rows


def select(rows: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in rows]


# ---------------------------------------------------------------------------------------------------------------------
# Exports of the national data portal


@needs_real_files
@pytest.mark.parametrize(
    ("name", "indicator", "unit", "hunan"),
    [
        ("provincial_gdp__20260312.csv", "地区生产总值", "亿元", {"2019": "39930.7", "2023": "50667.5"}),
        ("urban_unit_employment__20260312.csv", "城镇单位就业人员", "万人", {"2025": None, "2007": None}),
        (
            "fixed_asset_funding_growth__20260312.csv",
            "固定资产投资(不含农户)实际到位资金_比上年增长",
            "%",
            {"2025": None, "2017": None},
        ),
    ],
)
def test_real_portal_exports(
    tmp_path: Path, name: str, indicator: str, unit: str, hunan: dict[str, str | None]
) -> None:
    data = (REAL / "nbs_csv" / name).read_bytes()
    rows = load(tmp_path, data, name)
    printed = [line for line in data.decode("gb18030").splitlines()[4:] if line.count(",") > 5]
    assert len(rows) == sum(line.count(",") for line in printed) and len(printed) == 31
    assert {row["indicator"] for row in rows} == {indicator} and {row["unit"] for row in rows} == {unit}
    values = {row["period"]: row["value"] for row in rows if row["area"] == "湖南省"}
    assert {period: values[period] for period in hunan} == {p: v and Decimal(v) for p, v in hunan.items()}


NEW_QUARTERLY = (
    "\ufeff数据库：季度数据\t,\n时间：最近3季度\t,\n"
    "指标\t,2024年第二季度\t,2024年一季度\t,2023D\t,\n"
    "国内生产总值_当季值 亿元\t,320537.0\t,296299.5\t,347890.2\t,\n"
    "国内生产总值_累计值 亿元\t,616836.0\t,296299.5\t,1260582.1\t,\n"
    "国内生产总值指数(上年同期=100)_累计值\t,105.0\t,105.3\t,\t,\n"
    "居民人均 可支配收入_累计值 元/人\t,20733\t,11539\t,39218\t,\n"
    "数据来源：国家统计局\t,\n"
)


def test_new_portal_export_keeps_the_quarter_and_the_year_to_date_apart(tmp_path: Path) -> None:
    rows = load(tmp_path, NEW_QUARTERLY)
    assert [row["period"] for row in rows[:3]] == ["2024-Q2", "2024-Q1", "2023-Q4"]
    assert select(rows[::3], "indicator", "unit") == [
        ("国内生产总值_当季值", "亿元"),
        ("国内生产总值_累计值", "亿元"),
        ("国内生产总值指数(上年同期=100)_累计值", None),
        ("居民人均 可支配收入_累计值", "元/人"),
    ]
    assert [row["dimensions"] for row in rows[::3][:2]] == [
        {"area": "全国", "basis": "当季值", "indicator": "国内生产总值"},
        {"area": "全国", "basis": "累计值", "indicator": "国内生产总值"},
    ]
    assert rows[0]["dataset"] == "季度数据" and rows[8]["value"] is None


def test_series_key_is_canonical(tmp_path: Path) -> None:
    row = load(tmp_path, '数据库：年度数据\n指标,2024年\n"甲""乙＂丙",1\n')[0]
    assert row["series_key"] == json.dumps(row["dimensions"], ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert row["dimensions"]["indicator"] == '甲"乙"丙'


def test_database_is_named_by_its_periods_where_the_export_does_not(tmp_path: Path) -> None:
    rows = load(tmp_path, "指标：人口(万人)\n地区,2024年,\n湖南省,6539\n")
    assert select(rows, "dataset", "area", "unit") == [("分省年度数据", "湖南省", "万人")]


def test_portal_values_without_label_or_period_are_refused_not_lost(tmp_path: Path) -> None:
    rows = "".join(f"指标{n},{n},{n}\n" for n in range(8))
    outcome = ingest(tmp_path, f"数据库：年度数据\n指标,2024年,2023年\n{rows},5,6\n指标9,7,8,9\n")
    assert (outcome.outcome, outcome.rows_in, outcome.rows_quarantined) == ("loaded", 21, 3)
    refused = lake.quarantined_rows(Home(tmp_path / "home"))
    assert [(row["line"], row["rule"], row["column"]) for row in refused] == [
        (11, "required", "series_key"),
        (11, "required", "series_key"),
        (12, "required", "period"),
    ]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("数据库：年度数据\n指标,2024年\n数据来源：国家统计局\n", "empty: a header without a row"),
        ("数据库：年度数据\n名称,2024年\n甲,1\n", "no header line begins with 地区 or 指标"),
        ("　\n　", "no header line begins with 地区 or 指标"),
        ("数据库：年度数据\n指标,,\n甲,1\n", "no period in the header on line 2"),
        ("数据库：分省年度数据\n地区,2024年\n湖南省,1\n", "missing required preamble line 指标"),
        ("指标,最近一期\n甲,1\n", "missing required preamble line 数据库"),
        ("数据库：年度数据\n指标,2024年上半年\n甲,1\n", "period in period (1)"),
        ("数据库：年度数据\n指标,2024年\n甲,约一百\n", "number in value (1)"),
        ("数据库：年度数据\n指标,2024年,2024年\n甲,1,2\n", "conflicting_key"),
    ],
)
def test_bad_portal_exports_are_rejected(tmp_path: Path, data: str, reason: str) -> None:
    outcome = ingest(tmp_path, data)
    assert outcome.outcome == "rejected" and reason in (outcome.reason or ""), outcome.reason


@pytest.mark.parametrize("make", ["tabs", "workbook", "old workbook", "HTML"])
def test_an_export_of_the_portal_reads_the_same_in_every_format(tmp_path: Path, make: str) -> None:
    lines = [["数据库：分省年度数据"], ["指标：地区生产总值(亿元)"], ["时间：最近2年"], ["地区", "2024年", "2023年"]]
    lines += [["湖南省", "53084.7", "50667.5"], ["广东省", "141488.9", ""], ["数据来源：国家统计局"]]
    data = {
        "tabs": lambda: "\n".join("\t".join(line) for line in lines).encode("gb18030"),
        "workbook": lambda: workbook(*lines),
        "old workbook": lambda: old_workbook(*lines),
        "HTML": lambda: (
            "<table>" + "".join("<tr>" + "".join(f"<td>{c}</td>" for c in r) + "</tr>" for r in lines) + "</table>"
        ).encode(),
    }[make]()
    rows = load(tmp_path, data, "gdp.xls")
    assert select(rows, "dataset", "indicator", "unit", "area", "period", "value") == [
        ("分省年度数据", "地区生产总值", "亿元", "湖南省", "2024", Decimal("53084.7")),
        ("分省年度数据", "地区生产总值", "亿元", "湖南省", "2023", Decimal("50667.5")),
        ("分省年度数据", "地区生产总值", "亿元", "广东省", "2024", Decimal("141488.9")),
        ("分省年度数据", "地区生产总值", "亿元", "广东省", "2023", None),
    ]


@pytest.mark.parametrize(
    ("label", "name", "unit"),
    [
        ("地区生产总值(亿元)", "地区生产总值", "亿元"),
        ("国内生产总值 亿元", "国内生产总值", "亿元"),
        ("客运周转量 (亿人公里)", "客运周转量", "亿人公里"),
        ("固定资产投资(不含农户)", "固定资产投资(不含农户)", ""),
        ("居民消费价格指数(上年=100)", "居民消费价格指数(上年=100)", ""),
        ("货币 供应量", "货币 供应量", ""),
        ("亿元", "亿元", ""),
    ],
)
def test_a_unit_is_split_off_only_where_it_is_one(label: str, name: str, unit: str) -> None:
    assert EDITIONS and EDITIONS.split_unit(label) == (name, unit)


LABELS = st.text(st.characters(blacklist_characters='",\t\r\n\0', codec="utf-8"), min_size=1, max_size=6)
CELLS = st.one_of(st.just(""), st.just("—"), st.decimals(-(10**6), 10**6, places=2).map(str), LABELS)


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(LABELS, st.lists(CELLS, min_size=2, max_size=2)), min_size=1, max_size=8))
def test_every_cell_of_an_export_is_a_row(tmp_path_factory: pytest.TempPathFactory, table: Any) -> None:
    folder = tmp_path_factory.mktemp("export")
    lines = [",".join([f"指标{number}{label}", *cells]) for number, (label, cells) in enumerate(table)]
    outcome = ingest(folder, "数据库：年度数据\n指标,2024年,2023年\n" + "\n".join(lines) + "\n")
    assert outcome.rows_in == 2 * len(lines)


# ---------------------------------------------------------------------------------------------------------------------
# Answers of the portal's query service


def recorded_answers() -> dict[str, bytes]:
    """The bodies of the recorded answers, by the name of their record."""
    return {
        path.stem: interaction["response"]["body"]["string"].encode()
        for path in sorted((REAL / "nbs_json").glob("*.yaml"))
        for interaction in yaml.safe_load(path.read_text(encoding="utf-8"))["interactions"]
    }


@contextmanager
def serving(answers: dict[str, bytes]) -> Iterator[str]:
    """A server on the loopback interface that answers each path with its recorded body."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = answers[self.path.strip("/")]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@needs_real_files
def test_recorded_answers_replayed_over_http(tmp_path: Path) -> None:
    answers = recorded_answers()
    with serving(answers) as address:
        for name in answers:
            body = httpx.post(f"{address}/{name}", data={"m": "QueryData"}).raise_for_status().content
            outcome = ingest(tmp_path, body, f"{name}__20260303.json")
            if name == "test_invalid_query":
                assert outcome.outcome == "rejected" and outcome.rows_in == 0
                assert outcome.reason == "the query service answered 501: 对不起，未能找到符合查询条件的信息。"
            else:
                assert outcome.outcome == "loaded", outcome.reason
                assert outcome.rows_in == outcome.rows_accepted == body.count(b'"datanodes"') * body.count(b'"hasdata"')
    rows = rows_of(tmp_path)
    growth = {row["period"]: row for row in rows if row["dimensions"]["zb"] == "A020101"}
    assert sorted(growth) == ["2023-12", *(f"2024-{month:02}" for month in range(1, 13))]
    assert {(row["unit"], row["area"]) for row in growth.values()} == {("%", "全国")}
    assert growth["2024-12"]["value"] == Decimal("6.2")
    (money,) = [row for row in rows if row["indicator"] == "货币和准货币(M2)供应量_期末值"]
    assert (money["period"], money["value"], money["unit"]) == ("2022-01", Decimal("2431022.72"), "亿元")
    beijing = [row for row in rows if row["area"] == "110000"]
    assert len(beijing) == 10 and {row["value"] for row in beijing} == {None}
    assert {(row["period"], row["unit"]) for row in beijing} == {("2023-12", None), ("2023", "个")}


def answer(data: str = '{"data":0.0,"hasdata":true,"strdata":"1.10"}', period: str = "2018A", **other: Any) -> str:
    """A small answer of the query service with one data node."""
    document = {
        "returncode": 200,
        "returndata": {
            "datanodes": [
                {
                    "data": "DATA",
                    "wds": [
                        {"wdcode": "zb", "valuecode": "A01"},
                        {"wdcode": "reg", "valuecode": "430000"},
                        {"wdcode": "sj", "valuecode": period},
                    ],
                }
            ],
            "wdnodes": [
                {"wdcode": "zb", "nodes": [{"code": "A01", "cname": "地区生产总值_累计值", "unit": "亿元"}]},
                {"wdcode": "reg", "nodes": [{"code": "430000", "cname": "湖南省", "unit": ""}]},
            ],
        },
        **other,
    }
    return json.dumps(document, ensure_ascii=False).replace('"DATA"', data)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ('{"data":1.1,"hasdata":true,"strdata":"1.10"}', "1.1"),
        ('{"data":0.1234567890123456,"hasdata":true,"strdata":""}', "0.1234567890123456"),
        ('{"data":123456789012345678.01,"hasdata":true,"strdata":"见注"}', "123456789012345678.01"),
        ('{"data":0.0,"hasdata":true,"strdata":"0"}', "0"),
        ('{"data":0,"hasdata":false,"strdata":"0"}', None),
    ],
)
def test_query_service_keeps_exact_digits_and_tells_missing_from_zero(
    tmp_path: Path, data: str, value: str | None
) -> None:
    (row,) = load(tmp_path, answer(data))
    assert row["value"] == (Decimal(value) if value else None)
    assert (row["period"], row["area"], row["unit"]) == ("2018-Q1", "430000", "亿元")
    assert row["dimensions"] == {"indicator": "地区生产总值_累计值", "reg": "430000", "zb": "A01"}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (answer(returncode=501, returndata="没有权限"), "the query service answered 501: 没有权限"),
        (answer(returndata={"wdnodes": []}), "unreadable: no answer of the query service: KeyError('datanodes')"),
        (answer(returndata=[]), "unreadable: no answer of the query service"),
        (answer(period="2018上半年"), "period in period (1)"),
        (answer().replace("A01", "A02", 1), "required in indicator (1)"),
        (answer()[:-3], "unreadable: line 1: no JSON"),
        ("[" * 100_000, "unreadable: the JSON is nested too deep"),
        (
            answer().replace("湖南省", "\\ud800").replace("430000", "x"),
            "unreadable: value 1 holds neither text nor a number",
        ),
        (answer().replace("湖南省", "\\u0000").replace("430000", "x"), "unreadable: value 1 holds a NUL character"),
        (answer('{"data":[1],"hasdata":true}'), "number in value (1)"),
        (answer('{"data":1e18,"hasdata":true}'), "range in value (1)"),
        ('{"series": 1}', "JSON of no known form"),
    ],
)
def test_bad_answers_are_rejected_with_what_they_say(tmp_path: Path, data: str, reason: str) -> None:
    outcome = ingest(tmp_path, data, "answer__20260303.json")
    assert outcome.outcome == "rejected" and reason in (outcome.reason or ""), outcome.reason


# ---------------------------------------------------------------------------------------------------------------------
# Answers of the World Bank


def test_world_bank_values_are_exact_and_null_is_missing(tmp_path: Path) -> None:
    rows = load(tmp_path, (FIXTURES / "world_bank.json").read_bytes(), "gdp__20240601.json")
    assert select(rows, "period", "value", "unit", "obs_status") == [
        ("2023", None, None, None),
        ("2022", Decimal("17881783387000.9"), None, None),
        ("2021-Q4", Decimal("2.23863891116310"), None, "E"),
        ("2021-07", 100, "index", "F"),
    ]
    assert [row["dimensions"]["country"] for row in rows] == ["CHN", "CHN", "CHN", "V1"]
    assert {(row["provider"], row["dataset"], row["area"], row["indicator"]) for row in rows} == {
        ("WB", "WDI", None, "GDP (current US$)")
    }


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (
            '[{"message":[{"id":"120","key":"Invalid value","value":"The provided parameter value is not valid"}]}]',
            "the World Bank answered Invalid value: The provided parameter value is not valid",
        ),
        ('[{"page":0,"pages":0,"total":0},null]', "empty: a header without a row"),
        ("[]", "unreadable: no answer of the World Bank: IndexError"),
        ('[{"page":1},[{"date":"2020"}]]', "unreadable: no answer of the World Bank: KeyError('indicator')"),
        ('[{"page":1},[1]]', "unreadable: no answer of the World Bank: TypeError"),
        (
            (FIXTURES / "world_bank.json").read_text().replace('"2022"', '"YTD2022"').replace('"2023"', '"2023-W54"'),
            "period in period (2)",
        ),
        ((FIXTURES / "world_bank.json").read_text().replace('"E"', '"?"'), "enum in obs_status (1)"),
    ],
)
def test_bad_world_bank_answers_are_rejected(tmp_path: Path, data: str, reason: str) -> None:
    outcome = ingest(tmp_path, data, "answer__20240601.json")
    assert outcome.outcome == "rejected" and reason in (outcome.reason or ""), outcome.reason


# ---------------------------------------------------------------------------------------------------------------------
# SDMX

CNY = {"CURRENCY": "CNY", "CURRENCY_DENOM": "EUR", "EXR_SUFFIX": "A", "EXR_TYPE": "SP00"}
GDP = {"freq": "Q", "geo": "DE", "na_item": "B1GQ", "s_adj": "SCA", "unit": "CP_MEUR"}
PRICES = {"COUNTRY": "CHN", "FREQUENCY": "M", "INDICATOR": "CPI_ALL"}
QNA = {"FREQ": "Q", "REF_AREA": "CHN", "TRANSACTION": "B1GQ"}


@pytest.mark.parametrize(
    ("name", "identity", "dimensions", "expected"),
    [
        (
            "ecb_generic.xml",
            ("ECB", "ECB_EXR1", "Chinese yuan renminbi/Euro"),
            {**CNY, "FREQ": "M"},
            [("2024-03", "7.8297100", "CNY", "A"), ("2024-04", None, "CNY", "M")],
        ),
        (
            "ecb_1.0.json",
            ("ECB", "EXR", "Chinese yuan renminbi/Euro"),
            {**CNY, "FREQ": "M"},
            [("2024-03", "7.82971000", "CNY", "A"), ("2024-04", None, "CNY", "M")],
        ),
        (
            "ecb_keyed.csv",
            ("ECB", "EXR", "Chinese yuan renminbi/Euro"),
            {**CNY, "FREQ": "A"},
            [("2022", "7.0788", "CNY", "A"), ("2023", "7.66", "CNY", "A")],
        ),
        (
            "eurostat_structure_specific.xml",
            ("ESTAT", "NAMQ_10_GDP", "B1GQ"),
            GDP,
            [
                ("2023-Q3", "1032610.0", "CP_MEUR ×10^6", None),
                ("2023-Q4", "1036180.0", "CP_MEUR ×10^6", "B"),
                ("2024-Q1", None, "CP_MEUR ×10^6", "Q"),
            ],
        ),
        (
            "eurostat_1.0.csv",
            ("ESTAT", "NAMA_10_GDP", "B1GQ"),
            {"freq": "A", "geo": "DE", "na_item": "B1GQ", "unit": "CP_MEUR"},
            [("2022", "3876810.0", "CP_MEUR", None), ("2023", "4121160.0", "CP_MEUR", "P")],
        ),
        (
            "insee_structure_specific.xml",
            ("FR1", "SERIES_BDM", "Consumer price index"),
            {"FREQ": "M", "IDBANK": "001763852"},
            [("2024-04", "119.02", "SANS OBJET", "A"), ("2024-03", "118.4", "SANS OBJET", "P")],
        ),
        (
            "oecd_flat.xml",
            ("OECD.SDD.NAD", "DSD_NAMAIN1@DF_QNA", "B1GQ"),
            {**QNA, "UNIT_MEASURE": "XDC"},
            [("2023-Q4", "34789023.1", "XDC ×10^6", "E")],
        ),
        (
            "oecd_2.0.json",
            ("OECD.SDD.NAD", "DSD_NAMAIN1@DF_QNA", "Gross domestic product"),
            {**QNA, "REF_AREA": "IND"},
            [("2023-Q4", "100.50", "×10^6", "E"), ("2024-Q1", None, "×10^6", "O")],
        ),
        (
            "oecd_label_columns_2.0.csv",
            ("OECD.SDD.TPS", "DSD_PRICES@DF_PRICES", "Consumer price index"),
            {"FREQ": "M", "MEASURE": "CPI", "REF_AREA": "CHN"},
            [("2024-03", "120.1", None, "A"), ("2024-04", "121", "×10^3", "P")],
        ),
        (
            "imf_2.0.csv",
            ("IMF.STA", "CPI", "CPI_ALL"),
            PRICES,
            [
                ("2024-03", "120.5", "IX", "A"),
                ("2024-04", "121.50", "IX ×10^6", "E"),
                ("2024-02", None, None, None),
            ],
        ),
        (
            "generic_flat.xml",
            ("IMF", "IFS", "PCPI_IX"),
            {"FREQ": "M", "INDICATOR": "PCPI_IX", "REF_AREA": "CN"},
            [("2024-03", None, None, "A"), ("2024-04", "121.7", None, "E")],
        ),
    ],
)
def test_messages_keep_dimensions_values_units_and_statuses(
    tmp_path: Path, name: str, identity: tuple[str, ...], dimensions: dict[str, str], expected: list[tuple[Any, ...]]
) -> None:
    rows = [r for r in load(tmp_path, (FIXTURES / name).read_bytes(), name) if r["dimensions"] == dimensions]
    assert {(row["provider"], row["dataset"], row["indicator"]) for row in rows} == {identity}
    assert select(rows, "period", "value", "unit", "obs_status") == [
        (period, value and Decimal(value), unit, status) for period, value, unit, status in expected
    ]
    assert {row["area"] for row in rows} == {None}


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("ecb_generic.xml", {"DECIMALS": "4", "OBS_CONF": "F", "UNIT_MULT": "0"}),  # of group, observation and series
        ("ecb_1.0.json", {"OBS_CONF": "F", "UNIT_MULT": "0"}),
        ("eurostat_structure_specific.xml", {"UNIT_MULT": "6"}),  # of the data set
        ("insee_structure_specific.xml", {"DECIMALS": "2", "REF_AREA": "FM", "OBS_QUAL": "DEF"}),
        ("oecd_2.0.json", {"CONF_STATUS": "F", "DECIMALS": "1"}),  # of observation and group of dimensions
        ("imf_2.0.csv", {"TOPIC": "L1;L2", "SCALE": "0"}),
    ],
)
def test_attributes_of_every_level_are_kept_apart_from_dimensions(
    tmp_path: Path, name: str, attributes: dict[str, str]
) -> None:
    row = load(tmp_path, (FIXTURES / name).read_bytes(), name)[0]
    assert attributes.items() <= row["attributes"].items()
    assert not set(row["attributes"]) & {*row["dimensions"], "TIME_PERIOD", "OBS_VALUE", "LAST_UPDATE"}


def test_codes_keep_their_zeros_and_deleted_values_are_missing(tmp_path: Path) -> None:
    rows = load(tmp_path, (FIXTURES / "imf_2.0.csv").read_bytes(), "cpi.csv")
    assert rows[3]["dimensions"]["COUNTRY"] == "007" and rows[3]["value"] is None and rows[3]["obs_status"] == "O"
    assert rows[2]["attributes"] == {"ACTION": "D"}


@needs_real_files
def test_real_sdmx_csv(tmp_path: Path) -> None:
    rows = load(tmp_path, (REAL / "sdmx" / "data_v2.csv").read_bytes(), "derivatives.csv")
    lines = (REAL / "sdmx" / "data_v2.csv").read_text(encoding="utf-8").splitlines()
    printed = [dict(zip(lines[0].split(","), line.split(","), strict=True)) for line in lines[1:]]
    for row, line in zip(rows, printed, strict=True):
        period, value, status = line["TIME_PERIOD"], line["OBS_VALUE"], line["OBS_STATUS"]
        assert (row["period"], row["value"], row["obs_status"]) == (period, Decimal(value) if value else None, status)
        assert row["dimensions"] == {k: v for k, v in line.items() if k == "FREQ" or k.startswith("DER_")}
        assert row["attributes"] == {"AVAILABILITY": "K", "COLLECTION": "S", "OBS_CONF": "F"}
    assert {(row["provider"], row["dataset"]) for row in rows} == {("BIS", "BIS_DER")} and len(rows) == 20


@needs_real_files
def test_real_sdmx_csv_with_labels(tmp_path: Path) -> None:
    (row,) = load(tmp_path, (REAL / "sdmx" / "csv_labels_both.csv").read_bytes(), "labels.csv")
    assert (row["provider"], row["dataset"], row["period"], row["value"]) == ("MD", "MD_TEST", "2020", 1)
    assert row["dimensions"] == {"DIM1": "A", "DIM2": "B"} and row["attributes"] == {"ATT1": "C", "ATT2": "D"}


def message(name: str, old: str = "", new: str = "") -> str:
    """A fixture with one text replaced."""
    text = (FIXTURES / name).read_text(encoding="utf-8")
    assert old in text
    return text.replace(old, new)


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
ERROR = (
    '<m:Error xmlns:m="http://www.sdmx.org/resources/sdmxml/schemas/v2_1/message" '
    'xmlns:c="http://www.sdmx.org/resources/sdmxml/schemas/v2_1/common">'
    '<m:ErrorMessage code="100"><c:Text>No results for query</c:Text></m:ErrorMessage></m:Error>'
)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (message("ecb_generic.xml", "<message:GenericData", BOMB + "<message:GenericData"), "declares a document type"),
        (
            message(
                "ecb_generic.xml",
                "<message:GenericData",
                '<!DOCTYPE x SYSTEM "file:///etc/passwd"><message:GenericData',
            ),
            "declares a document type",
        ),
        (message("ecb_generic.xml", "UTF-8", "UTF-7"), "the XML is in UTF-7; deliver it in UTF-8"),
        (message("ecb_generic.xml", "</generic:Series>"), "unreadable: no SDMX data message: line 15"),
        (message("ecb_generic.xml")[:900], "unreadable: no SDMX data message: line"),
        (ERROR, "no SDMX data message: Error No results for query"),
        ("<html><body>Service unavailable</body></html>", "unreadable: HTML or XML without a table"),
        (message("eurostat_structure_specific.xml", "<Series", "<Serie"), "unreadable: no SDMX data message"),
        (message("oecd_flat.xml", "2023-Q4", "2023-W54"), "period in period (1)"),
        (message("oecd_flat.xml", "2023-Q4", "2023-S3"), "period in period (1)"),
        (message("oecd_flat.xml", "2023-Q4", "2023-10-01/P3M"), "period in period (1)"),
        (message("oecd_flat.xml", "34789023.1", "many"), "number in value (1)"),
        (message("oecd_flat.xml", 'OBS_STATUS="E"', 'OBS_STATUS="?"'), "enum in obs_status (1)"),
        (message("oecd_flat.xml", 'TIME_PERIOD="2023-Q4" ', ""), "required in period (1)"),
        (message("ecb_1.0.json", '"values":[{"id":"M"', '"values":[],"x":[{"id":"M"'), "dimension FREQ has no value"),
        (message("ecb_1.0.json", '"0:0:0:0:0"', '"0:0:0:0:7"'), "EXR_SUFFIX has no value 7"),
        (message("ecb_1.0.json", '"0:0:0:0:0"', '"0:0:0:0"'), "the series 0:0:0:0 has not 5 dimensions"),
        (message("ecb_1.0.json", '"structure":{', '"structures":{'), "no SDMX data message: KeyError"),
        (message("oecd_2.0.json", '"0:1::"', '"0:1"'), "dimensionGroupAttributes 0:1 has other dimensions"),
        (message("oecd_2.0.json", "34789023.10", "[1]"), "unreadable"),
        ('{"errors":[{"code":404,"title":"No data for query"}]}', "the service answered No data for query"),
        (message("imf_2.0.csv", "TIME_PERIOD", "PERIOD"), "missing required column TIME_PERIOD"),
        (message("imf_2.0.csv", "OBS_VALUE", "VALUE"), "missing required column OBS_VALUE"),
        (
            message("imf_2.0.csv", "TIME_PERIOD,OBS_VALUE", "OBS_VALUE,TIME_PERIOD"),
            "declare IMF.STA:CPI in the contract",
        ),
        (message("imf_2.0.csv", ",R,CHN", ",X,CHN"), "line 2: ACTION X is none of I, A, R, M, D"),
        (message("imf_2.0.csv", "IMF.STA:CPI(5.0.0),D", "CPI,D"), "required in provider (1)"),
        (message("imf_2.0.csv", "2024-M02", "2024-M03"), "conflicting_key in provider (2)"),
        (message("imf_2.0.csv", ",L1\n", ",L1,L2\n"), "required in series_key (1)"),
        (message("imf_2.0.csv", "D,CHN,CPI_ALL", "D,CHN,"), "required in series_key (1)"),
        (message("oecd_2.0.json", '"name":"Value"}', '"name":"Value"},{"id":"OTHER"}'), "several measures"),
    ],
)
def test_bad_messages_are_rejected(tmp_path: Path, data: str, reason: str) -> None:
    outcome = ingest(tmp_path, data, "message__20240601.xml")
    assert outcome.outcome == "rejected" and reason in (outcome.reason or ""), outcome.reason


CODES = st.text("ABCXYZ0189_", min_size=1, max_size=5)


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(CODES, CODES, st.integers(1990, 2030), CELLS, CODES), min_size=1, max_size=10))
def test_every_row_of_a_csv_message_is_a_row(tmp_path_factory: pytest.TempPathFactory, table: Any) -> None:
    header = "DATAFLOW,FREQ,REF_AREA,TIME_PERIOD,OBS_VALUE,NOTE"
    lines = [",".join(["X:FLOW(1.0)", *map(str, row)]) for row in table]
    folder = tmp_path_factory.mktemp("message")
    outcome = ingest(folder, "\n".join([header, *lines]) + "\n")
    assert outcome.rows_in == len(table)
    if outcome.outcome == "loaded":
        found = {(row["dimensions"]["FREQ"], row["dimensions"]["REF_AREA"], row["period"]) for row in rows_of(folder)}
        assert found <= {(frequency, area, str(year)) for frequency, area, year, *_ in table}


# ---------------------------------------------------------------------------------------------------------------------
# Statistical yearbooks

TAXES = [
    "国内增值税", "企业所得税", "个人所得税", "资源税", "城市维护建设税", "房产税", "印花税", "城镇土地使用税", "土地增值税",
    "车船税", "耕地占用税", "契税", "烟叶税", "环境保护税", "其他税收收入",
]  # fmt: skip


def by_area(rows: list[dict[str, Any]]) -> dict[str, dict[str, Decimal]]:
    """Area and indicator to value; a missing value adds nothing."""
    table: dict[str, dict[str, Decimal]] = {}
    for row in rows:
        table.setdefault(row["dimensions"]["area"], {})[row["indicator"]] = row["value"] or Decimal(0)
    return table


@needs_real_files
def test_real_encrypted_yearbook_of_revenue_proves_itself(tmp_path: Path) -> None:
    data = (REAL / "yearbook_xls" / "local_public_revenue_2019.xls").read_bytes()
    rows = load(tmp_path, data, "local_public_revenue_2019.xls")
    assert {(row["period"], row["unit"], row["dataset"]) for row in rows} == {
        ("2019", "亿元", "分地区一般公共预算收入")
    }
    table = by_area(rows)
    assert len(table) == 32 and len(rows) == 32 * 24
    hunan = table["湖南"]
    assert [str(hunan[name].normalize()) for name in ("地方一般公共预算收入", "税收收入", "非税收入")] == [
        "3007.15",
        "2061.96",
        "945.19",
    ]
    assert sum(hunan[tax] for tax in TAXES) == hunan["税收收入"]
    for name, values in table.items():
        assert abs(sum(values[tax] for tax in TAXES) - values["税收收入"]) <= Decimal("0.05"), name
        assert abs(values["税收收入"] + values["非税收入"] - values["地方一般公共预算收入"]) <= Decimal("0.01"), name
    nation = table.pop("地方合计")
    for indicator, value in nation.items():
        assert abs(sum(values[indicator] for values in table.values()) - value) <= Decimal("0.05"), indicator
    assert {row["area"] for row in rows if row["dimensions"]["area"] == "地方合计"} == {"全国"}


@needs_real_files
def test_real_yearbook_of_expenditure_proves_itself(tmp_path: Path) -> None:
    data = (REAL / "yearbook_xls" / "local_public_expenditure_2021.xlsx").read_bytes()
    rows = load(tmp_path, data, "local_public_expenditure_2021.xlsx")
    assert {(row["period"], row["unit"]) for row in rows} == {("2021", "亿元")}
    table = by_area(rows)
    assert len(table) == 32 and len(rows) == 32 * 25
    total = "地方一般公共预算支出"
    assert table["湖南"][total] == Decimal("8325.501") and table["湖南"]["教育支出"] == Decimal("1373.6279")
    for name, values in table.items():
        assert abs(2 * values[total] - sum(values.values())) <= Decimal("0.05"), name
    nation = table.pop("地方合计")
    for indicator, value in nation.items():
        assert abs(sum(values[indicator] for values in table.values()) - value) <= Decimal("0.05"), indicator


def workbook(*rows: list[Any], merged: tuple[str, ...] = (), sheet: str = "Sheet1") -> bytes:
    """An .xlsx of one sheet with a table, and a vendor's page."""
    book = openpyxl.Workbook()
    book.active.title = sheet
    for row in rows:
        book.active.append(row)
    for cells in merged:
        book.active.merge_cells(cells)
    book.create_sheet("CNKI").append(["http://www.cnki.net/"])
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def old_workbook(*rows: list[Any]) -> bytes:
    """The same as a real .xls."""
    book = xlwt.Workbook()
    sheet = book.add_sheet("Sheet1")
    for number, row in enumerate(rows):
        for column, value in enumerate(row):
            sheet.write(number, column, value)
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


SIDE_BY_SIDE = [
    ["3-2 各地区人口和户数(2020年底)", None, None, None, None, None],
    ["地  区\nRegion", "年末人口\nPopulation", None, "地 区", "年末人口", None],
    [None, "合计(万人)\nTotal", "户数\nHouseholds\n(万户)", None, "合计(万人)", "户数(万户)"],
    ["甲", 1, 2, "乙", 3, 4],
    ["全 国", 141212.0, 49416, "湖 北", 5745, 1999.1],
    ["东部地区", 56372, "…", "湖 南", 6645, None],
    ["注：2020年为普查数。"],
]


@pytest.mark.parametrize("make", [workbook, old_workbook])
def test_unknown_table_with_blocks_side_by_side(tmp_path: Path, make: Any) -> None:
    table = [row[:3] for row in SIDE_BY_SIDE] if make is old_workbook else SIDE_BY_SIDE
    data = workbook(*SIDE_BY_SIDE, merged=("B2:C2", "E2:F2", "A2:A3")) if make is workbook else old_workbook(*table)
    rows = load(tmp_path, data, "population.xls" if make is old_workbook else "population.xlsx")
    values = {
        (row["dimensions"]["area"], row["indicator"].rpartition("/")[2], row["unit"]): row["value"] for row in rows
    }
    assert values["全国", "合计", "万人"] == 141212 and values["东部地区", "户数", "万户"] is None
    assert {row["period"] for row in rows} == {"2020"} and {row["dataset"] for row in rows} == {"各地区人口和户数"}
    if make is workbook:
        assert values["湖北", "户数", "万户"] == Decimal("1999.1") and len(rows) == 8
        assert {row["indicator"] for row in rows} == {"年末人口/合计", "年末人口/户数"}


STAGGERED = [
    ["五、科技", None, None, None, "5-4续表", None, None],
    ["5-4 各地区研发活动(2018年)", None, None, None, "地 区", "Region", "经费支出\n(万元)\n(10000 yuan)"],
    ["单位：个", None, None, None, "全 国", "National", 30],
    ["地 区", "Region", "机构数", None, "北 京", "Beijing", 10],
    ["全 国", "National", 3, None, "天 津", "Tianjin", 20],
    ["北 京", "Beijing", 1],
    ["天 津", "Tianjin", 2],
]


def test_blocks_side_by_side_begin_on_rows_of_their_own(tmp_path: Path) -> None:
    rows = load(tmp_path, workbook(*STAGGERED), "research.xlsx")
    assert {row["dataset"] for row in rows} == {"各地区研发活动"} and {row["period"] for row in rows} == {"2018"}
    found = [(r["dimensions"]["area"], r["indicator"], int(r["value"]), r["unit"]) for r in rows]
    assert sorted(found) == sorted(
        [("全国", "机构数", 3, "个"), ("北京", "机构数", 1, "个"), ("天津", "机构数", 2, "个"),
         ("全国", "经费支出", 30, "万元"), ("北京", "经费支出", 10, "万元"), ("天津", "经费支出", 20, "万元")]
    )  # fmt: skip


def test_a_sheet_continues_the_table_of_the_sheet_before(tmp_path: Path) -> None:
    book = openpyxl.load_workbook(
        io.BytesIO(workbook(["7-6 分地区支出(2019年)"], ["单位:亿元"], ["地区", "教育"], ["湖南", 1]))
    )
    for row in (["7-6 续表 2 continued"], ["", "", "金融", "住房"], ["湖 南", "Hunan", 2, 3]):
        book.create_sheet("3") if "3" not in book.sheetnames else None
        book["3"].append(row)
    target = io.BytesIO()
    book.save(target)
    rows = load(tmp_path, target.getvalue(), "budget.xlsx")
    assert select(rows, "dataset", "indicator", "value", "unit", "period") == [
        ("分地区支出", "教育", 1, "亿元", "2019"),
        ("分地区支出", "金融", 2, "亿元", "2019"),
        ("分地区支出", "住房", 3, "亿元", "2019"),
    ]


def test_years_across_are_the_periods(tmp_path: Path) -> None:
    data = workbook(
        ["2-1 地区生产总值"], ["单位：", "亿元"], ["地区", "2018", "2019年"], ["合 计", 5, 6], ["湖南", 1, 2]
    )
    rows = load(tmp_path, data, "gdp.xlsx")
    assert select(rows, "indicator", "period", "value", "unit") == [
        ("地区生产总值", "2018", 5, "亿元"),
        ("地区生产总值", "2019", 6, "亿元"),
        ("地区生产总值", "2018", 1, "亿元"),
        ("地区生产总值", "2019", 2, "亿元"),
    ]


def test_year_of_the_sheet_and_values_without_an_area(tmp_path: Path) -> None:
    rows = [[name, number] for number, name in enumerate(["北京", "天津", "河北", "山西", "上海"], start=7)]
    data = workbook(["人口"], ["地区", "人数(人)"], *rows, ["", "12.5"], ["兵团", "…"], sheet="2019年")
    outcome = ingest(tmp_path, data, "population.xlsx")
    assert (outcome.outcome, outcome.rows_in, outcome.rows_quarantined) == ("loaded", 7, 1)
    (refused,) = lake.quarantined_rows(Home(tmp_path / "home"))
    assert (refused["line"], refused["rule"], refused["column"]) == (8, "required", "series_key")
    assert {row["period"] for row in rows_of(tmp_path)} == {"2019"}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (
            workbook(["人口"], ["地区", "人数"], ["湖南", 1]),
            "missing year: neither header, title 人口 nor sheet Sheet1",
        ),
        (workbook(["2018-2019年人口"], ["地区", "人数"], ["湖南", 1]), "missing year"),
        (workbook(["地区", "人数"], ["湖南", 1], sheet="2019"), "missing title: no Chinese title"),
        (workbook(["人口(2019年)"], ["单位数"], ["湖南", 1]), "missing header: nothing above row 3 of sheet Sheet1"),
        (workbook(["人口(2019年)"], ["地区", "人数"], ["湖南", 1, 2]), "missing header: column 3 of sheet Sheet1"),
        (workbook(["年份", "全国", "城镇"], ["2019", 1, 2]), "missing table: no sheet has the name of a known area"),
        (workbook(["人口(2019年)"], ["地区", "人数", "人数"], ["湖南", 1, 2]), "conflicting_key in provider (2)"),
        (workbook(["人口(2019年)"], ["地区", "人数"], ["湖南", 1], ["湖北", "约2"]), "number in value (1)"),
        (workbook(["人口"])[:300], "unreadable: the archive is broken"),
    ],
)
def test_yearbook_tables_that_leave_something_open_are_rejected(tmp_path: Path, data: bytes, reason: str) -> None:
    outcome = ingest(tmp_path, data, "yearbook.xlsx")
    assert outcome.outcome == "rejected" and reason in (outcome.reason or ""), outcome.reason


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.integers(0, 10**9), min_size=3, max_size=3), min_size=1, max_size=12))
def test_every_cell_of_a_yearbook_table_is_a_row(tmp_path_factory: pytest.TempPathFactory, table: Any) -> None:
    folder = tmp_path_factory.mktemp("yearbook")
    names = list(dict.fromkeys(EDITIONS.areas))[1::2][: len(table)] if EDITIONS else []
    rows = [[name, *cells] for name, cells in zip(names, table, strict=True)]
    loaded = load(folder, workbook(["表(2019年)"], ["地区", "甲", "乙", "丙"], *rows), "yearbook.xlsx")
    assert [row["value"] for row in loaded] == [cell for cells in table for cell in cells]


# ---------------------------------------------------------------------------------------------------------------------
# The published table


def test_published_series_are_the_latest_vintage_with_codes_of_areas(tmp_path: Path) -> None:
    portal = "数据库：分省年度数据\n指标：地区生产总值(亿元)\n地区,2023年,2022年\n湖南省,{},48670.4\n"
    first, rest = message("imf_2.0.csv").split("\n", 1)
    deliveries = {
        "gdp__20240301.csv": portal.format("50012.9"),
        "gdp__20260312.csv": portal.format("50667.5"),
        "cpi__20240601.csv": "\n".join([first, *rest.splitlines()[:2]]),
        "cpi__20240701.csv": "\n".join([first, rest.splitlines()[0].replace(",R,", ",D,")]),
        "answer__20240701.json": answer('{"data":0,"hasdata":false}'),
        "money__20240701.xml": message("eurostat_structure_specific.xml"),
        "yearbook__20240701.xlsx": workbook(
            ["3-1 人口(2022年)"], ["地区", "人口(万人)"], ["地方合计", 9], ["长沙", 1042]
        ),
    }
    for name, data in deliveries.items():
        assert ingest(tmp_path, data, name).outcome == "loaded"
    home = Home(tmp_path / "home")
    warehouse.build(home)
    with duckdb.connect(str(home.candidate), read_only=True) as connection:
        found = connection.execute(
            "SELECT indicator, area_code, period, value::VARCHAR, unit, obs_status, published_on::VARCHAR "
            "FROM published.public_series ORDER BY ALL"
        ).fetchall()
    assert found == [
        ("B1GQ", None, "2023-Q3", "1032610.0000000000", "CP_MEUR ×10^6", "A", "2024-07-01"),
        ("B1GQ", None, "2023-Q4", "1036180.0000000000", "CP_MEUR ×10^6", "B", "2024-07-01"),
        ("B1GQ", None, "2024-Q1", None, "CP_MEUR ×10^6", "M", "2024-07-01"),
        ("CPI_ALL", None, "2024-03", None, "IX", "M", "2024-07-01"),
        ("CPI_ALL", None, "2024-04", "121.5000000000", "IX ×10^6", "E", "2024-06-01"),
        ("人口", "000000", "2022", "9.0000000000", "万人", "A", "2024-07-01"),
        ("人口", "430100", "2022", "1042.0000000000", "万人", "A", "2024-07-01"),
        ("地区生产总值", "430000", "2022", "48670.4000000000", "亿元", "A", "2024-03-01"),
        ("地区生产总值", "430000", "2023", "50667.5000000000", "亿元", "A", "2026-03-12"),
        ("地区生产总值_累计值", "430000", "2018-Q1", None, "亿元", "M", "2024-07-01"),
    ]


def test_a_sheet_larger_than_any_table_is_refused(tmp_path: Path) -> None:
    sheet = Reading(records=lambda: iter([Record(n, ["x"] * 1001) for n in range(10_000)]), sheet="big")
    assert EDITIONS
    with pytest.raises(Unreadable, match="sheet big has more than 100000 rows or 10000000 cells"):
        sheet_observations(EDITIONS, sheet, Heading())
