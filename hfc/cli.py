"""The command `hfc`.

Results go to standard output, messages to standard error. Exit status: 0 done, 1 failed, 2 wrong use, 3 the gate
refused the candidate. Heavy libraries are imported by the steps that need them, so that reading stays quick.
"""

from __future__ import annotations

import json
import os
import re
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
from hfc.home import SHANGHAI, GateFailed, HfcError, Home, UsageError

if TYPE_CHECKING:
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
DayOption = Annotated[str | None, typer.Option("--as-of", metavar="YYYY-MM-DD", help="What was known on this day.")]


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
    home: HomeOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Ingest, build, judge and publish; print the attainment board."""
    from hfc.board import read_board, show_board

    speaker = session(home, as_json, quiet)
    source, chosen = folder(speaker.home, landing), day(as_of)
    with speaker.progress() as status:
        done = pipeline.run(speaker.home, source, chosen, reporter(speaker, status), status.update)
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
    as_of: DayOption = None, home: HomeOption = None, as_json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Build the candidate from the lake."""
    speaker = session(home, as_json, quiet)
    chosen = day(as_of)
    with speaker.progress():
        built = pipeline.build(speaker.home, chosen)
    text = (
        f"Nothing new: release {built.release_id} already holds these deliveries"
        if built.up_to_date
        else f"Built the candidate of release {built.release_id} as of {built.as_of}"
    )
    speaker.result_in_a_line(built, text)


@app.command()
def gate(home: HomeOption = None, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Judge the candidate; exit status 3 when a check refuses it."""
    from expectations.gate import gate_file, report_file

    speaker = session(home, as_json, quiet)
    try:
        with speaker.progress():
            verdict = pipeline.gate(speaker.home)
    except GateFailed:
        if as_json:
            print(gate_file(speaker.home).read_text(encoding="utf-8"), end="")
        raise
    text = f"Passed: {verdict.executed} of {verdict.declared} checks of candidate {verdict.release_id}"

    def show(target: Console) -> None:
        target.print(Text(f"{text}\nReport: {report_file(speaker.home)}"), soft_wrap=True)

    speaker.result(verdict, show)


@app.command()
def publish(home: HomeOption = None, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Publish the candidate that the gate passed."""
    speaker = session(home, as_json, quiet)
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
    home: HomeOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """One release for each day in between on which something became known, oldest first."""
    speaker = session(home, as_json, quiet)
    start, end = one_day(first), one_day(last)
    with speaker.progress() as status:
        releases = pipeline.backfill(speaker.home, start, end, lambda done: status.update(f"Release {done.release_id}"))

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
        facts = {key: verdict[key] for key in ("release_id", "passed", "declared", "executed")}
        value["gate"] = facts | {"report": str(report_file(home))}
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
    current, verdict = value["current"], value["gate"]
    lines = [f"Home: {value['home']}", f"Releases: {len(value['releases'])}"]
    if current is None:
        lines.append("Current: nothing is published yet")
    else:
        lines.append(f"Current: {current['release_id']} as of {current['as_of']}, published {current['published_at']}")
        lines.append(f"Release: {current['path']}")
    if verdict is not None:
        word = "passed" if verdict["passed"] else f"refused, see {verdict['report']}"
        lines.append(f"Last gate: candidate {verdict['release_id']} {word}")
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


def one_line(error: BaseException) -> str:
    """An unexpected exception in one line."""
    detail = " ".join(str(error).split())
    return f"hfc failed: {type(error).__name__}{f': {detail}' if detail else ''} (HFC_DEBUG=1 shows where)"


def main() -> None:
    """The entry point: every failure is one message on standard error and an exit status."""
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


if __name__ == "__main__":
    main()
