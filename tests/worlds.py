"""Random landings that make sense together: one financial zone, told by all feeds over several years.

`deliveries` makes every row by itself, which is right for judging rows; metrics need taxpayers that are in the register,
indicators without holes, accounts that are revised. The files are as messy and as faulty as those of `deliveries`.

    python tests/worlds.py DIR SEED [SIZE]
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from deliveries import FIRST_DAY, Funds, Record, Records, Register, World, make_uscc, write_feed
from oracle_shared import month_end, month_of, months_between

FIRST_YEAR = 2019
HORIZONS = (date(2026, 2, 20), date(2026, 2, 20), date(2025, 3, 31), date(2024, 5, 10))
UNIT_FACTORS = {"元": 1, "万元": 10**4, "亿元": 10**8}
STOCKS = ("存款余额", "贷款余额")
FLOWS = ("利息净收入", "手续费及佣金净收入", "证券交易额", "保费收入")
SIZES = dict(zip((*STOCKS, *FLOWS), (900, 700, 12, 3, 5000, 30), strict=True))  # 100 million yuan
KEY_FIRMS = "key_fintech_firms_admitted"
MEASURES = ((1, KEY_FIRMS), (2, KEY_FIRMS), (3, "licensed_institutions_admitted"), (22, "模拟指标"))


def varied(rng: random.Random, value: int, percent: int) -> int:
    """Up to so many percent more or less."""
    return value * (1000 + rng.randint(-10 * percent, 10 * percent)) // 1000


class Tax(Records):
    """tax_collections: mostly of institutions in the register, with months in which nothing arrives."""

    horizons = HORIZONS

    def __init__(self, rng: random.Random, register: Register) -> None:
        super().__init__(rng, "tax_collections")
        self.codes = [*register.institutions * 4, *(make_uscc(rng) for _ in range(4))]
        months = months_between(FIRST_DAY, HORIZONS[0])
        self.silent = rng.sample(months, rng.choice((0, 0, 1, 3)))

    def batch(self, low: date, high: date) -> list[Record]:
        return [record for _ in range(self.rng.randint(50, 90)) for record in self.new_records(low, high)]

    def some_day(self, low: date, high: date) -> date:
        day = super().some_day(low, high)
        return day if month_of(day) not in self.silent else FIRST_DAY + timedelta(days=self.rng.randrange(28))

    def _value(self, column: Any, low: date, high: date) -> Any:
        rng = self.rng
        if column.id == "kind":
            return rng.choice(("入库", "入库", "入库", "入库", "退库", "冲正"))
        if column.id == "amount":
            return rng.choice(
                (0, rng.randrange(1000), rng.randrange(10**9), rng.randrange(10**9), rng.randrange(10**12))
            )
        return super()._value(column, low, high)


class Periodic(Records):
    """A feed with one record for each period and member: a delivery brings what is new, often everything again."""

    horizons = HORIZONS
    most_old = 3
    actions = (*("again", "again", "correct", "correct", "revert") * 3, "void")
    everything_again = 0.5

    def __init__(self, rng: random.Random, feed: str) -> None:
        super().__init__(rng, feed)
        self.told: dict[Any, Record] = {}

    def due(self, high: date) -> Iterator[tuple[Any, ...]]:
        """The keys that are known on a day."""
        raise NotImplementedError

    def tell(self, key: tuple[Any, ...], high: date) -> Record:
        """What is said of a key on a day."""
        raise NotImplementedError

    def batch(self, low: date, high: date) -> list[Record]:
        rng = self.rng
        again = rng.random() < self.everything_again
        records = []
        for key in self.due(high):
            if again or key not in self.told:
                if key not in self.told or rng.random() < 0.2:
                    self.told[key] = self._settle(self.tell(key, high) | {"void": False})
                records.append(self.told[key])
        self.voided.difference_update(self.key_of(record) for record in records)
        return records or [*self.new_records(low, high), *self.new_records(low, high)]

    def _period(self, kind: str) -> Any:
        """A period that no metric gets to: what is made up key by key is not to stop a series."""
        year = self.rng.randrange(2030, 2060)
        number = self.rng.randrange(1, 13)
        periods = {"month": f"{year}-{number:02}", "quarter": f"{year}-Q{(number + 2) // 3}", "year": f"{year}"}
        return periods[kind]


class Accounts(Periodic):
    """value_added_accounts: preliminary first, final in the year after, at last perhaps a census."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng, "value_added_accounts")
        self.first_year = rng.choice((FIRST_YEAR, FIRST_YEAR, FIRST_YEAR + 1, FIRST_YEAR + 2))
        years = range(self.first_year, HORIZONS[0].year)
        gaps = [(f"{year}", division) for year in years for division in ("66", "67", "68", "69")]
        self.gaps = rng.sample(gaps, rng.choice((0, 0, 1, 2)))

    def due(self, high: date) -> Iterator[tuple[Any, ...]]:
        for year in range(self.first_year, high.year):
            if (high - date(year, 12, 31)).days > 25:
                for division in ("66", "67", "68", "69"):
                    if (f"{year}", division) not in self.gaps:
                        yield f"{year}", division

    def tell(self, key: tuple[Any, ...], high: date) -> Record:
        rng = self.rng
        year, division = key
        scale = {"66": 800, "67": 300, "68": 200, "69": 60}[division] * 10**8 * (int(year) - 2010) // 10
        parts = [varied(rng, scale * share // 100, 6) for share in (35, 8, 7, 50)]
        age = (high - date(int(year), 12, 31)).days
        stages = ("初步核算",) if age < 300 else ("最终核实",) if age < 800 else ("最终核实", "普查修订")
        output = scale * rng.randint(150, 180) // 100
        return {
            "year": year,
            "division": division,
            "compensation": parts[0],
            "net_taxes_on_production": parts[1] * rng.choice((1, 1, 1, -1)),
            "depreciation": parts[2],
            "operating_surplus": parts[3],
            "gross_output": output,
            "intermediate_consumption": output - varied(rng, sum(parts), 3),
            "stage": rng.choice(stages),
        }


class Indicators(Periodic):
    """value_added_indicators: levels with a season, in any unit and on any basis, with a rare gap."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng, "value_added_indicators")
        self.start = rng.choice((4 * FIRST_YEAR, 4 * FIRST_YEAR, 4 * FIRST_YEAR + 4, 4 * FIRST_YEAR + 2))
        self.season = {name: [rng.randint(80, 125) for _ in range(4)] for name in SIZES}
        self.habits: dict[tuple[str, int], tuple[str, str]] = {}
        quarters = range(self.start, 4 * HORIZONS[0].year)
        possible = [(f"{n // 4}-Q{n % 4 + 1}", name) for n in quarters for name in SIZES]
        self.gaps = rng.sample(possible, rng.choice((0, 0, 0, 0, 1, 2)))
        self.flows: dict[tuple[str, str], int] = {}

    def due(self, high: date) -> Iterator[tuple[Any, ...]]:
        for number in range(self.start, 4 * high.year + 4):
            year, quarter = number // 4, number % 4 + 1
            if (high - month_end(year, 3 * quarter)).days > 10:
                for name in SIZES:
                    if (f"{year}-Q{quarter}", name) not in self.gaps:
                        yield f"{year}-Q{quarter}", name

    def tell(self, key: tuple[Any, ...], high: date) -> Record:
        rng = self.rng
        quarter, name = key
        year, position = int(quarter[:4]), int(quarter[-1]) - 1
        growing = SIZES[name] * 10**8 * (100 + 7 * (year - FIRST_YEAR)) * self.season[name][position] // 10**4
        self.flows[key] = value = varied(rng, growing, 4)
        bases = ("期末",) if name in STOCKS else ("累计", "累计", "当季")
        basis, unit = self.habits.setdefault((name, year), (rng.choice(bases), rng.choice(tuple(UNIT_FACTORS))))
        if basis == "累计":
            value = sum(self.flows.get((f"{year}-Q{q + 1}", name), 0) for q in range(position + 1))
        if rng.random() < 0.1:
            unit = rng.choice(tuple(UNIT_FACTORS))
        if rng.random() < 0.0005:
            unit = "万美元"
        return {
            "quarter": quarter,
            "indicator": name,
            "basis": basis,
            "value": Decimal(value) / UNIT_FACTORS.get(unit, 1),
            "unit": unit,
        }

    def correct(self, record: Record, published_on: date) -> Record:
        if record["unit"] not in UNIT_FACTORS or self.rng.random() < 0.05:
            return super().correct(record, published_on)
        percent = Decimal(self.rng.choice((97, 99, 102, 103)))
        return record | {"value": record["value"] * percent / 100}


class Prices(Periodic):
    """price_indices: around 100, with gaps."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng, "price_indices")
        self.missing_share = rng.choice((0.0, 0.03, 0.1))
        self.gaps: dict[Any, bool] = {}

    def due(self, high: date) -> Iterator[tuple[Any, ...]]:
        for number in range(4 * FIRST_YEAR, 4 * high.year + 4):
            year, quarter = number // 4, number % 4 + 1
            for name in ("居民消费价格", "固定资产投资价格"):
                key = (f"{year}-Q{quarter}", name)
                gap = self.gaps.setdefault(key, self.rng.random() < self.missing_share)
                if not gap and (high - month_end(year, 3 * quarter)).days > 10:
                    yield key

    def tell(self, key: tuple[Any, ...], high: date) -> Record:
        index = Decimal(self.rng.randint(9600, 10700)).scaleb(-2)
        return {"quarter": key[0], "index_code": key[1], "yoy_index": index}


class Listing(Records):
    """listing_pipeline: firms that move from stage to stage."""

    horizons = HORIZONS

    def __init__(self, rng: random.Random, register: Register) -> None:
        super().__init__(rng, "listing_pipeline")
        self.codes = rng.sample(register.institutions, 8)
        self.fintech = {code: rng.choice(("是", "是", "否")) for code in self.codes}

    def _settle(self, record: Record) -> Record:
        usual = self.fintech[record["uscc"]]
        return record | {"is_fintech": usual if self.rng.random() < 0.9 else self.rng.choice(("是", "否"))}


class Activities(Records):
    """activities: many roadshows, now and then a highlight."""

    horizons = HORIZONS

    def batch(self, low: date, high: date) -> list[Record]:
        return [record for _ in range(self.rng.randint(15, 60)) for record in self.new_records(low, high)]

    def _value(self, column: Any, low: date, high: date) -> Any:
        if column.id == "kind" and self.rng.random() < 0.5:
            return "路演"
        return super()._value(column, low, high)


class Risks(Records):
    """risk_leads: closed after some weeks, perhaps later than the delivery says."""

    horizons = HORIZONS

    def _settle(self, record: Record) -> Record:
        if record["closed_on"]:
            record["closed_on"] = record["found_on"] + timedelta(days=self.rng.randrange(200))
        if self.rng.random() < 0.6:
            record["is_incident"] = record["is_systemic"] = "否"
        return record


class FloorSpace(Records):
    """floor_space: plan versions of several parcels, approved on one day."""

    horizons = HORIZONS
    actions = ("again", "again", "correct", "revert", "void")
    most_old = 4

    def batch(self, low: date, high: date) -> list[Record]:
        plan = self.new_records(low, high)
        for number in range(self.rng.randint(2, 8)):
            parcel = self.new_records(low, high)[0] | {
                "plan_version": plan[0]["plan_version"],
                "parcel": f"地块{number}",
            }
            if self.rng.random() < 0.9:
                parcel["approved_on"] = plan[0]["approved_on"]
            plan.append(parcel)
        return plan

    def _value(self, column: Any, low: date, high: date) -> Any:
        if column.id == "area":
            return Decimal(self.rng.randrange(10, 5000)).scaleb(-1)
        return super()._value(column, low, high)


class DutyReports(Periodic):
    """duty_reports: most duties every month, from the start of the plan on."""

    everything_again = 0.15
    most_old = 8

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng, "duty_reports")
        self.start = rng.choice((date(2022, 6, 1), date(2022, 11, 1), date(2023, 12, 1)))
        self.deadlines = {f"{n}": date(2023, 1, 1) + timedelta(days=rng.randrange(1000)) for n in range(1, 26)}
        for duty in rng.sample(sorted(self.deadlines), 5):
            self.deadlines[duty] = month_end(2024, rng.randint(1, 12))
        self.silence: dict[Any, bool] = {}

    def due(self, high: date) -> Iterator[tuple[Any, ...]]:
        for month in months_between(self.start, high.replace(day=1) - timedelta(days=1)):
            for duty in range(1, 26):
                if not self.silence.setdefault((duty, month), self.rng.random() < 0.4):
                    yield duty, month

    def tell(self, key: tuple[Any, ...], high: date) -> Record:
        rng = self.rng
        duty, month = key
        states = (
            ("未启动", "推进中", "推进中", "受阻", "已完成")
            if month < "2024"
            else ("推进中", "受阻", "已完成", "已完成")
        )
        return {
            "duty_no": duty,
            "month": month,
            "status": rng.choice(states),
            "progress_pct": Decimal(rng.randint(0, 1000)).scaleb(-1),
            "due_date": self.deadlines[f"{duty}"] if rng.random() < 0.7 else None,
            "evidence": rng.choice((None, "模拟文号〔2024〕1号")),
            "reporting_unit": "模拟单位",
        }


class DutyMeasures(Periodic):
    """duty_measures: the leading fintech firms, reported by two duties with gaps, and other measures."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng, "duty_measures")
        self.missing_share = rng.choice((0.0, 0.03, 0.3))
        self.gaps: dict[Any, bool] = {}

    def due(self, high: date) -> Iterator[tuple[Any, ...]]:
        for month in months_between(date(2022, 1, 1), high.replace(day=1) - timedelta(days=1)):
            for measure in MEASURES:
                if not self.gaps.setdefault((month, measure), self.rng.random() < self.missing_share):
                    yield *measure, month

    def tell(self, key: tuple[Any, ...], high: date) -> Record:
        duty, measure, month = key
        return {
            "duty_no": duty,
            "measure_id": measure,
            "month": month,
            "value": Decimal(self.rng.randrange(4)),
            "unit": "家",
        }


def make_worlds(rng: random.Random, size: int) -> list[World]:
    """All feeds of one zone."""
    register, funds = Register(rng, size), Funds(rng, size)
    return [
        register,
        funds,
        Tax(rng, register),
        Accounts(rng),
        Indicators(rng),
        Prices(rng),
        Listing(rng, register),
        DutyReports(rng),
        DutyMeasures(rng),
        Activities(rng, "activities"),
        Risks(rng, "risk_leads"),
        FloorSpace(rng, "floor_space"),
        Records(rng, "official_figures"),
        Records(rng, "revision_notes"),
    ]


def write_zone(directory: Path, seed: int, size: int = 3) -> None:
    """Writes a landing of all the plan's feeds; the same seed and size give the same bytes, names and dates."""
    rng = random.Random(seed)
    for world in make_worlds(rng, size):
        write_feed(rng, directory / world.feed, world, size)
    # The accounts are made up: their two approaches differ by anything, which needs a word.
    note = "说明编号,指标,起始期,截止期,阶段,原因\nMN-0,financial_value_added_discrepancy,1900,2100,模拟,模拟\n"
    (directory / "revision_notes" / f"note__{FIRST_DAY:%Y%m%d}.csv").write_text(note, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit("usage: python tests/worlds.py DIR SEED [SIZE]")
    write_zone(Path(sys.argv[1]), int(sys.argv[2]), *(int(text) for text in sys.argv[3:]))
