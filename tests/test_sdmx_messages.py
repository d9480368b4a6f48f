"""SDMX messages as statistics offices send them, in structures re-keyed from real ones; all numbers are made up."""

from __future__ import annotations

import io
import json
import logging
import re
from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sdmx

from hfc.home import Home
from ingest import lake

FORMS = {
    "2_0": "http://www.SDMX.org/resources/SDMXML/schemas/v2_0",
    "2_1": "http://www.sdmx.org/resources/sdmxml/schemas/v2_1",
    "3_0": "http://www.sdmx.org/resources/sdmxml/schemas/v3_0",
}
RATES = {"FREQ": "M", "CURRENCY_DENOM": "EUR", "EXR_TYPE": "SP00"}
# Currency, month, value, status: what every form of the message below says.
SAID = [
    (currency, period, value, status)
    for currency, values in {
        "CHF": [("2010-08", "1.3413", "A"), ("2010-09", "1.30890", "P")],
        "USD": [("2010-08", "1.2894", "A"), ("2010-09", "NaN", "M")],
    }.items()
    for period, value, status in values
]


def ingest(folder: Path, data: str | bytes) -> lake.Outcome:
    path = folder / "landing" / "public_series" / "message__20260312.xml"
    path.parent.mkdir(parents=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    home = Home(folder / "home")
    (delivery_id,) = lake.receive(home, folder / "landing")
    return lake.load(home, delivery_id)


def load(folder: Path, data: str | bytes) -> list[dict[str, Any]]:
    """The rows of a message that must load whole."""
    outcome = ingest(folder, data)
    assert (outcome.outcome, outcome.rows_quarantined) == ("loaded", 0), outcome.reason
    rows = duckdb.sql(f"FROM read_parquet('{folder}/home/lake/public_series/*.parquet')").to_arrow_table().to_pylist()
    for row in rows:
        row["dimensions"], row["attributes"] = json.loads(row["series_key"]), json.loads(row["attributes"] or "{}")
    assert len(rows) == outcome.rows_in
    return rows


def envelope(root: str, form: str, header: str, body: str, namespaces: str = "") -> str:
    base = FORMS[form]
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><!-- made up -->\n<m:{root} xmlns:m="{base}/message" '
        f'xmlns:c="{base}/common" xmlns:g="{base}/{"generic" if form == "2_0" else "data/generic"}" '
        f'xmlns:s="{base}/data/structurespecific" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" {namespaces}>'
        f"<m:Header><m:ID>X</m:ID><m:Test>false</m:Test><m:Prepared>2026-01-01T00:00:00</m:Prepared>"
        f'<m:Sender id="SENDER"/>{header}</m:Header>{body}</m:{root}>'
    )


def structure(at: str = "TIME_PERIOD", name: str = "RATES", key: str = "S1", namespace: str = "") -> str:
    return (
        f'<m:Structure structureID="{key}" {namespace} dimensionAtObservation="{at}"><c:Structure>'
        f'<Ref agencyID="ECB" id="{name}" version="1.0"/></c:Structure></m:Structure>'
    )


def values(tag: str, components: dict[str, str]) -> str:
    inner = "".join(f'<g:Value id="{name}" value="{text}"/>' for name, text in components.items())
    return f"<g:{tag}>{inner}</g:{tag}>"


def generic(at: str) -> str:
    """The rates as a generic message, with groups; by time, by currency or flat."""
    groups = "".join(
        f'<g:Group type="Sibling">{values("GroupKey", {"CURRENCY": currency, "CURRENCY_DENOM": "EUR"})}'
        f"{values('Attributes', {'TITLE': f'{currency} to the euro', 'UNIT_MEASURE': currency})}</g:Group>"
        for currency in ("CHF", "USD")
    )
    by_series: dict[str, list[str]] = defaultdict(list)
    for currency, period, value, status in SAID:
        others = {"CURRENCY": currency, "TIME_PERIOD": period}
        told = f'<g:ObsValue value="{value}"/>{values("Attributes", {"OBS_STATUS": status})}'
        if at == "AllDimensions":
            by_series[""].append(f"<g:Obs>{values('ObsKey', {**RATES, **others})}{told}</g:Obs>")
            continue
        own = others.pop(at)
        key = values("SeriesKey", {**RATES, **others}) + values("Attributes", {"COLLECTION": "A"})
        by_series[key].append(f'<g:Obs><g:ObsDimension id="{at}" value="{own}"/>{told}</g:Obs>')
    series = [
        key and f"<g:Series>{key}{''.join(found)}</g:Series>" or "".join(found) for key, found in by_series.items()
    ]
    body = f'<m:DataSet structureRef="S1">{groups}{"".join(series)}</m:DataSet>'
    return envelope("GenericData", "2_1", structure(at), body)


def specific(at: str) -> str:
    """The same as a structure-specific message."""
    urn = f"urn:sdmx:org.sdmx.infomodel.datastructure.DataStructure=ECB:RATES(1.0):ObsLevelDim:{at}"
    groups = "".join(
        f'<Group xsi:type="n:Sibling" CURRENCY="{currency}" CURRENCY_DENOM="EUR" TITLE="{currency} to the euro"/>'
        for currency in ("CHF", "USD")
    )
    by_series: dict[str, list[str]] = defaultdict(list)
    for currency, period, value, status in SAID:
        others = {"CURRENCY": currency, "TIME_PERIOD": period}
        if at == "AllDimensions":
            own, key = f"{stated(RATES | others)} COLLECTION='A' UNIT_MEASURE='{currency}'", ""
        else:
            own, key = f"{at}='{others.pop(at)}'", f"{stated(RATES | others)} COLLECTION='A'"
            if at == "TIME_PERIOD":
                key += f" UNIT_MEASURE='{currency}'"
        by_series[key].append(f'<Obs {own} OBS_VALUE="{value}" OBS_STATUS="{status}"/>')
    series = [key and f"<Series {key}>{''.join(found)}</Series>" or "".join(found) for key, found in by_series.items()]
    body = (
        f'<m:DataSet s:structureRef="S1" xsi:type="n:DataSetType" s:dataScope="DataStructure">{groups}'
        f"{''.join(series)}</m:DataSet>"
    )
    return envelope(
        "StructureSpecificData", "2_1", structure(at, namespace=f'namespace="{urn}"'), body, f'xmlns:n="{urn}"'
    )


def stated(components: dict[str, str]) -> str:
    return " ".join(f"{name}='{text}'" for name, text in components.items())


@pytest.mark.parametrize("at", ["TIME_PERIOD", "CURRENCY", "AllDimensions"])
@pytest.mark.parametrize("make", [generic, specific])
def test_every_form_says_the_same_and_what_the_library_reads(tmp_path: Path, make: Any, at: str) -> None:
    message = make(at)
    rows = load(tmp_path, message)
    assert sorted((r["dimensions"]["CURRENCY"], r["period"], r["value"], r["obs_status"]) for r in rows) == sorted(
        ((c, p, None if v == "NaN" else Decimal(v), s) for c, p, v, s in SAID), key=str
    )
    logging.getLogger("sdmx").setLevel(logging.ERROR)
    library = [o for data in sdmx.read_sdmx(io.BytesIO(message.encode())).data for o in data.obs]
    for row, read in zip(rows, library, strict=True):
        assert (row["provider"], row["dataset"]) == ("ECB", "RATES")
        assert row["dimensions"] == {**RATES, "CURRENCY": row["dimensions"]["CURRENCY"]}
        components = {name: str(v.value) for name, v in (read.attrib | read.key.values).items()}
        ours = {**row["dimensions"], **row["attributes"], "TIME_PERIOD": row["period"]}
        assert {**ours, "OBS_STATUS": row["obs_status"]}.items() >= components.items()
        assert row["indicator"] == ours["TITLE"] == f"{row['dimensions']['CURRENCY']} to the euro"
        assert row["unit"] == (row["dimensions"]["CURRENCY"] if make is generic or at != "CURRENCY" else None)


def one_series(attributes: str = "", at: str = "2024", tag: str = "") -> str:
    return (
        f'<{tag}Series FREQ="A" REF_AREA="IT" INDICATOR="POP"><{tag}Obs TIME_PERIOD="{at}" OBS_VALUE="29.5" {attributes}/>'
        f"</{tag}Series>"
    )


POP = {"FREQ": "A", "REF_AREA": "IT", "INDICATOR": "POP"}
NAMESPACE = 'namespace="urn:sdmx:org.sdmx.infomodel.datastructure.DataStructure=ECB:RATES(1.0):ObsLevelDim:TIME_PERIOD"'
PROVISION = (
    '<m:Structure structureID="S1" dimensionAtObservation="TIME_PERIOD"><c:ProvisionAgrement><URN>\n'
    "urn:sdmx:org.sdmx.infomodel.registry.ProvisionAgreement=ECB:RATES(1.0)\n</URN></c:ProvisionAgrement></m:Structure>"
)
USAGE = (
    '<m:Structure structureID="S1" dimensionAtObservation="TIME_PERIOD"><c:StructureUsage>'
    "urn:sdmx:org.sdmx.infomodel.datastructure.Dataflow=ECB:RATES(1.0)</c:StructureUsage></m:Structure>"
)
COMPLEX = (
    '<Series FREQ="A" REF_AREA="IT" INDICATOR="POP"><Comp id="TITLE"><Value><c:Text xml:lang="en">People</c:Text>'
    '<c:Text xml:lang="it">Persone</c:Text></Value></Comp><Comp id="SOURCE_AGENCY"><Value>4F0</Value><Value>4D0</Value>'
    '</Comp><Obs TIME_PERIOD="2024" OBS_VALUE="29.5"/></Series>'
)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(
            envelope("StructureSpecificData", "2_1", structure(), f'<m:DataSet s:structureRef="OTHER">{one_series()}</m:DataSet>'),
            id="a reference that no header has, beside one structure",
        ),
        pytest.param(
            envelope("StructureSpecificData", "2_1", structure(namespace='namespace="FMI"'),
                     f'<m:DataSet s:structureRef="S1" xsi:type="d:DataSetType">{one_series()}</m:DataSet>', 'xmlns:d="FMI"'),
            id="a namespace of the sender's own",
        ),
        pytest.param(
            envelope("StructureSpecificTimeSeriesData", "2_1", PROVISION, f'<m:DataSet s:structureRef="S1">{one_series()}</m:DataSet>'),
            id="by its provision",
        ),
        pytest.param(
            "\ufeff" + envelope("StructureSpecificData", "2_1", structure(),
                                f'<m:DataSet s:structureRef="S1">{one_series()}</m:DataSet>'),
            id="a byte order mark before the declaration",
        ),
        pytest.param(
            envelope("StructureSpecificData", "3_0", USAGE, f'<m:DataSet s:structureRef="S1">{one_series()}</m:DataSet>'), id="3.0"
        ),
        pytest.param(
            envelope("CompactData", "2_0", "", f"<k:DataSet>{one_series(tag='k:')}</k:DataSet>",
                     'xmlns:k="urn:sdmx:org.sdmx.infomodel.keyfamily.KeyFamily=ECB:RATES:compact"'),
            id="compact 2.0, by its namespace",
        ),
        pytest.param(
            envelope("CompactData", "2_0", "<m:KeyFamilyRef>RATES</m:KeyFamilyRef><m:KeyFamilyAgency>ECB</m:KeyFamilyAgency>",
                     f'<m:DataSet xmlns="x">{one_series().replace("TIME_PERIOD", "TIME")}</m:DataSet>'),
            id="compact 2.0, by its header",
        ),
        pytest.param(
            envelope("MessageGroup", "2_0", "", '<g:DataSet keyFamilyURI="http://x/GetKeyFamily/RATES"><g:KeyFamilyRef>RATES'
                     "</g:KeyFamilyRef><g:Series>"
                     + values("SeriesKey", POP).replace("Value id", "Value concept")
                     + '<g:Obs><g:Time>2024</g:Time><g:ObsValue value="29.5"/></g:Obs></g:Series></g:DataSet>'
                     ).replace('"SENDER"', '"ECB"'),
            id="generic 2.0 in a group of messages",
        ),
        pytest.param(
            envelope("StructureSpecificData", "2_1", structure("INDICATOR"),
                     '<m:DataSet s:structureRef="S1"><Series FREQ="A" REF_AREA="IT" TIME_PERIOD="2024">'
                     '<Obs xsi:type="d:POP" OBS_VALUE="29.5"/></Series></m:DataSet>'),
            id="an explicit measure",
        ),
    ],
)  # fmt: skip
def test_what_is_said_once_is_found_wherever_it_stands(tmp_path: Path, message: str) -> None:
    (row,) = load(tmp_path, message)
    assert (row["provider"], row["dataset"], row["dimensions"]) == ("ECB", "RATES", POP)
    assert (row["period"], row["value"]) == ("2024", Decimal("29.5"))


def test_components_in_elements_of_their_own(tmp_path: Path) -> None:
    body = f'<m:DataSet s:structureRef="S1">{COMPLEX}{one_series(at="2023")}</m:DataSet>'
    first, second = load(tmp_path, envelope("StructureSpecificData", "3_0", USAGE, body))
    assert first["indicator"] == "People" and first["attributes"]["SOURCE_AGENCY"] == "4F0;4D0"
    assert second["indicator"] == "POP" and first["dimensions"] == second["dimensions"] == POP


def test_groups_may_stand_behind_what_they_describe(tmp_path: Path) -> None:
    body = (
        f'<k:DataSet>{one_series(tag="k:")}<k:SiblingGroup REF_AREA="IT" INDICATOR="POP" UNIT="PERS" UNIT_MULT="6"/>'
        '<k:SiblingGroup REF_AREA="FR" INDICATOR="POP" UNIT="X" UNIT_MULT="3"/></k:DataSet>'
    )
    key_family = 'xmlns:k="urn:sdmx:org.sdmx.infomodel.keyfamily.KeyFamily=ECB:RATES:compact"'
    (row,) = load(tmp_path, envelope("CompactData", "2_0", "", body, key_family))
    assert (row["unit"], row["dimensions"]) == ("PERS ×10^6", POP)


def test_several_data_sets_each_of_its_structure_and_action(tmp_path: Path) -> None:
    header = structure() + structure(name="OTHER", key="S2")
    body = (
        f'<m:DataSet s:structureRef="S2" s:action="Replace" DECIMALS="1">{one_series()}</m:DataSet>'
        f'<m:DataSet s:structureRef="S1" s:action="Delete">{one_series()}</m:DataSet><m:DataSet s:structureRef="S1"/>'
    )
    first, second = load(tmp_path, envelope("StructureSpecificData", "2_1", header, body))
    assert (first["dataset"], first["value"], first["attributes"]) == ("OTHER", Decimal("29.5"), {"DECIMALS": "1"})
    assert (second["dataset"], second["value"], second["attributes"]) == ("RATES", None, {"ACTION": "D"})


def test_a_unit_behind_an_attribute_is_no_dimension(tmp_path: Path) -> None:
    series = (
        '<Series FREQ="A" {}REF_AREA="IT" DECIMALS="1" {}TITLE_COMPL="People"><Obs TIME_PERIOD="2024" OBS_VALUE="1" '
        'OBS_QUALITY="HIGH"/></Series>'
    )
    body = '<m:DataSet s:structureRef="S1">{}{}</m:DataSet>'.format(
        series.format("", 'UNIT="PERS" '), series.format('UNIT="PERS" ', "")
    )
    ecb, eurostat = load(tmp_path, envelope("StructureSpecificData", "2_1", structure(), body))
    assert ecb["dimensions"] == {"FREQ": "A", "REF_AREA": "IT"} and ecb["unit"] == "PERS"
    assert eurostat["dimensions"] == {"FREQ": "A", "REF_AREA": "IT", "UNIT": "PERS"}
    # In a series, only the period can be a dimension of an observation.
    assert ecb["attributes"]["OBS_QUALITY"] == "HIGH"


@pytest.mark.parametrize(
    ("printed", "period"),
    [
        ("2024", "2024"),
        ("2024-A1", "2024"),
        ("2024-M05", "2024-05"),
        ("2024-05", "2024-05"),
        ("2024-Q3", "2024-Q3"),
        ("2024Q3", "2024-Q3"),
        ("2024-S1", "2024-S1"),
        ("2024S2", "2024-S2"),
        ("2024-W05", "2024-W05"),
        ("2024-02-29", "2024-02-29"),
    ],
)
def test_periods_of_every_frequency(tmp_path: Path, printed: str, period: str) -> None:
    body = f'<m:DataSet s:structureRef="S1">{one_series(at=printed)}</m:DataSet>'
    (row,) = load(tmp_path, envelope("StructureSpecificData", "2_1", structure(), body))
    assert row["period"] == period


@pytest.mark.parametrize(
    "printed", ["2023-02-29", "2024-W54", "2024-S3", "2024-13", "2024-Q5", "2024-01-01T00:00:00", "24"]
)
def test_what_is_no_period_is_refused(tmp_path: Path, printed: str) -> None:
    body = f'<m:DataSet s:structureRef="S1">{one_series(at=printed)}</m:DataSet>'
    outcome = ingest(tmp_path, envelope("StructureSpecificData", "2_1", structure(), body))
    assert "period in period (1)" in (outcome.reason or "")


def refusals() -> Iterable[Any]:
    empty = '<m:DataSet s:structureRef="S1"><Series FREQ="A"/></m:DataSet>'
    footer = '<f:Footer xmlns:f="http://x/footer"><f:Message code="413"><c:Text>Response too large</c:Text></f:Message></f:Footer>'
    yield envelope("StructureSpecificData", "2_1", structure(), empty), "no observation"
    yield envelope("GenericData", "2_1", structure(), footer), "no observation Response too large"
    for root in ("CrossSectionalData", "UtilityData", "Structure"):
        yield envelope(root, "2_0", "", ""), f"{root} is none of GenericData, StructureSpecificData, CompactData"
    two = structure() + structure(key="S2")
    body = f'<m:DataSet s:structureRef="S3">{one_series()}</m:DataSet>'
    yield envelope("StructureSpecificData", "2_1", two, body), "data set 1 refers to the structure S3"
    nothing = '<m:Structure structureID="S1"><c:Structure/></m:Structure>'
    yield envelope("StructureSpecificData", "2_1", nothing, body), "the header names no structure for S1"
    yield envelope("GenericData", "2_1", structure(), one_series()), "no observation"


@pytest.mark.parametrize(("message", "reason"), refusals())
def test_messages_without_data_are_refused_with_a_reason(tmp_path: Path, message: str, reason: str) -> None:
    outcome = ingest(tmp_path, message)
    assert outcome.outcome == "rejected" and reason in (outcome.reason or ""), outcome.reason


def json_message(groups: dict[str, list[Any]]) -> str:
    """A message of SDMX-JSON 2.0, flat, one of whose dimensions has only one value and stands at the data set."""
    periods = [{"id": "2023"}, {"id": "2024"}]
    areas = [{"id": "KH1", "name": "One"}, {"id": "KH2", "name": "Two"}]
    urn = "urn:sdmx:org.sdmx.infomodel.datastructure.Dataflow=NIS:RICE(1.0)"
    return json.dumps(
        {
            "data": {
                "dataSets": [
                    {
                        "structure": 0,
                        "action": "Merge",
                        "dimensionGroupAttributes": groups,
                        "observations": {"0:0": [350.154, 0], "0:1": [389.385], "1:0": [None, 1], "1:1": [426.588]},
                    }
                ],
                "structures": [
                    {
                        "links": [{"rel": "dataflow", "urn": urn}],
                        "dimensions": {
                            "dataSet": [{"id": "FREQ", "values": [{"id": "A"}]}],
                            "observation": [
                                {"id": "REF_AREA", "values": areas},
                                {"id": "TIME_PERIOD", "values": periods},
                            ],
                        },
                        "attributes": {
                            "dimensionGroup": [{"id": "SOURCE"}, {"id": "COMMENT"}],
                            "observation": [{"id": "OBS_STATUS", "values": [{"id": "A"}, {"id": "O"}]}],
                        },
                    }
                ],
            }
        }
    )


def test_groups_of_json_name_dimensions_of_every_level(tmp_path: Path) -> None:
    groups = {"::0": [["Census", "Other"]], "::1": ["Survey"], "0:1:": [None, {"en": "Second area"}]}
    rows = load(tmp_path, json_message(groups))
    found = [(r["dimensions"]["REF_AREA"], r["period"], r["attributes"]) for r in rows]
    assert found == [
        ("KH1", "2023", {"SOURCE": "Census;Other"}),
        ("KH1", "2024", {"SOURCE": "Survey"}),
        ("KH2", "2023", {"SOURCE": "Census;Other", "COMMENT": "Second area"}),
        ("KH2", "2024", {"SOURCE": "Survey", "COMMENT": "Second area"}),
    ]
    assert [r["value"] for r in rows] == [Decimal("350.154"), Decimal("389.385"), None, Decimal("426.588")]
    outcome = ingest(tmp_path / "short", json_message({"0:0": ["Census"]}))
    assert "dimensionGroupAttributes 0:0 has other dimensions" in (outcome.reason or "")


def test_a_message_of_many_observations_needs_little_memory(tmp_path: Path) -> None:
    """In the child, under a limit of memory that the message as a tree of elements would break."""
    from ingest.readers import child

    count = 100_000
    groups = "".join(f'<Group AREA="{n}" TITLE="{n}"/>' for n in range(0, count, 10))
    series = "".join(
        f'<Series FREQ="A" AREA="{n}"><Obs TIME_PERIOD="2024" OBS_VALUE="{n}" OBS_STATUS="A"/></Series>'
        for n in range(count)
    )
    body = f'<m:DataSet s:structureRef="S1">{groups}{series}</m:DataSet>'
    path = tmp_path / "message.xml"
    path.write_text(envelope("StructureSpecificData", "2_1", structure(), body), encoding="utf-8")
    limit = child.MEMORY_LIMIT
    try:
        child.MEMORY_LIMIT = 352 << 20
        (reading,) = child.isolated("SDMX-ML", path, tmp_path)
    finally:
        child.MEMORY_LIMIT = limit
    records = list(reading.records())
    assert len(records) == count and re.search('"TITLE": "99990"', records[99_990].cells[5])
