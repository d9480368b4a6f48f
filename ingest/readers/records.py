"""What every reader gives: records of text cells, each with its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import Executor

    import pyarrow as pa

    from ingest.readers.pieces import Piece


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

    Where the rows can be had in bulk, `pieces` gives them, in order, for the line on which they begin and the Arrow
    types in which to read the cells of a line; it raises Doubtful where they can't be trusted. `cells` gives the raw
    cells of the lines with given (ascending) numbers. `size` is about how many bytes of text there are, unpacked.
    """

    records: Callable[[], Iterator[Record]]
    sheet: str | None = None
    alternative: bool = False
    pieces: Callable[[Executor, int, Sequence[pa.DataType]], Iterator[Piece]] | None = None
    cells: Callable[[Sequence[int]], Iterator[list[str]]] | None = None
    size: int = 0
