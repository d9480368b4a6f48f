"""What an export says of itself: datapackage.json for programs, README.txt for people."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from string import Template
from typing import Any

from hfc.home import sha256_of
from publish.export import sdmx, workbook
from publish.export.source import Column, Source, Table
from publish.release import BANNER

DESCRIPTOR = "datapackage.json"
README = "README.txt"
TEMPLATE = Path(__file__).with_name("readme.txt")
# The columns that tell one row of a table from another, where readers join or compare.
KEYS = {
    "metric": ("metric_id",),
    "metric_observation": ("metric_id", "frequency", "period", "dimension", "member"),
    "metric_vintage": ("metric_id", "frequency", "period", "dimension", "member", "realtime_start"),
    "plan_attainment": ("target_id",),
    "plan_target": ("target_id",),
}
# The types of Table Schema, by the first word of DuckDB's.
TYPES = {
    "VARCHAR": "string",
    "INTEGER": "integer",
    "BIGINT": "integer",
    "DECIMAL": "number",
    "DATE": "date",
    "TIMESTAMP": "datetime",
    "BOOLEAN": "boolean",
}
MEDIA_TYPES = {
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "xml": "application/vnd.sdmx.structure+xml;version=3.0.0",
}


def about(source: Source) -> str:
    """What a person has to know before using the data."""
    facts = {name: str(source.facts[name]) for name in ("release_id", "as_of", "code_version", "inputs_sha256")}
    made_up = {"banner": f"{BANNER}\n", "cited": f" {BANNER}"} if source.synthetic else {"banner": "", "cited": ""}
    sources = "\n".join(map(_source_line, source.feeds))
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(facts, **made_up, sources=sources)


def describe(source: Source, form: str, folder: Path) -> None:
    """Write both files into a folder that holds the data in one format."""
    (folder / README).write_text(about(source), encoding="utf-8")
    text = json.dumps(_descriptor(source, form, folder), ensure_ascii=False, indent=1)
    (folder / DESCRIPTOR).write_text(text + "\n", encoding="utf-8")


def _source_line(feed: dict[str, Any]) -> str:
    made_up = " SYNTHETIC." if feed["synthetic"] else ""
    licence = "; ".join([*feed["licences"], *["not stated"] * bool(feed["deliveries_without_licence"])])
    places = "".join(f" {url}." for url in feed["urls"])
    notes = "".join(f" {note}." for note in feed["notes"])
    return (
        f"- {feed['title_zh']} · {feed['title_en']} ({feed['feed']}).{made_up} Licence: {licence}.{places}{notes} "
        f"Deliveries: {feed['deliveries']}, the last of {feed['latest']}."
    )


def _descriptor(source: Source, form: str, folder: Path) -> dict[str, Any]:
    title = f"HFC Metrics, release {source.release.name} as of {source.as_of}"
    return {
        "profile": "data-package",
        "name": f"hfc-metrics-{source.release.name.lower()}-{form}",
        "title": f"{title}: {BANNER}" if source.synthetic else title,
        "version": source.release.name,
        "created": f"{source.as_of}T00:00:00+08:00",
        "release_id": source.release.name,
        "as_of": source.as_of.isoformat(),
        "synthetic": source.synthetic,
        "format": form,
        "code_version": source.facts["code_version"],
        "inputs_sha256": source.facts["inputs_sha256"],
        **_licences(source.feeds),
        "sources": [_source(feed) for feed in source.feeds],
        "resources": list(_resources(source, form, folder)),
    }


def _source(feed: dict[str, Any]) -> dict[str, Any]:
    """A feed as a source; what its deliveries say of address, licence and origin is repeated, never guessed."""
    addresses = [url for url in feed["urls"] if url.startswith(("https://", "http://"))]
    path = {"path": addresses[0]} if len(addresses) == 1 else {}
    return {"title": f"{feed['title_zh']} · {feed['title_en']}", **path, **feed}


def _licences(feeds: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, str]]]:
    """The licences of what comes from feeds; nothing where a delivery states none."""
    if not feeds or any(feed["deliveries_without_licence"] for feed in feeds):
        return {}
    stated = sorted({licence for feed in feeds for licence in feed["licences"]})
    found = [{"name": re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-") or "other", "title": text} for text in stated]
    return {"licenses": found}


def _resources(source: Source, form: str, folder: Path) -> Iterator[dict[str, Any]]:
    if form == "sdmx-csv":
        table = next(table for table in source.tables if table.name == "metric_observation")
        yield _resource(source, folder, table, source.file(f"{table.name}.csv"), {"schema": _sdmx_schema(source)})
        yield {"name": "structure", **_file(folder, sdmx.STRUCTURE), "description": "The structure of the data."}
        return
    for table in source.tables:
        name = source.file(workbook.NAME if form == "xlsx" else f"{table.name}.{form}")
        sheet = {"dialect": {"excel": {"sheet": table.name}}} if form == "xlsx" else {}
        yield _resource(source, folder, table, name, {**sheet, "schema": _schema(table)})


def _resource(source: Source, folder: Path, table: Table, file_name: str, described: dict[str, Any]) -> dict[str, Any]:
    """A table with the feeds that it was computed from."""
    names = source.feeds_of(table.name)
    feeds = [feed for feed in source.feeds if feed["feed"] in names]
    file = _file(folder, file_name)
    rows = {"rows": table.rows} if file["type"] == "table" else {}
    return {
        "name": table.name,
        **file,
        "description": table.comment,
        **rows,
        "feeds": names,
        **_licences(feeds),
        **described,
    }


def _file(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    form = path.suffix[1:]
    text = {"encoding": "utf-8"} if form in ("csv", "xml") else {}
    # A program that checks the package reads text and workbooks as tables; a Parquet file has its own types.
    kind = {"type": "table" if form in ("csv", "xlsx") else "file"}
    facts = {"bytes": path.stat().st_size, "hash": f"sha256:{sha256_of(path)}"}
    return {"path": name, "format": form, "mediatype": MEDIA_TYPES[form], **kind, **text, **facts}


def _schema(table: Table) -> dict[str, Any]:
    key = {"primaryKey": list(KEYS[table.name])} if table.name in KEYS else {}
    return {"fields": [_field(column) for column in table.columns], **key}


def _field(column: Column) -> dict[str, str]:
    kind = TYPES[re.split(r"\W", column.kind)[0]]
    form = {"format": "any"} if kind == "datetime" else {}
    return {"name": column.name, "type": kind, **form, "description": column.comment}


def _sdmx_schema(source: Source) -> dict[str, Any]:
    """The columns of SDMX-CSV: three that name the structure, then dimensions, value and attributes."""
    head = [{"name": name, "type": "string"} for name in ("STRUCTURE", "STRUCTURE_ID", "ACTION")]
    components = sdmx.columns(source)
    kinds = {"OBS_VALUE": "number", "AS_OF": "date"}
    named = [{"name": name, "type": kinds.get(name, "string"), "description": text} for name, text in components]
    names = [name for name, _ in components]
    return {"fields": [*head, *named], "primaryKey": names[: names.index("OBS_VALUE")]}
