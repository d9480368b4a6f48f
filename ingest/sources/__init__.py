"""Sources: where files are fetched from, into the landing folder. From there on they are deliveries like any other."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hfc.credentials import Secret
from hfc.home import HfcError, Home
from ingest.sources import folder, http
from ingest.sources.config import FolderSource, HttpSource
from ingest.sources.credentials import secret_of
from ingest.sources.landing import Batch, land, only_one, recall, remember, staging

Outcome = Literal["landed", "unchanged", "failed"]


@dataclass(frozen=True)
class Fetched:
    """What became of one source: the names of the files that landed, and why it failed if it did."""

    source: str
    feed: str
    outcome: Outcome
    files: list[str] = field(default_factory=list)
    reason: str | None = None

    def summary(self) -> str:
        landed = f", {len(self.files)} landed" if self.files else ""
        return f"{self.source}: {self.outcome}{landed}" + (f" ({self.reason})" if self.reason else "")


def fetch(home: Home, landing: Path, source: HttpSource | FolderSource) -> Fetched:
    """Land what is new at a source. A failure is a result, whatever it was, so that the other sources go on."""
    files: list[str] = []
    secret: Secret | None = None
    try:
        secret = secret_of(home, source.auth) if source.auth else None
        target = landing / source.feed
        with only_one(home, source.name), staging(target, source.name) as place:
            batch = _collect(source, secret, recall(home, landing, source), place)
            for staged in batch.staged:
                name = land(staged, source, target)
                files += [name] if name else []
            remember(home, landing, source, batch.remembered)
    except Exception as error:
        text = str(error) if isinstance(error, HfcError) else f"{type(error).__name__}: {error}"
        reason = secret.hide(text) if secret else text
        return Fetched(source.name, source.feed, "failed", files, reason)
    outcome: Outcome = "failed" if batch.failures else "landed" if files else "unchanged"
    return Fetched(source.name, source.feed, outcome, files, "; ".join(batch.failures + batch.remarks) or None)


def _collect(
    source: HttpSource | FolderSource, secret: Secret | None, remembered: dict[str, Any], place: Path
) -> Batch:
    if isinstance(source, HttpSource):
        return http.collect(source, secret, remembered, place)
    return folder.collect(source, secret, remembered, place)
