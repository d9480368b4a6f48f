"""JSON answers: of the national portal's query service, and of the World Bank. Numbers keep their printed digits."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ingest.contract import Editions
from ingest.readers.records import Unreadable
from ingest.readers.series.observations import Observation, canonical_period

SIZE_LIMIT = 256 << 20
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
_GB_2260 = re.compile(r"\d{6}")


def read_json(path: Path) -> Any:
    """The JSON document of a UTF-8 file, its numbers as the text they are printed in.

    Raises:
        Unreadable: not JSON, nested too deep, or larger than SIZE_LIMIT.
    """
    if path.stat().st_size > SIZE_LIMIT:
        raise Unreadable(f"unreadable: a JSON document of more than {SIZE_LIMIT >> 20} MiB")
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"), parse_float=str, parse_int=str, parse_constant=str)
    except RecursionError:
        raise Unreadable("unreadable: the JSON is nested too deep") from None
    except json.JSONDecodeError as error:
        raise Unreadable(f"unreadable: line {error.lineno}: no JSON: {error.msg}") from None


def easyquery_observations(editions: Editions, document: dict[str, Any]) -> Iterator[Observation]:
    """The data nodes of an answer of the query service; `hasdata: false` is a missing value, whatever `data` says.

    Raises:
        Unreadable: the service refused the query (its message is the reason), or the answer has another structure.
    """
    service = editions.easyquery
    data: Any = document.get("returndata")
    if document["returncode"] != "200":
        raise Unreadable(f"the query service answered {document['returncode']}: {data}")
    try:
        nodes = {
            (dimension["wdcode"], node["code"]): node for dimension in data["wdnodes"] for node in dimension["nodes"]
        }
        for number, datum in enumerate(data["datanodes"], start=1):
            codes = {place["wdcode"]: place["valuecode"] for place in datum["wds"]}
            indicator = nodes.get((service.indicator, codes.get(service.indicator)), {})
            area = codes.get(service.area, "")
            name, unit = editions.split_unit(indicator.get("cname") or indicator.get("name") or "")
            printed_area = area and nodes.get((service.area, area), {}).get("cname", area)
            yield Observation(
                line=number, provider=service.provider, dataset=service.dataset,
                dimensions={**codes, service.period: "", "indicator": name}, indicator=name,
                area=area if _GB_2260.fullmatch(area) else editions.area_of(printed_area or editions.nation),
                period=codes.get(service.period, ""), value=_value(datum["data"]),
                unit=indicator.get("unit") or unit,
            )  # fmt: skip
    except (AttributeError, KeyError, TypeError) as error:
        raise Unreadable(f"unreadable: no answer of the query service: {error!r} in returndata") from None


def _value(data: dict[str, Any]) -> str:
    """The printed digits of a data node, its machine number where none are printed; nothing where it has no data."""
    printed = data.get("strdata") or ""
    if data["hasdata"] is False:
        return ""
    return printed if _NUMBER.fullmatch(printed) else str(data.get("data", printed))


def world_bank_observations(editions: Editions, document: list[Any]) -> Iterator[Observation]:
    """The values of one page of the World Bank's API; `value: null` is a missing value.

    Raises:
        Unreadable: the API refused the query (its message is the reason), or the answer has another structure.
    """
    bank = editions.world_bank
    try:
        page = document[0]
        if "message" in page:
            texts = ", ".join(f"{message['key']}: {message['value']}" for message in page["message"])
            raise Unreadable(f"the World Bank answered {texts}")
        source = page.get("sourceid") or ""
        for number, datum in enumerate(document[1] or [], start=1):
            indicator, country = datum["indicator"], datum["country"]
            yield Observation(
                line=number, provider=bank.provider, dataset=bank.datasets.get(source, source) or bank.provider,
                dimensions={"country": datum.get("countryiso3code") or country["id"], "indicator": indicator["id"]},
                indicator=indicator["value"], period=canonical_period(datum["date"]),
                value="" if datum["value"] is None else datum["value"], unit=datum.get("unit") or "",
                obs_status=datum.get("obs_status") or "", attributes={"DECIMALS": datum.get("decimal") or ""},
            )  # fmt: skip
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise Unreadable(f"unreadable: no answer of the World Bank: {error!r}") from None
