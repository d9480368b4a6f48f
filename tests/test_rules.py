"""The rule table: derived from where the rules stand, complete, and written down for readers."""

from __future__ import annotations

from typing import Any

import pytest

from expectations.gate import declared_suites
from expectations.rules import POINTS, Rule, rule_of_test, rules_of_dbt, rules_of_suites
from expectations.suite import LEVELS
from hfc.rules import PAGE, declared_tests, page


@pytest.fixture(scope="module")
def tests() -> list[dict[str, Any]]:
    """What dbt declares."""
    return declared_tests()


@pytest.fixture(scope="module")
def rules(tests: list[dict[str, Any]]) -> list[Rule]:
    """All rules of the gate."""
    return [*rules_of_suites(declared_suites("r1")), *rules_of_dbt(tests)]


def test_the_page_is_what_the_rules_say(tests: list[dict[str, Any]]) -> None:
    assert PAGE.read_text(encoding="utf-8") == page(tests), "make docs"


def test_every_level_and_point_has_a_rule(rules: list[Rule]) -> None:
    assert {rule.level for rule in rules} == set(range(len(LEVELS)))
    assert {rule.point for rule in rules} == set(POINTS)
    assert {(rule.point, rule.suite == "dbt") for rule in rules} == {(p, dbt) for p in POINTS for dbt in (True, False)}


def test_rules_have_an_id_of_their_own_and_few_ask_a_person(rules: list[Rule]) -> None:
    assert len({rule.check_id for rule in rules}) == len(rules)
    assert {rule.suite for rule in rules if rule.severity == "warn"} == {"batch.history", "value_added.discrepancy"}


def test_a_test_without_words_is_no_rule(tests: list[dict[str, Any]]) -> None:
    node = next(node for node in tests if node["name"] == "one_release")
    assert rule_of_test(node).says == "The database is one release."
    with pytest.raises(ValueError, match="one_release has to say"):
        rule_of_test(node | {"raw_code": "select 1"})
