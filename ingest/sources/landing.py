"""From a fetched file to a landed one, and what is remembered of a source in between two fetches."""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import yaml

from hfc.home import SHANGHAI, HfcError, Home, replacing, sha256_of, write_json
from ingest.sources.config import FolderSource, HttpSource

SIDECAR = ".meta.yaml"
# What decides which bytes an entry means: after a change of these, nothing remembered holds any more.
IDENTITY = {"kind", "feed", "url", "params", "accept", "paging", "endpoint"}


class SourceFailed(HfcError):
    """A source could not be fetched, or not whole."""


@dataclass(frozen=True)
class Staged:
    """A fetched file that waits for landing: where it is, what it shall be called, and its sidecar's facts."""

    path: Path
    name: str
    published_on: date
    source_url: str


@dataclass(frozen=True)
class Batch:
    """What one fetch brought: files to land, what to remember once they have landed, and what went wrong."""

    staged: list[Staged]
    remembered: dict[str, Any]
    failures: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def vintage(rule: str, modified: datetime | None) -> date:
    """The publication date: the day of `modified` in Shanghai, never after today; without it, or by rule, today."""
    today = datetime.now(UTC).astimezone(SHANGHAI).date()
    if rule == "fetch_day" or modified is None:
        return today
    return min(modified.astimezone(SHANGHAI).date(), today)


@contextmanager
def only_one(home: Home, name: str) -> Iterator[None]:
    """Hold a source's lock; the kernel releases it when its holder dies."""
    path = home.root / "sources" / "locks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SourceFailed("another process is fetching this source: wait for it to end") from None
        yield


@contextmanager
def staging(folder: Path, name: str) -> Iterator[Path]:
    """An empty hidden directory in `folder`, where ingest does not look; a killed fetch's leavings go first."""
    path = folder / f".fetch-{name}"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    try:
        yield path
    finally:
        shutil.rmtree(path)


def land(staged: Staged, source: HttpSource | FolderSource, folder: Path) -> str | None:
    """Move a staged file into `folder`, its sidecar first; gives its name there.

    No landed file is ever replaced by other bytes: `a.csv`, then `a~02.csv`, which sorts after it. `None` when the
    file is there already, as after a fetch that was killed before it could remember.
    """
    digest = sha256_of(staged.path)
    for name in _names(staged.name):
        target = folder / name
        if not target.exists():
            break
        if sha256_of(target) == digest:
            return None
    facts = {
        "published_on": staged.published_on,
        "source_url": staged.source_url,
        "licence": source.licence,
        "note": source.note,
    }
    with replacing(target.with_name(target.name + SIDECAR)) as temporary:
        stated = {key: value for key, value in facts.items() if value is not None}
        temporary.write_text(yaml.safe_dump(stated, allow_unicode=True, sort_keys=False), encoding="utf-8")
    with replacing(target) as temporary:
        os.replace(staged.path, temporary)
    return target.name


def _names(name: str) -> Iterator[str]:
    """The name, then the same with ~02, ~03, … before its suffix."""
    yield name
    path = Path(name)
    for number in itertools.count(2):
        yield f"{path.stem}~{number:02}{path.suffix}"


def recall(home: Home, landing: Path, source: HttpSource | FolderSource) -> dict[str, Any]:
    """What was remembered of the source when it last landed in this folder; empty if its address has changed since."""
    path = _state_file(home, source)
    if not path.exists():
        return {}
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        return state["remembered"] if state["identity"] == _identity(landing, source) else {}
    except (ValueError, KeyError, TypeError):
        raise SourceFailed(f"{path} is damaged: delete it, and everything is fetched anew") from None


def remember(home: Home, landing: Path, source: HttpSource | FolderSource, remembered: dict[str, Any]) -> None:
    """Remember this of the source; only after its files have landed."""
    write_json(_state_file(home, source), {"identity": _identity(landing, source), "remembered": remembered})


def _state_file(home: Home, source: HttpSource | FolderSource) -> Path:
    return home.root / "sources" / "state" / f"{source.name}.json"


def _identity(landing: Path, source: HttpSource | FolderSource) -> str:
    meaning = [str(landing), source.model_dump(mode="json", include=IDENTITY)]
    return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()
