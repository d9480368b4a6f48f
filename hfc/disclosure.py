"""An attack on what is published of tax: how closely can readers of all releases tell a withheld cell?

Every cell is a sum over months of a few unknowns: what each tax, category and reason brings in, what is refunded, what
taxpayers of another scheme of sharing pay. What a release shows fixes sums of them, and nobody's sign is a secret; the
least and the greatest that a withheld cell can then be are two linear programs (Fischetti and Salazar 2000). The true
values only shift their origin, so that the readers of the attack lose nothing to rounding.

It shares no relation with `hfc.suppression`, which writes them cell by cell: what one forgets, the other finds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfc.home import Home
from hfc.suppression import (
    GROSS,
    NET,
    OUT,
    REFUNDS,
    SCHEME,
    TO_DATE,
    Cell,
    Key,
    Rule,
    Shares,
    Told,
    is_published,
    read_cells,
    shares_by_month,
    told_by_release,
)

if TYPE_CHECKING:
    import numpy

CLOSE = 1e-4  # of what a cell is to be hidden in: the error of the programs
FARTHEST = 1e5  # times that: as good as anything


@dataclass(frozen=True)
class Finding:
    """What readers can tell of one withheld cell, or of one that is never published.

    `ratio` is how far from its value they can think it, in what it has to be hidden in: below 1 is too closely. It is
    confidential, and None for a cell that needs no hiding of its own.
    """

    metric_id: str
    frequency: str
    period: str
    dimension: str
    member: str
    conf_status: str
    is_protected: bool
    ratio: float | None = None


@dataclass(frozen=True)
class Attack:
    """What readers of all releases can tell of the withheld cells of one.

    `attacked` counts the cells tried, by status (`never published`: what only follows from several published cells);
    `closest` is the least ratio of them all, None where there is none; `told` names the cells told too closely. What
    readers can tell of a cell that is safe is not said: it would spare them the work.
    """

    release_id: str
    releases: int
    attacked: dict[str, int]
    closest: float | None
    told: list[dict[str, str]]

    @classmethod
    def of(cls, release_id: str, releases: int, found: Sequence[Finding]) -> Attack:
        """The summary of what was found."""
        names = ("metric_id", "frequency", "period", "dimension", "member", "conf_status")
        ratios = [finding.ratio for finding in found if finding.ratio is not None]
        return cls(
            release_id,
            releases,
            dict(sorted(Counter(finding.conf_status for finding in found).items())),
            round(min(ratios), 2) if ratios else None,
            [{name: getattr(finding, name) for name in names} for finding in found if not finding.is_protected],
        )


def attack_candidate(home: Home, released: Sequence[Path]) -> list[Finding]:
    """The attack on the release that the candidate became: the candidate alone knows the true values.

    `released` holds the observations of other releases and, last, of that one, as Parquet files.
    """
    import duckdb

    names = "metric_id, frequency, period, dimension, member"
    told = "SELECT {place}, " + names + ", value, conf_status FROM read_parquet($path) WHERE contains(metric_id, $tax)"
    with duckdb.connect(str(home.candidate), read_only=True) as connection:
        ((taxpayers, percent),) = connection.execute("SELECT taxpayers, percent FROM seeds.disclosure_rule").fetchall()
        sharing = connection.execute(
            "SELECT scheme, tax_type, valid_from, central, province, city_district FROM seeds.tax_sharing"
        ).fetchall()
        truth = read_cells(
            connection.execute(
                f"SELECT {names}, value_yuan, taxpayers, largest_yuan, rest_yuan "
                "FROM intermediate.int_tax_concentration"
            ).fetchall()
        )
        rows = []
        for place, path in enumerate(released):
            parameters = {"path": str(path), "tax": "tax_revenue"}
            rows += connection.execute(told.format(place=place), parameters).fetchall()
    shares = shares_by_month(sharing, {key[2] for key in truth if key[1] == "M"})
    return attack(truth, Rule(int(taxpayers), float(percent)), shares, told_by_release(rows))


def attack(truth: Mapping[Key, Cell], rule: Rule, shares: Shares, releases: Sequence[Told]) -> list[Finding]:
    """Every withheld or sensitive cell of the last of these releases, and sensitive ones that can only be computed."""
    last = releases[-1]
    targets = {}
    for key, cell in sorted(truth.items()):
        hidden = cell.hidden_in(rule)
        if (key in last and (hidden is not None or last[key] is None)) or (
            not is_published(key) and hidden is not None
        ):
            targets[key] = hidden
    found = []
    for year in sorted({key[2][:4] for key in targets}):
        readers = Readers(
            {key: cell for key, cell in truth.items() if key[2][:4] == year},
            shares,
            [{key: told for key, told in release.items() if key[2][:4] == year} for release in releases],
        )
        found += [readers.finding(key, hidden) for key, hidden in targets.items() if key[2][:4] == year]
    return found


class Readers:
    """What readers of these releases know of one year."""

    def __init__(self, truth: Mapping[Key, Cell], shares: Shares, releases: Sequence[Told]) -> None:
        self.truth = truth
        self.shares = shares
        self.releases = [{key: told for key, told in release.items() if key in truth} for release in releases]
        unknowns = [key for key in sorted(truth) if key[1] == "M" and is_unknown(key)]
        self.unknowns = {key: place for place, key in enumerate(unknowns)}

    def combination(self, key: Key) -> dict[int, float]:
        """A cell as a sum of the unknowns."""
        total: dict[int, float] = {}
        for month in covered(key):
            for part, factor in self.parts(key[0], month, key[3], key[4]):
                if part in self.unknowns:
                    total[self.unknowns[part]] = total.get(self.unknowns[part], 0.0) + factor
        return total

    def parts(self, metric: str, month: str, dimension: str, member: str) -> Iterator[tuple[Key, float]]:
        """The unknowns in a month of a cell, and how often each counts."""
        metric = NET if metric == TO_DATE else metric
        taxes = [key for key in self.unknowns if key[:4] == (NET, "M", month, "tax_type")]
        if metric == GROSS:
            yield from self.parts(NET, month, "total", "total")
            yield (REFUNDS, "M", month, "total", "total"), 1.0
        elif metric == OUT and dimension == "total":
            yield from ((key, 1.0) for key in self.unknowns if key[:4] == (OUT, "M", month, "reason"))
        elif metric == NET and dimension == "total":
            yield from ((key, 1.0) for key in taxes)
        elif dimension == "fiscal_level":
            for key in taxes:
                yield key, self.shares[month, "standard", key[4]].get(member, 0.0)
            for key in [key for key in self.unknowns if key[:4] == (NET, "M", month, SCHEME)]:
                tax, scheme = key[4].split("/")
                own, usual = self.shares[month, scheme, tax], self.shares[month, "standard", tax]
                yield key, own.get(member, 0.0) - usual.get(member, 0.0)
        else:
            yield (metric, "M", month, dimension, member), 1.0

    @cached_property
    def known(self) -> Any:
        """Sums that do not move, as a matrix over the unknowns of this release and then those of each earlier one.

        A cell that two releases withhold moves in both alike over months in which nothing has changed.
        """
        from scipy.sparse import csr_array

        width = len(self.unknowns)
        last = self.releases[-1]
        rows: list[dict[int, float]] = list(self.balance(0))
        rows += [self.combination(key) for key in sorted(last) if self.is_told(key)]
        # Releases that show the same cells, and between which and the last one the same months have changed, are one.
        patterns = {
            (frozenset((key, told is None) for key, told in release.items()), frozenset(self.changed_months(release)))
            for release in self.releases[:-1]
        }
        for turn, (shown, changed) in enumerate(sorted(patterns, key=lambda p: (sorted(p[0]), sorted(p[1]))), start=1):
            rows += self.balance(turn * width)
            for key, is_withheld in sorted(shown):
                then = {place + turn * width: factor for place, factor in self.combination(key).items()}
                if not is_withheld:
                    rows.append(then)
                elif key in last and changed.isdisjoint(covered(key)):
                    rows.append({**{p: -factor for p, factor in self.combination(key).items()}, **then})
        rows = [row for row in rows if row]
        entries = [(i, place, factor) for i, row in enumerate(rows) for place, factor in row.items()]
        i, j, factors = zip(*entries, strict=True)
        return csr_array((factors, (i, j)), shape=(len(rows), width * (1 + len(patterns))))

    def changed_months(self, release: Told) -> set[str]:
        """The months of which readers see that something has changed since a release: a cell of the month itself, or of
        a longer time whose months show no change that would account for it."""
        cells = sorted(release.items(), key=lambda item: len(covered(item[0])))
        found: set[str] = set()
        for key, told in cells:
            if told is not None and abs(told - self.truth[key].value) >= 0.005 and found.isdisjoint(covered(key)):
                found.update(covered(key))
        return found

    def is_told(self, key: Key) -> bool:
        """Whether the last release shows a cell, or an earlier one showed what it still is."""
        told = [release[key] for release in self.releases if release.get(key) is not None]
        value = self.truth[key].value
        return self.releases[-1].get(key) is not None or any(t is not None and abs(t - value) < 0.005 for t in told)

    def balance(self, offset: int) -> Iterator[dict[int, float]]:
        """In each month categories and taxes are the same money."""
        for month in sorted({key[2] for key in self.unknowns}):
            signs = {"category": 1.0, "tax_type": -1.0}
            yield {
                place + offset: signs[key[3]]
                for key, place in self.unknowns.items()
                if key[0] == NET and key[2] == month and key[3] in signs
            }

    @cached_property
    def signed(self) -> tuple[Any, numpy.ndarray]:
        """Sums that are not below zero, as a matrix over the unknowns, and how large they are: cells, turned round
        where they are negative; what was collected in all but a part, and refunded in all but a part."""
        import numpy
        from scipy.sparse import csr_array

        rows: list[tuple[dict[int, float], float]] = []
        for key, cell in sorted(self.truth.items()):
            sign, part = -1.0 if cell.value < 0 else 1.0, self.combination(key)
            rows.append(({place: sign * factor for place, factor in part.items()}, abs(cell.value)))
            if key[0] == NET and key[3] in ("category", "tax_type", "fiscal_level"):
                for metric, way in ((GROSS, -1.0), (REFUNDS, 1.0)):
                    whole = (metric, *key[1:3], "total", "total")
                    row = self.combination(whole)
                    for place, factor in part.items():
                        row[place] = row.get(place, 0.0) + way * factor
                    value = self.truth[whole].value if whole in self.truth else 0.0
                    rows.append((row, max(value + way * cell.value, 0.0)))
        entries = [(i, place, factor) for i, (row, _) in enumerate(rows) for place, factor in row.items()]
        i, j, factors = zip(*entries, strict=True)
        sizes = numpy.array([size for _, size in rows])
        return csr_array((factors, (i, j)), shape=(len(sizes), self.known.shape[1])), sizes

    def finding(self, key: Key, hidden: float | None) -> Finding:
        """How closely these readers can tell a cell that is to be hidden in so much, None if in nothing."""
        status = ("C" if hidden is not None else "D") if is_published(key) else "never published"
        if hidden is None:
            return Finding(*key, status, True)
        value = self.truth[key].value
        outwards = -1.0 if value < 0 else 1.0
        ratio = self.farthest(key, outwards, hidden) / hidden
        # Where its sign bounds the cell anyway, it can't be hidden any farther.
        if (inwards := min(hidden, abs(value))) > CLOSE * hidden:
            ratio = min(ratio, self.farthest(key, -outwards, hidden) / inwards)
        return Finding(*key, status, ratio >= 1 - CLOSE, max(ratio, 0.0))

    def farthest(self, key: Key, direction: float, scale: float) -> float:
        """How far from its value a cell can be in a direction, in yuan."""
        import numpy
        from scipy.optimize import linprog

        matrix, sizes = self.signed
        goal = numpy.zeros(self.known.shape[1])
        for place, factor in self.combination(key).items():
            goal[place] = -direction * factor
        result = linprog(
            goal,
            A_ub=-matrix,
            b_ub=numpy.minimum(sizes / scale, FARTHEST * 10),
            A_eq=self.known,
            b_eq=numpy.zeros(self.known.shape[0]),
            bounds=(-FARTHEST, FARTHEST),
            method="highs",
        )
        return FARTHEST * scale if result.x is None else float(-result.fun) * scale


def is_unknown(key: Key) -> bool:
    """Whether a month's cell is one that the others are sums of."""
    return key[0] == REFUNDS or key[3] in ("category", "tax_type", "reason", SCHEME) and key[0] != TO_DATE


def covered(key: Key) -> list[str]:
    """The months of a cell."""
    metric, frequency, period, _, _ = key
    year = period[:4]
    if metric == TO_DATE:
        return [f"{year}-{month:02}" for month in range(1, int(period[-2:]) + 1)]
    if frequency == "Q":
        last = 3 * int(period[-1])
        return [f"{year}-{month:02}" for month in (last - 2, last - 1, last)]
    return [f"{year}-{month:02}" for month in range(1, 13)] if frequency == "A" else [period]
