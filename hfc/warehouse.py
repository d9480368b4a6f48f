"""lake → candidate: one dbt build in this process over exactly the deliveries known at `as_of`."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import duckdb

from expectations.gate import Check
from hfc import __version__, carried
from hfc.corrections import DELIVERY_ID, Correction, corrected_sql, in_force, is_found
from hfc.home import PROJECT, GateFailed, HfcError, Home, sha256_of, write_json
from ingest.columns import lake_name, lake_type, text_literal
from ingest.contract import Contract, load_contracts
from ingest.lake import known_deliveries, lake_file

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

# What the history of the published values needs of an earlier release's metric_observation.
_RELEASED = {
    **dict.fromkeys(("metric_id", "frequency", "period", "dimension", "member"), "VARCHAR"),
    "value": "DECIMAL(28, 10)",
    **dict.fromkeys(("obs_status", "conf_status"), "VARCHAR"),
    "as_of": "DATE",
}


@dataclass(frozen=True)
class Build:
    """A candidate, or the news that the current release already holds exactly these inputs."""

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


def planned_release(home: Home, as_of: date, released: Mapping[date, Path]) -> str:
    """The identifier that a build for this day would give its release."""
    context, _ = _plan(home, as_of, released)
    return str(context["release_id"])


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


def build(home: Home, as_of: date | None = None, released: Mapping[date, Path] = MappingProxyType({})) -> Build:
    """Build the candidate warehouse for `as_of` (default: the latest publication date of a loaded delivery).

    `released` holds the observations that earlier releases published, one Parquet file per as_of.

    Raises:
        GateFailed: a dbt test refused the candidate.
        HfcError: nothing is loaded, or dbt itself failed.
    """
    context, deliveries = _plan(home, as_of, released)
    result = Build(context["release_id"], date.fromisoformat(context["as_of"]), False)
    if context["previous_release_id"] == result.release_id:
        return Build(result.release_id, result.as_of, True)
    earlier = [path for day, path in released.items() if day < result.as_of]
    corrections = in_force(result.as_of)
    basis = carried.basis(home, context["code_version"], [c.correction_id for c in corrections], deliveries)
    _create_sources(home, context, deliveries, earlier, corrections, carried.set_aside(home, basis))
    tests, declared = _run_dbt(home)
    inputs = [{k: d[k] for k in ("feed", "file", "sha256", "published_on", "outcome")} for d in deliveries]
    build = {**context, "inputs": inputs, "tests": tests, "tests_declared": declared}
    write_json(home.warehouse / "build.json", {**build, "carried": carried.record(home, basis)})
    return result


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
        connection.execute("CREATE TABLE lake.correction (correction_id VARCHAR, matches BOOLEAN)")
        for contract in load_contracts().values():
            rows = _accepted(home, contract, deliveries)
            own = [correction for correction in corrections if correction.feed == contract.feed]
            connection.execute(_feed_view(contract, corrected_sql(own, rows)))
            if contract.feed == carried.FEED:
                _split_views(connection, home, contract, own, deliveries, counted)
            found = [(correction.correction_id, is_found(connection, correction, rows)) for correction in own]
            if found:
                connection.executemany("INSERT INTO lake.correction VALUES (?, ?)", found)
        carried.load(connection, home)


def _split_views(
    connection: duckdb.DuckDBPyConnection,
    home: Home,
    contract: Contract,
    corrections: list[Correction],
    deliveries: list[dict[str, Any]],
    counted: set[str],
) -> None:
    """The rows of the tax feed, apart: of the deliveries that the carried tables have counted, of the others, and of
    those counted ones in which a voucher of the others can stand."""
    columns = ", ".join(_columns(contract))
    loaded = [d for d in deliveries if d["feed"] == contract.feed and d["outcome"] == "loaded"]
    old = [d for d in loaded if d["delivery_id"] in counted]
    new = [d for d in loaded if d["delivery_id"] not in counted]
    # A correction can change the number of a voucher, which the statistics of a file don't know.
    near = old if corrections else carried.near(connection, home, old, new)
    for name, part in (("tax_counted", old), ("tax_counted_near", near), ("tax_uncounted", new)):
        rows = corrected_sql(corrections, _accepted(home, contract, part))
        connection.execute(f"CREATE VIEW carried.{name} AS SELECT {DELIVERY_ID}, {columns} FROM {rows}")


def _accepted(home: Home, contract: Contract, deliveries: list[dict[str, Any]]) -> str:
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


def _run_dbt(home: Home) -> tuple[list[dict[str, Any]], int]:
    """`dbt build` in this process, but for its unit tests, which judge code; its artefacts stay below the home.

    Returns the verdicts of dbt's data tests, for the gate's ledger, and how many such tests the project declares.
    """
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.artifacts.resources.types import NodeType
    from dbt.artifacts.schemas.run import RunExecutionResult
    from dbt.cli.main import dbtRunner

    os.environ["HFC_CANDIDATE"] = str(home.candidate)
    arguments = ["build", "--exclude-resource-type", "unit_test",
                 "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--log-format-file", "text",
                 "--target-path", str(home.warehouse / "dbt"), "--log-path", str(home.warehouse / "logs")]  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        result = dbtRunner().invoke(["--quiet", *arguments])
    DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]  # dbt-duckdb leaves it untyped
    if result.exception or not isinstance(result.result, RunExecutionResult):
        raise HfcError(f"dbt stopped: {result.exception}; the whole log is {_log(home)}")
    refuse(result.result.results, home)
    manifest = json.loads((home.warehouse / "dbt" / "manifest.json").read_text(encoding="utf-8"))
    declared = sum(node["resource_type"] == "test" for node in manifest["nodes"].values())
    tests = [node for node in result.result.results if node.node.resource_type == NodeType.Test]
    return [asdict(_check(test)) for test in sorted(tests, key=lambda test: test.node.name)], declared


def refuse(results: Sequence[Any], home: Home) -> None:
    """Stop where dbt could not build a model, or a test or a constraint of a published table refused the candidate.

    Raises:
        GateFailed: rows are not what the project declares.
        HfcError: a model could not be built at all.
    """
    refused = [
        n for n in results if n.status == "fail" or (n.status == "error" and "Constraint Error" in str(n.message))
    ]
    errors = [n for n in results if n.status == "error" and n not in refused]
    if errors:
        names = ", ".join(node.node.name for node in errors[:5])
        raise HfcError(f"dbt could not build {names}: {errors[0].message}; the whole log is {_log(home)}")
    if refused:
        names = ", ".join(node.node.name for node in refused[:10])
        raise GateFailed(f"{len(refused)} dbt checks refused the candidate: {names}; the whole log is {_log(home)}")


def _log(home: Home) -> Path:
    return home.warehouse / "logs" / "dbt.log"


def _check(test: Any) -> Check:
    """A data test of dbt as a check of the gate's ledger; a test says its validation level in `meta` or by its kind."""
    node = test.node
    kind = getattr(getattr(node, "test_metadata", None), "name", "singular")
    return Check(
        suite="dbt",
        expectation=node.name,
        column=getattr(node, "column_name", None),
        success=test.status == "pass",
        observed=f"{test.failures or 0} rows",
        executed=test.status in ("pass", "warn"),
        level=node.config.meta.get("level", 0 if kind in ("not_null", "accepted_values") else 1),
        severity="warn" if node.config.severity.lower() == "warn" else "block",
        limit='{"rows": 0}',
    )
