"""Which releases may go: those that a later one of the same day has replaced.

The last release of each day is the memory of what was known then: the history of every published value is read from it,
and it is an input of every later release. It always stays, and so does the current one and what that replaced. Of a
removed release the manifest and the values stay; archive and lake are never touched, so that the code that made it can
make it again.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hfc.home import Home, fsync_directory, replacing, write_json
from publish.diff import OBSERVATIONS
from publish.release import (
    MANIFEST,
    TEMPORARY,
    current_release,
    manifest_of,
    release_ids,
    sweep,
    table_file,
    vintages,
)


@dataclass(frozen=True)
class Retention:
    """What becomes of a release, and why."""

    release_id: str
    as_of: str
    published_at: str
    stays: bool
    reason: str


def record_of(home: Home, release_id: str) -> Path:
    """What is kept of a removed release: its manifest, the values it published, and when and why it went."""
    return home.published / "removed" / release_id


def plan(home: Home, keep: int) -> list[Retention]:
    """What becomes of every release, the latest published first; `keep` is how many replaced ones stay."""
    last = {path.name for path in vintages(home).values()}
    current = current_release(home)
    replaced = manifest_of(current).get("previous_release_id") if current else None
    found = []
    spared = 0
    manifests = [manifest_of(home.releases / release_id) for release_id in release_ids(home)]
    for manifest in sorted(manifests, key=lambda m: (m["published_at"], m["release_id"]), reverse=True):
        name = manifest["release_id"]
        if current and name == current.name:
            reason = "current"
        elif name in last:
            reason = f"the last of {manifest['as_of']}: the history of the published values reads it"
        elif name == replaced:
            reason = "replaced by the current one"
        elif spared < keep:
            spared += 1
            reason = f"among the {keep} replaced last"
        else:
            reason = ""
        told = reason or f"replaced by a later release of {manifest['as_of']}"
        found.append(Retention(name, manifest["as_of"], manifest["published_at"], bool(reason), told))
    return found


def remove(home: Home, planned: list[Retention]) -> None:
    """Remove the releases that do not stay, each as a whole, and record each first."""
    sweep(home)
    for retention in planned:
        if not retention.stays:
            release = home.releases / retention.release_id
            record(home, release, retention.reason)
            aside = home.releases / f"{TEMPORARY}{release.name}"
            os.rename(release, aside)
            fsync_directory(home.releases)
            shutil.rmtree(aside)


def record(home: Home, release: Path, reason: str) -> None:
    """Keep of a release what history needs; a record that was cut short is made again."""
    target = record_of(home, release.name)
    for path in (release / MANIFEST, table_file(release, OBSERVATIONS)):
        with replacing(target / path.name) as temporary:
            shutil.copyfile(path, temporary)
    removed_at = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(target / "removed.json", {"removed_at": removed_at, "reason": reason})
