"""The pages of the board, and what each shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from publish.site import figures
from publish.site.content import Content, Row
from publish.site.figures import Figure, cell_of, figure, of_metrics, ranking, with_total
from publish.site.language import Language, exact, number, percent_reached, plain_number

TAX = "financial_tax_revenue"
VALUE_ADDED = "financial_value_added"
# Shown on the pages of their own; the page of the other measures has the rest.
PLACED = ("institutions_", "fund_", TAX, "tax_revenue_", VALUE_ADDED, "duties_")


@dataclass(frozen=True)
class Download:
    """A file offered for download: its path from the pages, its size in bytes, its SHA-256."""

    path: str
    size: int
    sha256: str


Context = Callable[[Content, Language, list[Download]], dict[str, Any]]


@dataclass(frozen=True)
class Page:
    """A page: its name, which is that of its file, its template and its heading, and what it shows."""

    name: str
    context: Context


def _overview(content: Content, language: Language, _: list[Download]) -> dict[str, Any]:
    cards = [_card(language, target) for target in content.rows["target"]]
    counts = Counter(target["status"] for target in content.rows["target"])
    years = list(dict.fromkeys(target["year"] for target in content.rows["target"]))
    return {
        "years": [(year, [card for card in cards if card["target"]["year"] == year]) for year in years],
        "counts": [(status, counts[status["status"]]) for status in content.rows["attainment_status"]],
        "total": len(cards),
        "suppressed": any(card["is_suppressed"] for card in cards),
    }


def _card(language: Language, target: Row) -> dict[str, Any]:
    """A target as its card shows it: texts, and how far its bar reaches in percent."""
    decimals = language.content.metrics[target["metric_id"]]["decimals"]
    reached = target["attainment_pct"]

    def plain(name: str, above: Decimal | None = None) -> tuple[str, str] | None:
        value = target[name]
        told = value is not None and (above is None or value > above)
        return (plain_number(value, max(decimals, 2)), exact(value)) if told else None

    return {
        "target": target,
        "label": language.label(target),
        "status": language.status(target["status"]),
        "unit": language.unit(target["unit"]),
        "actual": None if target["actual"] is None else (number(target["actual"], decimals), exact(target["actual"])),
        "goal": language.goal(target),
        "expected": plain("expected"),
        "gap": plain("gap", Decimal(0)),
        "pace": plain("required_pace", Decimal(0)),
        "reached": None if reached is None else (percent_reached(reached), exact(reached)),
        "bar": None if reached is None else _share(reached),
        "mark": None if target["expected"] is None or not target["low"] else _share(
            target["expected"] * 100 / target["low"]
        ),
        "reason": language.reason(target["reason"]),
        "is_suppressed": _is_suppressed(language.content, target),
        "href": f"{language.file('targets')}#{_anchor(target)}",
    }  # fmt: skip


def _is_suppressed(content: Content, target: Row) -> bool:
    """Whether a target has no actual value because one that it is, or adds up, is suppressed."""
    frequencies = content.metrics[target["metric_id"]]["frequencies"].split()
    return target["actual"] is None and any(
        row["conf_status"] != "F" and row["period"].startswith(str(target["year"]))
        for frequency in frequencies
        for row in content.series.get((target["metric_id"], frequency, target["dimension"], target["member"]), [])
    )


def _share(percent: Decimal) -> str:
    """Where on a bar of 100 a percentage stands."""
    return number(min(max(percent, Decimal(0)), Decimal(100)), 1)


def _anchor(target: Row) -> str:
    return "-".join((target["metric_id"], target["dimension"], target["member"]))


def _targets(content: Content, language: Language, _: list[Download]) -> dict[str, Any]:
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for target in content.rows["target"]:
        groups.setdefault((target["metric_id"], target["dimension"], target["member"]), []).append(target)
    return {
        "groups": [
            {
                "figure": figures.trajectory(language, key, targets),
                "cards": [_card(language, target) for target in targets],
                "vintages": _vintages(content, language, key),
            }
            for key, targets in groups.items()
        ]
    }


def _vintages(content: Content, language: Language, key: tuple[str, str, str]) -> list[dict[str, Any]]:
    """Every earlier value of a series that a later release replaced, with what replaced it in the end."""
    metric, dimension, member = key
    superseded = content.of("superseded", metric_id=metric, dimension=dimension, member=member)
    now = {
        (row["frequency"], row["period"]): row
        for frequency in content.metrics[metric]["frequencies"].split()
        for row in content.series.get((metric, frequency, dimension, member), [])
    }
    return [
        {
            "row": row,
            "cell": cell_of(language, row),
            "now": cell_of(language, now.get((row["frequency"], row["period"]))),
        }
        for row in superseded
    ]


@dataclass(frozen=True)
class Drawn:
    """What a figure shows: metrics by the members of a dimension, or their totals.

    `word` is its title in the words of the interface; without one it is called like its metric. `kind` is bar, stack,
    line, table, or ranking, which shows the members in the last year.
    """

    identifier: str
    word: str | None
    kind: str
    metrics: tuple[str, ...]
    frequency: str
    dimension: str = "total"

    def figure(self, language: Language) -> Figure | None:
        """The figure; None where the release has no such values."""
        title = language.words[self.word] if self.word else language.metric(self.metrics[0])
        if self.kind == "ranking":
            return ranking(language, self.identifier, title, self.metrics[0], self.dimension)
        if self.dimension == "total":
            lines = of_metrics(language, self.metrics, self.frequency)
        else:
            lines = with_total(language, self.metrics[0], self.frequency, self.dimension)
        kind = "bar" if self.kind == "stack" else self.kind
        return figure(language, self.identifier, title, kind, lines, stacked=self.kind == "stack")


def _figures(*drawn: Drawn) -> Context:
    """A page of figures."""

    def context(_: Content, language: Language, __: list[Download]) -> dict[str, Any]:
        return _with_figures(one.figure(language) for one in drawn)

    return context


def _with_figures(found: Iterable[Figure | None]) -> dict[str, Any]:
    return {"figures": [one for one in found if one]}


_institutions = _figures(
    Drawn("ever-admitted", None, "line", ("institutions_admitted_cumulative",), "M", "category"),
    Drawn("resident", None, "line", ("institutions_resident",), "M", "category"),
    Drawn("admitted", None, "stack", ("institutions_admitted",), "A", "category"),
    Drawn("departed", None, "stack", ("institutions_departed",), "A", "category"),
    Drawn("funds", "fund_capital", "line", ("fund_subscribed_cumulative", "fund_paid_in_cumulative"), "M"),
    Drawn("subscribed", None, "bar", ("fund_subscribed",), "A"),
)
_tax = _figures(
    Drawn("level-years", "tax_by_level", "stack", (TAX,), "A", "fiscal_level"),
    Drawn("level-quarters", "tax_by_level_quarterly", "stack", (TAX,), "Q", "fiscal_level"),
    Drawn("type", "tax_by_type_ranking", "ranking", (TAX,), "A", "tax_type"),
    Drawn("category", "tax_by_category", "stack", (TAX,), "A", "category"),
    Drawn("type-years", "tax_by_type", "table", (TAX,), "A", "tax_type"),
    Drawn("type-quarters", "tax_by_type_quarterly", "table", (TAX,), "Q", "tax_type"),
    Drawn("gross", "tax_net_gross", "line", (TAX, f"{TAX}_gross"), "M"),
    Drawn("out-of-scope", None, "stack", ("tax_revenue_out_of_scope",), "A", "reason"),
    Drawn("type-months", "tax_by_type_monthly", "table", (TAX,), "M", "tax_type"),
)
_value_added = _figures(
    Drawn("years", "value_added_years", "stack", (VALUE_ADDED,), "A", "division"),
    Drawn("quarters", "value_added_quarters", "stack", (VALUE_ADDED,), "Q", "division"),
    Drawn("growth", None, "line", (f"{VALUE_ADDED}_volume_growth",), "Q", "division"),
    Drawn("growth-ytd", None, "line", (f"{VALUE_ADDED}_volume_growth_ytd",), "Q", "division"),
    Drawn("approaches", "value_added_approaches", "bar", (VALUE_ADDED, f"{VALUE_ADDED}_production"), "A"),
    Drawn("discrepancy", None, "bar", (f"{VALUE_ADDED}_discrepancy",), "A", "division"),
)


def _others(content: Content, language: Language, _: list[Download]) -> dict[str, Any]:
    shown = []
    for metric in content.metrics:
        if not metric.startswith(PLACED):
            frequency = figures.shown_frequency(content, metric, "total", "total")
            shown.append(Drawn(metric, None, "bar" if frequency == "A" else "line", (metric,), frequency))
    return _with_figures(one.figure(language) for one in shown)


def _duties(content: Content, language: Language, _: list[Download]) -> dict[str, Any]:
    month = max((row["month"] for row in content.rows["duty"]), default=None)
    return {
        "month": month,
        "duties": content.of("duty", month=month),
        "units": content.of("unit_score", month=month),
        "statuses": content.rows["duty_status"],
        "figure": figures.duties_over_time(language) if month else None,
    }


def _quality(content: Content, language: Language, _: list[Download]) -> dict[str, Any]:
    checks = content.rows["check"]
    feeds: dict[str, list[Row]] = {}
    for delivery in content.rows["delivery"]:
        feeds.setdefault(delivery["feed"], []).append(delivery)
    counts = ("rows_in", "rows_accepted", "rows_quarantined", "rows_duplicate")
    return {
        "checks": checks,
        "warned": [check for check in checks if check["outcome"] == "warned"],
        "levels": sorted(Counter((check["level"], check["severity"]) for check in checks).items()),
        "feeds": [
            {
                "feed": feed,
                "outcomes": Counter(row["outcome"] for row in rows),
                **{name: sum(row[name] or 0 for row in rows) for name in counts},
            }
            for feed, rows in feeds.items()
        ],
        "rejected": content.of("delivery", outcome="rejected"),
        "reconciliations": [
            (row, language.content.metrics[row["metric_id"]]["decimals"]) for row in content.rows["reconciliation"]
        ],
    }


def _revisions(content: Content, language: Language, _: list[Download]) -> dict[str, Any]:
    replaced = Counter(row["metric_id"] for row in content.rows["superseded"])
    keys = dict.fromkeys(
        (row["metric_id"], row["dimension"], row["member"])
        for row in content.rows["superseded"]
        if row["member"] == "total"
    )
    return {
        "revisions": content.rows["revision"],
        "replaced": sorted(replaced.items()),
        "vintages": [(key[0], _vintages(content, language, key)) for key in keys],
        "notes": content.rows["note"],
        "history": content.manifest["history"],
    }


def _metrics(content: Content, language: Language, _: list[Download]) -> dict[str, Any]:
    shown = []
    for metric_id, metric in content.metrics.items():
        frequency = metric["frequencies"].split()[0]
        rows = content.series.get((metric_id, frequency, "total", "total"), [])[-8:]
        shown.append(
            {
                "metric": metric,
                "feeds": [(feed, content.of("delivery", feed=feed)) for feed in metric["source_feeds"].split()],
                "models": content.models.get(metric_id, []),
                "recent": [(row["period"], cell_of(language, row)) for row in rows[::-1]],
                "targets": content.of("target", metric_id=metric_id),
            }
        )
    return {"metrics": shown}


def _sources(content: Content, language: Language, _: list[Download]) -> dict[str, Any]:
    feeds = dict.fromkeys(row["feed"] for row in content.rows["delivery"])
    return {"feeds": [(feed, content.of("delivery", feed=feed)) for feed in feeds]}


def _download(content: Content, language: Language, files: list[Download]) -> dict[str, Any]:
    return {"files": files}


PAGES = (
    Page("index", _overview),
    Page("targets", _targets),
    Page("institutions", _institutions),
    Page("tax", _tax),
    Page("value-added", _value_added),
    Page("others", _others),
    Page("duties", _duties),
    Page("quality", _quality),
    Page("revisions", _revisions),
    Page("metrics", _metrics),
    Page("sources", _sources),
    Page("downloads", _download),
)
