"""Why a published number is what it is: its definition, models, deliveries and rows, and the number computed again.

Everything is read from the release and from the lake files of the deliveries that its manifest names; neither the
candidate nor anything that arrived later matters. The calculation is none of dbt's.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from hfc.explain import accounts
from hfc.explain import recompute as calculation
from hfc.explain.evidence import Evidence
from hfc.explain.lineage import model_path
from hfc.explain.sums import Cell, in_percent
from hfc.home import Home, UsageError
from hfc.provenance import seed_digests
from hfc.warehouse import code_version
from ingest.contract import load_contracts
from publish.release import DATABASE, manifest_of

OBSERVATIONS = """
SELECT
    o.metric_id, o.frequency, o.period, o.period_end, o.dimension, o.member, o.value, o.unit, o.obs_status,
    o.conf_status, m.label_zh, m.label_en, m.definition_zh, m.definition_en, m.warnings_zh, m.warnings_en, m.measure,
    u.label_zh AS unit_zh, u.label_en AS unit_en
FROM published.metric_observation AS o
INNER JOIN published.metric AS m ON o.metric_id = m.metric_id
LEFT JOIN dictionary.unit AS u ON o.unit = u.unit
WHERE coalesce(o.metric_id = $metric, true) AND coalesce(o.period = $period, true)
    AND coalesce(o.dimension = $dimension, true) AND coalesce(o.member = $member, true)
ORDER BY o.metric_id, o.frequency, o.period, o.dimension, o.member
"""
OBS_STATUS = {"A": "normal", "P": "provisional", "E": "estimated", "M": "missing"}
CONF_STATUS = {"F": "free", "C": "suppressed: it could reveal a taxpayer", "D": "suppressed to protect another value"}
# Which part of the rule holds would itself tell something of the taxpayers.
SUPPRESSED = {
    "C": "fewer than {taxpayers} taxpayers stand behind it, or one is so large that the second largest could tell it "
    "to within {percent} %",
    "D": "with it readers could compute a value that is, or in an earlier release was, suppressed because it could "
    "reveal a taxpayer",
}
DELIVERY = ("delivery_id", "feed", "file", "sha256", "published_on", "licence", "source_url", "note", "synthetic")


@dataclass(frozen=True)
class Explanation:
    """One published value and all that it is made of.

    `observation` is its row with the dictionary's texts. `rows` is None where rows are confidential and were not asked
    for. `suppressed` says why the value is not published, None if it is; `matches` is None then. `differs` says in what
    the release was made otherwise than the project would make it now.
    """

    release_id: str
    as_of: str
    observation: dict[str, Any]
    path: list[str]
    deliveries: list[dict[str, Any]]
    rows: list[dict[str, Any]] | None
    how: str
    recomputed: Decimal | None
    matches: bool | None
    lacks: str | None
    suppressed: str | None
    differs: list[str]


@dataclass(frozen=True)
class Verification:
    """Every published value of a release computed again: how many, and those that differ."""

    release_id: str
    values: int
    suppressed: int
    different: list[dict[str, Any]]


def explain(
    home: Home,
    release: Path,
    metric: str,
    period: str,
    dimension: str | None = None,
    member: str | None = None,
    confidential: bool = False,
) -> Explanation:
    """Explain one published value; without a member the total.

    Raises:
        UsageError: the release has no such value, or several.
        HfcError: the lake lacks what the release was made from.
    """
    manifest = _manifest(release)
    observation = _one(release, metric, period, *_members(dimension, member))
    cell = calculation.cell_of(observation, observation["measure"])
    is_hidden = _is_confidential(metric) and not confidential
    is_suppressed = observation["conf_status"] != "F"
    rows: list[dict[str, Any]] = []
    deliveries: list[dict[str, Any]] = []
    result = calculation.Recomputed(None)
    if not (is_suppressed and is_hidden):
        with calculation.opened(home, manifest) as found:
            result, rows = _computed(found, cell)
            deliveries = _deliveries(found, rows, calculation.feeds_of(metric) if is_hidden else ())
    return Explanation(
        release_id=release.name,
        as_of=manifest["as_of"],
        observation=observation,
        path=model_path(manifest["lineage"], _model(metric), calculation.feeds_of(metric)),
        deliveries=deliveries,
        rows=None if is_hidden else [_shown(row) for row in rows],
        how=_how(cell, observation),
        recomputed=result.value,
        matches=None if is_suppressed else result.value == observation["value"],
        lacks=result.lacks,
        suppressed=_suppressed(observation["conf_status"]),
        differs=_differs(manifest),
    )


def _suppressed(conf_status: str) -> str | None:
    """Why a value is not published, in the words of the rule; None if it is."""
    if conf_status not in SUPPRESSED:
        return None
    (rule,) = accounts.seed("disclosure_rule")
    return SUPPRESSED[conf_status].format(**rule)


def verify(home: Home, release: Path) -> Verification:
    """Compute every published value of a release again.

    Raises:
        HfcError: the lake lacks what the release was made from.
    """
    manifest = _manifest(release)
    observations = _observations(release)
    free = {calculation.cell_of(o, o["measure"]): o for o in observations if o["conf_status"] == "F"}
    with calculation.opened(home, manifest) as found:
        computed = calculation.recompute_all(found, list(free))
    names = ("metric_id", "frequency", "period", "dimension", "member", "value")
    different = [
        {**{name: observation[name] for name in names}, "recomputed": computed[cell].value}
        for cell, observation in free.items()
        if computed[cell].value != observation["value"]
    ]
    return Verification(release.name, len(free), len(observations) - len(free), different)


def paths(release: Path) -> dict[str, list[str]]:
    """The sources and models between the feeds and each metric of a release."""
    lineage = _manifest(release)["lineage"]
    metrics = sorted({observation["metric_id"] for observation in _observations(release)})
    return {metric: model_path(lineage, _model(metric), calculation.feeds_of(metric)) for metric in metrics}


def _manifest(release: Path) -> dict[str, Any]:
    manifest = manifest_of(release)
    if not manifest.get("lineage"):
        raise UsageError(f"The manifest of release {release.name} does not name its models and deliveries")
    return manifest


def _members(dimension: str | None, member: str | None) -> tuple[str | None, str | None]:
    """Which member is meant: the total, unless a dimension or a member is named."""
    return ("total", "total") if dimension is None and member is None else (dimension, member)


def _one(release: Path, metric: str, period: str, dimension: str | None, member: str | None) -> dict[str, Any]:
    """The one observation that is asked for."""
    found = _observations(release, metric, period, dimension, member)
    if len(found) == 1:
        return found[0]
    others = found or _observations(release, metric, period) or _observations(release, metric)
    if not others:
        metrics = dict.fromkeys(observation["metric_id"] for observation in _observations(release))
        raise UsageError(f"Release {release.name} has no metric {metric}; metrics: {', '.join(metrics)}")
    if others[0]["period"] != period:
        periods = ", ".join(dict.fromkeys(observation["period"] for observation in others))
        raise UsageError(f"Release {release.name} has no value of {metric} in {period}; periods: {periods}")
    choices = ", ".join(f"{o['dimension']} {o['member']}" for o in others)
    raise UsageError(f"Name one member of {metric} with --dimension and --member; in {period} there are: {choices}")


def _observations(
    release: Path,
    metric: str | None = None,
    period: str | None = None,
    dimension: str | None = None,
    member: str | None = None,
) -> list[dict[str, Any]]:
    import duckdb

    asked = {"metric": metric, "period": period, "dimension": dimension, "member": member}
    with duckdb.connect(str(release / DATABASE), read_only=True) as connection:
        result = connection.execute(OBSERVATIONS, asked)
        names = [column[0] for column in result.description or []]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def _computed(found: Evidence, cell: Cell) -> tuple[calculation.Recomputed, list[dict[str, Any]]]:
    """A cell's value and the rows that enter it."""
    family = calculation.family_of(cell.metric_id)
    if family is None:
        read = calculation.read_accounts(found)
        return calculation.recompute_accounts(read, [cell])[cell], read.rows(cell)
    calculation.prepare(found, [family], cell.first, cell.last)
    return calculation.recompute(found, family, [cell])[cell], calculation.rows_of(found, family, cell)


def _deliveries(found: Evidence, rows: list[dict[str, Any]], hidden: tuple[str, ...]) -> list[dict[str, Any]]:
    """The deliveries that rows come from, and how many of the rows each brought.

    Of a `hidden` feed all of them, uncounted: which ones say something of the taxpayers could tell who they are, and
    what is counted of published values tells by difference what a suppressed one counts.
    """
    counts: dict[str, int | None] = dict(Counter(row["delivery_id"] for row in rows))
    counts |= {identifier: None for identifier, d in found.deliveries.items() if d["feed"] in hidden}
    return [
        {name: delivery[name] for name in DELIVERY} | {"rows": counts[identifier]}
        for identifier, delivery in found.deliveries.items()
        if identifier in counts
    ]


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """A row as a reader sees it: where it stands, what it contributes, and its cells that are not empty."""
    place = ("feed", "delivery_id", "sheet", "line", "contribution")
    cells = {name: value for name, value in row.items() if name not in place and value is not None}
    return {**{name: row[name] for name in place}, "values": cells}


def _is_confidential(metric: str) -> bool:
    return any(load_contracts()[feed].confidential for feed in calculation.feeds_of(metric))


def _model(metric: str) -> str:
    family = calculation.family_of(metric)
    return family.model if family else accounts.MODEL


def _how(cell: Cell, observation: dict[str, Any]) -> str:
    """How the rows become the number."""
    family = calculation.family_of(cell.metric_id)
    if family is None:
        return accounts.how(cell)
    if observation["measure"] == "stock":
        days = f"that hold on {cell.last}"
    else:
        days = f"whose day lies from {cell.first} to {cell.last}"
    if cell.dimension == "fiscal_level":
        return (
            f"The amounts of the rows {days}, added up by month, tax and scheme of sharing and shared by the seed "
            "tax_sharing: each level's part is rounded to the fen, the largest share takes the rest"
        )
    counted = ", in percent; a day or week counts once" if family.scale is in_percent else ""
    return f"The contributions of the rows {days}, added up{counted}"


def _differs(manifest: dict[str, Any]) -> list[str]:
    """In what the project has changed since a release was made."""
    now = seed_digests()
    seeds = [name for name in sorted({*now, *manifest["seeds"]}) if now.get(name) != manifest["seeds"].get(name)]
    told = [f"seed {name} has changed since" for name in seeds]
    if (code := code_version()) != manifest["code_version"]:
        told.append(f"made by {manifest['code_version']}, computed again by {code}")
    return told
