"""The home directory, and the few file-system primitives that every step shares.

Every write is *temporary file, fsync, rename*: a step that is killed anywhere leaves either the old file or the
new one, and running it again gives the same result.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any

TEMPORARY_SUFFIX = ".tmp"
# The dbt project with the plan's seeds: `$HFC_PROJECT` for another place's plan, else the one beside this package.
PROJECT = Path(os.environ.get("HFC_PROJECT") or Path(__file__).parent.parent / "dbt_project").absolute()
SEEDS = PROJECT / "seeds"
# Days are days in the financial centre.
SHANGHAI = timezone(timedelta(hours=8))


class HfcError(Exception):
    """A failure with one clear message for a person; `exit_status` is what the command line returns."""

    exit_status = 1


class UsageError(HfcError):
    """Wrong use: a missing folder, an unknown release, an unreadable date."""

    exit_status = 2


class GateFailed(HfcError):
    """A check refused the candidate: nothing was published."""

    exit_status = 3


@dataclass(frozen=True)
class Home:
    """Paths below one home directory (`HFC_HOME`, default `./var`)."""

    root: Path

    @classmethod
    def at(cls, root: str | os.PathLike[str] | None = None) -> Home:
        """The home at `root`, else at `$HFC_HOME`, else at `./var`."""
        return cls(Path(root or os.environ.get("HFC_HOME") or "var").absolute())

    @property
    def landing(self) -> Path:
        """Where deliveries arrive: `$HFC_LANDING`, else `<home>/landing`."""
        return Path(os.environ.get("HFC_LANDING") or self.root / "landing").absolute()

    @property
    def archive(self) -> Path:
        return self.root / "archive"

    @property
    def lake(self) -> Path:
        return self.root / "lake"

    @property
    def deliveries(self) -> Path:
        return self.lake / "deliveries"

    @property
    def outcomes(self) -> Path:
        return self.lake / "outcomes"

    @property
    def quarantine(self) -> Path:
        return self.lake / "quarantine"

    @property
    def scratch(self) -> Path:
        """Temporary copies of deliveries while they are parsed."""
        return self.root / "scratch"

    @property
    def warehouse(self) -> Path:
        return self.root / "warehouse"

    @property
    def candidate(self) -> Path:
        return self.warehouse / "candidate.duckdb"

    @property
    def published(self) -> Path:
        return self.root / "published"

    @property
    def releases(self) -> Path:
        return self.published / "releases"

    @property
    def current(self) -> Path:
        return self.published / "current"

    @contextmanager
    def lock(self, purpose: str) -> Iterator[None]:
        """Hold the home's one writer lock; a second process is told who has it.

        The kernel releases the lock when its holder dies, so a killed run never blocks the next one.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with open(self.root / ".lock", "a+", encoding="utf-8") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                handle.seek(0)
                holder = handle.read().strip() or "another process"
                raise HfcError(f"{self.root} is in use by {holder}; wait for it to end and run again") from None
            handle.truncate(0)
            handle.write(f"hfc {purpose} (process {os.getpid()})")
            handle.flush()
            yield


def fsync_file(path: Path) -> None:
    """Make the bytes of a file durable."""
    with open(path, "rb") as handle:
        os.fsync(handle.fileno())


def fsync_directory(directory: Path) -> None:
    """Make the renames inside `directory` durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; on success fsync it and rename it over `target`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
    try:
        yield temporary
        fsync_file(temporary)
        os.replace(temporary, target)
        fsync_directory(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(target: Path, value: Any) -> None:
    """Write `value` as deterministic, readable JSON, atomically."""
    with replacing(target) as temporary:
        temporary.write_text(json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
