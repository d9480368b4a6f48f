"""How much of anything a delivery may hold before it is an attack or an accident, not statistics."""

from __future__ import annotations

from pathlib import Path

# Unpacked, a delivery may be this large: 10^8 rows of tax records are about 8 GB.
UNPACKED_LIMIT = 16 << 30
# Text of statistics packs to a tenth or a twentieth; below the floor the ratio says nothing.
UNPACKED_FLOOR = 256 << 20
RATIO_LIMIT = 200
CELL_LIMIT = 1 << 20
COLUMN_LIMIT = 4096
CHUNK = 1 << 20


def unpacked_limit(path: Path) -> int:
    """How many bytes the packed file `path` may hold."""
    return min(UNPACKED_LIMIT, max(UNPACKED_FLOOR, RATIO_LIMIT * path.stat().st_size))
