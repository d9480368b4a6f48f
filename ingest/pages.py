"""One page per feed, written from its contract: `python -m ingest.pages` (`make docs`).

What a page says stands in the contract and in the example delivery below docs/feeds/examples; nothing is edited here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ingest.columns import faults, lake_name
from ingest.contract import MONEY_UNITS, RULES, Column, Contract, load_contracts

FOLDER = Path(__file__).parent.parent / "docs" / "feeds"
MARKER = "<!-- Below this line: python -m ingest.pages -->\n"
_PERIODS = {None: "a month, quarter or year", "M": "a month", "Q": "a quarter", "A": "a year"}
_TYPES = {
    "text": "text",
    "date": "a date",
    "enum": "one of the codes below, by its Chinese name or its id",
    "flag": "是 or 否",
    "integer": "a whole number",
    "money": "an amount of money",
    "number": "a number",
    "period_range": "a month, or the first and the last month joined by `~`",
    "observational_period": "a month, quarter, year, half-year, week or day",
    "uscc": "a USCC of 18 characters",
    "uscc_or_organisation_code": "a USCC of 18 characters, or an organisation code of 9 with or without its hyphen",
}


def pages(folder: Path = FOLDER) -> dict[Path, str]:
    """Path → text of every generated page."""
    contracts = list(load_contracts().values())
    index = folder / "README.md"
    written = index.read_text(encoding="utf-8").partition(MARKER)[0]
    found = {folder / f"{contract.feed}.md": page(contract, folder) for contract in contracts}
    return found | {index: written + MARKER + "\n" + "".join(_index(contracts))}


def page(contract: Contract, folder: Path) -> str:
    """The page of one feed."""
    keys = ", ".join(f"`{column.id}`" for column in contract.keys)
    lines = [
        f"# {contract.title.zh} · {contract.title.en}\n",
        f"Feed `{contract.feed}`: {contract.kind}s, key {keys}. {_calendar(contract)}{_confidentiality(contract)}\n",
        *(
            ["Published tables of many forms arrive; these columns are what becomes of them.\n"]
            if contract.editions
            else []
        ),
        "| header | id | holds | rules |",
        "|---|---|---|---|",
        *(_row(contract, column) for column in contract.columns),
        "",
        *_codes(contract),
        *_names(contract),
        *_example(contract, folder),
        f"Written from [the contract](../../ingest/contracts/{contract.feed}.yaml); [how cells are read](README.md).\n",
    ]
    return "\n".join(lines)


def _calendar(contract: Contract) -> str:
    calendar = contract.calendar
    if calendar is None:
        return "Deliveries come when there is something new."
    return (
        f"One delivery a {calendar.every}, due {calendar.due_days} days after its end, late after "
        f"{calendar.grace_days} more."
    )


def _confidentiality(contract: Contract) -> str:
    return " Confidential: its rows never leave the home, and no message quotes them." if contract.confidential else ""


def _row(contract: Contract, column: Column) -> str:
    broken = {rule for rule, other, _ in faults(contract, {}) if other.id == column.id}
    if column.id == contract.keys[0].id:
        broken.add("conflicting_key")
    links = ", ".join(f"[`{rule}`](../errors/{rule}.md)" for rule in RULES if rule in broken)
    headers = " or ".join([column.header, *column.aliases])
    return f"| {headers} | `{column.id}` | {_holds(contract, column)} | {links} |"


def _holds(contract: Contract, column: Column) -> str:
    """What a column's cells hold, in words."""
    words = [_PERIODS[column.frequency] if column.type == "period" else _TYPES[column.type]]
    if column.type == "money":
        others = " or ".join(unit for unit in MONEY_UNITS if unit != column.unit)
        words.append(f"in {column.unit}, or in {others} where the header or a line above says so")
    elif column.unit:
        words.append(f"in {column.unit}")
    if column.pattern:
        words.append(f"of the form `{column.pattern.replace('|', chr(92) + '|')}`")
    if column.minimum is not None or column.maximum is not None:
        words.append(" ".join(f"{word} {bound}" for word, bound in (("from", column.minimum), ("to", column.maximum))
                              if bound is not None))  # fmt: skip
    if column.not_after_publication:
        words.append("not after the publication date")
    if column.sign:
        signs = (("not negative", column.sign.positive), ("not positive", column.sign.negative))
        words += [f"{word} for {_printed(contract, column.sign.by, values)}" for word, values in signs]
    return ", ".join(words) + _need(contract, column)


def _need(contract: Contract, column: Column) -> str:
    if column.required_when:
        when = " and ".join(_printed(contract, by, values) for by, values in column.required_when.items())
        return f"; needed for {when}"
    if column.id == "void":
        return "; optional, 否 where it is missing"
    return "; optional" if column.optional else ""


def _printed(contract: Contract, column: str, values: list[str]) -> str:
    return ", ".join(contract.column(column).values[value] for value in values)


def _codes(contract: Contract) -> Iterator[str]:
    """The code lists, a line each."""
    for column in contract.columns:
        if column.values:
            yield f"**{column.header}** " + " · ".join(f"{zh} `{code}`" for code, zh in column.values.items()) + "\n"


def _names(contract: Contract) -> Iterator[str]:
    renamed = [f"`{lake_name(column)}`" for column in contract.columns if lake_name(column) != column.id]
    if renamed:
        yield f"In the warehouse, in yuan: {', '.join(renamed)}.\n"


def _example(contract: Contract, folder: Path) -> Iterator[str]:
    """The example delivery, which is synthetic."""
    for path in sorted((folder / "examples" / contract.feed).glob("*.csv")):
        yield f"[{path.name}]({path.relative_to(folder)}) (synthetic: every name, code and number is made up):\n"
        yield f"```csv\n{path.read_text(encoding='utf-8')}```\n"


def _index(contracts: list[Contract]) -> Iterator[str]:
    yield "| feed | what | key |\n|---|---|---|\n"
    for contract in contracts:
        keys = ", ".join(f"`{column.id}`" for column in contract.keys)
        yield f"| [`{contract.feed}`]({contract.feed}.md) | {contract.title.zh} · {contract.title.en} | {keys} |\n"


def main() -> None:
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
