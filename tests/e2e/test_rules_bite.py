"""Every rule of the suites, broken in a candidate of simulated deliveries: the gate and the publication end with status 3,
and `current` keeps its bytes. So does a verdict that lacks a check, or has one twice.

`HFC_RULES_ALONE=1` breaks each rule in a candidate of its own, which takes minutes; without it several share one.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable
from itertools import zip_longest
from pathlib import Path
from typing import Any

import duckdb
import pytest

from expectations import gate as gates
from expectations.rules import Rule
from hfc import pipeline
from hfc.home import Home, write_json
from hfc.simulate import simulate
from tests.e2e.test_gates import command, released
from tests.test_dbt_project import REVISION
from tests.test_gate import declared, fault_of

ALONE = os.environ.get("HFC_RULES_ALONE") == "1"
NOT_NULL = "expect_column_values_to_not_be_null"


def together() -> list[list[Rule]]:
    """The declared rules by the candidate in which they are broken: all that forbid empty values in one, the others about
    format in one, of the rest one of each suite, and the warnings apart, since only they hold a candidate."""
    if ALONE:
        return [[rule] for rule in declared()]
    empty = [rule for rule in declared() if rule.expectation == NOT_NULL]
    form = [rule for rule in declared() if rule.level == 0 and rule not in empty]
    queues: dict[tuple[str, str], list[Rule]] = {}
    for rule in declared():
        if rule.level > 0:
            queues.setdefault((rule.severity, rule.suite), []).append(rule)
    turns = [
        [rule for rule in turn if rule]
        for severity in ("block", "warn")
        for turn in zip_longest(*(queue for (level, _), queue in queues.items() if level == severity))
    ]
    return [empty, form, *turns]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with a release, and a sound candidate of the next, whose tables take empty values."""
    home = Home(tmp_path_factory.mktemp("sound"))
    simulate(home.landing, months=12)
    pipeline.run(home, home.landing)
    build = json.loads((home.warehouse / "build.json").read_text(encoding="utf-8"))
    write_json(home.warehouse / "build.json", build | {"release_id": "next"})
    with duckdb.connect(str(home.candidate)) as candidate:
        tables = "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'published'"
        for (table,) in candidate.execute(tables).fetchall():
            candidate.execute(f"CREATE OR REPLACE TABLE published.{table} AS FROM published.{table}")
        candidate.execute("UPDATE published.release SET release_id = 'next';" + REVISION)
    shutil.copyfile(home.candidate, sound(home))
    return home


def sound(home: Home) -> Path:
    """Where the candidate that passes is kept."""
    return home.warehouse / "sound.duckdb"


def judge_candidate(home: Home, statements: Iterable[str] = ()) -> tuple[int, gates.Gate]:
    """The status of `hfc gate` on the sound candidate changed by the statements, and its verdict."""
    shutil.copyfile(sound(home), home.candidate)
    with duckdb.connect(str(home.candidate)) as candidate:
        for statement in statements:
            candidate.execute(statement)
    status, *_ = command("gate", home=home)
    return status, gates.last_verdict(home)


def test_each_declared_rule_is_broken_once() -> None:
    broken = [rule.check_id for rules in together() for rule in rules]
    assert sorted(broken) == sorted(rule.check_id for rule in declared())
    assert all(fault_of(rule) for rule in declared())


def test_the_sound_candidate_passes(home: Home) -> None:
    status, verdict = judge_candidate(home)
    assert status == 0 and verdict.passed and all(check.success for check in verdict.checks)
    assert verdict.release_id == "next" != home.current.resolve().name


@pytest.mark.parametrize("rules", together(), ids=lambda rules: rules[0].check_id)
def test_a_broken_rule_ends_with_status_3(home: Home, rules: list[Rule]) -> None:
    before = released(home)
    status, verdict = judge_candidate(home, [fault_of(rule)[0] for rule in rules])
    failed = {check.check_id for check in verdict.checks if check.executed and not check.success}
    assert {rule.check_id for rule in rules} - failed == set()
    assert status == command("publish", home=home)[0] == 3
    assert verdict.held == all(rule.severity == "warn" for rule in rules)
    assert released(home) == before


def test_a_check_that_is_missing_or_there_twice_refuses(home: Home) -> None:
    verdict = judge_candidate(home)[1]
    ids = [check.check_id for check in verdict.checks]
    assert gates.conclude("r", "0", ids, verdict.checks).passed
    for number, check in enumerate(verdict.checks):
        without = verdict.checks[:number] + verdict.checks[number + 1 :]
        for ledger in (without, [*verdict.checks, check]):
            judged = gates.conclude("r", "0", ids, ledger)
            assert not judged.passed and not judged.held, check.check_id


@pytest.mark.parametrize("change", [lambda rows: rows[1:], lambda rows: [*rows, rows[0]]], ids=["missing", "twice"])
def test_a_ledger_of_dbt_or_the_gate_that_was_changed_ends_with_status_3(
    home: Home, change: Callable[[list[Any]], list[Any]]
) -> None:
    before = released(home)
    assert judge_candidate(home)[0] == 0
    kept = json.loads(gates.gate_file(home).read_text(encoding="utf-8"))
    write_json(gates.gate_file(home), kept | {"checks": change(kept["checks"])})
    assert command("publish", home=home)[0] == 3
    record = home.warehouse / "build.json"
    build = json.loads(record.read_text(encoding="utf-8"))
    write_json(record, build | {"tests": change(build["tests"])})
    status = judge_candidate(home)[0]
    write_json(record, build)
    assert status == command("publish", home=home)[0] == 3
    assert released(home) == before


def test_a_suite_that_cannot_read_its_rows_ends_with_status_3(home: Home) -> None:
    before = released(home)
    status, verdict = judge_candidate(home, ["ALTER TABLE published.duty_board DROP COLUMN measures_en"])
    assert {check.suite for check in verdict.checks if not check.executed} == {"duty_board"}
    assert status == command("publish", home=home)[0] == 3
    assert released(home) == before
