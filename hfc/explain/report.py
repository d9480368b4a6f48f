"""An explanation for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hfc.explain import CONF_STATUS, OBS_STATUS, Explanation

ROWS_SHOWN = 1000


def show_explanation(console: Console, explained: Explanation) -> None:
    """Print an explanation; of many rows the first ones."""
    for line in lines(explained):
        console.print(Text(line), soft_wrap=True)
    if explained.deliveries:
        facts = ("feed", "file", "published_on", "rows", "sha256", "licence", "source_url")
        shortened = ({**delivery, "sha256": f"{delivery['sha256'][:12]}…"} for delivery in explained.deliveries)
        _table(console, facts, ([delivery[name] for name in facts] for delivery in shortened))
    if explained.rows:
        names = ("file", "sheet", "line", "contribution", "row")
        files = {delivery["delivery_id"]: f"{delivery['feed']}/{delivery['file']}" for delivery in explained.deliveries}
        shown = (
            (files[row["delivery_id"]], row["sheet"], row["line"], _contribution(row), _cells(row["values"]))
            for row in explained.rows[:ROWS_SHOWN]
        )
        _table(console, names, shown)
        if len(explained.rows) > ROWS_SHOWN:
            console.print(Text(f"The first {ROWS_SHOWN} of {len(explained.rows)} rows; --json gives all"))
    console.print(Text(verdict(explained)), soft_wrap=True)


def lines(explained: Explanation) -> Iterator[str]:
    """What stands above the deliveries."""
    observed = explained.observation
    yield f"{observed['label_zh']} · {observed['label_en']} ({observed['metric_id']})"
    yield f"{observed['period']}, {observed['dimension']} {observed['member']}: {value_of(observed)}"
    yield f"Release {explained.release_id} as of {explained.as_of}"
    yield f"Status: {status_of(observed)}"
    yield observed["definition_zh"]
    yield observed["definition_en"]
    for layer, names in groupby(explained.path, key=lambda name: name.partition(".")[0]):
        yield f"Models, {layer}: {', '.join(name.partition('.')[2] for name in names)}"
    yield f"Calculation: {explained.how}"


def value_of(observed: dict[str, Any]) -> str:
    """The value with its unit in both languages."""
    if observed["value"] is None:
        return "no value"
    return f"{number(observed['value'])} {observed['unit_zh'] or ''} · {observed['unit_en'] or observed['unit']}"


def status_of(observed: dict[str, Any]) -> str:
    """Both statuses in words."""
    obs, conf = observed["obs_status"], observed["conf_status"]
    return f"{obs} {OBS_STATUS.get(obs, '')}, {conf} {CONF_STATUS.get(conf, '')}"


def verdict(explained: Explanation) -> str:
    """Whether the number is confirmed, in a sentence."""
    observed = explained.observation
    if explained.rows is None:
        hidden = "; the rows are of single taxpayers: --confidential shows them, on a terminal only"
    else:
        hidden = ""
    if explained.matches is None:
        told = f"Suppressed ({observed['conf_status']}): {explained.suppressed}"
        if explained.recomputed is not None:
            told += f"; the rows give {number(explained.recomputed)}"
        return told + hidden
    if not explained.matches:
        changes = "; ".join(explained.differs) or "neither code nor seeds have changed since"
        return (
            f"Does not match: published {number(observed['value'])}, computed again {number(explained.recomputed)}"
            f" ({changes})"
        )
    rows = sum(delivery["rows"] or 0 for delivery in explained.deliveries)
    if observed["value"] is None:
        return f"Confirmed: there is no value, because {explained.lacks}{hidden}"
    if explained.rows is None:
        return f"Confirmed: computed again, {number(explained.recomputed)}{hidden}"
    if not rows:
        return "Confirmed: no row enters, and of events silence is zero"
    return f"Confirmed: computed again from {rows} row{'s' * (rows != 1)}, {number(explained.recomputed)}"


def number(value: Any) -> str:
    """A number without zeros at its end; `none` for a missing one."""
    if value is None:
        return "none"
    text = f"{Decimal(value):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _contribution(row: dict[str, Any]) -> str | None:
    return None if row["contribution"] is None else number(row["contribution"])


def _cells(values: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} {number(value) if isinstance(value, Decimal) else value}"
        for name, value in values.items()
        if name not in ("void", "amount")
    )


def _table(console: Console, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    table = Table()
    for name in names:
        table.add_column(Text(name), overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if value is None else str(value)) for value in row))
    console.print(table)
