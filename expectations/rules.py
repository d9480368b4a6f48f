"""The declared rules of the gate, derived from where they stand: the suites of expectations, and dbt's manifest.

What is declared is what the ledger has to hold, and what `expectations/README.md` lists.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from expectations.suite import Suite

# When a rule is judged; one process judges all three.
POINTS = {
    "batch": "each delivery as it came in, against its feed's contract and its earlier deliveries",
    "candidate": "the tables of the candidate",
    "release": "the candidate against the release before it",
}


@dataclass(frozen=True)
class Rule:
    """One declared check: what it is about and says, its validation level (see `expectations.suite.LEVELS`), its
    severity (block or warn), its parameters as JSON, and the file that declares it."""

    suite: str
    expectation: str
    column: str | None
    point: str
    level: int
    severity: str
    limit: str
    says: str
    declared_in: str

    @property
    def check_id(self) -> str:
        """Identifier of the rule and of its check: suite, rule and column."""
        return "/".join(filter(None, (self.suite, self.expectation, self.column)))


def rules_of_suites(suites: Iterable[Suite]) -> list[Rule]:
    """A rule for each expectation of the suites, in their order."""
    return [rule_of(suite, item.configuration) for suite in suites for item in suite.expectations]


def rule_of(suite: Suite, config: Any) -> Rule:
    """The rule that one expectation of a suite declares, by its configuration."""
    kwargs = config.kwargs
    return Rule(
        suite=suite.name,
        expectation=config.type,
        column=column_of(kwargs),
        point=suite.point,
        level=suite.level_of(config.type),
        severity=suite.severity,
        limit=limit_of(kwargs),
        says=config.notes or _in_words(config.type, kwargs),
        declared_in=f"expectations/{suite.declared_in}",
    )


def column_of(kwargs: dict[str, Any]) -> str | None:
    """The column or columns that an expectation is about."""
    if "column" in kwargs:
        return str(kwargs["column"])
    return ", ".join(kwargs["column_list"]) if "column_list" in kwargs else None


def limit_of(kwargs: dict[str, Any]) -> str:
    """What an expectation allows: its parameters but for the column it is about."""
    allowed = {key: value for key, value in kwargs.items() if key not in ("column", "column_list", "batch_id")}
    return json.dumps(allowed, ensure_ascii=False, sort_keys=True)


def _in_words(kind: str, kwargs: dict[str, Any]) -> str:
    """What an expectation says that explains itself."""
    column = f"`{column_of(kwargs)}`"
    match kind:
        case "expect_column_values_to_not_be_null":
            return f"{column} is never empty."
        case "expect_column_values_to_be_in_set":
            return f"{column} is one of {', '.join(map(str, kwargs['value_set']))}."
        case "expect_column_values_to_match_regex":
            return f"{column} has the form `{kwargs['regex']}`."
        case "expect_column_values_to_be_unique" | "expect_compound_columns_to_be_unique":
            return f"No two rows have the same {column}."
        case "expect_table_row_count_to_equal":
            return f"The table has {kwargs['value']} rows."
        case "expect_table_columns_to_match_ordered_list":
            return f"The columns are {column}, in this order."
        case "expect_column_values_to_be_between":
            return f"{column} lies between {kwargs.get('min_value', '-∞')} and {kwargs.get('max_value', '∞')}."
    raise ValueError(f"The rule {kind} of {column} has to say in its notes what it is about")


def rules_of_dbt(tests: Iterable[dict[str, Any]]) -> list[Rule]:
    """A rule for each data test of dbt, by name, from the tests' nodes in its manifest."""
    return [rule_of_test(node) for node in sorted(tests, key=lambda node: str(node["name"]))]


def rule_of_test(node: dict[str, Any]) -> Rule:
    """The rule that one data test of dbt declares; it says its point and level in `meta`, or by what it looks at."""
    meta = node["config"].get("meta") or {}
    kind = (node.get("test_metadata") or {}).get("name", "singular")
    delivered = all(table.startswith("source.") for table in node["depends_on"]["nodes"])
    is_format = kind in ("not_null", "never_null", "accepted_values") and not _is_named(node, kind)
    return Rule(
        suite="dbt",
        expectation=node["name"],
        column=node.get("column_name"),
        point=meta.get("point", "batch" if delivered else "candidate"),
        level=meta.get("level", 0 if is_format else 1),
        severity="warn" if node["config"]["severity"].lower() == "warn" else "block",
        limit='{"rows": 0}',
        says=_test_in_words(node, kind),
        declared_in=f"dbt_project/{node['original_file_path']}",
    )


def _test_in_words(node: dict[str, Any], kind: str) -> str:
    """What a test says: a singular one in its leading comment, a named one by its name, the others by their kind."""
    if kind == "singular":
        comment = re.match(r"(?:\{\{.*?\}\}\s*)?((?:--.*\n)+)", node["raw_code"])
        if comment is None:
            raise ValueError(f"The test {node['name']} has to say in its first comment what it is about")
        return " ".join(line.lstrip("- ") for line in comment.group(1).splitlines())
    arguments = node["test_metadata"]["kwargs"]
    table = _table(node)
    column = f"`{table}`.`{_one_line(arguments['column_name'])}`" if "column_name" in arguments else f"`{table}`"
    where = f", where {node['config']['where']}" if node["config"].get("where") else ""
    if _is_named(node, kind):
        return f"`{table}`: {node['name'].replace('_', ' ')}{where}."
    match kind:
        case "not_null":
            return f"{column} is never empty{where}."
        case "never_null":
            return f"{column}: none of {', '.join(arguments['columns'])} is ever empty{where}."
        case "unique_each":
            return f"{column}: none of {', '.join(arguments['columns'])} is ever the same in two rows{where}."
        case "unique":
            return f"{column} is never the same in two rows{where}."
        case "accepted_values":
            return f"{column} is one of {', '.join(map(str, arguments['values']))}{where}."
        case "relationships":
            return f"{column} is found in {arguments['to']}, `{_one_line(arguments['field'])}`{where}."
    return f"{column}: {kind.replace('_', ' ')}{where}."


def _is_named(node: dict[str, Any], kind: str) -> bool:
    """Whether a generic test has a name of its own, which says what it is about."""
    return not node["name"].startswith((f"{kind}_", f"source_{kind}_"))


def _table(node: dict[str, Any]) -> str:
    """The model, seed or source that a generic test stands at."""
    at = node.get("attached_node") or node["depends_on"]["nodes"][0]
    return str(at).split(".", 2)[2]


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
