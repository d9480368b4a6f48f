"""Machine-readable contracts: what a feed's deliveries must hold. One YAML file per feed, validated on load."""

from __future__ import annotations

import csv
import hashlib
import re
import unicodedata
from collections.abc import Iterable
from datetime import date, timedelta
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from hfc.home import SEEDS

CONTRACTS = Path(__file__).parent / "contracts"

# Powers of ten that turn a printed amount into yuan.
MONEY_UNITS = {"元": 0, "万元": 4, "亿元": 8}

# The first of a row's faults in this order is its main one.
RULES = (
    "required",
    "number",
    "date",
    "period",
    "enum",
    "format",
    "range",
    "uscc_format",
    "future_date",
    "sign",
    "conflicting_key",
)

ColumnType = Literal[
    "text",
    "date",
    "enum",
    "flag",
    "integer",
    "money",
    "number",
    "period",
    "period_range",
    "observational_period",
    "uscc",
    "uscc_or_organisation_code",
]


Frequency = Literal["A", "Q", "M"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Title(_Strict):
    zh: str
    en: str


def _read_seed(name: str) -> list[dict[str, str]]:
    with open(SEEDS / f"{name}.csv", encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


class Sign(_Strict):
    """Which sign an amount must have, by the value of another column; zero has none."""

    by: str
    positive: list[str]
    negative: list[str]


class Column(_Strict):
    """One column: its id in the warehouse, the header it arrives under, and what its cells may hold.

    `unit` holds where neither the header's brackets nor a 单位 cell above the table states another; a money column may
    come in any of MONEY_UNITS, a number in its own unit alone. `decimals` is how many decimals of a yuan the lake
    keeps (default 16); an amount with more is refused, and one with 6 or fewer has a machine number's speed.
    `frequency` names the only kind of period a cell may hold. `maximum` may be `seed.column`: the largest number there.
    """

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    header: str
    aliases: list[str] = []
    type: ColumnType
    key: bool = False
    optional: bool = False
    unit: str | None = None
    values: dict[str, str] = {}
    pattern: str | None = None
    frequency: Frequency | None = None
    decimals: int | None = Field(default=None, ge=0, le=16)
    minimum: int | None = None
    maximum: int | None = None
    sign: Sign | None = None
    required_when: dict[str, list[str]] = {}
    not_after_publication: bool = False

    @field_validator("maximum", mode="before")
    @classmethod
    def _largest(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        seed, _, column = value.partition(".")
        return max(int(row[column]) for row in _read_seed(seed))

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"{value} is no regular expression: {error}") from None
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Column:
        if (self.type == "enum") != bool(self.values):
            raise ValueError(f"{self.id}: `values` belongs to type enum, and to it alone")
        if self.type == "money" and self.unit not in MONEY_UNITS:
            raise ValueError(f"{self.id}: a money column needs a default unit of {', '.join(MONEY_UNITS)}")
        belongs = {
            "not_after_publication": ("date",),
            "frequency": ("period",),
            "decimals": ("money",),
            "sign": ("money",),
            "unit": ("money", "number"),
            "minimum": ("integer", "number"),
            "maximum": ("integer", "number"),
        }
        for name, types in belongs.items():
            if getattr(self, name) not in (None, False) and self.type not in types:
                raise ValueError(f"{self.id}: {name} belongs to type {' or '.join(types)}")
        if self.key and (self.optional or self.required_when):
            raise ValueError(f"{self.id}: a key column is always required")
        return self

    @property
    def headers(self) -> set[str]:
        """Every header this column is known by, normalised."""
        return {normalise_header(text) for text in (self.id, self.header, *self.aliases)}


class Portal(_Strict):
    """Exports of the national data portal: what its preamble and its rows are called, and its databases."""

    provider: str
    preamble: dict[Literal["dataset", "indicator", "area", "time"], list[str]]
    row_labels: dict[Literal["area", "indicator"], list[str]]
    databases: dict[Frequency, str]
    regional: str


class QueryService(_Strict):
    """Answers of the portal's query service: the codes of its dimensions."""

    provider: str
    dataset: str
    indicator: str
    area: str
    period: str


class WorldBank(_Strict):
    """Answers of the World Bank's API: what its sources are called."""

    provider: str
    datasets: dict[str, str]


class Sdmx(_Strict):
    """What the components of SDMX messages are called, and which are dimensions where a message does not mark them.

    `attributes` are regular expressions of ids; `structures` the dimensions of a structure by AGENCY:ID; `flags` the
    status of CL_OBS_STATUS that a provider's flag means, the weightier first; `keyed_provider` whose CSV begins with
    the column KEY; `ignored` changes with every delivery and says nothing about a value. `either` are dimensions with
    one provider and attributes with another, which then come behind the first known attribute.
    """

    period: list[str]
    value: list[str]
    status: list[str]
    unit: list[str]
    multiplier: list[str]
    title: list[str]
    indicator: list[str]
    attributes: list[str]
    either: list[str]
    ignored: list[str]
    flags: dict[str, str]
    structures: dict[str, list[str]]
    keyed_provider: str

    def is_attribute(self, name: str) -> bool:
        """Whether an id is known to name an attribute."""
        return any(re.fullmatch(pattern, name.upper()) for pattern in self.attributes)


class YearbookEdition(_Strict):
    """What a yearbook's table does not print, by its title (a regular expression): names of columns, unit, year."""

    title: str
    labels: dict[str, str] = {}
    unit: str = ""
    period: str = ""


class Yearbook(_Strict):
    """Tables of statistical yearbooks: what the column of areas is called, and editions with gaps."""

    provider: str
    area_labels: list[str]
    layouts: list[YearbookEdition]


class Editions(_Strict):
    """How the editions of public statistics print their labels: data, so that a new edition needs no code.

    `areas` names a seed of areas (columns name_zh and short_name_zh); it holds their names.
    """

    areas: tuple[str, ...]
    nation: str
    nation_labels: list[str]
    units: list[list[str]]
    bases: list[str]
    portal: Portal
    easyquery: QueryService
    world_bank: WorldBank
    sdmx: Sdmx
    yearbook: Yearbook

    @field_validator("areas", mode="before")
    @classmethod
    def _names(cls, seed: str) -> tuple[str, ...]:
        return tuple(row[name] for row in _read_seed(seed) for name in ("name_zh", "short_name_zh"))

    def split_unit(self, label: str) -> tuple[str, str]:
        """(name, unit) of a label whose last bracket or last word is a known unit; else the label and no unit."""
        match = re.fullmatch(r"(.+?)(?:\s*\(([^()]+)\)|\s+(\S+))", label.strip())
        if match and self.is_unit(unit := match.group(2) or match.group(3)):
            return match.group(1), unit
        return label.strip(), ""

    def split_basis(self, name: str) -> tuple[str, str]:
        """(name, basis) of an indicator that ends in a known basis: 国内生产总值_当季值; else the name and no basis."""
        stem, _, basis = name.rpartition("_")
        return (stem, basis) if stem and basis in self.bases else (name, "")

    def area_of(self, label: str) -> str:
        """The area a printed label is about, without the spaces that fill it up; a row of the whole nation is that."""
        plain = re.sub(r"\s+", "", label)
        return self.nation if plain in self.nation_labels else plain

    def is_area(self, label: str) -> bool:
        """Whether a printed label is the name of a known area."""
        return self.area_of(label) in self.areas

    def is_area_label(self, label: str) -> bool:
        """Whether a header cell names the column of areas: 地区, also beside its translation."""
        plain = re.sub(r"\s+", "", label).casefold()
        return plain in self.yearbook.area_labels or re.sub(r"[a-z]+$", "", plain) in self.yearbook.area_labels

    def is_unit(self, text: str) -> bool:
        """Whether a text is a known unit, or several joined by a stroke."""
        known = {unit for units in self.units for unit in units}
        return all(part in known for part in text.split("/"))


class Calendar(_Strict):
    """When deliveries are expected: one for every period, `due_days` after its end; late after `grace_days` more."""

    every: Literal["month", "quarter", "year"]
    due_days: int = Field(ge=0)
    grace_days: int = Field(ge=0)

    def expected(self, today: date) -> tuple[date, date]:
        """(end of the last period whose delivery is due, day it was due) on `today`."""
        months = {"month": 1, "quarter": 3, "year": 12}[self.every]
        start = date(today.year, (today.month - 1) // months * months + 1, 1)
        while (end := start - timedelta(days=1)) + timedelta(days=self.due_days) > today:
            start = end.replace(day=1, month=(end.month - 1) // months * months + 1)
        return end, end + timedelta(days=self.due_days)

    def punctuality(self, published: Iterable[date], today: date) -> tuple[str, date]:
        """(`on time`, `due` or `late`, day the latest expected delivery was due), from the publication dates so far."""
        end, due = self.expected(today)
        if any(end < day <= today for day in published):
            return "on time", due
        return "late" if (today - due).days > self.grace_days else "due", due


class Contract(_Strict):
    """One feed: its columns, natural key, layout and calendar.

    `stale_after_days` after its latest delivery, a feed is no ground for a judgement of a year that still runs.
    `confidential` rows are about single taxpayers: they never leave the home, and no message quotes them.
    """

    feed: str
    title: Title
    kind: Literal["event", "record"]
    layout: Literal["table", "series"]
    stale_after_days: int = Field(gt=0)
    calendar: Calendar | None = None
    confidential: bool = False
    columns: list[Column]
    editions: Editions | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Contract:
        ids = [column.id for column in self.columns]
        if len(set(ids)) != len(ids):
            raise ValueError(f"{self.feed}: a column id stands twice")
        headers = [header for column in self.columns for header in column.headers]
        if len(set(headers)) != len(headers):
            raise ValueError(f"{self.feed}: two columns share a header")
        if not self.keys:
            raise ValueError(f"{self.feed}: no key column")
        for column in self.columns:
            for other, allowed in column.required_when.items():
                if other not in ids or not set(allowed) <= set(self.column(other).values):
                    raise ValueError(f"{self.feed}.{column.id}: required_when names no value of {other}")
            sign = column.sign
            if sign and (
                sign.by not in ids or not {*sign.positive, *sign.negative} <= set(self.column(sign.by).values)
            ):
                raise ValueError(f"{self.feed}.{column.id}: sign names no value of {sign.by}")
        return self

    @property
    def keys(self) -> list[Column]:
        return [column for column in self.columns if column.key]

    @property
    def has_void(self) -> bool:
        return any(column.id == "void" for column in self.columns)

    def column(self, column_id: str) -> Column:
        return next(column for column in self.columns if column.id == column_id)

    @property
    def sha256(self) -> str:
        """Digest of what decides how a delivery is read: an outcome says which contract it was read under."""
        meaning = self.model_dump_json(exclude={"title", "stale_after_days", "calendar", "confidential"})
        return hashlib.sha256(meaning.encode()).hexdigest()


def normalise(text: str) -> str:
    """NFKC (full-width digits and letters become plain ones), then trimmed."""
    return unicodedata.normalize("NFKC", text).strip()


@lru_cache(maxsize=4096)
def normalise_header(text: str) -> str:
    """A header without spaces, line breaks, case, and what stands in its brackets."""
    return re.sub(r"\(.*?\)$", "", re.sub(r"\s+", "", normalise(text)).casefold())


def header_unit(text: str) -> str | None:
    """What stands in a header's last brackets: `金额（万元）` gives `万元`."""
    match = re.search(r"\(([^()]*)\)$", re.sub(r"\s+", "", normalise(text)))
    return match.group(1) if match else None


@cache
def load_contracts(folder: Path = CONTRACTS) -> dict[str, Contract]:
    """Every contract of `folder` by feed.

    Raises:
        ValueError: a file is not a valid contract, or is not named after its feed; the message names the file.
    """
    contracts = {}
    for path in sorted(folder.glob("*.yaml")):
        try:
            contract = Contract.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        except (ValueError, yaml.YAMLError) as error:
            raise ValueError(f"{path}: not a valid contract: {error}") from error
        if contract.feed != path.stem:
            raise ValueError(f"{path}: holds the contract of {contract.feed}; name the file after its feed")
        contracts[contract.feed] = contract
    return contracts
