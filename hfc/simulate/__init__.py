"""Realistic, messy, clearly synthetic deliveries of the plan's feeds, beside a shipped excerpt of real figures.

Deterministic: the same arguments write the same bytes. No figure here is, or estimates, an actual one.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

from hfc.home import SEEDS, replacing
from hfc.simulate import duties, events, institutions, tax, value_added
from hfc.simulate.calendar import last_day
from hfc.simulate.institutions import uscc
from hfc.simulate.writing import Delivery, label, write

__all__ = ["simulate", "uscc"]

DEMO = Path(__file__).parent.parent.parent / "demo"


def simulate(out: Path, months: int = 50, seed: int = 1, tax_rows: int | None = None) -> list[Path]:
    """Write the deliveries of every feed about `months` months from January 2022 on; returns the files.

    What is older than a year comes in larger pieces. `tax_rows` is how many tax vouchers there are over all months
    (default 300 a month); any number is written in bounded memory.

    Raises:
        OSError: `out` can't be written.
    """
    zone = institutions.grow(random.Random(seed), months)
    written = [write(out, delivery) for delivery in _deliveries(zone, months, seed, tax_rows)]
    return [*written, *_accidents(out, written), *_copy_real_excerpts(out)]


def _deliveries(zone: institutions.Zone, months: int, seed: int, tax_rows: int | None) -> Iterator[Delivery]:
    """The deliveries of all feeds; each feed has numbers of its own, so that a change of one leaves the others."""

    def numbers(feed: str) -> random.Random:
        return random.Random(f"{seed}/{feed}")

    rows = tax.ROWS_A_MONTH * months if tax_rows is None else tax_rows
    yield from institutions.register(numbers("institution_register"), zone, months)
    yield from institutions.funds(numbers("fund_commitments"), zone, months)
    yield from institutions.listing(numbers("listing_pipeline"), zone, months)
    yield from tax.collections(numbers("tax_collections"), zone, months, rows)
    yield from value_added.accounts(months)
    yield from value_added.indicators(numbers("value_added_indicators"), months)
    yield from value_added.prices(numbers("price_indices"), months)
    yield from value_added.official_figures(months)
    yield from value_added.revision_notes(months)
    yield from duties.reports(numbers("duty_reports"), months, SEEDS)
    yield from duties.measures(numbers("duty_measures"), months, SEEDS)
    yield from events.activities(numbers("activities"), months)
    yield from events.risk_leads(numbers("risk_leads"), months)
    yield from events.floor_space(months)


def _accidents(out: Path, written: list[Path]) -> Iterator[Path]:
    """What happens at every office: a file that is sent twice, and one without a column that has to be there."""
    sent = next(path for path in written if path.parent.name == "fund_commitments")
    again = sent.with_name(sent.name.replace("synthetic", "synthetic_again"))
    with replacing(again) as temporary:
        shutil.copyfile(sent, temporary)
    label(again)
    yield again
    day = last_day(1)
    incomplete = Delivery("activities", day, ["活动编号", "类型"], [["H-1", "路演"]], 0, part="_incomplete")
    yield write(out, incomplete)


def _copy_real_excerpts(out: Path) -> list[Path]:
    """The shipped excerpts of real public figures, with their provenance sidecars."""
    copied = []
    for source in sorted(DEMO.glob("*/*")):
        target = out / source.parent.name / source.name
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)
        copied.append(target)
    return copied
