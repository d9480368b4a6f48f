"""lake → candidate: one dbt build in this process over exactly the deliveries known at `as_of`."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TextIO, cast

import duckdb

from expectations import dbt_tests
from expectations.gate import Check
from expectations.rules import rules_of_dbt
from hfc import __version__, batches, carried, provenance
from hfc.corrections import DELIVERY_ID, Correction, corrected_sql, in_force, is_found
from hfc.home import (
    PROJECT,
    DiskTrouble,
    GateFailed,
    HfcError,
    Home,
    Target,
    disk_trouble_in,
    fsync_file,
    on_disk,
    replacing,
    sha256_of,
    write_json,
)
from ingest.columns import lake_name, lake_type, text_literal
from ingest.contract import Contract, load_contracts
from ingest.lake import known_deliveries, lake_file

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

ROOT = Path(__file__).parent.parent
# What decides the numbers: the code that reads and computes, its seeds and its contracts.
_SOURCES = (
    "hfc/*.py",
    "ingest/**/*.py",
    "ingest/**/*.yaml",
    "expectations/*.py",
    "publish/*.py",
    "requirements.lock",
)
_PROJECT_SOURCES = ("**/*.sql", "**/*.py", "**/*.yml", "**/*.csv")

# What dbt has read in this process: of which project and version, for which engine.
_PARSED: dict[tuple[Path, str, Target], Manifest] = {}

# Tests run on their own; unit tests judge code.
_ONLY_TABLES = ("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test")

# What the history of the published values needs of an earlier release's metric_observation.
_RELEASED = {
    **dict.fromkeys(("metric_id", "frequency", "period", "dimension", "member"), "VARCHAR"),
    "value": "DECIMAL(28, 10)",
    **dict.fromkeys(("obs_status", "conf_status"), "VARCHAR"),
    "as_of": "DATE",
}


@dataclass(frozen=True)
class Build:
    """A candidate, or the news that a release already holds exactly these inputs."""

    release_id: str
    as_of: date
    up_to_date: bool


def code_version() -> str:
    """Package version and a digest of every file that decides a published number."""
    digest = hashlib.sha256()
    for folder, patterns in ((ROOT, _SOURCES), (PROJECT, _PROJECT_SOURCES)):
        paths = {path.relative_to(folder) for pattern in patterns for path in folder.glob(pattern)}
        for path in sorted(path for path in paths if "target" not in path.parts):
            digest.update(f"{path}\0{hashlib.sha256((folder / path).read_bytes()).hexdigest()}\n".encode())
    return f"{__version__}+{digest.hexdigest()[:12]}"


def report_month(as_of: date) -> date:
    """First day of the last month that ended on or before `as_of`."""
    return ((as_of + timedelta(days=1)).replace(day=1) - timedelta(days=1)).replace(day=1)


def planned(home: Home, as_of: date | None, released: Mapping[date, Path], existing: Collection[str] = ()) -> Build:
    """What a build for this day would make: nothing new if that is the current release, or one of `existing`.

    Raises:
        HfcError: nothing is loaded.
    """
    context, _ = _plan(home, as_of, released)
    release_id = str(context["release_id"])
    up_to_date = release_id in (context["previous_release_id"], *existing)
    return Build(release_id, date.fromisoformat(context["as_of"]), up_to_date)


def vintages(home: Home) -> list[date]:
    """The days on which the loaded deliveries became known, oldest first."""
    found = {d["published_on"] for d in known_deliveries(home) if d["outcome"] == "loaded"}
    return [date.fromisoformat(day) for day in sorted(found)]


def _plan(home: Home, as_of: date | None, released: Mapping[date, Path]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The build's context and its deliveries."""
    days = vintages(home)
    if not days:
        raise HfcError("no delivery has been loaded yet: put files in <landing>/<feed>/ and run hfc ingest")
    as_of = as_of or days[-1]
    deliveries = known_deliveries(home, as_of)
    if not any(d["outcome"] == "loaded" for d in deliveries):
        raise HfcError(f"no loaded delivery was published on or before {as_of}; the first is of {days[0]}")
    inputs = sorted([d["feed"], d["published_on"], d["file"], d["sha256"], d["outcome"]] for d in deliveries)
    inputs_sha256 = hashlib.sha256(json.dumps(inputs, ensure_ascii=False).encode()).hexdigest()
    code = code_version()
    # The history of the published values is an input, too.
    history = "".join(sha256_of(path) for day, path in released.items() if day < as_of)
    identity = hashlib.sha256(f"{as_of}{inputs_sha256}{code}{history}".encode()).hexdigest()
    context = {
        "release_id": f"{as_of:%Y%m%d}-{identity[:12]}",
        "as_of": as_of.isoformat(),
        "report_month": report_month(as_of).isoformat(),
        "previous_release_id": os.readlink(home.current).rpartition("/")[2] if home.current.is_symlink() else None,
        "inputs_sha256": inputs_sha256,
        "code_version": code,
    }
    return context, deliveries


def build(
    home: Home,
    as_of: date | None = None,
    released: Mapping[date, Path] = MappingProxyType({}),
    target: Target = Target.DUCKDB,
) -> None:
    """Build the candidate warehouse for `as_of` (default: the latest publication date of a loaded delivery).

    `released` holds the observations that earlier releases published, one Parquet file per as_of. `target` is the
    engine that computes it, a target of dbt's profile.

    Raises:
        GateFailed: a dbt test refused the candidate.
        DiskTrouble: the disk failed.
        HfcError: nothing is loaded, or dbt itself failed.
    """
    with on_disk(home.warehouse):
        context, deliveries = _plan(home, as_of, released)
        if target == Target.SPARK:
            from hfc import spark

            spark.session()  # one that does not start leaves the last candidate where it is
        day = date.fromisoformat(context["as_of"])
        corrections = in_force(day)
        basis = carried.basis(home, context["code_version"], [c.correction_id for c in corrections], deliveries)
        earlier = [path for known, path in released.items() if known < day]
        _create_sources(home, context, deliveries, earlier, corrections, carried.set_aside(home, basis))
        tests, declared, models = _run_dbt(home, target, context["code_version"])
        fsync_file(home.candidate)  # dbt's profile leaves that to the end
        names = ("delivery_id", "feed", "file", "sha256", "published_on", "outcome")
        origin = {
            "inputs": [{name: delivery[name] for name in names} for delivery in deliveries],
            "seeds": provenance.seed_digests(),
            "history": provenance.history(released, day),
            "lineage": models,
        }
        build = {**context, **origin, "tests": tests, "tests_declared": declared}
        write_json(home.warehouse / "build.json", {**build, "carried": carried.record(home, basis)})


def _create_sources(
    home: Home,
    context: dict[str, Any],
    deliveries: list[dict[str, Any]],
    released: list[Path],
    corrections: list[Correction],
    counted: set[str],
) -> None:
    """A fresh candidate whose schema `lake` shows dbt the context, the deliveries, the accepted rows and the past, and
    schema `carried` what the build before has added up of the tax deliveries in `counted`."""
    home.warehouse.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(home.candidate)) as connection:
        connection.begin()
        connection.execute("CREATE SCHEMA lake")
        connection.execute("CREATE SCHEMA carried")
        connection.execute(
            "CREATE TABLE lake.context (release_id VARCHAR, as_of DATE, report_month DATE, "
            "previous_release_id VARCHAR, inputs_sha256 VARCHAR, code_version VARCHAR)"
        )
        connection.execute("INSERT INTO lake.context VALUES (?, ?, ?, ?, ?, ?)", list(context.values()))
        types = {"seq": "BIGINT", "bytes": "BIGINT", "published_on": "DATE", "synthetic": "BOOLEAN"}
        names = ("delivery_id", "seq", "feed", "file", "sha256", "bytes", "published_on", "outcome", "reason",
                 "rows_in", "rows_accepted", "rows_quarantined", "rows_duplicate", "source_url", "licence", "note",
                 "synthetic")  # fmt: skip
        columns = ", ".join(f"{n} {types.get(n, 'BIGINT' if n.startswith('rows_') else 'VARCHAR')}" for n in names)
        connection.execute(f"CREATE TABLE lake.delivery ({columns})")
        connection.executemany(
            f"INSERT INTO lake.delivery VALUES ({', '.join('?' * len(names))})",
            [[d[n] for n in names] for d in deliveries],
        )
        connection.execute(
            "CREATE TABLE lake.feed "
            "(feed VARCHAR, title_zh VARCHAR, title_en VARCHAR, kind VARCHAR, stale_after_days INTEGER)"
        )
        connection.executemany(
            "INSERT INTO lake.feed VALUES (?, ?, ?, ?, ?)",
            [[c.feed, c.title.zh, c.title.en, c.kind, c.stale_after_days] for c in load_contracts().values()],
        )
        past = _parquet([str(path) for path in released], _RELEASED)
        connection.execute(f"CREATE VIEW lake.released_observation AS SELECT {', '.join(_RELEASED)} FROM {past}")
        batches.load(connection, home, deliveries)
        connection.execute("CREATE TABLE lake.correction (correction_id VARCHAR, matches BOOLEAN)")
        for contract in load_contracts().values():
            rows = accepted(home, contract, deliveries)
            own = [correction for correction in corrections if correction.feed == contract.feed]
            connection.execute(_feed_view(contract, corrected_sql(own, rows)))
            if contract.feed == carried.FEED:
                _split_views(connection, home, contract, own, deliveries, counted)
            found = [(correction.correction_id, is_found(connection, correction, rows)) for correction in own]
            if found:
                connection.executemany("INSERT INTO lake.correction VALUES (?, ?)", found)
        connection.commit()
        carried.load(connection, home)


def _split_views(
    connection: duckdb.DuckDBPyConnection,
    home: Home,
    contract: Contract,
    corrections: list[Correction],
    deliveries: list[dict[str, Any]],
    counted: set[str],
) -> None:
    """The rows of the tax feed, apart: of the deliveries that the carried tables have counted, and of the others; of
    either also those deliveries alone in which a voucher of the others can stand."""
    columns = ", ".join(_columns(contract))
    loaded = [d for d in deliveries if d["feed"] == contract.feed and d["outcome"] == "loaded"]
    old = [d for d in loaded if d["delivery_id"] in counted]
    new = [d for d in loaded if d["delivery_id"] not in counted]
    # A correction can change the number of a voucher, which the statistics of a file don't know.
    old_near = old if corrections else carried.near(connection, home, old, new)
    new_near = new if corrections else carried.near(connection, home, new, loaded)
    parts = {"tax_counted": old, "tax_counted_near": old_near, "tax_uncounted": new, "tax_uncounted_near": new_near}
    for name, part in parts.items():
        rows = corrected_sql(corrections, accepted(home, contract, part))
        connection.execute(f"CREATE VIEW carried.{name} AS SELECT {DELIVERY_ID}, {columns} FROM {rows}")


def accepted(home: Home, contract: Contract, deliveries: list[dict[str, Any]]) -> str:
    """The accepted rows of a feed's loaded deliveries: exactly these files, whatever lands meanwhile."""
    files = [str(lake_file(home, d)) for d in deliveries if d["feed"] == contract.feed and d["outcome"] == "loaded"]
    return _parquet(files, _columns(contract))


def _parquet(files: Sequence[str], columns: Mapping[str, str]) -> str:
    """The rows of Parquet files with a column `filename`; without files, none of these columns and types."""
    if not files:
        typed = {**columns, "filename": "VARCHAR"}
        return f"(SELECT {', '.join(f'NULL::{kind} AS {name}' for name, kind in typed.items())} WHERE false)"
    return f"read_parquet([{', '.join(map(text_literal, files))}], filename = true)"


def _columns(contract: Contract) -> dict[str, str]:
    values = {lake_name(column): lake_type(column) for column in contract.columns}
    return {"sheet": "VARCHAR", "line": "BIGINT", **values, "flags": "VARCHAR[]"}


def _feed_view(contract: Contract, rows: str) -> str:
    """A feed as dbt sees it: typed columns, and a digest of a row, to tell a new version from a repetition."""
    selected = ", ".join(f"{name}::{kind} AS {name}" for name, kind in _columns(contract).items())
    content = ", ".join(f"coalesce({lake_name(column)}::VARCHAR, chr(30))" for column in contract.columns)
    return (
        f"CREATE VIEW lake.{contract.feed} AS SELECT {DELIVERY_ID}, {selected}, "
        f"md5(concat_ws(chr(31), {content})) AS content_hash FROM {rows}"
    )


def _run_dbt(home: Home, target: Target, version: str) -> tuple[list[dict[str, Any]], list[str], dict[str, list[str]]]:
    """Build the tables by dbt, in this process, and run its data tests; its artefacts stay below the home.

    Returns the verdicts of the tests, for the gate's ledger, the ids of those that the project declares, and what each
    model reads.
    """
    with _logging(home) as log:
        manifest = parsed(home, log.event, version)
        rules = rules_of_dbt(data_tests(manifest))
        statements = _compiled_tests(home, manifest, log.event, version)
        if target == Target.SPARK:
            results = _on_spark(home, manifest, log.event, version)
        else:
            results = _invoke(home, manifest, log.event, "build", *_ONLY_TABLES)
        incomplete = bool(_errors(results, home))
        checks = dbt_tests.run(home.candidate, statements, rules, log.line, incomplete)
    refuse(results, checks, home)
    return [asdict(check) for check in checks], [rule.check_id for rule in rules], provenance.lineage(manifest)


def _compiled_tests(home: Home, manifest: Manifest, log: Callable[[Any], None], version: str) -> dict[str, str]:
    """The statements of dbt's data tests by name, compiled once for each version of the code."""
    kept = _kept(home, Target.DUCKDB) / "tests.json"
    try:
        found = json.loads(kept.read_text(encoding="utf-8"))
        if found["code_version"] == version:
            return cast(dict[str, str], found["tests"])
    except (OSError, ValueError, KeyError):
        pass  # none yet, or one cut off
    results = _invoke(home, manifest, log, "compile", "--select", "test_type:data")
    tests = {result.node.name: dbt_tests.statement(result.node) for result in results}
    write_json(kept, {"code_version": version, "tests": tests})
    return tests


def _on_spark(home: Home, manifest: Manifest, log: Callable[[Any], None], version: str) -> Sequence[Any]:
    """Build on Spark from the candidate's sources and seeds, and have the candidate take the tables over, by the same
    contracts; give the results of the last that was done."""
    from hfc import spark

    if _errors(results := _invoke(home, manifest, log, "seed"), home):
        return results
    spark.prepare(home)
    on_spark = parsed(home, log, version, Target.SPARK)
    if _errors(results := _invoke(home, on_spark, log, "run", target=Target.SPARK), home):
        return results
    os.environ["HFC_COMPUTED"] = str(spark.warehouse(home))
    try:
        return _invoke(home, manifest, log, "run")
    finally:
        del os.environ["HFC_COMPUTED"]


def _invoke(
    home: Home,
    manifest: Manifest,
    log: Callable[[Any], None],
    command: str,
    *arguments: str,
    target: Target = Target.DUCKDB,
) -> Sequence[Any]:
    """Run a command of dbt; give what became of each node."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.artifacts.schemas.run import RunExecutionResult
    from dbt.cli.main import dbtRunner

    os.environ["HFC_CANDIDATE"] = str(home.candidate)
    place = ["--target-path", str(home.warehouse / "dbt"), *_options(home, target)]
    result = dbtRunner(manifest, [log]).invoke(["--no-write-json", command, *arguments, *place])
    DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]  # dbt-duckdb leaves it untyped
    if result.exception or not isinstance(result.result, RunExecutionResult):
        raise HfcError(f"dbt stopped: {result.exception}; the whole log is {_log(home)}") from result.exception
    return result.result.results


def data_tests(manifest: Manifest) -> list[dict[str, Any]]:
    """The data tests that the project declares, as the manifest describes them."""
    from dbt.artifacts.resources.types import NodeType

    return [node.to_dict() for node in manifest.nodes.values() if node.resource_type == NodeType.Test]


def parsed(home: Home, log: Callable[[Any], None], version: str, target: Target = Target.DUCKDB) -> Manifest:
    """The project as dbt reads it, once for each `code_version`; of what it has read before, only changed files.

    The path of the candidate is no part of it, or else every home would read the whole project anew.
    """
    read = PROJECT, version, target
    if read not in _PARSED:
        kept = _kept(home, target) / "manifest.pickle"
        if (manifest := _unpickled(kept, read)) is None:
            manifest = _parsed(home, log, target)
            with replacing(kept) as temporary:
                temporary.write_bytes(pickle.dumps((read, _facts(manifest))))
        _PARSED[read] = manifest
    return _PARSED[read]


def _facts(manifest: Manifest) -> dict[str, Any]:
    """What makes a manifest, without its indexes, which it makes by itself; as a whole it cannot be pickled, since dbt
    gives its fields in another order than it takes them."""
    return {each.name: getattr(manifest, each.name) for each in fields(manifest) if not each.name.startswith("_")}


def _unpickled(kept: Path, read: tuple[Path, str, Target]) -> Manifest | None:
    """What an earlier process has read, if it is of the same project and version: dbt's own copy takes 20 times longer,
    as it looks at every file again."""
    from dbt.contracts.graph.manifest import Manifest

    try:
        of, facts = pickle.loads(kept.read_bytes())
        return Manifest(**facts) if of == read else None
    except Exception:
        return None  # none yet, or one that another version of a library has written


def _parsed(home: Home, log: Callable[[Any], None], target: Target) -> Manifest:
    from dbt.cli.main import dbtRunner
    from dbt.contracts.graph.manifest import Manifest

    os.environ["HFC_CANDIDATE"] = home.candidate.name
    arguments = ["--no-write-json", "parse", "--target-path", str(_kept(home, target)), *_options(home, target)]
    result = dbtRunner(callbacks=[log]).invoke(arguments)
    if not isinstance(result.result, Manifest):
        message = f"dbt could not read {PROJECT}: {result.exception}; the whole log is {_log(home)}"
        raise HfcError(message) from result.exception
    return result.result


def _kept(home: Home, target: Target) -> Path:
    """Where what dbt has read and compiled stays: beside the project, for every home, where that can be written."""
    return (PROJECT / "target" if os.access(PROJECT, os.W_OK) else home.warehouse / "dbt") / target


def _options(home: Home, target: Target) -> list[str]:
    """Where dbt reads; its own logs are off, since it formats every statement's events for each of them."""
    return ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--log-path", str(_log(home).parent),
            "--log-level", "none", "--log-level-file", "none", "--target", target]  # fmt: skip


@dataclass(frozen=True)
class _Log:
    """The file for people; dbt writes to it from several threads."""

    file: TextIO
    lock: Lock = field(default_factory=Lock)

    def line(self, text: str) -> None:
        """Note something now."""
        self._write(datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"), text)

    def event(self, event: Any) -> None:
        """Note what dbt says to people; the statements are in `warehouse/dbt/run`."""
        if event.info.level in ("info", "warn", "error"):
            self._write(event.info.ts.ToJsonString(), event.info.msg)

    def _write(self, when: str, text: str) -> None:
        with self.lock:
            self.file.write(f"{when} {text}\n")


@contextmanager
def _logging(home: Home) -> Iterator[_Log]:
    """What takes the messages of dbt and of its tests."""
    _log(home).parent.mkdir(parents=True, exist_ok=True)
    with open(_log(home), "w", encoding="utf-8") as file:
        yield _Log(file)


def refuse(results: Sequence[Any], checks: Sequence[Check], home: Home) -> None:
    """Stop where dbt could not build a model, or a test or a constraint of a published table refused the candidate.

    Rows that a test refuses can break a model further on, so a refusal comes first.

    Raises:
        GateFailed: rows are not what the project declares.
        DiskTrouble: a model could not be built because of the disk.
        HfcError: a model could not be built at all.
    """
    errors = _errors(results, home)
    constraints = [node for node in errors if "Constraint Error" in str(node.message)]
    refused = [node.node.name for node in constraints] + [check.expectation for check in checks if check.refuses]
    if refused:
        names = ", ".join(refused[:10])
        raise GateFailed(f"{len(refused)} dbt checks refused the candidate: {names}; the whole log is {_log(home)}")
    if errors:
        names = ", ".join(node.node.name for node in errors[:5])
        raise HfcError(f"dbt could not build {names}: {errors[0].message}; the whole log is {_log(home)}")


def _errors(results: Sequence[Any], home: Home) -> list[Any]:
    """The nodes that dbt could not build.

    Raises:
        DiskTrouble: one of them because of the disk.
    """
    errors = [node for node in results if node.status == "error"]
    for node in errors:
        if trouble := disk_trouble_in(str(node.message)):
            raise DiskTrouble(trouble, home.warehouse)
    return errors


def _log(home: Home) -> Path:
    return home.warehouse / "logs" / "dbt.log"
