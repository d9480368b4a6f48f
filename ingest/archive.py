"""Arrivals: the bytes of every landed file are kept for ever, and registered as a delivery before anything is parsed.

Can be killed anywhere and run again: bytes first, then the register entry; a file without an entry arrives again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

import yaml

from hfc.home import (
    SHANGHAI,
    Home,
    UsageError,
    fsync_directory,
    fsync_file,
    on_disk,
    sha256_of,
    temporary_name,
    waiting_for,
    write_json,
)
from ingest import shared

SIDECAR = ".meta.yaml"
SIDECAR_BYTES = 1 << 16
# Bytes that a processor's cache still holds when they are hashed.
CHUNK = 1 << 18

log = logging.getLogger("hfc")


class _Changing(Exception):
    """A file that is still being written."""


def receive(home: Home, landing: Path) -> None:
    """Archive and register every new file of `landing/<feed>/`, oldest publication first.

    A file that changes while it is read is left for the next time, with a warning.

    Raises:
        UsageError: the landing folder does not exist.
    """
    if not landing.is_dir():
        raise UsageError(f"no landing folder at {landing}: create it, or name another with --landing")
    # Of two processes that see a new file at once, the second has to find it known.
    with on_disk(home.archive), waiting_for(home.archive / ".lock"):
        _receive(home, landing)


def _receive(home: Home, landing: Path) -> None:
    known: dict[tuple[str, str, int], set[str]] = {}
    for entry in registered(home):
        known.setdefault((entry["feed"], entry["file"], entry["bytes"]), set()).add(entry["sha256"])
    arrivals = []
    for path in sorted(landing.glob("[!.]*/[!.]*")):
        if path.name.startswith("~$") or path.name.endswith(SIDECAR):
            continue
        with _left_when_changing(path):
            state = _state(path)
            arrival = _describe(path)
            digests = known.get((arrival["feed"], arrival["file"], arrival["bytes"]), set())
            # Only a file whose name and size are known is read to learn whether it is new.
            if not digests or _digest(path) not in digests:
                arrivals.append((arrival, path, state))
    for arrival, path, state in sorted(arrivals, key=lambda a: (a[0]["published_on"], a[0]["file"], a[0]["feed"])):
        with _left_when_changing(path):
            _register(home, {**arrival, "sha256": _archive(home, arrival, path, state)})


@contextmanager
def _left_when_changing(path: Path) -> Iterator[None]:
    try:
        yield
    except (_Changing, FileNotFoundError):
        log.warning("%s changed while it was read; it is left for the next run", path)


def _describe(path: Path) -> dict[str, Any]:
    """Feed, size, publication date and sidecar of one landed file; bytes of a name that are no text are escaped."""
    no_file = _no_plain_file(path)
    meta, problem = ({}, no_file) if no_file else _sidecar(path.with_name(path.name + SIDECAR))
    published_on, bad_date = _published_on(path, meta)
    return {
        "feed": _printable(path.parent.name),
        "file": _printable(path.name),
        "bytes": 0 if no_file else path.stat().st_size,
        "published_on": published_on.isoformat(),
        "problem": problem or bad_date,
        "synthetic": meta.get("synthetic") is True,
        **{name: None if meta.get(name) is None else str(meta[name]) for name in ("source_url", "licence", "note")},
    }


def _state(path: Path) -> tuple[int, ...]:
    """What changes when a file is written to or replaced."""
    status = path.lstat()
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _digest(path: Path) -> str:
    return "" if _no_plain_file(path) else sha256_of(path)


def _printable(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _sidecar(path: Path) -> tuple[dict[str, Any], str | None]:
    """What a sidecar says, or why it says nothing that can be used."""
    if os.path.islink(path) or not os.path.isfile(path):  # pathlib's own would raise on a name too long for a sidecar
        return {}, None
    try:
        if path.stat().st_size > SIDECAR_BYTES:
            raise ValueError(f"more than {SIDECAR_BYTES} bytes")
        meta = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        if not isinstance(meta, dict) or any(isinstance(value, (dict, list, set)) for value in meta.values()):
            raise ValueError("not a list of names with one value each")
        return meta, None
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        return {}, f"unreadable sidecar {_printable(path.name)}: {str(error).splitlines()[0]}"


def _no_plain_file(path: Path) -> str | None:
    """Why there are no bytes to read: only regular files are opened, and no link is followed."""
    if path.is_symlink() or path.parent.is_symlink():
        return "unreadable: a symbolic link; deliver the file itself"
    if path.is_dir():
        return "unreadable: a folder where a file was expected"
    return None if path.is_file() else "unreadable: no regular file"


def _published_on(path: Path, meta: dict[str, Any]) -> tuple[date, str | None]:
    """The vintage: the last date in the file name, else the sidecar's, else the modification date in Shanghai."""
    for digits in reversed(re.findall(r"(?<!\d)\d{8}(?!\d)", path.name)):
        try:
            return date(int(digits[:4]), int(digits[4:6]), int(digits[6:])), None
        except ValueError:
            continue
    modified = datetime.fromtimestamp(path.lstat().st_mtime, SHANGHAI).date()
    stated = meta.get("published_on")
    try:
        return (date.fromisoformat(str(stated)), None) if stated is not None else (modified, None)
    except ValueError:
        return modified, f"unreadable sidecar: published_on {stated} is not a date (YYYY-MM-DD)"


def archived(home: Home, delivery: dict[str, Any]) -> Path:
    """Where a delivery's bytes are kept for ever."""
    suffix = re.sub(r"[^A-Za-z0-9.]", "", Path(delivery["file"]).suffix)[:16] or ".bin"
    return home.archive / str(delivery["feed"]) / f"{delivery['sha256']}{suffix}"


def _archive(home: Home, arrival: dict[str, Any], path: Path, state: tuple[int, ...]) -> str:
    """Keep the bytes of a file; their SHA-256, which is that of the copy, whatever its owner does to the file.

    Raises:
        _Changing: the file is no longer in the `state` it was described in.
    """
    if _no_plain_file(path):
        return ""
    folder = home.archive / str(arrival["feed"])
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / temporary_name("arrival")
    try:
        digest = _copy(path, temporary)
        if _state(path) != state:
            raise _Changing
        os.chmod(temporary, 0o444)
        target = archived(home, {**arrival, "sha256": digest})
        if not target.exists():
            shared.push(home, target, temporary)
            os.replace(temporary, target)
            fsync_directory(folder)
        return digest
    finally:
        temporary.unlink(missing_ok=True)


def _copy(path: Path, target: Path) -> str:
    """Copy a file durably; the SHA-256 of the copy, each part of which is hashed as soon as it is there."""
    digest = hashlib.sha256()
    with open(target, "w+b") as copy, ThreadPoolExecutor(1) as executor:
        written = executor.submit(_write, path, target)
        is_whole = False
        while not is_whole:
            is_whole = bool(wait([written], timeout=0.001).done)
            while data := copy.read(CHUNK):
                digest.update(data)
        written.result()
    return digest.hexdigest()


def _write(path: Path, target: Path) -> None:
    shutil.copyfile(path, target)
    fsync_file(target)


def _register(home: Home, arrival: dict[str, Any]) -> None:
    """Give the arrival the next number; in a home that shares with nobody, a hard link makes taking it exclusive."""
    home.deliveries.mkdir(parents=True, exist_ok=True)
    seq = max((int(path.stem) for path in home.deliveries.glob("*.json")), default=0) + 1
    while True:
        delivery_id = f"{seq:06d}"
        staging, entry = (home.deliveries / name for name in (temporary_name(delivery_id), f"{delivery_id}.json"))
        try:
            write_json(staging, {**arrival, "delivery_id": delivery_id, "seq": seq})
            if shared.claim(delivery_id):
                shared.push(home, entry, staging)
                os.replace(staging, entry)
            else:
                os.link(staging, entry)
            return
        except FileExistsError:
            seq += 1
        finally:
            staging.unlink(missing_ok=True)


def registered(home: Home) -> list[dict[str, Any]]:
    """Every delivery that has arrived, in the order of arrival."""
    shared.pull(home)
    paths = sorted(home.deliveries.glob("*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths if not path.name.startswith(".")]
