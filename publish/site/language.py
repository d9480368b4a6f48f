"""How the board speaks: words of the interface, labels of the dictionary, numbers, in one of its two languages."""

from __future__ import annotations

import re
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from publish.site.content import Content, Row

LANGUAGES = ("zh", "en")
WORDS = Path(__file__).parent / "words.yaml"
SIGNS = {">=": "≥ ", "<=": "≤ ", "~": "≈ ", "=": "= ", ">": "> ", "<": "< ", "between": ""}
MINUS = "\N{MINUS SIGN}"


def load_words() -> dict[str, Any]:
    """The words of the interface: `words` by name and language, `reasons` as pairs of patterns."""
    words: dict[str, Any] = yaml.safe_load(WORDS.read_text(encoding="utf-8"))
    return words


class Language:
    """One language of the board."""

    def __init__(self, code: str, content: Content) -> None:
        self.code = code
        self.content = content
        loaded = load_words()
        self._reasons: list[dict[str, str]] = loaded["reasons"]
        self.words = {name: str(both[code]) for name, both in loaded["words"].items()}
        years = [target["year"] for target in content.rows["target"]]
        self.words["title"] = self.words["title"].format(first=min(years), last=max(years))

    @property
    def tag(self) -> str:
        """The language as HTML names it."""
        return {"zh": "zh-CN", "en": "en"}[self.code]

    @property
    def other(self) -> str:
        """The other language."""
        return {"zh": "en", "en": "zh"}[self.code]

    def file(self, page: str, code: str | None = None) -> str:
        """The file of a page, in this language or in another one."""
        return f"{page}.html" if (code or self.code) == "zh" else f"{page}.{code or self.code}.html"

    def label(self, row: Row, field: str = "label") -> str:
        """A text of the dictionary that has one column a language."""
        return str(row[f"{field}_{self.code}"])

    def metric(self, metric_id: str) -> str:
        """The name of a metric."""
        return self.label(self.content.metrics[metric_id])

    def member(self, dimension: str, member: str) -> str:
        """The name of a dimension's member."""
        (row,) = self.content.of("member", dimension=dimension, member=member)
        return self.label(row)

    def feed(self, feed: str) -> str:
        """The name of a feed."""
        return self.feeds.get(feed, feed)

    @cached_property
    def feeds(self) -> dict[str, str]:
        """The names of all feeds."""
        return {row["feed"]: self.label(row, "title") for row in self.content.rows["feed"]}

    def unit(self, unit: str) -> str:
        """A unit as it stands behind a number: the symbol in Chinese, the words in English."""
        row = self.content.units[unit]
        return str(row["symbol"] if self.code == "zh" or unit == "percent" else row["label_en"])

    def status(self, status: str) -> Row:
        """The row of a target's status in the dictionary."""
        (row,) = self.content.of("attainment_status", status=status)
        return row

    def reason(self, reason: str) -> str:
        """Why a target has its status: the release says it in English, other languages have it from `words.yaml`.

        A reason that is not known there stays as it is.
        """
        if self.code == "en":
            return reason
        for known in self._reasons:
            if found := re.fullmatch(reason_pattern(known["en"]), reason):
                named = found.groupdict()
                if "feed" in named:
                    named["feed"] = self.feed(named["feed"])
                return known[self.code].format(**named)
        return reason

    def series_label(self, row: Row) -> str:
        """The name of a metric, and of the member it is about."""
        name = self.metric(row["metric_id"])
        return name if row["member"] == "total" else f"{name} · {self.member(row['dimension'], row['member'])}"

    def dimension(self, dimension: str) -> str:
        """The name of a dimension; its identifier where the words have none."""
        return self.words.get(f"dimension_{dimension}", dimension)

    def decimal(self, value: Decimal, decimals: int) -> tuple[str, str]:
        """A number as shown with so many decimals, and as published."""
        return number(value, decimals), exact(value)

    def goal(self, target: Row) -> str:
        """What the plan asks for: its sign and its bound or bounds, without the unit."""
        bounds = ("low", "high") if target["operator"] == "between" else ("low",)
        return SIGNS[target["operator"]] + "–".join(plain_number(target[name]) for name in bounds)


def reason_pattern(template: str) -> str:
    """A regular expression for the sentences of a template, whose `{name}` stands for any text."""
    return re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", re.escape(template))


def number(value: Decimal, decimals: int) -> str:
    """A number with so many decimals, halves away from zero; thousands apart."""
    return _written(value.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP))


def plain_number(value: Decimal, decimals: int = 2) -> str:
    """A number with so many decimals at most, without final zeros."""
    text = number(value, decimals)
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent_reached(value: Decimal) -> str:
    """A percentage cut off after one decimal, so that 100 is never shown before it is reached."""
    return _written(value.quantize(Decimal("0.1"), ROUND_DOWN))


def exact(value: Decimal) -> str:
    """A number as published, every decimal of it."""
    return f"{value:f}"


def _written(value: Decimal) -> str:
    text = f"{abs(value):,f}"
    return f"{MINUS}{text}" if value < 0 else text
