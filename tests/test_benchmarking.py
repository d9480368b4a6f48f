"""Benchmarking: published examples to their printed digits, properties, and a second solver."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfc.benchmarking import EXACT, denton, solve

FIRST_YEAR = 1998
START = 4 * FIRST_YEAR


def numbers(text: str) -> list[Decimal]:
    return [Decimal(word) for word in text.split()]


def quarters(values: list[Decimal]) -> dict[int, Decimal]:
    return dict(enumerate(values, start=START))


def years(values: list[Decimal | None]) -> dict[int, Decimal]:
    return {year: value for year, value in enumerate(values, start=FIRST_YEAR) if value is not None}


def kept(value: Decimal) -> Decimal:
    """The 24 decimals that are kept."""
    return value.quantize(Decimal(1).scaleb(-24), context=EXACT)


def total(values: Iterable[Decimal]) -> Decimal:
    with localcontext(EXACT):
        return kept(sum(values, Decimal(0)))


def rounded(values: dict[int, Decimal], digits: int) -> list[Decimal]:
    """The values at so many significant digits, as a program prints them."""
    return [Decimal(f"{value:.{digits}g}") for value in values.values()]


def test_the_series_of_denton_as_stata_prints_it() -> None:
    """The example series of Denton (1971), benchmarked by C. F. Baum's module `denton` for Stata (Boston College,
    S422501), all digits it prints; statsmodels holds its own solver (tsa.interp.dentonm) against the same figures."""
    found = denton(quarters(numbers("50 100 150 100") * 5), years(numbers("500 400 300 400 500")))
    assert rounded(found, 8) == numbers(
        "64.334796 127.80616 187.82379 120.03526 56.563894 105.97568 147.50144 89.958987 40.547201 74.445963 "
        "108.34473 76.66211 42.763347 94.14664 153.41596 109.67405 58.290761 122.62556 190.41409 128.66959"
    )


def test_the_example_of_the_imf_manual() -> None:
    """IMF, Quarterly National Accounts Manual (2001), example 6.2: two years benchmarked, a third extrapolated.

    1999-Q2 is printed as 1042.9, so that the printed quarters of 1999 add up to 4161.4; it is 1042.8485.
    """
    found = denton(
        quarters(numbers("98.2 100.8 102.2 100.8 99.0 101.6 102.7 101.5 100.5 103.0 103.5 101.5")),
        years(numbers("4000.0 4161.4")),
    )
    assert round(found.pop(START + 5), 4) == Decimal("1042.8485")
    assert [round(value, 1) for value in found.values()] == numbers(
        "969.8 998.4 1018.3 1013.4 1007.2 1060.3 1051.0 1040.6 1066.5 1071.7 1051.0"
    )


def by_least_squares(indicator: dict[int, Decimal], accounts: dict[int, Decimal]) -> np.ndarray:
    """The same minimum from its first-order conditions in all quarters at once, in binary floating point."""
    first, last = 4 * min(accounts), 4 * max(accounts) + 3
    level = np.array([float(indicator[t]) for t in range(first, last + 1)])
    change = np.diff(np.eye(len(level)), axis=0) / level
    adding_up = np.array([[float(t // 4 == year) for t in range(first, last + 1)] for year in accounts])
    scale = level.mean() ** -2
    system = np.block([[change.T @ change, scale * adding_up.T], [scale * adding_up, np.zeros((len(accounts),) * 2)]])
    constants = [0.0] * len(level) + [scale * float(value) for value in accounts.values()]
    return np.linalg.lstsq(system, np.array(constants), rcond=None)[0][: len(level)]


amounts = st.decimals("0.01", "100000", places=2)
levels = st.decimals("50", "200", places=4)
cases = st.integers(1, 6).flatmap(
    lambda n: st.tuples(st.lists(levels, min_size=4 * n, max_size=4 * n + 6), st.lists(amounts, min_size=n, max_size=n))
)


@settings(deadline=None)
@given(cases)
def test_quarters_add_up_to_their_years(case: tuple[list[Decimal], list[Decimal]]) -> None:
    accounts = years(list(case[1]))
    found = denton(quarters(case[0]), accounts)
    assert len(found) == len(case[0])
    for year, account in accounts.items():
        assert total(found[4 * year + quarter] for quarter in range(4)) == account


@settings(deadline=None, max_examples=50)
@given(cases)
def test_a_second_solver_finds_the_same(case: tuple[list[Decimal], list[Decimal]]) -> None:
    indicator, accounts = quarters(case[0]), years(list(case[1]))
    found = denton(indicator, accounts)
    expected = by_least_squares(indicator, accounts)
    scale = max(map(abs, expected))
    assert [float(found[START + i]) for i in range(len(expected))] == pytest.approx(
        expected, rel=1e-9, abs=1e-9 * scale
    )


@settings(deadline=None)
@given(st.lists(levels, min_size=8, max_size=18), amounts)
def test_an_indicator_in_proportion_to_the_accounts_is_kept(values: list[Decimal], ratio: Decimal) -> None:
    indicator = quarters(values)
    accounts = {FIRST_YEAR + i: ratio * sum(values[4 * i : 4 * i + 4]) for i in range(len(values) // 4)}
    found = denton(indicator, accounts)
    assert {t: kept(value) for t, value in found.items()} == {t: ratio * value for t, value in indicator.items()}


@settings(deadline=None)
@given(cases, st.sampled_from([Decimal("0.00000001"), Decimal(10000), Decimal("3.7")]))
def test_the_unit_of_the_indicator_does_not_matter(case: tuple[list[Decimal], list[Decimal]], unit: Decimal) -> None:
    accounts = years(list(case[1]))
    found = denton(quarters(case[0]), accounts)
    scaled = denton(quarters([unit * value for value in case[0]]), accounts)
    assert {t: kept(value) for t, value in scaled.items()} == {t: kept(value) for t, value in found.items()}


def test_the_ratio_after_the_last_account_is_kept() -> None:
    indicator = quarters(numbers("10 11 12 13 14 15 16 17 18 19"))
    found = denton(indicator, years(numbers("92")))
    assert [found[START + i] for i in range(10)] == [2 * value for value in indicator.values()]


def test_years_before_the_first_account_are_left_out() -> None:
    found = denton(quarters(numbers("10 10 10 10 10 10 10 10")), {FIRST_YEAR + 1: Decimal(40)})
    assert found == {START + i: Decimal(10) for i in range(4, 8)}


def test_a_year_without_an_account_lies_between_its_neighbours() -> None:
    found = denton(quarters([Decimal(1)] * 12), years([Decimal(4), None, Decimal(16)]))
    values = list(found.values())
    # The indicator is flat, so the free year goes straight from one neighbour to the other.
    steps = {kept(after - before) for before, after in zip(values[3:8], values[4:9], strict=True)}
    assert (len(steps), min(steps) > 0) == (1, True)
    assert (total(values[:4]), total(values[8:])) == (4, 16)


def test_an_account_without_all_its_quarters_does_not_benchmark() -> None:
    indicator = quarters(numbers("1 1 1 1 2 2"))
    assert denton(indicator, years(numbers("4 100"))) == denton(indicator, years(numbers("4")))
    assert denton(indicator, {FIRST_YEAR + 1: Decimal(100)}) == {}
    assert denton({}, {}) == {}


def test_a_system_that_needs_its_rows_exchanged() -> None:
    assert solve([numbers("0 2"), numbers("4 1")], numbers("6 11")) == numbers("2 3")
