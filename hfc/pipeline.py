"""The steps, one function each: what a command and an Airflow task call.

Steps that write the warehouse or the pointer hold the home's lock. `receive` and `load` do not: each delivery has
files of its own, so several may be loaded at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from hfc.home import Home, UsageError

if TYPE_CHECKING:
    from expectations.gate import Gate
    from hfc.warehouse import Build
    from ingest.lake import Outcome
    from ingest.sources import Fetched
    from publish.release import Release

Report = Callable[["Outcome"], None]
Announce = Callable[[str], None]


@dataclass(frozen=True)
class Run:
    """What one run did; `gate` and `release` are missing when there was nothing new."""

    outcomes: list[Outcome]
    build: Build
    gate: Gate | None = None
    release: Release | None = None


def quiet(_: object) -> None:
    """Report nothing."""


def sources_file(home: Home) -> Path:
    """Where a home describes its sources."""
    return home.root / "sources.yaml"


def source_names(home: Home) -> list[str]:
    """The sources that a home describes, in order; none if it has no file of sources."""
    from ingest.sources.config import load_sources

    file = sources_file(home)
    return list(load_sources(file)) if file.exists() else []


def fetch(
    home: Home,
    landing: Path,
    names: Collection[str] = (),
    file: Path | None = None,
    report: Callable[[Fetched], None] = quiet,
) -> list[Fetched]:
    """Land what is new at these sources, without names at all of them; one that fails holds up no other.

    Each source has a lock of its own, so several may be fetched at once, and beside any other step.
    """
    from ingest import sources
    from ingest.sources.config import load_sources

    described = load_sources(file or sources_file(home))
    if unknown := [name for name in names if name not in described]:
        raise UsageError(f"No source {', '.join(unknown)}; there are: {', '.join(described)}")
    results = []
    for name in names or described:
        results.append(sources.fetch(home, landing, described[name]))
        report(results[-1])
    return results


def receive(home: Home, landing: Path) -> list[str]:
    """Archive what is in the landing folder; give the deliveries that wait to be loaded."""
    from ingest import lake

    return lake.receive(home, landing)


def load(home: Home, delivery_id: str) -> Outcome:
    """Parse and validate one delivery into the lake."""
    from ingest import lake

    return lake.load(home, delivery_id)


def ingest(home: Home, landing: Path, report: Report = quiet) -> list[Outcome]:
    """Load every delivery that waits, and report each."""
    with home.lock("ingest"):
        return _ingest(home, landing, report)


def replay(home: Home, feed: str, report: Report = quiet) -> list[Outcome]:
    """Load every archived delivery of a feed again, after a fix of its contract: the lake that a clean load gives."""
    from ingest import lake

    with home.lock("replay"):
        lake.forget(home, feed)
        return _load_all(home, lake.pending(home), report)


def build(home: Home, as_of: date | None = None) -> Build:
    """Build the candidate from the lake."""
    with home.lock("build"):
        return _build(home, as_of)


def gate(home: Home) -> Gate:
    """Judge the candidate."""
    with home.lock("gate"):
        return _gate(home)


def publish(home: Home) -> Release:
    """Publish the candidate that the gate passed."""
    with home.lock("publish"):
        return _publish(home)


def rollback(home: Home, release_id: str) -> Release:
    """Point at an earlier release."""
    from publish import release

    with home.lock("rollback"):
        return release.rollback(home, release_id)


def run(
    home: Home, landing: Path, as_of: date | None = None, report: Report = quiet, announce: Announce = quiet
) -> Run:
    """Ingest, build, gate and publish; stops after the build when there is nothing new."""
    with home.lock("run"):
        announce("Reading deliveries")
        outcomes = _ingest(home, landing, report)
        announce("Building the candidate")
        built = _build(home, as_of)
        if built.up_to_date:
            return Run(outcomes, built)
        announce("Judging the candidate")
        verdict = _gate(home)
        announce("Publishing")
        return Run(outcomes, built, verdict, _publish(home))


def backfill(home: Home, first: date, last: date, report: Callable[[Release], None] = quiet) -> list[Release]:
    """One release for each vintage from `first` to `last`, oldest first; those that exist are left as they are.

    A vintage is a day on which a loaded delivery was published. `published/current` never moves back in time.
    """
    from hfc import warehouse

    with home.lock("backfill"):
        results = []
        for day in warehouse.vintages(home):
            if first <= day <= last:
                results.append(_release_of(home, day))
                report(results[-1])
        return results


def vintages_after(home: Home, release: Path, day: date) -> list[date]:
    """The vintages up to `day` that a release does not know, because they came later."""
    from hfc import warehouse
    from publish.release import manifest_of

    known = date.fromisoformat(manifest_of(release)["as_of"])
    return [vintage for vintage in warehouse.vintages(home) if known < vintage <= day]


def _release_of(home: Home, day: date) -> Release:
    """The release of one vintage, built, judged and published where it is missing."""
    from hfc import warehouse
    from publish import release

    existing = home.releases / warehouse.planned_release(home, day, _released(home))
    if existing.is_dir():
        return release.Release(existing.name, existing, False)
    _build(home, day)
    _gate(home)
    return release.publish(home, forward_only=True)


def _released(home: Home) -> dict[date, Path]:
    """The observations that were published, by the day whose knowledge they show."""
    from publish import release

    return {day: release.table_file(path, "metric_observation") for day, path in release.vintages(home).items()}


def _ingest(home: Home, landing: Path, report: Report) -> list[Outcome]:
    return _load_all(home, receive(home, landing), report)


def _load_all(home: Home, delivery_ids: list[str], report: Report) -> list[Outcome]:
    outcomes = []
    for delivery_id in delivery_ids:
        outcome = load(home, delivery_id)
        report(outcome)
        outcomes.append(outcome)
    return outcomes


def _build(home: Home, as_of: date | None) -> Build:
    from hfc import warehouse

    return warehouse.build(home, as_of, _released(home))


def _gate(home: Home) -> Gate:
    from expectations import gate as expectations_gate

    return expectations_gate.gate(home)


def _publish(home: Home) -> Release:
    from publish import release

    return release.publish(home)
