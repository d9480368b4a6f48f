"""The gate: judge the candidate by every declared expectation, and record the verdict.

The verdict names the exact bytes that were judged; publication accepts no others. A candidate is refused when a check
that blocks fails, or one could not be evaluated; it is held when only warnings failed, until a person approves it.
"""

from __future__ import annotations

import html
import json
import logging
import os
import shutil
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from expectations.rules import Rule, column_of, rules_of_suites
from expectations.suite import Suite
from hfc.home import (
    TEMPORARY_SUFFIX,
    DiskTrouble,
    GateFailed,
    GateHeld,
    HfcError,
    Home,
    UsageError,
    on_disk,
    replacing,
    sha256_of,
    write_json,
)

SHOWN = 20
LONGEST = 300


@dataclass(frozen=True)
class Check:
    """The verdict on one declared check; `executed` is false when it could not be evaluated.

    Of its rule (see `expectations.rules`) it has the level, the severity, the limit and the point; `approval` is the
    decision in an earlier release to let this warning pass, with this very observation.
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
    point: str = "candidate"
    approval: dict[str, str] | None = None

    @classmethod
    def of(cls, rule: Rule, success: bool, observed: str, executed: bool = True) -> Check:
        """The verdict on a rule."""
        named = rule.suite, rule.expectation, rule.column
        return cls(*named, success, observed, executed, rule.level, rule.severity, rule.limit, rule.point)

    @property
    def check_id(self) -> str:
        """Identifier of the check: suite, rule and column."""
        return "/".join(filter(None, (self.suite, self.expectation, self.column)))

    @property
    def refuses(self) -> bool:
        """Whether this check stops the candidate: what was not executed does, whatever its severity."""
        return not self.executed or (not self.success and self.severity == "block")

    @property
    def holds(self) -> bool:
        """Whether a person has to decide: a warning that nobody has approved yet."""
        return not self.success and not self.refuses and self.approval is None

    def line(self) -> str:
        """The check in one line for a person."""
        return f"{self.suite}: {self.expectation}{f' {self.column}' if self.column else ''}: {self.observed}"


@dataclass(frozen=True)
class Gate:
    """The verdict on a candidate: `passed`, `held`, or refused, which is neither."""

    release_id: str
    candidate_sha256: str
    passed: bool
    checks: list[Check]
    declared: int
    executed: int
    held: bool = False

    @property
    def complete(self) -> bool:
        """Whether the verdict still holds every check that was declared."""
        return len(self.checks) == self.declared == self.executed

    @property
    def failures(self) -> list[Check]:
        """The checks that refused the candidate."""
        return [check for check in self.checks if check.refuses]

    @property
    def warnings(self) -> list[Check]:
        """The checks that hold the candidate."""
        return [check for check in self.checks if check.holds]


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


def gate(home: Home, approved: Mapping[tuple[str, str], dict[str, str]] = MappingProxyType({})) -> Gate:
    """Judge the candidate, write the verdict and the report.

    `approved` holds the decisions that the release before was published with, by check and what was observed: such a
    warning holds nobody again.

    Raises:
        GateHeld: only warnings failed; `expectations.approval.approve` lets the candidate pass.
        GateFailed: a check refused the candidate, or was not evaluated.
    """
    build = candidate_build(home)
    release_id = str(build["release_id"])
    gate_file(home).unlink(missing_ok=True)
    digest = sha256_of(home.candidate)
    suites = declared_suites(release_id)
    declared = [*build["tests_declared"], *(rule.check_id for rule in rules_of_suites(suites))]
    checks = [*(Check(**test) for test in build["tests"]), *judge(home, suites, release_id)]
    verdict = conclude(release_id, digest, declared, [carrying(check, approved) for check in checks])
    write_report(home, verdict)
    write_json(gate_file(home), asdict(verdict))
    if verdict.held:
        raise GateHeld(refusal(home, verdict))
    if not verdict.passed:
        raise GateFailed(refusal(home, verdict))
    return verdict


def carrying(check: Check, approved: Mapping[tuple[str, str], dict[str, str]]) -> Check:
    """A check with the decision on it, if it is a warning that was approved before."""
    return check if check.success else replace(check, approval=approved.get((check.check_id, check.observed)))


def last_verdict(home: Home) -> Gate:
    """What the gate said last.

    Raises:
        UsageError: it has not judged the candidate since it was built.
    """
    if not gate_file(home).is_file():
        raise UsageError(f"The candidate in {home.warehouse} has no verdict: run hfc gate first")
    kept = json.loads(gate_file(home).read_text(encoding="utf-8"))
    return Gate(**{**kept, "checks": [Check(**check) for check in kept["checks"]]})


def declared_suites(release_id: str) -> list[Suite]:
    """Every suite that a candidate has to pass."""
    prepare()
    from expectations import (
        batches,
        deliveries,
        duties,
        observations,
        official,
        plan,
        public_series,
        revisions,
        value_added,
    )

    return [
        *batches.suites(),
        *observations.suites(),
        *plan.suites(),
        *duties.suites(),
        *official.suites(),
        *deliveries.suites(release_id),
        *public_series.suites(),
        *value_added.suites(),
        *revisions.suites(),
    ]


def prepare() -> None:
    """Settings that have to stand before Great Expectations is imported."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"


def conclude(release_id: str, digest: str, declared: list[str], checks: list[Check]) -> Gate:
    """The verdict: exactly the checks that were declared, by their ids, were executed, each once; nothing refuses the
    candidate, and nothing holds it."""
    ledger = Counter(check.check_id for check in checks if check.executed)
    executed = (ledger & Counter(declared)).total()
    complete = bool(declared) and ledger == Counter(declared)
    acceptable = complete and not any(check.refuses for check in checks)
    held = acceptable and any(check.holds for check in checks)
    return Gate(release_id, digest, acceptable and not held, checks, len(declared), executed, held)


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
                with on_disk(home.warehouse):
                    frame = connection.execute(suite.query).df()
                    checks += evaluate(context, suite, frame, release_id)
            except DiskTrouble:
                raise
            except Exception as error:  # whatever else stops a suite: its checks did not run, and that refuses
                checks += not_evaluated(suite, error)
    write_docs(context, building)
    shutil.rmtree(docs_folder(home), ignore_errors=True)
    os.replace(building, docs_folder(home))
    return checks


def write_docs(context: Any, folder: Path) -> None:
    """Write the Data Docs. Great Expectations only logs that a page could not be written, and goes on without it.

    Raises:
        DiskTrouble: the disk is full or broken.
    """
    failed: list[OSError] = []

    def is_of_something_else(_: logging.LogRecord) -> bool:
        if isinstance(error := sys.exc_info()[1], OSError):
            failed.append(error)
            return False
        return True

    log = logging.getLogger("great_expectations.render.renderer.site_builder")
    log.addFilter(is_of_something_else)
    try:
        with on_disk(folder):
            context.build_data_docs()
            if failed:
                raise failed[0]
    finally:
        log.removeFilter(is_of_something_else)


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


def evaluate(context: Any, suite: Suite, frame: Any, release_id: str) -> list[Check]:
    """The verdicts of one suite on its rows; the context keeps them for the Data Docs."""
    import great_expectations as gx
    from great_expectations.core.run_identifier import RunIdentifier

    # A person decides on all that a warning observed.
    shown = len(frame) if suite.severity == "warn" else 5
    asset = context.data_sources.get("candidate").add_dataframe_asset(suite.name)
    rows = asset.add_batch_definition_whole_dataframe("all")
    declared = context.suites.add(gx.ExpectationSuite(name=suite.name, expectations=list(suite.expectations)))
    definition = context.validation_definitions.add(gx.ValidationDefinition(name=suite.name, data=rows, suite=declared))
    validation = definition.run(
        batch_parameters={"dataframe": frame},
        result_format={"result_format": "SUMMARY", "partial_unexpected_count": shown},
        run_id=RunIdentifier(run_name=release_id),
    )
    rules = {(rule.expectation, rule.column): rule for rule in rules_of_suites([suite])}
    return [
        check_of(rules[result.expectation_config.type, column_of(result.expectation_config.kwargs)], result)
        for result in validation.results
    ]


def check_of(rule: Rule, result: Any) -> Check:
    """One result of Great Expectations as a check of ours."""
    problem = exception_of(result.exception_info)
    if problem is not None:
        return unexecuted(rule, problem)
    return Check.of(rule, bool(result.success), observed_of(result.result))


def unexecuted(rule: Rule, problem: str) -> Check:
    """The check of a rule that could not be evaluated."""
    return Check.of(rule, False, f"not evaluated: {problem}"[:LONGEST], executed=False)


def exception_of(info: Any) -> str | None:
    """The message of an exception inside an expectation, however deep it is kept."""
    if not isinstance(info, dict):
        return None
    if info.get("raised_exception"):
        return first_line(info.get("exception_message") or "unknown error")
    return next((found for value in info.values() if (found := exception_of(value)) is not None), None)


def observed_of(result: dict[str, Any]) -> str:
    """What was seen, for a person."""
    if "observed_value" in result:
        return str(result["observed_value"])
    count, total = result.get("unexpected_count", 0), result.get("element_count", 0)
    if not count:
        return f"0 of {total} rows"
    examples = "; ".join(example(value)[:LONGEST] for value in result.get("partial_unexpected_list") or [])
    return f"{count} of {total} rows" + (f": {examples}" if examples else "")


def example(value: Any) -> str:
    """One refused value or key."""
    return " ".join(map(str, value.values())) if isinstance(value, dict) else str(value)


def not_evaluated(suite: Suite, error: Exception) -> list[Check]:
    """The checks of a suite that raised, or whose rows could not even be read."""
    return [unexecuted(rule, first_line(error)) for rule in rules_of_suites([suite])]


def first_line(error: object) -> str:
    """An error's message without its continuation lines."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def refusal(home: Home, verdict: Gate) -> str:
    """The message about a candidate that did not pass: which checks, what may be done, and where the report is."""
    failed, did = (verdict.warnings, "holds") if verdict.held else (verdict.failures, "refused")
    lines = [f"- {check.line()}" for check in failed[:SHOWN]]
    if len(failed) > SHOWN:
        lines.append(f"- and {len(failed) - SHOWN} more")
    if verdict.executed != verdict.declared:
        lines.append(f"- only {verdict.executed} of {verdict.declared} declared checks could be executed")
    if verdict.held:
        lines.append("These are warnings: a person may let them pass with hfc publish --approve REASON")
    head = f"The gate {did} candidate {verdict.release_id}: {len(failed)} of {verdict.declared} checks failed"
    return "\n".join([head, *lines, f"Report: {report_file(home)}"])


def write_report(home: Home, verdict: Gate) -> None:
    """One self-contained page with every check, the failed ones first."""
    rows = sorted(verdict.checks, key=lambda check: check.success)
    body = "\n".join(report_row(check) for check in rows)
    word = "passed" if verdict.passed else "held" if verdict.held else "refused"
    title = f"Candidate {html.escape(verdict.release_id)}: {word}"
    page = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body{{font:15px/1.5 sans-serif;margin:2em}}td,th{{text-align:left;padding:.2em 1em .2em 0;vertical-align:top}}
.failed{{background:#fde8e8}}.warned{{background:#fdf6d8}}</style>
<h1>{title}</h1>
<p>{verdict.executed} of {verdict.declared} declared checks executed, {len(verdict.failures)} failed,
{len(verdict.warnings)} wait for a person.
Candidate SHA-256 {verdict.candidate_sha256}.</p>
<table><tr><th>Verdict<th>Point<th>Level<th>Suite<th>Expectation<th>Column<th>Observed</tr>
{body}
</table></html>
"""
    with replacing(report_file(home)) as temporary:
        temporary.write_text(page, encoding="utf-8")


def report_row(check: Check) -> str:
    """One check as a row of the report."""
    verdict = "passed" if check.success else "failed" if check.refuses else "warned"
    cells = (verdict, check.point, str(check.level), check.suite, check.expectation, check.column or "", check.observed)
    return f'<tr class="{verdict}">' + "".join(f"<td>{html.escape(cell)}" for cell in cells) + "</tr>"
