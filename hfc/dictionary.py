"""The dictionary for readers, docs/dictionary.md, written by `python -m hfc.dictionary` from what the project runs on.

Metrics, units and members come from the seeds; tables and columns from the descriptions that become their comments.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from hfc.home import PROJECT
from publish import data_quality

PAGE = Path(__file__).parent.parent / "docs" / "dictionary.md"
_HEAD = """# Dictionary

Every metric and every published table. Written by `make docs` from the seeds and from the descriptions of the models;
nothing is edited here. [metrics.md](metrics.md) holds the rules that metrics share.
"""
_FREQUENCIES = {"M": "months", "Q": "quarters", "A": "years"}


def page(project: Path = PROJECT) -> str:
    """The text of the page."""
    sections = (_metrics(project), _dimensions(project), _tables(project))
    return "\n".join([_HEAD, *(line for section in sections for line in section)])


def _seed(project: Path, name: str) -> list[dict[str, str]]:
    with open(project / "seeds" / f"{name}.csv", encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def _metrics(project: Path) -> Iterator[str]:
    units = {row["unit"]: row for row in _seed(project, "unit")}
    yield "## Metrics\n"
    for row in _seed(project, "metric"):
        unit = units[row["unit"]]
        frequencies = ", ".join(_FREQUENCIES[letter] for letter in row["frequencies"].split())
        dimensions = ", ".join(f"`{name}`" for name in row["dimensions"].split())
        feeds = ", ".join(f"[`{feed}`](feeds/{feed}.md)" for feed in row["source_feeds"].split())
        yield f"### `{row['metric_id']}`\n"
        yield f"**{row['label_zh']} · {row['label_en']}**\n"
        yield f"{row['definition_zh']}\n\n{row['definition_en']}\n"
        yield f"- Unit: {unit['label_zh']} · {unit['label_en']} (`{row['unit']}`); a {row['measure']}"
        yield f"- For {frequencies}; by {dimensions}"
        yield f"- From {feeds}"
        if row["computed"] != "true":
            yield "- Defined, not computed yet"
        yield f"\n> {row['warnings_zh']}\n>\n> {row['warnings_en']}\n"


def _dimensions(project: Path) -> Iterator[str]:
    yield "## Dimensions\n\n| dimension | member | |\n|---|---|---|"
    for row in _seed(project, "dimension_member"):
        yield f"| `{row['dimension']}` | `{row['member']}` | {row['label_zh']} · {row['label_en']} |"
    yield ""


def _tables(project: Path) -> Iterator[str]:
    yield "## Published tables\n"
    models = [model for path in sorted((project / "models" / "published").glob("_*.yml")) for model in _models(path)]
    tables = {_table(project, model["name"]): (model["description"], _columns(model)) for model in models}
    checks = [(name, kind.split()[0].lower(), text) for name, kind, text in data_quality.COLUMNS]
    tables[data_quality.TABLE] = data_quality.COMMENT, checks
    for name in sorted(tables):
        description, columns = tables[name]
        yield f"### `{name}`\n\n{_one_line(description)}\n\n| column | type | |\n|---|---|---|"
        for column, kind, text in columns:
            yield f"| `{column}` | {kind} | {_cell(text)} |"
        yield ""


def _models(path: Path) -> list[dict[str, Any]]:
    return yaml.safe_load(path.read_text(encoding="utf-8")).get("models") or []


def _table(project: Path, model: str) -> str:
    """What a model's table is called in a release."""
    sql = (project / "models" / "published" / f"{model}.sql").read_text(encoding="utf-8")
    alias = re.search(r"alias\s*=\s*'(\w+)'", sql)
    return alias.group(1) if alias else model


def _columns(model: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(column["name"], column["data_type"], column["description"]) for column in model["columns"]]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return _one_line(text).replace("|", "\\|")


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
