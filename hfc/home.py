"""The home directory, and the few file-system primitives that every step shares.

Every write is *temporary file, fsync, rename*: a step that is killed anywhere leaves either the old file or the
new one, and running it again gives the same result.
"""

from __future__ import annotations

import errno
import fcntl
import gc
import glob
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import StrEnum
from pathlib import Path
from typing import Any

TEMPORARY_SUFFIX = ".tmp"
# Where a killed process can leave temporary files, which nobody needs after a day: no step takes that long for one.
TEMPORARY_FILES = (
    "archive/*/.*.tmp",
    "lake/*/.*.tmp",
    "lake/quarantine/*/.*.tmp",
    "scratch/*",
    "warehouse/.*.tmp",
    "warehouse/gate/.*.tmp",
    "published/.*.tmp",
    "published/removed/*/.*.tmp",
)
LEFTOVER_SECONDS = 86_400
# DuckDB's exceptions about files, by name: to import them would take time that a reading command has not.
_TELLING = ("IOException", "FatalException", "TransactionException")
# What the disk can say of itself, and what to do about it.
DISK_TROUBLES = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room, or have the quota raised",
    errno.EIO: "have the disk checked",
    errno.EROFS: "make it writable",
}
# The dbt project with the plan's seeds: `$HFC_PROJECT` for another place's plan, else the one beside this package.
PROJECT = Path(os.environ.get("HFC_PROJECT") or Path(__file__).parent.parent / "dbt_project").absolute()
SEEDS = PROJECT / "seeds"
# Days are days in the financial centre.
SHANGHAI = timezone(timedelta(hours=8))


class Target(StrEnum):
    """The engines that compute a candidate: the targets of dbt's profile."""

    DUCKDB = "duckdb"
    SPARK = "spark"


class HfcError(Exception):
    """A failure with one clear message for a person; `exit_status` is what the command line returns."""

    exit_status = 1


class UsageError(HfcError):
    """Wrong use: a missing folder, an unknown release, an unreadable date."""

    exit_status = 2


class GateFailed(HfcError):
    """A check refused the candidate: nothing was published."""

    exit_status = 3


class GateHeld(GateFailed):
    """Warnings hold the candidate: nothing was published until a person approves it with a reason."""


class CandidateReplaced(HfcError):
    """Another run has built its own candidate in the place of the one that is asked for."""


class DiskTrouble(HfcError):
    """The disk is full, read-only or broken: neither a delivery nor a candidate is at fault."""

    def __init__(self, trouble: int, place: Path | str) -> None:
        self.trouble, self.place = trouble, place
        super().__init__(
            f"{os.strerror(trouble)}: {place}. What was published stays, and no delivery is at fault: "
            f"{DISK_TROUBLES[trouble]}, then run again"
        )

    def __reduce__(self) -> tuple[type[DiskTrouble], tuple[int, Path | str]]:
        return DiskTrouble, (self.trouble, self.place)


def one_line(error: BaseException) -> str:
    """An unexpected exception in one line."""
    detail = " ".join(str(error).split())
    return f"hfc failed: {type(error).__name__}{f': {detail}' if detail else ''} (HFC_DEBUG=1 shows where)"


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
        """Hold the home's one writer lock; a second process is told who has it, and since when.

        The kernel releases the lock when its holder dies, so a killed run never blocks the next one.

        Raises:
            DiskTrouble: the disk failed meanwhile.
        """
        with on_disk(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            with open(self.root / ".lock", "a+b", buffering=0) as handle:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    handle.seek(0)
                    holder = handle.read().decode() or "another process"
                    raise HfcError(f"{self.root} is in use by {holder}; wait for it to end and run again") from None
                since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
                with suppress(OSError):  # a full disk keeps nobody from making room
                    handle.truncate(0)
                    handle.write(
                        f"hfc {purpose} (process {os.getpid()} on {os.uname().nodename}, since {since})".encode()
                    )
                yield

    def sweep(self) -> None:
        """Remove the temporary files that processes which were killed more than a day ago have left."""
        remove_leftovers(path for pattern in TEMPORARY_FILES for path in self.root.glob(pattern))


@contextmanager
def waiting_for(lock: Path) -> Iterator[None]:
    """Hold the lock on a file, once no other process or thread holds it."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with open(lock, "wb") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def remove_leftovers(leftovers: Iterable[Path]) -> None:
    """Remove those temporary files and folders that nobody has written to for a day."""
    newest = time.time() - LEFTOVER_SECONDS
    for leftover in list(leftovers):
        with suppress(FileNotFoundError):  # another process's, which is done
            if leftover.lstat().st_mtime < newest:
                if leftover.is_dir() and not leftover.is_symlink():
                    shutil.rmtree(leftover, ignore_errors=True)
                else:
                    leftover.unlink()


@contextmanager
def on_disk(place: Path) -> Iterator[None]:
    """Tell trouble with the disk as such, at `place` where the error names no file.

    Raises:
        DiskTrouble: instead of what Python, Arrow or DuckDB raised because of the disk, and of what followed from it.
    """
    try:
        yield
    except DiskTrouble:
        raise
    except Exception as error:
        cause: BaseException | None = error
        while cause:
            if trouble := _disk_trouble(cause):
                named = [getattr(cause, name, None) for name in ("filename", "filename2")]
                raise DiskTrouble(trouble, " → ".join(map(str, filter(None, named))) or place) from error
            cause = cause.__cause__ or cause.__context__
        raise


def _disk_trouble(error: BaseException) -> int | None:
    if isinstance(error, DiskTrouble):
        return error.trouble
    if isinstance(error, OSError):
        return error.errno if error.errno in DISK_TROUBLES else None
    return disk_trouble_in(str(error)) if type(error).__name__ in _TELLING else None


def disk_trouble_in(message: str) -> int | None:
    """What the disk said, as a number of `errno`, if a message of DuckDB about a file tells of that."""
    if "fsync failed!" in message:  # said of EIO alone
        return errno.EIO
    return next((trouble for trouble in DISK_TROUBLES if os.strerror(trouble) in message), None)


def temporary_name(name: str) -> str:
    """A name for a temporary file or folder that nobody else has: where machines or containers share a home, several
    processes have the same number."""
    return f".{name}.{os.urandom(4).hex()}{TEMPORARY_SUFFIX}"


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
    temporary = target.with_name(temporary_name(target.name))
    try:
        with on_disk(target):
            yield temporary
            fsync_file(temporary)
            os.replace(temporary, target)
            fsync_directory(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `target`; on success make it durable and rename it to `target`.

    A folder that was there is moved aside first, and back where that fails.
    """
    temporary, replaced = (target.with_name(temporary_name(target.name)) for _ in range(2))
    with on_disk(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(target.parent.glob(f".{glob.escape(target.name)}.*{TEMPORARY_SUFFIX}"))
        temporary.mkdir()
        try:
            yield temporary
            make_durable(temporary)
            if target.exists():
                os.rename(target, replaced)
            try:
                os.rename(temporary, target)
            except OSError:
                if replaced.exists():
                    os.rename(replaced, target)
                raise
            fsync_directory(target.parent)
            shutil.rmtree(replaced, ignore_errors=True)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def make_durable(folder: Path) -> None:
    """Make every file and folder in a folder durable, and then itself."""
    for path in (*sorted(folder.rglob("*")), folder):
        if path.is_dir():
            fsync_directory(path)
        else:
            fsync_file(path)


def write_json(target: Path, value: Any) -> None:
    """Write `value` as JSON, atomically."""
    with replacing(target) as temporary:
        temporary.write_text(json_text(value), encoding="utf-8")


def json_text(value: Any) -> str:
    """`value` as deterministic, readable JSON."""
    return json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def keep_objects() -> None:
    """Look for garbage less often in this process: dbt and Great Expectations make millions of objects that stay, and
    to look through them again and again takes seconds."""
    gc.set_threshold(100_000, 50, 50)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
