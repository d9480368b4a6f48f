"""Which tax cells are not published, so that nobody learns from the published ones what a single taxpayer paid.

A cell is *sensitive* if fewer taxpayers than `Rule.taxpayers` stand behind it, or by the p % rule: if, less the two
largest contributions, it is smaller than `Rule.percent` of the largest, so that the second largest taxpayer could tell
the largest one's amount too closely. Contributions are absolute, |x|, since refunds make some of them negative.

Cells add up (months to quarters and years; categories and taxes to the total; levels of government are fixed shares of
the taxes), so a sensitive cell is protected only if other cells are withheld, too. Which ones follows from linear
programs, one for each sensitive cell (Fischetti and Salazar 2000, *Models and Algorithms for Optimizing Cell
Suppression in Tabular Data with Linear Constraints*; Kelly, Golden and Assad 1992): find the cheapest change of the
whole table that moves the cell by what it has to be hidden in, keeps every relation and nobody's sign; every cell that
moves is withheld. Readers can then not tell the table from the changed one. Amounts are in yuan, as floats: they decide
what is withheld and are never published.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy

NET, GROSS, OUT = "financial_tax_revenue", "financial_tax_revenue_gross", "tax_revenue_out_of_scope"
TO_DATE = "financial_tax_revenue_ytd"
REFUNDS = "financial_tax_revenue_refunds"  # never published, but gross less net
LEVELS = ("central", "province", "city_district")
SCHEME = "scheme"  # a dimension never published, but levels less what the standard shares make of the taxes
FEN = 0.01  # the least that a sensitive cell is hidden in
EXACT = 1e-6  # of that amount: what is smaller is the solver's error
FARTHEST = 1e5  # times that amount: no change of a cell need be larger
# What it costs readers not to see a cell: coarse ones are dearer. The rest keeps programs from being ambiguous.
DIMENSION_COST = {"total": 30.0, "category": 4.0, "fiscal_level": 4.0}
FREQUENCY_COST = {"M": 1.0, "Q": 2.0, "A": 6.0}

Key = tuple[str, str, str, str, str]  # metric_id, frequency, period, dimension, member
Relation = dict[Key, float]  # its cells times these add up to zero
Shares = Mapping[tuple[str, str, str], Mapping[str, float]]  # (month, scheme, tax) -> share of each fiscal level
Told = Mapping[Key, float | None]  # what a release said of its tax cells: None where it withheld one


@dataclass(frozen=True)
class Rule:
    """A cell needs so many taxpayers, and must not fall to the p % rule; zero switches either off."""

    taxpayers: int
    percent: float


@dataclass(frozen=True)
class Cell:
    """A value in yuan, how many taxpayers stand behind it, the largest absolute contribution, and all but the two
    largest of them."""

    value: float
    taxpayers: int = 0
    largest: float = 0.0
    rest: float = 0.0

    def hidden_in(self, rule: Rule) -> float | None:
        """How far off readers must at least be able to think a cell, in yuan; None if it is not sensitive."""
        demanded = rule.percent / 100 * self.largest
        if 0 < self.taxpayers < rule.taxpayers:
            return max(demanded, FEN)
        return max(demanded - self.rest, FEN) if demanded > self.rest * (1 + 1e-12) else None


def withheld_rows(
    rules: list[tuple[Any, ...]],
    cells: list[tuple[Any, ...]],
    sharing: list[tuple[Any, ...]],
    released: list[tuple[Any, ...]],
) -> list[dict[str, str]]:
    """The rows of the model: of the seeds, int_tax_concentration and what earlier releases told, withheld cells."""
    ((taxpayers, percent),) = rules
    read = read_cells(cells)
    shares = shares_by_month(sharing, {key[2] for key in read if key[1] == "M"})
    once = {row[1:6] for row in released if row[7] == "C"}
    found = suppressed(read, Rule(int(taxpayers), float(percent)), shares, told_by_release(released), once)
    names = ("metric_id", "frequency", "period", "dimension", "member")
    return [{**dict(zip(names, key, strict=True)), "conf_status": status} for key, status in found.items()]


def read_cells(rows: Iterable[tuple[Any, ...]]) -> dict[Key, Cell]:
    """Cells from rows: the key, the value, taxpayers, the largest contribution and all but the two largest, in yuan."""
    return {
        (metric, frequency, period, dimension, member): Cell(float(value), taxpayers, float(largest), float(rest))
        for metric, frequency, period, dimension, member, value, taxpayers, largest, rest in rows
    }


def shares_by_month(rows: Iterable[tuple[Any, ...]], months: Iterable[str]) -> Shares:
    """What each level gets of a tax, as fractions, in each month, from the lines of the seed tax_sharing.

    A line holds until the next one of its scheme and tax; the first one also holds for everything before it.
    """
    shares: dict[tuple[str, str, str], Mapping[str, float]] = {}
    for scheme, tax, valid_from, *percents in sorted(rows, key=lambda row: row[:3]):
        line = {level: float(percent) / 100 for level, percent in zip(LEVELS, percents, strict=True)}
        for month in months:
            if (month, scheme, tax) not in shares or f"{valid_from:%Y-%m}" <= month:
                shares[month, scheme, tax] = line
    return shares


def told_by_release(rows: Iterable[tuple[Any, ...]]) -> list[Told]:
    """What each release told of its tax cells, oldest first, from rows: as_of, the key, the value and conf_status."""
    releases: dict[Any, dict[Key, float | None]] = {}
    for as_of, metric, frequency, period, dimension, member, value, conf_status in rows:
        if value is not None or conf_status != "F":  # a missing value tells nothing
            told = None if value is None else float(value * 100_000_000)
            releases.setdefault(as_of, {})[metric, frequency, period, dimension, member] = told
    return list(releases.values())


def is_published(key: Key) -> bool:
    """Whether releases have a row for it; the others can only be computed from several rows."""
    return key[0] != REFUNDS and key[3] != SCHEME


def suppressed(
    cells: Mapping[Key, Cell],
    rule: Rule,
    shares: Shares,
    earlier: Iterable[Told] = (),
    once_sensitive: Collection[Key] = (),
) -> dict[Key, str]:
    """The published cells to be withheld: C if sensitive itself, D to protect another.

    `earlier` is what earlier releases told, which readers still have. What they withheld stays withheld, and what they
    showed, with the same value, protects nothing. `once_sensitive` are cells that one of them withheld as sensitive: if
    they could be told now, so could what they were then, by the difference of what both releases show around them.
    """
    if rule.taxpayers <= 0 and rule.percent <= 0:
        return {}
    sensitive = {key: hidden for key, cell in cells.items() if (hidden := cell.hidden_in(rule)) is not None}
    past = [{key: told for key, told in release.items() if key in cells} for release in earlier]
    before = {key for release in past for key, told in release.items() if told is None}
    withheld = before | {key for key in sensitive if is_published(key)}
    hidden_in = {key: rule.percent / 100 * cells[key].largest for key in once_sensitive if key in cells}
    hidden_in = {key: max(hidden, FEN) for key, hidden in hidden_in.items() if cells[key].taxpayers} | sensitive
    years = {key[2][:4] for key in hidden_in}
    for year in sorted(years):
        block = Block({key: cell for key, cell in cells.items() if key[2][:4] == year}, shares, past)
        targets = {key: hidden for key, hidden in hidden_in.items() if key[2][:4] == year}
        withheld |= block.protect(targets, {key for key in withheld if key[2][:4] == year})
    return {key: "C" if key in sensitive else "D" for key in sorted(withheld)}


def relations(cells: Mapping[Key, Any], shares: Shares) -> Iterator[Relation]:
    """What readers know to add up, cell by cell, within a year; relations that follow from these are left out."""
    for key in sorted(cells):
        metric, frequency, period, dimension, member = key
        months = [(metric, "M", month, dimension, member) for month in months_of(frequency, period)]
        if metric == TO_DATE:
            month = int(period[5:])
            parts = {(NET, "M", period, dimension, member): -1.0}
            if month > 1:
                parts[(TO_DATE, "M", f"{period[:5]}{month - 1:02}", dimension, member)] = -1.0
            yield {key: 1.0, **parts}
        elif frequency != "M":
            yield {key: 1.0, **dict.fromkeys(months, -1.0)}
        elif dimension == "total" and metric == GROSS:
            yield {key: 1.0, (NET, *key[1:]): -1.0, (REFUNDS, *key[1:]): -1.0}
        elif dimension == "total":
            for name in ("category", "tax_type", "reason"):
                if parts := {k: -1.0 for k in in_month(cells, metric, period, name)}:
                    yield {key: 1.0, **parts}
        elif dimension == "fiscal_level":
            yield {key: 1.0, **level_parts(cells, period, member, shares)}


def in_month(cells: Mapping[Key, Any], metric: str, month: str, dimension: str) -> list[Key]:
    """The cells of a dimension in a month."""
    return [k for k in cells if k[0] == metric and k[1] == "M" and k[2] == month and k[3] == dimension]


def level_parts(cells: Mapping[Key, Any], month: str, level: str, shares: Shares) -> Relation:
    """What a level of government gets of each tax: the standard share, and what taxpayers of another scheme change."""
    parts: Relation = {}
    for key in in_month(cells, NET, month, "tax_type"):
        parts[key] = -shares[month, "standard", key[4]].get(level, 0.0)
    for key in in_month(cells, NET, month, SCHEME):
        tax, _, scheme = key[4].partition("/")
        parts[key] = shares[month, "standard", tax].get(level, 0.0) - shares[month, scheme, tax].get(level, 0.0)
    return {key: part for key, part in parts.items() if part}


def months_of(frequency: str, period: str) -> list[str]:
    """The months of a period."""
    if frequency == "M":
        return [period]
    first, last = (1, 12) if frequency == "A" else (3 * int(period[-1]) - 2, 3 * int(period[-1]))
    return [f"{period[:4]}-{month:02}" for month in range(first, last + 1)]


class Block:
    """The cells of one year, which no relation ties to those of another, as linear programs see them."""

    def __init__(self, cells: Mapping[Key, Cell], shares: Shares, earlier: Iterable[Told]) -> None:
        import numpy

        self.keys = sorted(cells)
        self.cells = cells
        self.place = {key: place for place, key in enumerate(self.keys)}
        past = [{key: told for key, told in release.items() if key in cells} for release in earlier]
        current = [r for r in relations(cells, shares) if all(key in cells for key in r)]
        # What readers may know of earlier releases: what has changed since, and by how much; only what; nothing.
        by_release = [told_relations(cells, current, release) for release in past]
        changed = [least_changed(cells, told) for told in by_release]
        self.others = {
            place: len(self.keys) + n
            for n, place in enumerate((at, key) for at, keys in enumerate(changed) for key in sorted(keys))
        }
        moved_alike = [
            relation
            for told in by_release
            for relation, change in told
            if abs(change) <= FEN * len(relation) or all(is_published(key) for key in relation)
        ]
        moved_apart = [self.apart(at, relation) for at, told in enumerate(by_release) for relation, _ in told]
        self.known = [
            self.sparse([*current, *distinct(moved_alike)]),
            self.sparse([*current, *distinct(moved_apart)]),
            self.sparse(current),
        ]
        values = numpy.array([cells[key].value for key in self.keys])
        # Readers know that what is positive is no less than zero, and so on; and they know what they have once read.
        known = numpy.array([self.is_known(key, past) for key in self.keys])
        self.least = numpy.where(known, 0, numpy.where(values >= 0, -values, -numpy.inf))
        self.most = numpy.where(known, 0, numpy.where(values < 0, -values, numpy.inf))
        # Nor is more refunded or collected in a part than altogether.
        whole = [whole_of(cells, key) for key in self.keys]
        gross, refunds = numpy.array(whole).T
        self.floor = numpy.maximum(self.least, numpy.minimum(-values - refunds, 0))
        self.ceiling = numpy.minimum(self.most, numpy.maximum(gross - values, 0))
        self.cost = numpy.array([cost(key) for key in self.keys])

    def is_known(self, key: Key, past: list[dict[Key, float | None]]) -> bool:
        """Whether an earlier release has shown the value, or nobody pays here at all."""
        cell, told = self.cells[key], [release[key] for release in past if key in release]
        nobody = cell.taxpayers == 0 and cell.value == 0 and None not in told
        return nobody or any(same(value, cell.value) for value in told if value is not None)

    def apart(self, release: int, relation: Relation) -> dict[Any, float]:
        """A relation of an earlier release, where what has changed since moves by itself."""
        return {(release, key) if (release, key) in self.others else key: factor for key, factor in relation.items()}

    def sparse(self, rows: Sequence[Mapping[Any, float]]) -> Any:
        """Relations as a sparse matrix over the cells, and over those of earlier releases that have changed since."""
        from scipy.sparse import csr_array

        place: dict[Any, int] = {**self.place, **self.others}
        entries = [(i, place[key], factor) for i, row in enumerate(rows) for key, factor in row.items()]
        i, j, factors = zip(*entries, strict=True) if entries else ((), (), ())
        return csr_array((factors, (i, j)), shape=(len(rows), len(place)))

    def protect(self, targets: Mapping[Key, float], withheld: set[Key]) -> set[Key]:
        """What has to be withheld beside `withheld`, so that each target can be thought so far from its value."""
        import numpy

        free = numpy.array([key in withheld or not is_published(key) for key in self.keys])
        # How far below and above its value each cell can be thought already, by the changes found so far.
        reach = numpy.zeros((2, len(self.keys)))
        for target, hidden in sorted(targets.items(), key=lambda item: (-item[1], item[0])):
            at = self.place[target]
            for way, limit in ((1, self.most[at]), (0, -self.least[at])):
                distance = min(hidden, limit)
                if reach[way, at] < distance * (1 - EXACT):
                    change = self.change(at, distance if way else -distance, free)
                    free |= change != 0
                    numpy.maximum(reach, self.reached(change), out=reach)
        return {key for place, key in enumerate(self.keys) if free[place] and is_published(key)}

    def change(self, at: int, distance: float, free: numpy.ndarray) -> numpy.ndarray:
        """The cheapest change of the table that moves one cell so far; none where readers know too much already."""
        import numpy

        # Where no change of the table agrees with all that readers may know, one that agrees with less has to do.
        for matrix in self.known:
            change = self.cheapest(matrix, at, distance, free)
            if change is not None:
                return change
        return numpy.zeros(len(self.keys))

    def reached(self, change: numpy.ndarray) -> numpy.ndarray:
        """How far below and above its value a change, as it is or turned round, takes each cell before one of them
        would change its sign."""
        import numpy

        if not change.any():
            return numpy.zeros((2, len(change)))
        moved = change != 0
        least, most, step = self.floor[moved], self.ceiling[moved], change[moved]
        onwards = numpy.where(step > 0, most / step, least / step).min()
        backwards = numpy.where(step > 0, least / -step, most / -step).min()
        onwards, backwards = min(onwards, FARTHEST), min(backwards, FARTHEST)
        ways = numpy.array([onwards * change, -backwards * change])
        return numpy.array([-ways.min(axis=0), ways.max(axis=0)])

    def cheapest(self, matrix: Any, at: int, distance: float, free: numpy.ndarray) -> numpy.ndarray | None:
        """The cheapest change of the table that moves one cell so far; None if there is none."""
        import numpy
        from scipy.optimize import linprog
        from scipy.sparse import hstack

        scale = abs(distance)
        free_others = numpy.full(len(self.others), FARTHEST)
        up = numpy.append(numpy.minimum(self.ceiling / scale, FARTHEST), free_others)
        down = numpy.append(numpy.minimum(-self.floor / scale, FARTHEST), free_others)
        up[at], down[at] = (1, 0) if distance > 0 else (0, 1)
        floor = numpy.zeros(2 * len(up))
        floor[at if distance > 0 else at + len(up)] = 1
        price = numpy.append(numpy.where(free, 1e-4, self.cost), numpy.zeros(len(self.others)))
        result = linprog(
            numpy.concatenate([price, price]),
            A_eq=hstack([matrix, -matrix]),
            b_eq=numpy.zeros(matrix.shape[0]),
            bounds=numpy.column_stack([floor, numpy.concatenate([up, down])]),
            method="highs-ds",
        )
        if result.x is None:
            return None
        change: numpy.ndarray = (result.x[: len(up)] - result.x[len(up) :])[: len(self.keys)]
        return numpy.where(numpy.abs(change) > EXACT, change * scale, 0)


def distinct(relations: Iterable[Mapping[Any, float]]) -> list[Mapping[Any, float]]:
    """Relations, each once: most releases say of a year what the one before said."""
    return list({frozenset(relation.items()): relation for relation in relations}.values())


def told_relations(cells: Mapping[Key, Cell], current: list[Relation], told: Told) -> list[tuple[Relation, float]]:
    """What the relations of an earlier release say of cells that it had no value of, and by how much these have changed
    together since."""
    found = []
    for relation in current:
        published = [key for key in relation if is_published(key)]
        if all(key in told for key in published) and any(told[key] is not None for key in published):
            shown = {key: value for key in published if (value := told[key]) is not None}
            change = sum((value - cells[key].value) * relation[key] for key, value in shown.items())
            if left := {key: factor for key, factor in relation.items() if key not in shown}:
                found.append((left, change))
    return found


def least_changed(cells: Mapping[Key, Cell], told: list[tuple[Relation, float]]) -> set[Key]:
    """The cells that have changed if as little as possible has: so readers will take it, who see only these sums."""
    import numpy
    from scipy.optimize import linprog
    from scipy.sparse import csr_array, hstack, vstack

    keys = sorted({key for relation, _ in told for key in relation})
    if all(abs(change) <= FEN * len(relation) for relation, change in told):
        return set()
    place = {key: at for at, key in enumerate(keys)}
    entries = [(i, place[key], factor) for i, (relation, _) in enumerate(told) for key, factor in relation.items()]
    i, j, factors = zip(*entries, strict=True)
    sums = csr_array((factors, (i, j)), shape=(len(told), len(keys)))
    either_way = hstack([sums, -sums])
    changes = numpy.array([change for _, change in told])
    rounding = numpy.array([FEN * len(relation) for relation, _ in told])
    result = linprog(
        numpy.ones(2 * len(keys)),
        A_ub=vstack([either_way, -either_way]),
        b_ub=numpy.concatenate([rounding - changes, rounding + changes]),
        method="highs-ds",
    )
    if result.x is None:
        return set(keys)
    moved = numpy.abs(result.x[: len(keys)] - result.x[len(keys) :]) > 2 * rounding.max()
    return {key for key, has_moved in zip(keys, moved, strict=True) if has_moved}


def whole_of(cells: Mapping[Key, Cell], key: Key) -> tuple[float, float]:
    """What was collected and what was refunded altogether in the months of a part of the net revenue."""
    metric, frequency, period, dimension, _ = key
    if metric not in (NET, TO_DATE) or dimension == "total":
        return math.inf, math.inf
    periods = [period]
    if metric == TO_DATE:
        periods = [f"{period[:5]}{month:02}" for month in range(1, int(period[5:]) + 1)]
    gross, net = (sum(cells[m, frequency, p, "total", "total"].value for p in periods) for m in (GROSS, NET))
    return gross, gross - net


def same(told: float, value: float) -> bool:
    """Whether a published value is the present one, to less than a fen."""
    return abs(told - value) < FEN / 2


def cost(key: Key) -> float:
    """What it costs readers not to see a cell."""
    metric, frequency, _, dimension, _ = key
    return DIMENSION_COST.get(dimension, 1.0) * FREQUENCY_COST[frequency] / (3 if metric == GROSS else 1)
