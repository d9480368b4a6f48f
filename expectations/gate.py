"""The gate: judge the candidate by every declared expectation, and record the verdict.

The verdict names the exact bytes that were judged; publication accepts no others.
"""

from __future__ import annotations

import html
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from expectations.suite import Suite
from hfc.home import TEMPORARY_SUFFIX, GateFailed, HfcError, Home, UsageError, replacing, sha256_of, write_json

SHOWN = 20
LONGEST = 300


@dataclass(frozen=True)
class Check:
    """The verdict on one declared check; `executed` is false when it could not be evaluated.

    `level` is its validation level (see `expectations.suite.LEVELS`), `severity` block or warn, `limit` what was
    allowed, as the expectation's parameters in JSON.
    """

    suite: str
    expectation: str
    column: str | None
    success: bool
    observed: str
    executed: bool = True
    level: int = 1
    severity: str = "block"
    limit: str = "{}"

    @property
    def refuses(self) -> bool:
        """Whether this check stops the candidate: what was not executed does, whatever its severity."""
        return not self.executed or (not self.success and self.severity == "block")

    def line(self) -> str:
        """The check in one line for a person."""
        return f"{self.suite}: {self.expectation}{f' {self.column}' if self.column else ''}: {self.observed}"


@dataclass(frozen=True)
class Gate:
    """The verdict on a candidate."""

    release_id: str
    candidate_sha256: str
    passed: bool
    checks: list[Check]
    declared: int
    executed: int

    @property
    def failures(self) -> list[Check]:
        """The checks that refused the candidate."""
        return [check for check in self.checks if check.refuses]


def gate_file(home: Home) -> Path:
    """Where the verdict is kept."""
    return home.warehouse / "gate.json"


def report_file(home: Home) -> Path:
    """Where the report for people is kept."""
    return home.warehouse / "gate" / "report.html"


def docs_folder(home: Home) -> Path:
    """Where Great Expectations' own pages on the same verdicts are kept; start at `index.html`."""
    return home.warehouse / "gate" / "data_docs"


def candidate_build(home: Home) -> dict[str, Any]:
    """What `warehouse/build.json` says about the candidate, which must be complete and closed."""
    record = home.warehouse / "build.json"
    if not home.candidate.is_file() or not record.is_file():
        raise UsageError(f"There is no candidate in {home.warehouse}: run hfc build first")
    if home.candidate.with_name(home.candidate.name + ".wal").exists():
        raise HfcError(f"{home.candidate} was not closed, its last build did not end: run hfc build again")
    build: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
    return build


def gate(home: Home) -> Gate:
    """Judge the candidate, write the verdict and the report; raise `GateFailed` when any check refuses it."""
    build = candidate_build(home)
    release_id = str(build["release_id"])
    gate_file(home).unlink(missing_ok=True)
    digest = sha256_of(home.candidate)
    suites = declared_suites(release_id)
    tests = [Check(**test) for test in build["tests"]]
    declared = build["tests_declared"] + sum(len(suite.expectations) for suite in suites)
    verdict = conclude(release_id, digest, declared, [*tests, *judge(home, suites, release_id)])
    write_report(home, verdict)
    write_json(gate_file(home), asdict(verdict))
    if not verdict.passed:
        raise GateFailed(refusal(home, verdict))
    return verdict


def declared_suites(release_id: str) -> list[Suite]:
    """Every suite that a candidate has to pass."""
    prepare()
    from expectations import deliveries, duties, observations, official, plan, public_series

    return [
        *observations.suites(),
        *plan.suites(),
        *duties.suites(),
        *official.suites(),
        *deliveries.suites(release_id),
        *public_series.suites(),
    ]


def prepare() -> None:
    """Settings that have to stand before Great Expectations is imported."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"


def conclude(release_id: str, digest: str, declared: int, checks: list[Check]) -> Gate:
    """The verdict: everything that was declared was executed, and nothing refuses the candidate."""
    executed = sum(check.executed for check in checks)
    passed = declared > 0 and executed == declared and not any(check.refuses for check in checks)
    return Gate(release_id, digest, passed, checks, declared, executed)


def judge(home: Home, suites: list[Suite], release_id: str) -> list[Check]:
    """Evaluate the suites on the rows of the candidate, and write the Data Docs about it."""
    import duckdb

    building = docs_folder(home).with_name(f".data_docs{TEMPORARY_SUFFIX}")
    shutil.rmtree(building, ignore_errors=True)
    context = context_with_site(building)
    checks: list[Check] = []
    with duckdb.connect(str(home.candidate), read_only=True) as connection:
        for suite in suites:
            try:
                frame = connection.execute(suite.query).df()
            except duckdb.Error as error:
                checks += not_evaluated(suite, f"not evaluated: {first_line(error)}")
                continue
            checks += evaluate(context, suite, frame, release_id)
    context.build_data_docs()
    shutil.rmtree(docs_folder(home), ignore_errors=True)
    os.replace(building, docs_folder(home))
    return checks


def context_with_site(folder: Path) -> Any:
    """A context of Great Expectations that lives in memory but for its Data Docs, which go to `folder`."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import DataContextConfig, InMemoryStoreBackendDefaults

    site = {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)},
    }
    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(),
        data_docs_sites={"gate": site},
        progress_bars={"globally": False},  # type: ignore[arg-type]
    )
    context = gx.get_context(project_config=config, mode="ephemeral")
    context.data_sources.add_pandas("candidate")
    return context


def evaluate(context: Any, suite: Suite, frame: Any, release_id: str) -> Iterator[Check]:
    """The verdicts of one suite on its rows; the context keeps them for the Data Docs."""
    import great_expectations as gx
    from great_expectations.core.run_identifier import RunIdentifier

    asset = context.data_sources.get("candidate").add_dataframe_asset(suite.name)
    rows = asset.add_batch_definition_whole_dataframe("all")
    declared = context.suites.add(gx.ExpectationSuite(name=suite.name, expectations=list(suite.expectations)))
    definition = context.validation_definitions.add(gx.ValidationDefinition(name=suite.name, data=rows, suite=declared))
    validation = definition.run(
        batch_parameters={"dataframe": frame},
        result_format={"result_format": "SUMMARY", "partial_unexpected_count": 5},
        run_id=RunIdentifier(run_name=release_id),
    )
    for result in validation.results:
        yield check_of(suite, result)


def check_of(suite: Suite, result: Any) -> Check:
    """One result of Great Expectations as a check of ours."""
    config = result.expectation_config
    problem = exception_of(result.exception_info)
    return Check(
        suite=suite.name,
        expectation=config.type,
        column=column_of(config.kwargs),
        success=bool(result.success) and problem is None,
        observed=(f"not evaluated: {problem}" if problem is not None else observed_of(result.result))[:LONGEST],
        executed=problem is None,
        level=suite.level_of(config.type),
        severity=suite.severity,
        limit=limit_of(config.kwargs),
    )


def exception_of(info: Any) -> str | None:
    """The message of an exception inside an expectation, however deep it is kept."""
    if not isinstance(info, dict):
        return None
    if info.get("raised_exception"):
        return first_line(info.get("exception_message") or "unknown error")
    return next((found for value in info.values() if (found := exception_of(value)) is not None), None)


def column_of(kwargs: dict[str, Any]) -> str | None:
    """The column or columns that an expectation is about."""
    if "column" in kwargs:
        return str(kwargs["column"])
    return ", ".join(kwargs["column_list"]) if "column_list" in kwargs else None


def limit_of(kwargs: dict[str, Any]) -> str:
    """What an expectation allows: its parameters but for the column it is about."""
    allowed = {key: value for key, value in kwargs.items() if key not in ("column", "column_list", "batch_id")}
    return json.dumps(allowed, ensure_ascii=False, sort_keys=True)


def observed_of(result: dict[str, Any]) -> str:
    """What was seen, for a person."""
    if "observed_value" in result:
        return str(result["observed_value"])
    count, total = result.get("unexpected_count", 0), result.get("element_count", 0)
    if not count:
        return f"0 of {total} rows"
    examples = "; ".join(map(example, result.get("partial_unexpected_list") or []))
    return f"{count} of {total} rows" + (f": {examples}" if examples else "")


def example(value: Any) -> str:
    """One refused value or key."""
    return " ".join(map(str, value.values())) if isinstance(value, dict) else str(value)


def not_evaluated(suite: Suite, why: str) -> list[Check]:
    """The checks of a suite whose rows could not even be read."""
    return [
        Check(
            suite=suite.name,
            expectation=item.expectation_type,
            column=column_of(item.configuration.kwargs),
            success=False,
            observed=why[:LONGEST],
            executed=False,
            level=suite.level_of(item.expectation_type),
            severity=suite.severity,
            limit=limit_of(item.configuration.kwargs),
        )
        for item in suite.expectations
    ]


def first_line(error: object) -> str:
    """An error's message without its continuation lines."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def refusal(home: Home, verdict: Gate) -> str:
    """The message about a failed gate: which checks, and where the report is."""
    lines = [f"- {check.line()}" for check in verdict.failures[:SHOWN]]
    if len(verdict.failures) > SHOWN:
        lines.append(f"- and {len(verdict.failures) - SHOWN} more")
    if verdict.executed != verdict.declared:
        lines.append(f"- only {verdict.executed} of {verdict.declared} declared checks could be executed")
    head = (
        f"The gate refused candidate {verdict.release_id}: {len(verdict.failures)} of {verdict.declared} checks failed"
    )
    return "\n".join([head, *lines, f"Report: {report_file(home)}"])


def write_report(home: Home, verdict: Gate) -> None:
    """One self-contained page with every check, the failed ones first."""
    rows = sorted(verdict.checks, key=lambda check: check.success)
    body = "\n".join(report_row(check) for check in rows)
    title = f"Candidate {html.escape(verdict.release_id)}: {'passed' if verdict.passed else 'refused'}"
    page = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body{{font:15px/1.5 sans-serif;margin:2em}}td,th{{text-align:left;padding:.2em 1em .2em 0;vertical-align:top}}
.failed{{background:#fde8e8}}.warned{{background:#fdf6d8}}</style>
<h1>{title}</h1>
<p>{verdict.executed} of {verdict.declared} declared checks executed, {len(verdict.failures)} failed.
Candidate SHA-256 {verdict.candidate_sha256}.</p>
<table><tr><th>Verdict<th>Level<th>Suite<th>Expectation<th>Column<th>Observed</tr>
{body}
</table></html>
"""
    with replacing(report_file(home)) as temporary:
        temporary.write_text(page, encoding="utf-8")


def report_row(check: Check) -> str:
    """One check as a row of the report."""
    verdict = "passed" if check.success else "failed" if check.refuses else "warned"
    cells = (verdict, str(check.level), check.suite, check.expectation, check.column or "", check.observed)
    return f'<tr class="{verdict}">' + "".join(f"<td>{html.escape(cell)}" for cell in cells) + "</tr>"
