"""Rows in bulk: pieces of a large table, as columns of text."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import TypeVar

import pyarrow as pa

from ingest.readers.records import Record

Item = TypeVar("Item")
Result = TypeVar("Result")
# So many results are computed ahead: memory must not grow with the items.
AHEAD = 4


class Doubtful(Exception):
    """Rows in bulk are not to be trusted here, for they may be seen in two ways: read record by record."""


@dataclass(frozen=True)
class Piece:
    """Consecutive rows in bulk: the cells of those as wide as the header in columns c0, c1, …, of the others apiece.

    `lines` are the lines of the rows in `cells`.
    """

    cells: pa.Table
    lines: pa.Array
    ragged: list[Record] = field(default_factory=list)


def in_order(executor: Executor, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """The results in the order of the items; a few are computed ahead."""
    waiting: deque[Future[Result]] = deque()
    for item in items:
        waiting.append(executor.submit(function, item))
        if len(waiting) > AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
