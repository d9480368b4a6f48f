"""The command `hfc`.

Results go to standard output, messages to standard error. Exit status: 0 done, 1 failed, 2 wrong use, 3 the gate
refused or holds the candidate. Heavy libraries are imported by the steps that need them, so that reading stays quick.
"""

from __future__ import annotations

import atexit
import getpass
import json
import os
import re
import stat
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hfc import pipeline
from hfc.home import SHANGHAI, GateFailed, HfcError, Home, Target, UsageError, keep_objects, one_line

if TYPE_CHECKING:
    from expectations.approval import Decision
    from hfc.board import Board
    from ingest.lake import Outcome
    from ingest.sources import Fetched

# Without a terminal there is no width to obey; wide enough that a table of the board does not break.
PIPED_WIDTH = 180
ROWS_SHOWN = 1000

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Where a financial centre's action plan really stands: deliveries in, checked releases out.",
)

HomeOption = Annotated[Path | None, typer.Option("--home", help="Home directory; else $HFC_HOME, else ./var.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on standard output (decimals as text).")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="No messages, only the result and errors.")]
LandingOption = Annotated[
    Path | None, typer.Option("--landing", help="Folder of deliveries; else $HFC_LANDING, else <home>/landing.")
]
FeedOption = Annotated[str | None, typer.Option("--feed", help="Only this feed.")]
ReleaseOption = Annotated[str, typer.Option("--release", help="A release; or current, or previous.")]
DayOption = Annotated[str | None, typer.Option("--as-of", metavar="YYYY-MM-DD", help="What was known on this day.")]
TargetOption = Annotated[
    Target, typer.Option("--target", help="The engine that computes; Spark has to be installed: make spark.")
]
ApproveOption = Annotated[
    str | None, typer.Option("--approve", metavar="REASON", help="Let warnings pass; the reason is published.")
]


@dataclass(frozen=True)
class Session:
    """How one command speaks: where its home is, and what it prints where."""

    home: Home
    as_json: bool
    quiet: bool

    @property
    def console(self) -> Console:
        """Standard output for people."""
        return console(sys.stdout)

    def say(self, message: str) -> None:
        """A message on standard error."""
        if not self.quiet:
            print(message, file=sys.stderr)

    def progress(self) -> AbstractContextManager[Any]:
        """A spinner on a terminal, nothing elsewhere; `update(text)` says what is going on."""
        if self.quiet or not sys.stderr.isatty():
            return nullcontext(Silent())
        return Console(stderr=True).status("Working")

    def result(self, value: Any, show: Callable[[Console], None]) -> None:
        """The result: one JSON document, or what `show` prints."""
        if self.as_json:
            print(json.dumps(plain(value), ensure_ascii=False, indent=1))
        else:
            show(self.console)

    def result_in_a_line(self, value: Any, text: str) -> None:
        """The result: one JSON document, or `text`, which stays on its line however narrow the terminal is."""
        self.result(value, lambda target: target.print(Text(text), soft_wrap=True))


class Silent:
    """Stands for the spinner where there is no terminal."""

    def update(self, _: str) -> None:
        """Say nothing."""


def console(stream: Any) -> Console:
    """A console that does not wrap at 80 columns when it is piped."""
    width = None if stream.isatty() or os.environ.get("COLUMNS") else PIPED_WIDTH
    return Console(file=stream, width=width, highlight=False)


def plain(value: Any) -> Any:
    """A value as JSON knows it."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, Decimal):
        return f"{value:f}"
    return str(value)


def session(home: Path | None, as_json: bool, quiet: bool) -> Session:
    """The session of one command."""
    return Session(Home.at(home), as_json, quiet)


def day(text: str | None) -> date | None:
    """A day from the command line, if one was given."""
    return None if text is None else one_day(text)


def one_day(text: str) -> date:
    """A day from the command line."""
    try:
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is not a day; write it as YYYY-MM-DD") from None


def decided(reason: str | None) -> Decision | None:
    """The decision of the person at the command line, if there is one."""
    from expectations.approval import Decision

    return None if reason is None else Decision(reason, getpass.getuser())


def folder(home: Home, landing: Path | None) -> Path:
    """The landing folder, which has to exist."""
    chosen = landing.absolute() if landing else home.landing
    if not chosen.is_dir():
        raise UsageError(f"There is no landing folder {chosen}; name one with --landing")
    return chosen


def opened(home: Home) -> Path:
    """The current release."""
    from publish.release import current_release

    release = current_release(home)
    if release is None:
        raise UsageError(f"Nothing is published in {home.root} yet: run hfc run first")
    return release


def release_on(home: Home, chosen: date) -> Path:
    """The newest release that knows nothing published after a day."""
    from publish.release import release_as_of

    release = release_as_of(home, chosen)
    if release is None:
        raise UsageError(f"There is no release as of {chosen} or earlier: hfc backfill makes releases of the past")
    return release


def show_rows(target: Console, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows as a table."""
    table = Table()
    for name in names:
        table.add_column(Text(name), overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if value is None else str(plain(value))) for value in row))
    target.print(table)


def show_records(target: Console, names: Sequence[str], records: Iterable[dict[str, Any]]) -> None:
    """Print some fields of records as a table."""
    show_rows(target, names, ([record.get(name) for name in names] for record in records))


def show_listing(speaker: Session, names: Sequence[str], records: Sequence[dict[str, Any]], what: str) -> None:
    """The result is a list of records: as a table where there are any, and how many there are."""

    def show(target: Console) -> None:
        if records:
            show_records(target, names, records)
        target.print(Text(f"{len(records)} {what}"))

    speaker.result(records, show)


def counted(outcomes: Iterable[Outcome | Fetched]) -> str:
    """How many deliveries or sources came to what."""
    counts = Counter(outcome.outcome for outcome in outcomes)
    return ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())) or "none waiting"


def reporter(speaker: Session, status: Any) -> Callable[[Outcome], None]:
    """Follow the loading: the delivery at hand on the spinner, a line for each that was rejected."""

    def report(outcome: Outcome) -> None:
        status.update(outcome.summary())
        if outcome.outcome == "rejected":
            speaker.say(outcome.summary())

    return report


@app.command()
def run(
    landing: LandingOption = None,
    as_of: DayOption = None,
    approve: ApproveOption = None,
    target: TargetOption = Target.DUCKDB,
    home: HomeOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Ingest, build, judge and publish; print the attainment board."""
    from hfc.board import read_board, show_board

    speaker = session(home, as_json, quiet)
    source, chosen, decision = folder(speaker.home, landing), day(as_of), decided(approve)
    with speaker.progress() as status:
        done = pipeline.run(speaker.home, source, chosen, reporter(speaker, status), status.update, decision, target)
    if done.release is None:
        nothing_new(speaker, done)
        return
    release = done.release
    board = read_board(release.path)

    def show(target: Console) -> None:
        verb = "Published" if release.created else "Pointed again at"
        target.print(Text(f"Deliveries: {counted(done.outcomes)}"))
        target.print(Text(f"{verb} release {release.release_id} as of {board.as_of}"))
        show_board(target, board)
        target.print(Text(f"Release: {release.path}"), soft_wrap=True)

    value = {"outcomes": done.outcomes, "nothing_new": False, "release": release, "board": board}
    speaker.result(value, show)


def nothing_new(speaker: Session, done: pipeline.Run) -> None:
    """Say that the current release holds these deliveries already."""
    release_id = done.build.release_id

    def show(target: Console) -> None:
        target.print(Text(f"Deliveries: {counted(done.outcomes)}"))
        target.print(Text(f"Nothing new: release {release_id} already holds these deliveries"))

    value = {"outcomes": done.outcomes, "nothing_new": True, "release": {"release_id": release_id}}
    speaker.result(value, show)


@app.command()
def fetch(
    names: Annotated[list[str] | None, typer.Argument(metavar="[SOURCE]...", help="Only these sources.")] = None,
    sources: Annotated[
        Path | None, typer.Option("--sources", help="File of sources; else <home>/sources.yaml.")
    ] = None,
    landing: LandingOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Bring what is new at the sources to the landing folder; exit status 1 when one of them failed."""
    speaker = session(home, as_json, quiet)
    place = folder(speaker.home, landing) if landing else speaker.home.landing
    with speaker.progress() as status:
        results = pipeline.fetch(
            speaker.home, place, names or (), sources, lambda result: status.update(result.summary())
        )

    def show(target: Console) -> None:
        for result in results:
            target.print(Text(result.summary()), soft_wrap=True)
        target.print(Text(f"Sources: {counted(results)}"))

    speaker.result({"sources": results}, show)
    if any(result.outcome == "failed" for result in results):
        raise typer.Exit(1)


@app.command()
def ingest(
    landing: LandingOption = None, home: HomeOption = None, as_json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Archive and load the deliveries that wait in the landing folder."""
    speaker = session(home, as_json, quiet)
    source = folder(speaker.home, landing)
    with speaker.progress() as status:
        outcomes = pipeline.ingest(speaker.home, source, lambda outcome: status.update(outcome.summary()))
    show_outcomes(speaker, outcomes)


def show_outcomes(speaker: Session, outcomes: Sequence[Outcome]) -> None:
    """What became of each delivery."""

    def show(target: Console) -> None:
        for outcome in outcomes:
            target.print(Text(outcome.summary()), soft_wrap=True)
        target.print(Text(f"Deliveries: {counted(outcomes)}"))

    speaker.result({"outcomes": outcomes}, show)


@app.command()
def replay(
    feed: Annotated[str, typer.Argument(help="The feed whose contract was mended.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Parse a feed's archived deliveries again; the lake is then what a clean load would have given."""
    speaker = session(home, as_json, quiet)
    with speaker.progress() as status:
        outcomes = pipeline.replay(speaker.home, feed, lambda outcome: status.update(outcome.summary()))
    show_outcomes(speaker, outcomes)


@app.command()
def build(
    as_of: DayOption = None,
    target: TargetOption = Target.DUCKDB,
    home: HomeOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Build the candidate from the lake."""
    speaker = session(home, as_json, quiet)
    chosen = day(as_of)
    with speaker.progress():
        built = pipeline.build(speaker.home, chosen, target)
    text = (
        f"Nothing new: release {built.release_id} already holds these deliveries"
        if built.up_to_date
        else f"Built the candidate of release {built.release_id} as of {built.as_of}"
    )
    speaker.result_in_a_line(built, text)


@app.command()
def gate(
    approve: ApproveOption = None, home: HomeOption = None, as_json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Judge the candidate; exit status 3 when a check refuses it, or warnings hold it."""
    from expectations.gate import gate_file, report_file

    speaker = session(home, as_json, quiet)
    decision = decided(approve)
    try:
        with speaker.progress():
            verdict = pipeline.gate(speaker.home, decision)
    except GateFailed:
        if as_json:
            print(gate_file(speaker.home).read_text(encoding="utf-8"), end="")
        raise
    approved = f", {len(verdict.warnings)} warnings approved" if verdict.held else ""
    text = f"Passed: {verdict.executed} of {verdict.declared} checks of candidate {verdict.release_id}{approved}"

    def show(target: Console) -> None:
        target.print(Text(f"{text}\nReport: {report_file(speaker.home)}"), soft_wrap=True)

    speaker.result(verdict, show)


@app.command()
def publish(
    approve: ApproveOption = None, home: HomeOption = None, as_json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Publish the candidate that the gate passed, or holds and you approve."""
    speaker = session(home, as_json, quiet)
    if decision := decided(approve):
        pipeline.approve(speaker.home, decision.reason, decision.by)
    with speaker.progress():
        release = pipeline.publish(speaker.home)
    verb = "Published" if release.created else "Pointed again at"
    text = f"{verb} release {release.release_id}: {release.path}"
    speaker.result_in_a_line(release, text)


@app.command()
def rollback(
    release_id: Annotated[str, typer.Argument(help="A release that exists.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Point `published/current` at an earlier release."""
    speaker = session(home, as_json, quiet)
    release = pipeline.rollback(speaker.home, release_id)
    text = f"Current is release {release.release_id}: {release.path}"
    speaker.result_in_a_line(release, text)


@app.command()
def backfill(
    first: Annotated[str, typer.Option("--from", metavar="YYYY-MM-DD", help="First day.")],
    last: Annotated[str, typer.Option("--to", metavar="YYYY-MM-DD", help="Last day.")],
    approve: ApproveOption = None,
    target: TargetOption = Target.DUCKDB,
    home: HomeOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """One release for each day in between on which something became known, oldest first."""
    speaker = session(home, as_json, quiet)
    start, end, decision = one_day(first), one_day(last), decided(approve)
    with speaker.progress() as status:
        releases = pipeline.backfill(
            speaker.home, start, end, lambda done: status.update(f"Release {done.release_id}"), decision, target
        )

    def show(target: Console) -> None:
        for release in releases:
            verb = "Published" if release.created else "There was"
            target.print(Text(f"{verb} release {release.release_id}: {release.path}"), soft_wrap=True)
        target.print(Text(f"{sum(release.created for release in releases)} of {len(releases)} vintages published"))

    speaker.result({"releases": releases}, show)


@app.command()
def asof(
    when: Annotated[str, typer.Argument(metavar="YYYY-MM-DD", help="The day.")],
    metric: Annotated[str | None, typer.Option("--metric", help="Only this metric.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Every value as it was known on a day."""
    from publish import history

    speaker = session(home, as_json, quiet)
    chosen = one_day(when)
    release = release_on(speaker.home, chosen)
    if missing := pipeline.vintages_after(speaker.home, release, chosen):
        raise UsageError(
            f"What was published on {missing[0]} is in no release: run hfc backfill --from {missing[0]} --to {chosen}"
        )
    names, records = history.observations(release, metric)
    speaker.say(f"Release {release.name}")
    show_listing(speaker, names, records, "values")


@app.command()
def vintages(
    metric: Annotated[str, typer.Argument(metavar="METRIC", help="The metric.")],
    period: Annotated[str, typer.Argument(metavar="PERIOD", help="2024-03, 2024-Q1 or 2024.")],
    member: Annotated[str | None, typer.Option("--member", help="Only this member of a dimension.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """How a published number was revised: what was known from when until when."""
    from publish import history

    speaker = session(home, as_json, quiet)
    names, records = history.history(opened(speaker.home), metric, period, member)
    show_listing(speaker, names, records, "vintages")


@app.command()
def diff(
    old: Annotated[str, typer.Argument(metavar="A", help="A release; or current, or previous.")] = "previous",
    new: Annotated[str, typer.Argument(metavar="B", help="Another one.")] = "current",
    home: HomeOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """What changed from release A to release B: every changed, added and removed value, and the other tables."""
    from publish.diff import difference
    from publish.release import named_release

    speaker = session(home, as_json, quiet)
    found = difference(named_release(speaker.home, old), named_release(speaker.home, new))

    def show(target: Console) -> None:
        if found.is_none:
            target.print(Text(f"Releases {found.old} and {found.new} say the same"))
            return
        if found.cells:
            show_records(target, list(found.cells[0]), found.cells[:ROWS_SHOWN])
        if len(found.cells) > ROWS_SHOWN:
            target.print(Text(f"The first {ROWS_SHOWN} of {len(found.cells)} values; --json gives all"))
        if found.tables:
            show_records(target, list(vars(found.tables[0])), map(vars, found.tables))
        counts = Counter(cell["difference"] for cell in found.cells)
        numbers = ", ".join(f"{counts[word]} {word}" for word in ("changed", "added", "removed"))
        target.print(Text(f"Values from {found.old} to {found.new}: {numbers}"))

    speaker.result(found, show)


@app.command()
def retain(
    keep: Annotated[int, typer.Option("--keep", min=0, help="How many replaced releases stay, the last ones.")],
    apply: Annotated[bool, typer.Option("--apply", help="Remove; else only say what would be removed.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Remove releases that a later one of the same day has replaced; never the current one, or the last of a day."""
    from publish.retention import plan

    speaker = session(home, as_json, quiet)
    planned = pipeline.retain(speaker.home, keep) if apply else plan(speaker.home, keep)
    went = [retention.release_id for retention in planned if not retention.stays]

    def show(target: Console) -> None:
        if planned:
            show_records(target, list(vars(planned[0])), map(vars, planned))
        verb = "Removed" if apply else "Would remove (--apply does)"
        target.print(Text(f"{verb}: {', '.join(went) or 'no release'}"), soft_wrap=True)

    speaker.result({"applied": apply, "removed": went, "releases": planned}, show)


@app.command()
def explain(
    metric: Annotated[
        str | None, typer.Argument(metavar="METRIC", help="A metric; without one, every value is checked.")
    ] = None,
    period: Annotated[str | None, typer.Argument(metavar="PERIOD", help="2024-03, 2024-Q1 or 2024.")] = None,
    dimension: Annotated[str | None, typer.Option("--dimension", help="Of this dimension; else the total.")] = None,
    member: Annotated[str | None, typer.Option("--member", help="Only this member of a dimension.")] = None,
    release: ReleaseOption = "current",
    confidential: Annotated[
        bool, typer.Option("--confidential", help="Show rows of single taxpayers; never into a file.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Why a published number is what it is: definition, models, deliveries, rows, and the number computed again.

    Exit status 1 when the rows give another number.
    """
    from hfc import explain as provenance
    from hfc.explain.report import show_explanation, verdict
    from publish.release import named_release

    speaker = session(home, as_json, quiet)
    path = named_release(speaker.home, release)
    if confidential and is_file(sys.stdout):
        raise UsageError("Rows of single taxpayers go into no file: leave out --confidential, or the redirection")
    if metric is None:
        verified(speaker, path)
        return
    if period is None:
        raise UsageError(f"Name a period of {metric}: 2024-03, 2024-Q1 or 2024")
    explained = provenance.explain(speaker.home, path, metric, period, dimension, member, confidential)
    speaker.result(explained, lambda target: show_explanation(target, explained))
    if explained.matches is False:
        raise HfcError(verdict(explained))


def verified(speaker: Session, release: Path) -> None:
    """Compute every value of a release again, and say which differ."""
    from hfc import explain as provenance

    with speaker.progress():
        found = provenance.verify(speaker.home, release)

    def show(target: Console) -> None:
        if found.different:
            show_records(target, list(found.different[0]), found.different)
        same = found.values - len(found.different)
        target.print(Text(f"{same} of {found.values} published values of release {found.release_id} confirmed"))

    speaker.result(found, show)
    if found.different:
        raise HfcError(f"{len(found.different)} values of release {found.release_id} do not follow from its deliveries")


def is_file(stream: Any) -> bool:
    """Whether what is written to a stream stays in a file."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(status.st_mode) and status.st_nlink > 0


@app.command()
def status(
    on: Annotated[
        str | None, typer.Option("--on", metavar="YYYY-MM-DD", help="Judge lateness on this day; else today.")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """What is published, from which deliveries, how the last gate ended, and which feeds are late."""
    speaker = session(home, as_json, quiet)
    value = state(speaker.home, day(on) or datetime.now(SHANGHAI).date())
    speaker.result(value, lambda target: show_state(target, value))


def state(home: Home, today: date) -> dict[str, Any]:
    """The state of a home."""
    from expectations.gate import gate_file, report_file
    from ingest.lake import punctuality
    from publish import postgres
    from publish.release import current_release, manifest_of, release_ids

    value: dict[str, Any] = {"home": str(home.root), "releases": release_ids(home), "current": None, "gate": None}
    value["feeds"] = punctuality(home, today)
    release = current_release(home)
    if release is not None:
        manifest = manifest_of(release)
        tables = {name: table["rows"] for name, table in manifest["tables"].items()}
        facts = {key: manifest[key] for key in ("release_id", "as_of", "published_at")}
        value["current"] = facts | {"path": str(release), "tables": tables, "deliveries": deliveries_of(release)}
    if gate_file(home).is_file():
        verdict = json.loads(gate_file(home).read_text(encoding="utf-8"))
        facts = {key: verdict.get(key, False) for key in ("release_id", "passed", "held", "declared", "executed")}
        value["gate"] = facts | {"report": str(report_file(home))}
    value["postgres"] = postgres.state(home)
    return value


def deliveries_of(release: Path) -> list[dict[str, Any]]:
    """How many deliveries of each feed a release knows, by outcome."""
    import duckdb

    from publish.release import DATABASE

    with duckdb.connect(str(release / DATABASE), read_only=True) as connection:
        found = connection.execute(
            "SELECT feed, outcome, count(*), max(published_on)::VARCHAR FROM published.delivery_outcome "
            "GROUP BY feed, outcome ORDER BY feed, outcome"
        ).fetchall()
    return [dict(zip(("feed", "outcome", "deliveries", "latest"), row, strict=True)) for row in found]


def show_state(target: Console, value: dict[str, Any]) -> None:
    """Print the state of a home."""
    from publish import postgres

    current, verdict = value["current"], value["gate"]
    lines = [f"Home: {value['home']}", f"Releases: {len(value['releases'])}"]
    if current is None:
        lines.append("Current: nothing is published yet")
    else:
        lines.append(f"Current: {current['release_id']} as of {current['as_of']}, published {current['published_at']}")
        lines.append(f"Release: {current['path']}")
    if verdict is not None:
        word = "passed" if verdict["passed"] else "is held" if verdict["held"] else "refused"
        word += "" if verdict["passed"] else f", see {verdict['report']}"
        lines.append(f"Last gate: candidate {verdict['release_id']} {word}")
    if (shown := value["postgres"]) is not None:
        word = "" if shown["up_to_date"] else f", which is not the current one; {postgres.REMEDY}"
        lines.append(shown["error"] or f"PostgreSQL shows {shown['release_id'] or 'no release'}{word}")
    target.print(Text("\n".join(lines)), soft_wrap=True)
    if current is not None:
        show_records(target, ("feed", "outcome", "deliveries", "latest"), current["deliveries"])
    show_records(target, ("feed", "every", "latest", "due", "state", "to_replay"), value["feeds"])


@app.command()
def board(
    as_of: DayOption = None, home: HomeOption = None, as_json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """The attainment board: of the current release, or of the newest one not after a day."""
    from hfc.board import show_board

    speaker = session(home, as_json, quiet)
    value = board_of(speaker.home, day(as_of))
    speaker.result(value, lambda target: show_board(target, value))


def board_of(home: Home, chosen: date | None) -> Board:
    """The board of the current release, or of the newest release not after a day."""
    from hfc.board import read_board

    return read_board(opened(home) if chosen is None else release_on(home, chosen))


@app.command()
def site(
    out: Annotated[Path, typer.Option("--out", help="Folder for the pages; one that holds a board is replaced.")],
    release: ReleaseOption = "current",
    home: HomeOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write the board of a release as static pages in Chinese and English, for any browser, without a server."""
    from hfc.explain import paths
    from publish.release import named_release
    from publish.site import make_site

    speaker = session(home, as_json, quiet)
    path = named_release(speaker.home, release)
    with speaker.progress():
        made = make_site(path, out, paths(path))
    speaker.result_in_a_line(made, f"Board of release {made.release_id}: {made.path}")


disclosure = typer.Typer(no_args_is_help=True, help="What is withheld so that nobody learns what a taxpayer paid.")
app.add_typer(disclosure, name="disclosure")


@disclosure.command("attack")
def disclosure_attack(
    release: ReleaseOption = "current",
    home: HomeOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compute how closely readers of all releases can tell each withheld tax cell; exit 1 if one too closely.

    Names the cells that they tell too closely, and says of no cell how closely.
    """
    speaker = session(home, as_json, quiet)
    with speaker.progress():
        found = pipeline.attack(speaker.home, release)

    def show(target: Console) -> None:
        if found.told:
            show_records(target, list(found.told[0]), found.told)
        counts = ", ".join(f"{count} {status}" for status, count in found.attacked.items()) or "none"
        target.print(Text(f"Release {found.release_id}, read with {found.releases - 1} other releases"))
        target.print(Text(f"Withheld cells attacked: {counts}; told too closely: {len(found.told)}"))
        if found.closest is not None:
            target.print(Text(f"The closest is hidden in {found.closest:g} times what the rule asks for"))

    speaker.result(found, show)
    if found.told:
        raise HfcError(
            f"Readers can tell {len(found.told)} withheld cells of release {found.release_id} too closely: "
            "point at another one with hfc rollback, and see docs/decisions/disclosure.md"
        )


@app.command()
def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One statement on the published tables.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Ask the current release with SQL: read-only, without access to other files."""
    speaker = session(home, as_json, quiet)
    names, rows = ask(opened(speaker.home), sql, None if as_json else ROWS_SHOWN + 1)
    value = [dict(zip(names, row, strict=True)) for row in rows] if as_json else None
    speaker.result(value, lambda target: show_rows(target, names, rows[:ROWS_SHOWN]))
    if not as_json and len(rows) > ROWS_SHOWN:
        speaker.say(f"The first {ROWS_SHOWN} rows; --json gives all")


def ask(release: Path, sql: str, limit: int | None) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Run one statement on a release that it can only read; give column names and rows."""
    import duckdb

    from publish.release import DATABASE

    with duckdb.connect(str(release / DATABASE), read_only=True) as connection:
        connection.execute("USE published")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        try:
            statements = connection.extract_statements(sql)
            if len(statements) != 1:
                raise UsageError(f"One SQL statement, please; this is {len(statements)}")
            result = connection.execute(statements[0])
            names = distinct([column[0] for column in result.description or []])
            return names, result.fetchall() if limit is None else result.fetchmany(limit)
        except duckdb.Error as error:
            raise UsageError(str(error).strip()) from None


def distinct(names: Sequence[str]) -> list[str]:
    """Column names made different, so that no column of a row is lost in JSON."""
    seen: list[str] = []
    for name in names:
        chosen, number = name, 1
        while chosen in seen:
            chosen, number = f"{name}_{number}", number + 1
        seen.append(chosen)
    return seen


@app.command()
def quarantine(
    feed: FeedOption = None,
    confidential: Annotated[
        bool, typer.Option("--confidential", help="Also values and cells of taxpayer-level rows.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """The rows that were refused, where they stand and by which rule."""
    from ingest import lake

    speaker = session(home, as_json, quiet)
    rows = lake.quarantined_rows(speaker.home, feed, confidential)
    names = ("feed", "file", "sheet", "line", "column", "rule", "value")
    show_listing(speaker, names, rows, "rows in quarantine")


@app.command()
def drift(
    feed: FeedOption = None, home: HomeOption = None, as_json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """How the columns of the deliveries changed: new and unknown, gone, or under another header."""
    from ingest import lake

    speaker = session(home, as_json, quiet)
    changes = lake.drift(speaker.home, feed)
    names = ("feed", "file", "published_on", "change", "column", "header", "before")
    show_listing(speaker, names, changes, "changes of columns")


@app.command()
def export(
    form: Annotated[str, typer.Option("--format", help="parquet, csv, xlsx or sdmx-csv.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the files; an earlier export there is replaced.")],
    release: ReleaseOption = "current",
    home: HomeOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write the published tables of a release as open data, with what describes them."""
    from publish.export import export as write_export
    from publish.release import named_release

    speaker = session(home, as_json, quiet)
    path = named_release(speaker.home, release)
    with speaker.progress():
        done = write_export(path, form, out)
    text = f"Release {done.release_id} as {done.format}: {len(done.files)} files in {done.path}"
    speaker.result_in_a_line(done, text)


@app.command()
def simulate(
    out: Annotated[Path, typer.Option("--out", help="Folder for the deliveries.")],
    months: Annotated[int, typer.Option("--months", min=1, help="How many months to simulate.")] = 50,
    tax_rows: Annotated[
        int | None, typer.Option("--tax-rows", min=0, help="How many tax vouchers in all; else 300 a month.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same deliveries.")] = 1,
    home: HomeOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write realistic, messy, clearly synthetic deliveries of every feed of the plan."""
    from hfc import simulate as simulation

    speaker = session(home, as_json, quiet)
    with speaker.progress():
        simulation.simulate(out, months, seed, tax_rows)
    text = f"Synthetic deliveries of {months} months: {out.absolute()}"
    value = {"out": out.absolute(), "months": months, "tax_rows": tax_rows, "seed": seed}
    speaker.result_in_a_line(value, text)


def main() -> None:
    """The entry point: every failure is one message on standard error and an exit status."""
    keep_objects()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        app()
    except HfcError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_status)
    except Exception as error:
        if os.environ.get("HFC_DEBUG") == "1":
            raise
        print(one_line(error), file=sys.stderr)
        sys.exit(1)


def command() -> None:
    """`main` as a process of its own, which ends at once: to free what dbt has made takes Python a second."""
    status = 0
    try:
        main()
    except SystemExit as end:
        if not isinstance(end.code, int):
            raise
        status = end.code
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # nobody reads any more; Python itself knows what to do
        sys.exit(status)
    atexit._run_exitfuncs()
    os._exit(status)


if __name__ == "__main__":
    command()
