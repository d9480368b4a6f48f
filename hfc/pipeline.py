"""The steps, one function each: what a command and an Airflow task call.

Steps that write the warehouse or the pointer hold the home's lock. `receive` and `load` do not: each delivery has
files of its own, so several may be loaded at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfc import lineage
from hfc.home import CandidateReplaced, GateHeld, Home, Target, UsageError

if TYPE_CHECKING:
    from expectations.approval import Approval, Decision
    from expectations.gate import Gate
    from hfc.disclosure import Attack
    from hfc.warehouse import Build
    from ingest.lake import Outcome
    from ingest.sources import Fetched
    from publish.release import Release
    from publish.retention import Retention

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
    """Archive what is new in the landing folder; give the deliveries that wait to be loaded."""
    from ingest import lake

    home.sweep()
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


def build(home: Home, as_of: date | None = None, target: Target = Target.DUCKDB) -> Build:
    """Build the candidate from the lake, on DuckDB or Spark."""
    with home.lock("build"):
        return _build(home, as_of, target=target)


def gate(home: Home, decision: Decision | None = None, release_id: str | None = None) -> Gate:
    """Judge the candidate; a decision lets it pass if only warnings hold it.

    Here, in `approve` and in `publish`, `release_id` names the candidate that is meant; `CandidateReplaced` is raised
    where another run has built another one meanwhile.
    """
    with home.lock("gate"):
        _expect(home, release_id)
        return _gate(home, decision)


def approve(home: Home, reason: str, by: str, release_id: str | None = None) -> Approval:
    """Record that a person lets the candidate pass that warnings hold; it can be published then."""
    from expectations import approval

    decision = approval.Decision(reason, by)
    with home.lock("approve"):
        _expect(home, release_id)
        return approval.approve(home, decision)


def publish(home: Home, release_id: str | None = None, forward_only: bool = False) -> Release:
    """Publish the candidate that the gate passed, or that a person approved.

    With `forward_only`, `published/current` does not move back in time.
    """
    with home.lock("publish"):
        _expect(home, release_id)
        return _publish(home, forward_only)


def rollback(home: Home, release_id: str) -> Release:
    """Point at an earlier release."""
    from publish import release

    with home.lock("rollback"):
        pointed = release.rollback(home, release_id)
        _show(home)
        return pointed


def catch_up(home: Home) -> None:
    """Make PostgreSQL, where one is configured, show the current release, if it was out of reach when that changed."""
    with home.lock("publish"):
        _show(home)


def retain(home: Home, keep: int) -> list[Retention]:
    """Remove the replaced releases but the `keep` last ones; give what became of every release."""
    from publish import retention

    with home.lock("retain"):
        planned = retention.plan(home, keep)
        retention.remove(home, planned)
        _show(home)
        return planned


def run(
    home: Home,
    landing: Path,
    as_of: date | None = None,
    report: Report = quiet,
    announce: Announce = quiet,
    decision: Decision | None = None,
    target: Target = Target.DUCKDB,
) -> Run:
    """Ingest, build, gate and publish; stops after the build when there is nothing new.

    The build and the gate have processes of their own: while deliveries are loaded dbt is imported there and reads its
    project, and while dbt builds the gate imports what it needs. Each takes seconds.
    """
    from expectations.gate import declared_suites
    from hfc.beside import Beside

    with (
        home.lock("run"),
        Beside("build", _read_project, home) as builder,
        Beside("gate", declared_suites, "") as judge,
    ):

        def build_beside(build: Callable[..., None], *arguments: object) -> None:
            judge.start()
            builder.call(build, *arguments)

        announce("Reading deliveries")
        if waiting := receive(home, landing):
            builder.start()
        outcomes = _load_all(home, waiting, report)
        announce("Building the candidate")
        built = _build(home, as_of, target=target, call=build_beside)
        if built.up_to_date:
            _show(home)
            return Run(outcomes, built)
        announce("Judging the candidate")
        verdict = _gate(home, decision, judge.call)
        announce("Publishing")
        return Run(outcomes, built, verdict, _publish(home))


def backfill(
    home: Home,
    first: date,
    last: date,
    report: Callable[[Release], None] = quiet,
    decision: Decision | None = None,
    target: Target = Target.DUCKDB,
) -> list[Release]:
    """One release for each vintage from `first` to `last`, oldest first; those that exist are left as they are.

    A vintage is a day on which a loaded delivery was published. `published/current` never moves back in time.
    """
    from hfc import warehouse

    with home.lock("backfill"):
        results = []
        for day in warehouse.vintages(home):
            if first <= day <= last:
                results.append(_release_of(home, day, decision, target))
                report(results[-1])
        return results


def attack(home: Home, name: str) -> Attack:
    """Try to tell the withheld tax cells of a release from all that it and every other one shows, removed ones too.

    Raises:
        UsageError: there is no such release, or the candidate, which knows the true values, is not its own.
    """
    from expectations.gate import candidate_build
    from hfc import disclosure
    from publish import release
    from publish.diff import OBSERVATIONS

    attacked = release.named_release(home, name)
    with home.lock("disclosure attack"):
        build = candidate_build(home)
        if build["release_id"] != attacked.name:
            raise UsageError(
                f"The candidate is of {build['release_id']}, and only that of {attacked.name} knows its true values: "
                f"run hfc build --as-of {release.manifest_of(attacked)['as_of']} first"
            )
        others = [home.releases / other for other in release.release_ids(home) if other != attacked.name]
        told = [release.table_file(path, OBSERVATIONS) for path in others]
        told += sorted((home.published / "removed").glob(f"*/{OBSERVATIONS}.parquet"))
        told.append(release.table_file(attacked, OBSERVATIONS))
        return disclosure.Attack.of(attacked.name, len(told), disclosure.attack_candidate(home, told))


def vintages(home: Home) -> list[date]:
    """The days on which something became known, oldest first; none if nothing is loaded."""
    from hfc import warehouse

    return warehouse.vintages(home)


def is_released(home: Home, day: date) -> bool:
    """Whether there is the release of what the lake and the code of today know of a vintage."""
    from hfc import warehouse

    return (home.releases / warehouse.planned(home, day, _released(home)).release_id).is_dir()


def late_feeds(home: Home, today: date) -> list[str]:
    """The feeds whose last expected delivery has not come within its days of grace, each with the day it was due."""
    from ingest import lake

    feeds = lake.punctuality(home, today)
    return [f"{feed['feed']} (due {feed['due']})" for feed in feeds if feed["state"] == "late"]


def vintages_after(home: Home, release: Path, day: date) -> list[date]:
    """The vintages up to `day` that a release does not know, because they came later."""
    from hfc import warehouse
    from publish.release import manifest_of

    known = date.fromisoformat(manifest_of(release)["as_of"])
    return [vintage for vintage in warehouse.vintages(home) if known < vintage <= day]


def _release_of(home: Home, day: date, decision: Decision | None, target: Target) -> Release:
    """The release of one vintage, built, judged and published where it is missing."""
    from publish import release

    built = _build(home, day, release.release_ids(home), target=target)
    if built.up_to_date:
        return release.Release(built.release_id, home.releases / built.release_id, False)
    _gate(home, decision)
    return _publish(home, forward_only=True)


def _expect(home: Home, release_id: str | None) -> None:
    """Raise `CandidateReplaced` if the candidate is not that of the release that is meant."""
    from expectations.gate import candidate_build

    if release_id is not None and (found := candidate_build(home)["release_id"]) != release_id:
        raise CandidateReplaced(
            f"The candidate is now that of release {found}: another run has built it after that of {release_id}, "
            "which has to be built again"
        )


def _released(home: Home) -> dict[date, Path]:
    """The observations that were published, by the day whose knowledge they show."""
    from publish import release

    return {day: release.table_file(path, "metric_observation") for day, path in release.vintages(home).items()}


def _ingest(home: Home, landing: Path, report: Report) -> list[Outcome]:
    return _load_all(home, receive(home, landing), report)


def _load_all(home: Home, delivery_ids: list[str], report: Report) -> list[Outcome]:
    from ingest import lake

    outcomes = []
    for outcome in lake.load_all(home, delivery_ids):
        report(outcome)
        outcomes.append(outcome)
    return outcomes


def _read_project(home: Home) -> None:
    """Have dbt read its project ahead of a build, which fails again on whatever fails here."""
    with suppress(Exception):
        import dbt.cli.main  # noqa: F401  (what a build needs besides)
        import scipy.optimize  # noqa: F401

        from hfc import warehouse

        warehouse.parsed(home, quiet, warehouse.code_version())


def _here(function: Callable[..., Any], *arguments: object) -> Any:
    """A call in this process."""
    return function(*arguments)


def _build(
    home: Home,
    as_of: date | None,
    existing: Collection[str] = (),
    target: Target = Target.DUCKDB,
    call: Callable[..., None] = _here,
) -> Build:
    """Build the candidate, by `call`, unless there is nothing new."""
    from expectations.gate import candidate_build
    from hfc import warehouse
    from ingest import shared

    with lineage.step("build") as step:
        shared.pull(home, everything=True)
        released = _released(home)
        built = warehouse.planned(home, as_of, released, existing)
        if not built.up_to_date:
            call(warehouse.build, home, built.as_of, released, target)
            step.reads += lineage.feeds(candidate_build(home)["inputs"])
            step.writes += lineage.candidate(built.release_id)
        return built


def _gate(home: Home, decision: Decision | None, call: Callable[..., Gate] = _here) -> Gate:
    """Judge the candidate, by `call`; what was approved in the release before holds it no more."""
    from expectations import approval, gate
    from publish import release

    build = gate.candidate_build(home)
    before = release.release_as_of(home, date.fromisoformat(build["as_of"]))
    with lineage.step("gate") as step:
        step.reads += lineage.candidate(build["release_id"])
        try:
            approved = approval.approved_warnings(release.manifest_of(before)) if before else {}
            return call(gate.gate, home, approved)
        except GateHeld:
            if decision is None:
                raise
            approval.approve(home, decision)
            return gate.last_verdict(home)


def _publish(home: Home, forward_only: bool = False) -> Release:
    from publish import release

    with lineage.step("publish") as step:
        published = release.publish(home, forward_only)
        manifest = release.manifest_of(published.path)
        step.reads += lineage.candidate(published.release_id) + lineage.feeds(manifest["inputs"])
        step.writes += lineage.tables(manifest)
    _show(home)
    return published


def _show(home: Home) -> None:
    from publish import postgres

    postgres.publish(home)
