"""Nobody learns from all releases together what a taxpayer paid: random tables against an attack of their own.

A table is made of vouchers. What readers know is written from the definition of the metrics alone: each published cell
is a sum of vouchers that nobody sees, each with its sign. Neither relations nor rules are those of `hfc.suppression` or
`hfc.disclosure`, which are both tried here.
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy
import pytest
from scipy.optimize import linprog
from scipy.sparse import csr_array, vstack

from hfc import disclosure, suppression

CLOSE, FAR = 1e-4, 1e5  # of what a cell is to be hidden in: the error of the programs, and as far as anything need be
TABLES = int(os.environ.get("HFC_TABLES", "30"))
TAXPAYERS, PERCENT = 3, 10  # as the seed says
LEVELS = ("central", "province", "city_district")
CATEGORIES = ("licensed", "fintech", "fund")
REASONS = ("not_registered", "not_resident")
SHARES = {
    ("standard", "vat"): (0.5, 0.125, 0.375),
    ("standard", "corporate_income"): (0.6, 0.12, 0.28),
    ("head_office", "corporate_income"): (1.0, 0.0, 0.0),
    ("standard", "deed"): (0.0, 0.0, 1.0),
    ("standard", "stamp"): (0.0, 0.0, 1.0),
}
NET, TO_DATE, GROSS, OUT, REFUNDS = (
    "financial_tax_revenue", "financial_tax_revenue_ytd", "financial_tax_revenue_gross", "tax_revenue_out_of_scope",
    "financial_tax_revenue_refunds",
)  # fmt: skip

Key = tuple[str, str, str, str, str]


@dataclass(frozen=True, order=True)
class Atom:
    """The vouchers that no published cell tells apart: of a month, a category, a tax, a scheme and a sign; or of a month
    and a reason why they are out of scope."""

    month: int
    group: str
    tax: str = ""
    scheme: str = ""
    sign: int = 0


Vouchers = Mapping[tuple[str, Atom], float]  # what a taxpayer paid in an atom, in yuan


@dataclass(frozen=True)
class Release:
    """What is known on a day: the vouchers, the last month, and of each cell that is shown whether it is withheld."""

    vouchers: Vouchers
    last: int
    withheld: dict[Key, str] = field(default_factory=dict)


def months(key: Key) -> range:
    """The months of a cell, January being 1."""
    metric, frequency, period, _, _ = key
    if frequency == "A":
        return range(1, 13)
    if frequency == "Q":
        return range(3 * int(period[-1]) - 2, 3 * int(period[-1]) + 1)
    return range(1 if metric == TO_DATE else int(period[-2:]), int(period[-2:]) + 1)


@cache
def weight(key: Key, atom: Atom) -> float:
    """How much of the vouchers of an atom counts in a cell."""
    metric, _, _, dimension, member = key
    if atom.month not in months(key) or (metric == OUT) != (atom.group in REASONS):
        return 0.0
    if (metric == GROSS and atom.sign < 0) or (metric == REFUNDS and atom.sign > 0):
        return 0.0
    if dimension == "fiscal_level":
        return SHARES[atom.scheme, atom.tax][LEVELS.index(member)]
    own = {"total": "total", "category": atom.group, "reason": atom.group, "tax_type": atom.tax,
           "scheme": f"{atom.tax}/{atom.scheme}"}  # fmt: skip
    return (-1.0 if metric == REFUNDS else 1.0) * (own[dimension] == member)


@cache
def keys(last: int, taxes: tuple[str, ...], schemes: tuple[str, ...]) -> list[Key]:
    """The cells of January to the last month: all that are published, and those that only follow from several."""
    members = [(NET, "total", "total"), (GROSS, "total", "total"), (REFUNDS, "total", "total"), (OUT, "total", "total")]
    members += [(NET, "category", name) for name in CATEGORIES] + [(NET, "tax_type", name) for name in taxes]
    members += [(NET, "fiscal_level", name) for name in LEVELS] + [(OUT, "reason", name) for name in REASONS]
    members += [(NET, "scheme", name) for name in schemes]
    periods = [("M", f"2024-{month:02}") for month in range(1, last + 1)]
    periods += [("Q", f"2024-Q{quarter}") for quarter in range(1, last // 3 + 1)] + [("A", "2024")] * (last == 12)
    found = [(metric, *period, dimension, member) for metric, dimension, member in members for period in periods]
    found += [
        (TO_DATE, frequency, period, dimension, member)
        for metric, frequency, period, dimension, member in found
        if metric == NET and frequency == "M" and dimension != "scheme"
    ]
    return found


class Table:
    """The releases of a random zone in one year, oldest first."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        self.taxes = tuple(sorted(rng.sample(["vat", "corporate_income", "deed", "stamp"], rng.choice((2, 3, 3, 4)))))
        self.last = rng.choice((2, 3, 3, 4, 6, 12))
        payers = [f"{number}" for number in range(rng.randint(5, 14))]
        self.place = {payer: rng.choice((*CATEGORIES, *CATEGORIES, *REASONS)) for payer in payers}
        self.size = {payer: rng.lognormvariate(11, 1.5) for payer in payers}
        heads = rng.sample(payers, rng.choice((0, 0, 1, 2))) if "corporate_income" in self.taxes else []
        self.scheme = {payer: "head_office" if payer in heads else "standard" for payer in payers}
        vouchers: dict[tuple[str, Atom], float] = {}
        for month in range(1, self.last + 1):
            for payer in payers:
                for tax in self.taxes:
                    if rng.random() < 0.6:
                        self.pay(vouchers, payer, month, tax)
        self.releases = [Release(vouchers, self.last)]
        for _ in range(rng.choice((0, 0, 1, 1, 2))):
            self.releases.insert(0, self.before(self.releases[0]))
        self.schemes = tuple(
            sorted({f"{atom.tax}/{atom.scheme}" for r in self.releases for _, atom in r.vouchers
                    if atom.scheme not in ("", "standard")})
        )  # fmt: skip

    def pay(self, vouchers: dict[tuple[str, Atom], float], payer: str, month: int, tax: str) -> None:
        """One more voucher, now and then a refund."""
        group, scheme = self.place[payer], self.scheme[payer] if tax == "corporate_income" else "standard"
        sign = -1 if self.rng.random() < 0.12 else 1
        atom = Atom(month, group) if group in REASONS else Atom(month, group, tax, scheme, sign)
        yuan = sign * round(self.size[payer] * self.rng.uniform(0.2, 2) * (0.3 if sign < 0 else 1), 2)
        vouchers[payer, atom] = round(vouchers.get((payer, atom), 0.0) + yuan, 2)

    def before(self, release: Release) -> Release:
        """What was known earlier: perhaps without the last months, some vouchers not delivered yet, some corrected
        since."""
        rng = self.rng
        last = rng.randint(max(1, release.last - 2), release.last)
        known = {place: yuan for place, yuan in release.vouchers.items() if place[1].month <= last}
        for place in rng.sample(sorted(known), min(len(known), rng.choice((0, 1, 1, 2, 5)))):
            if rng.random() < 0.6:
                del known[place]
            else:
                known[place] = round(known[place] * rng.uniform(0.5, 1.5), 2)
        return Release(known, last)

    def paid(self, release: Release) -> dict[Key, dict[str, float]]:
        """Of each cell what every taxpayer paid."""
        found: dict[Key, dict[str, float]] = {key: {} for key in keys(release.last, self.taxes, self.schemes)}
        silent = {*range(1, release.last + 1)} - {atom.month for _, atom in release.vouchers}
        for key, payers in found.items():
            for (payer, atom), yuan in release.vouchers.items():
                if part := weight(key, atom):
                    payers[payer] = payers.get(payer, 0.0) + part * yuan
        return {key: payers for key, payers in found.items() if silent.isdisjoint(months(key))}

    def atoms(self) -> list[Atom]:
        """All that vouchers can be."""
        in_scope = [
            Atom(month, category, tax, scheme, sign)
            for month in range(1, self.last + 1)
            for category in CATEGORIES
            for tax in self.taxes
            for scheme in ["standard", *(name.partition("/")[2] for name in self.schemes if name.startswith(tax + "/"))]
            for sign in (1, -1)
        ]
        return [*in_scope, *(Atom(month, reason) for month in range(1, self.last + 1) for reason in REASONS)]


def is_shown(key: Key) -> bool:
    """Whether a release has a row of it."""
    return key[0] != REFUNDS and key[3] != "scheme"


def value(payers: Mapping[str, float]) -> float:
    return round(sum(payers.values()), 6)


def two_largest(payers: Mapping[str, float]) -> tuple[float, float]:
    """The largest contribution, and what all but the two largest are."""
    first, *others = sorted((abs(yuan) for yuan in payers.values()), reverse=True)
    return first, sum(others[1:])


def distance(payers: Mapping[str, float]) -> float | None:
    """How far from its value readers must be able to think a cell; None if it tells of no single taxpayer."""
    if not payers:
        return None
    first, rest = two_largest(payers)
    if len(payers) >= TAXPAYERS and rest * (1 + 1e-9) >= PERCENT / 100 * first:
        return None
    return max(PERCENT / 100 * first - rest, 0.01)


def withhold(
    table: Table, linked: bool = True, complementary: bool = True, once_sensitive: bool = True
) -> list[Release]:
    """The releases as the project makes them; or without the link to earlier ones, or sensitive cells alone."""
    made: list[Release] = []
    rule = suppression.Rule(TAXPAYERS, PERCENT)
    for release in table.releases:
        paid = table.paid(release)
        earlier = [as_told(table, other) for other in made] if linked else []
        once = {key for other in made for key, status in other.withheld.items() if status == "C" and once_sensitive}
        if complementary:
            found = suppression.suppressed(as_cells(paid), rule, SHARES_BY_MONTH, earlier, once if linked else ())
        else:
            found = {key: "C" for key, payers in paid.items() if is_shown(key) and distance(payers)}
        made.append(Release(release.vouchers, release.last, found))
    return made


SHARES_BY_MONTH = {
    (f"2024-{month:02}", scheme, tax): dict(zip(LEVELS, shares, strict=True))
    for month in range(1, 13)
    for (scheme, tax), shares in SHARES.items()
}


def as_cells(paid: Mapping[Key, Mapping[str, float]]) -> dict[Key, suppression.Cell]:
    """What the model int_tax_concentration says."""
    return {
        key: suppression.Cell(value(payers), len(payers), *(two_largest(payers) if payers else (0.0, 0.0)))
        for key, payers in paid.items()
    }


def as_told(table: Table, release: Release) -> dict[Key, float | None]:
    """What a release shows, None where it withholds."""
    return {
        key: None if key in release.withheld else value(payers)
        for key, payers in table.paid(release).items()
        if is_shown(key)
    }


class Attacker:
    """What readers of these releases know: an unknown for each atom and release, moved away from the truth."""

    def __init__(self, table: Table, releases: Sequence[Release]) -> None:
        self.releases, self.atoms = releases, table.atoms()
        self.paid = [table.paid(release) for release in releases]
        told = [as_told(table, release) for release in releases]
        self.fixed: list[numpy.ndarray] = []
        self.signed: list[numpy.ndarray] = []
        self.room: list[float] = []
        for at, paid in enumerate(self.paid):
            for key, payers in paid.items():
                if any(is_same(shown.get(key), value(payers)) for shown in told):
                    self.fix(self.row(at, key))
                    continue
                self.bound(self.row(at, key) * (-1 if value(payers) < 0 else 1), abs(value(payers)))
                # What both releases withhold has not changed if no voucher of its months has.
                if at and is_shown(key) and told[at - 1].get(key, 0.0) is None and self.is_unchanged(at, key):
                    self.fix(self.row(at, key) - self.row(at - 1, key))
                # No part is more than what was collected, or less than what was refunded.
                for whole, sign in ((GROSS, -1), (REFUNDS, 1)):
                    total = (whole, *key[1:3], "total", "total")
                    if key[0] == NET and is_shown(key):
                        room = value(paid[total]) + sign * value(payers)
                        self.bound(self.row(at, total) + sign * self.row(at, key), max(room, 0.0))

    def fix(self, row: numpy.ndarray) -> None:
        if row.any():
            self.fixed.append(row)

    def bound(self, row: numpy.ndarray, room: float) -> None:
        if row.any():
            self.signed.append(-row)
            self.room.append(room)

    def is_unchanged(self, at: int, key: Key) -> bool:
        then, now = (
            {place: yuan for place, yuan in self.releases[n].vouchers.items() if place[1].month in months(key)}
            for n in (at - 1, at)
        )
        return then == now

    def row(self, at: int, key: Key) -> numpy.ndarray:
        """A cell of a release as a sum of the unknowns."""
        row = numpy.zeros(len(self.atoms) * len(self.releases))
        row[at * len(self.atoms) : (at + 1) * len(self.atoms)] = [weight(key, atom) for atom in self.atoms]
        return row

    def told_too_closely(self) -> list[tuple[int, Key]]:
        """The sensitive cells, of any release, that they can tell more closely than the rule allows.

        A cell has to be thought so far from its value, or to where its sign ends it. A change that takes one cell so far
        may take others as well.
        """
        cells, rows, wanted = [], [], []
        for at, paid in enumerate(self.paid):
            for key, payers in paid.items():
                if (hidden := distance(payers)) is not None:
                    outwards = -1.0 if value(payers) < 0 else 1.0
                    cells += [(at, key)] * 2
                    rows += [outwards * self.row(at, key), -outwards * self.row(at, key)]
                    wanted += [hidden, min(hidden, abs(value(payers)))]
        ways, goals = numpy.array(rows), numpy.array(wanted)
        reached = numpy.zeros(len(cells))
        for place in numpy.argsort(-goals, kind="stable"):
            if reached[place] < goals[place] * (1 - CLOSE):
                reached = numpy.maximum(reached, ways @ self.farthest(ways[place], goals[place]))
        return sorted({cells[place] for place in numpy.flatnonzero(reached < goals * (1 - CLOSE))})

    def farthest(self, way: numpy.ndarray, wanted: float) -> numpy.ndarray:
        """A change of the unknowns that agrees with all they know and takes a sum of them as far as it can, or as
        wanted."""
        result = linprog(
            -way,
            A_ub=vstack([csr_array(self.signed), csr_array([way])]),
            b_ub=numpy.append(numpy.minimum(numpy.array(self.room) / wanted, FAR), 1),
            A_eq=csr_array([*self.fixed, 0 * way]),
            b_eq=numpy.zeros(len(self.fixed) + 1),
            bounds=(-FAR, FAR),
            method="highs",
        )
        assert result.x is not None, result.message
        return numpy.asarray(result.x * wanted)


class Insider(Attacker):
    """Readers who also know of each cell that two releases withhold whether it has changed, whatever else has."""

    def is_unchanged(self, at: int, key: Key) -> bool:
        return value(self.paid[at][key]) == value(self.paid[at - 1][key])


def is_same(told: float | None, value: float) -> bool:
    return told is not None and abs(told - value) < 0.005


def told_to_readers(table: Table, releases: Sequence[Release]) -> list[tuple[int, Key]]:
    return Attacker(table, releases).told_too_closely()


def told_by_the_command(table: Table, releases: Sequence[Release]) -> list[disclosure.Finding]:
    """What `hfc disclosure attack` finds in the last release."""
    told = [as_told(table, release) for release in releases]
    rule = suppression.Rule(TAXPAYERS, PERCENT)
    found = disclosure.attack(as_cells(table.paid(releases[-1])), rule, SHARES_BY_MONTH, told)
    return [finding for finding in found if not finding.is_protected]


@pytest.mark.parametrize("seed", range(TABLES))
def test_no_release_tells_of_a_taxpayer(seed: int) -> None:
    table = Table(seed)
    releases = withhold(table)
    assert told_to_readers(table, releases) == []
    if table.last <= 4 or TABLES >= 200:  # it computes how closely, cell by cell, which takes longer
        assert told_by_the_command(table, releases) == []


def test_many_of_the_tables_have_several_releases() -> None:
    assert sum(len(Table(seed).releases) > 1 for seed in range(TABLES)) > TABLES / 4


@pytest.mark.parametrize(("switched_off", "least"), [("complementary", 0.5), ("linked", 0.1)])
def test_without_a_part_of_the_protection_readers_tell_cells(switched_off: str, least: float) -> None:
    by_readers = by_command = tried = 0
    for seed in range(100):
        table = Table(seed)
        if table.last <= 4 and (len(table.releases) > 1 or switched_off == "complementary") and tried < 6:
            tried += 1
            releases = withhold(table, **{switched_off: False})
            by_readers += bool(told_to_readers(table, releases))
            by_command += bool(told_by_the_command(table, releases))
    assert tried == 6 and min(by_readers, by_command) > least * tried, (by_readers, by_command)


@pytest.mark.parametrize("seed", [40, 67])
def test_what_was_sensitive_once_is_not_told_by_how_the_sums_around_it_changed(seed: int) -> None:
    table = Table(seed)
    assert Insider(table, withhold(table)).told_too_closely() == []
    assert Insider(table, withhold(table, once_sensitive=False)).told_too_closely() != []


@pytest.mark.parametrize("seed", [33, 139])
def test_sums_over_unchanged_months_and_what_was_refunded_tell_nothing(seed: int) -> None:
    table = Table(seed)
    assert told_to_readers(table, withhold(table)) == []
