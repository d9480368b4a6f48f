"""What every reader gives: records of text cells, each with its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass


class Unreadable(Exception):
    """The delivery can't be read at all; the message names the place."""


@dataclass(frozen=True)
class Record:
    """One record: the 1-based line (or row of the sheet) it starts on, and its cells as text.

    `repeated` are the places of the cells that only repeat the value of a merged range.
    """

    line: int
    cells: list[str]
    repeated: Sequence[int] = ()


@dataclass(frozen=True)
class Reading:
    """One way to read one sheet (or the one table that the other formats hold).

    `records` reads record by record, from the beginning at each call. `alternative` readings exclude each other: the
    one whose header fits best counts.

    Where every line may be one row of plain text, DuckDB reads it itself: `scan` gives, for how many lines to skip and
    how many cells to expect, a relation of text columns c0, c1, …; `count` how many lines there are, to prove that none
    was left out; `cells` the raw cells of the lines with given (ascending) numbers. `size` is about how many bytes of
    text there are, unpacked.
    """

    records: Callable[[], Iterator[Record]]
    sheet: str | None = None
    alternative: bool = False
    scan: Callable[[int, int], str] | None = None
    count: Callable[[], int] | None = None
    cells: Callable[[Sequence[int]], Iterator[list[str]]] | None = None
    size: int = 0
