"""The observations as SDMX: data in SDMX-CSV 2.0, and the structure that it belongs to in SDMX-ML 3.0.

The breakdowns of the warehouse (`dimension`, `member`) are dimensions of their own in SDMX: `_T` is the total over one,
and `_Z` says that the metric is not broken down by it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfc.home import SHANGHAI
from publish.export.source import Source, plain
from publish.release import BANNER

if TYPE_CHECKING:
    import pandas as pd
    from pysdmx.model import Codelist, Component, ConceptScheme

STRUCTURE = "structure.xml"
AGENCY = "HFC"
DATAFLOW = "METRIC_OBSERVATION"
# Two numbers: such an artefact may change, as the dictionary does from release to release.
VERSION = "1.0"
CONCEPTS = "CONCEPTS"
LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
STRUCTURES = "{http://www.sdmx.org/resources/sdmxml/schemas/v3_0/structure}"
COMMON = "{http://www.sdmx.org/resources/sdmxml/schemas/v3_0/common}"
OBSERVATIONS = """
SELECT
    o.metric_id, o.frequency, o.period, o.dimension, o.member, o.value, o.unit, o.obs_status, o.conf_status, o.as_of,
    string_split(m.dimensions, ' ') AS dimensions
FROM published.metric_observation AS o
INNER JOIN published.metric AS m ON m.metric_id = o.metric_id
ORDER BY o.metric_id, o.frequency, o.dimension, o.member, o.period
"""
# The codes of every list, in order; `breakdown` are the dimensions of the warehouse.
CODES = """
WITH breakdown AS (SELECT DISTINCT dimension FROM dictionary.dimension_member WHERE dimension <> 'total')
SELECT scheme AS concept, 0 AS place, code, label_{language} AS name, NULL AS description
FROM dictionary.sdmx_name WHERE scheme NOT IN ('dataflow', 'concept', 'breakdown')
UNION ALL
SELECT 'INDICATOR', 0, metric_id, label_{language}, definition_{language} FROM published.metric
UNION ALL
SELECT 'UNIT_MEASURE', 0, unit, label_{language}, NULL FROM dictionary.unit
UNION ALL
SELECT upper(b.dimension), m.sort, if(m.dimension = 'total', '_T', m.member), m.label_{language}, NULL
FROM breakdown AS b INNER JOIN dictionary.dimension_member AS m ON m.dimension IN ('total', b.dimension)
UNION ALL
SELECT upper(b.dimension), 1000000, n.code, n.label_{language}, NULL
FROM breakdown AS b CROSS JOIN dictionary.sdmx_name AS n WHERE n.scheme = 'breakdown'
ORDER BY concept, place, code
"""


def write(source: Source, folder: Path, data: str) -> None:
    """Write the data, under the name `data`, and the structure into a folder."""
    from pysdmx.io.csv.sdmx20.writer import write as write_csv
    from pysdmx.io.pd import PandasDataset
    from pysdmx.model import Components, Schema

    # The library turns what is typed as a decimal into a binary number, so that here every component is text.
    components = Components(_components(source, typed=False))
    schema = Schema("dataflow", AGENCY, DATAFLOW, components, VERSION)
    text = write_csv([PandasDataset(structure=schema, data=_frame(source))])
    (folder / data).write_text(str(text), encoding="utf-8", newline="")
    (folder / STRUCTURE).write_bytes(_in_both_languages(_message(source, "en"), _message(source, "zh")))


def columns(source: Source) -> list[tuple[str, str]]:
    """The columns of the data that hold components, and what each is called."""
    names = _names(source, "concept", "en")
    return [(component.id, names[component.id]) for component in _components(source)]


def _frame(source: Source) -> pd.DataFrame:
    """The observations by component, as text; an empty OBS_VALUE where a value is missing or suppressed."""
    import pandas as pd

    breakdowns = _breakdowns(source)
    rows = [
        {
            "FREQ": o["frequency"],
            "INDICATOR": o["metric_id"],
            **{name.upper(): _code(name, o) for name in breakdowns},
            "TIME_PERIOD": o["period"],
            "OBS_VALUE": "" if o["value"] is None else plain(o["value"]),
            "UNIT_MEASURE": o["unit"],
            "OBS_STATUS": o["obs_status"],
            "CONF_STATUS": o["conf_status"],
            "AS_OF": o["as_of"].isoformat(),
        }
        for o in source.records(OBSERVATIONS)
    ]
    return pd.DataFrame(rows, columns=[name for name, _ in columns(source)], dtype=str)


def _code(breakdown: str, observation: dict[str, Any]) -> str:
    """The code of an observation in a breakdown."""
    if observation["dimension"] == breakdown:
        return str(observation["member"])
    return "_T" if breakdown in observation["dimensions"] else "_Z"


def _breakdowns(source: Source) -> list[str]:
    found = source.records("SELECT DISTINCT dimension FROM dictionary.dimension_member WHERE dimension <> 'total'")
    return sorted(record["dimension"] for record in found)


def _names(source: Source, scheme: str, language: str) -> dict[str, str]:
    """The names of one scheme of the seed `sdmx_name`, by code."""
    found = source.records("FROM dictionary.sdmx_name")
    return {record["code"]: record[f"label_{language}"] for record in found if record["scheme"] == scheme}


def _components(source: Source, typed: bool = True) -> list[Component]:
    """Dimensions, measure and attributes, in the order of the data's columns; without types all are text."""
    from pysdmx.model import Component, DataType, ItemReference, Role

    def component(name: str, role: Role, kind: DataType | None = None, level: str | None = None) -> Component:
        concept = ItemReference("Concept", AGENCY, CONCEPTS, VERSION, name)
        codes = None if kind else f"urn:sdmx:org.sdmx.infomodel.codelist.Codelist={AGENCY}:CL_{name}({VERSION})"
        return Component(
            id=name,
            required=role != Role.MEASURE,
            role=role,
            concept=concept,
            local_dtype=kind if typed else None,
            attachment_level=level,
            local_enum_ref=codes,
        )

    breakdowns = [breakdown.upper() for breakdown in _breakdowns(source)]
    return [
        *(component(name, Role.DIMENSION) for name in ("FREQ", "INDICATOR", *breakdowns)),
        component("TIME_PERIOD", Role.DIMENSION, DataType.PERIOD),
        component("OBS_VALUE", Role.MEASURE, DataType.DECIMAL),
        component("UNIT_MEASURE", Role.ATTRIBUTE, level="INDICATOR"),
        component("OBS_STATUS", Role.ATTRIBUTE, level="O"),
        component("CONF_STATUS", Role.ATTRIBUTE, level="O"),
        component("AS_OF", Role.ATTRIBUTE, DataType.DATE, level="O"),
    ]


def _message(source: Source, language: str) -> str:
    """The structure message with its names in one language."""
    from pysdmx.io.xml.sdmx30.writer.structure import write as write_structure
    from pysdmx.model import Components, Dataflow, DataStructureDefinition, Organisation
    from pysdmx.model.message import Header

    name = _names(source, "dataflow", language)[DATAFLOW]
    name = f"{name}: {BANNER}" if source.synthetic else name
    structure = DataStructureDefinition(
        id=DATAFLOW, name=name, agency=AGENCY, version=VERSION, components=Components(_components(source))
    )
    flow = Dataflow(id=DATAFLOW, name=name, agency=AGENCY, version=VERSION, structure=structure)
    header = Header(
        id=source.release.name,
        test=source.synthetic,
        prepared=datetime.combine(source.as_of, datetime.min.time(), SHANGHAI),
        sender=Organisation(id=AGENCY),
    )
    artefacts = [*_codelists(source, language), _concepts(source, language), structure, flow]
    return str(write_structure(artefacts, header=header))


def _codelists(source: Source, language: str) -> Iterator[Codelist]:
    from pysdmx.model import Code, Codelist

    names = _names(source, "concept", language)
    for concept, records in groupby(source.records(CODES.format(language=language)), itemgetter("concept")):
        codes = [Code(id=r["code"], name=r["name"], description=r["description"]) for r in records]
        yield Codelist(id=f"CL_{concept}", name=names[concept], agency=AGENCY, version=VERSION, items=codes)


def _concepts(source: Source, language: str) -> ConceptScheme:
    from pysdmx.model import Concept, ConceptScheme

    names = _names(source, "concept", language)
    used = [Concept(id=component.id, name=names[component.id]) for component in _components(source)]
    name = _names(source, "dataflow", language)[DATAFLOW]
    return ConceptScheme(id=CONCEPTS, name=name, agency=AGENCY, version=VERSION, items=used)


def _in_both_languages(english: str, chinese: str) -> bytes:
    """One message of two that differ in the language of their names, since the library writes all names as English."""
    from lxml import etree

    both, other = (etree.fromstring(message.encode("utf-8")) for message in (english, chinese))
    texts = [f"{COMMON}Name", f"{COMMON}Description"]
    for name, twin in zip(list(both.iter(texts)), list(other.iter(texts)), strict=True):
        twin.set(LANGUAGE, "zh")
        name.addnext(twin)
    # There is one measure, to which every attribute of an observation belongs: sdmx1 cannot read that said.
    for relationship in list(both.iter(f"{STRUCTURES}MeasureRelationship")):
        relationship.getparent().remove(relationship)
    etree.indent(both)
    text: bytes = etree.tostring(both, xml_declaration=True, encoding="UTF-8")
    return text + b"\n"
