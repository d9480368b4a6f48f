"""Proportional first-difference benchmarking (Denton) of a quarterly indicator to annual accounts.

Method: IMF, Quarterly National Accounts Manual (2017), chapter 6; of Denton (1971) without the initial condition.
Decimal arithmetic of a hundred digits: the same digits on every machine, whatever threads and libraries it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Context, Decimal, localcontext

EXACT = Context(prec=100)
"""Far beyond the 24 decimals that are kept; only divisions round at all."""


def denton(indicator: Mapping[int, Decimal], accounts: Mapping[int, Decimal]) -> dict[int, Decimal]:
    """The quarters X that add up to the accounts and whose ratio to the indicator I moves as little as possible.

    Minimises Σ (X_t/I_t − X_{t−1}/I_{t−1})² over all accounts at once, from the second quarter on. A year without an
    account is free; after the last account the ratio stays what it is there.

    Args:
        indicator: quarter number (4 · year + quarter − 1) → I; positive, without a gap.
        accounts: year → account. A year of which the indicator lacks a quarter is not benchmarked.

    Returns:
        Quarter number → X, from the first benchmarked year on, unrounded; empty where no year is benchmarked.
    """
    years = sorted(year for year in accounts if 4 * year in indicator and 4 * year + 3 in indicator)
    if not years:
        return {}
    with localcontext(EXACT):
        # The ratio of each quarter is linear in the unknowns: its first value, and a multiplier for each account. At
        # the minimum it bends, in a benchmarked year, by the year's multiplier times I, and goes straight elsewhere.
        ratio = [Decimal(1)] + [Decimal(0)] * len(years)
        slope = [Decimal(0)] * len(ratio)
        year_sums = {year: [Decimal(0)] * len(ratio) for year in years}
        ratios = {}
        for quarter in range(4 * years[0], 4 * years[-1] + 4):
            ratio = [level + step for level, step in zip(ratio, slope, strict=True)]
            ratios[quarter] = ratio
            if (year := quarter // 4) in year_sums:
                year_sums[year] = [
                    total + indicator[quarter] * part for total, part in zip(year_sums[year], ratio, strict=True)
                ]
                slope[1 + years.index(year)] += indicator[quarter]
        # Every account is met, and the ratio is flat at the end as it was at the start.
        unknowns = solve([*year_sums.values(), slope], [*(accounts[year] for year in years), Decimal(0)])
        found = {
            quarter: sum((part * unknown for part, unknown in zip(ratio, unknowns, strict=True)), Decimal(0))
            for quarter, ratio in ratios.items()
        }
        last = max(found)
        return {t: found[min(t, last)] * indicator[t] for t in sorted(indicator) if t >= min(found)}


def solve(matrix: list[list[Decimal]], constants: list[Decimal]) -> list[Decimal]:
    """The solution of a regular system of linear equations: Gaussian elimination, the largest pivot first."""
    rows = [[*row, constant] for row, constant in zip(matrix, constants, strict=True)]
    for column in range(len(rows)):
        pivot = max(range(column, len(rows)), key=lambda i: abs(rows[i][column]))
        rows[column], rows[pivot] = rows[pivot], rows[column]
        head = [cell / rows[column][column] for cell in rows[column]]
        rows = [
            head if i == column else [cell - row[column] * above for cell, above in zip(row, head, strict=True)]
            for i, row in enumerate(rows)
        ]
    return [row[-1] for row in rows]
