"""The rule table for readers, expectations/README.md, written by `python -m hfc.rules` from where the rules stand.

The rules of a row are in the feeds' contracts, those of the gate in the suites of `expectations/` and in dbt's project.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from expectations.gate import declared_suites
from expectations.rules import POINTS, Rule, rules_of_dbt, rules_of_suites
from expectations.suite import LEVELS
from hfc.home import Home
from hfc.warehouse import code_version, data_tests, parsed
from ingest.columns import faults
from ingest.contract import RULES, load_contracts

PAGE = Path(__file__).parent.parent / "expectations" / "README.md"
_HEAD = """# Rules

Every rule that decides what is published. Written by `make docs` from the feeds' contracts, the suites in this folder
and the tests of dbt; nothing is edited here. What happens when one is broken:

| severity | |
|---|---|
| row | the row goes to quarantine, the rest of its delivery is loaded |
| block | the candidate is refused: nothing is published, and nobody can approve it |
| warn | the candidate is held: nothing is published until a person approves it, with a reason that is published too |

The gate counts: each rule of its tables has to have run exactly once, or the candidate is refused. `data_quality` of
every release holds the outcomes. [The runbook](../docs/runbook.md) says what to do.
"""
_FORM_RULES = ("required", "number", "date", "period", "enum", "format", "uscc_format")


def page(tests: list[dict[str, Any]]) -> str:
    """The text of the page, from dbt's data tests and the rest of the project."""
    rules = [*rules_of_suites(declared_suites("<release>")), *rules_of_dbt(tests)]
    levels = Counter(rule.level for rule in rules)
    lines = [_HEAD, "| level | compares | rules of the gate |", "|---|---|---|"]
    lines += [f"| {level} | {text} | {levels[level]} |" for level, text in enumerate(LEVELS)]
    lines += ["", *_rows_coming_in()]
    for point, text in POINTS.items():
        lines += [f"\n## {point.capitalize()}: {text}\n", *_table(rule for rule in rules if rule.point == point)]
    return "\n".join([*lines, ""])


def declared_tests() -> list[dict[str, Any]]:
    """The data tests that dbt's project declares, read without a warehouse."""
    with TemporaryDirectory() as home:
        return data_tests(parsed(Home(Path(home)), lambda _: None, code_version()))


def _rows_coming_in() -> Iterator[str]:
    """The rules of the contracts, in their order."""
    broken = {
        feed: {"conflicting_key", *(rule for rule, _, _ in faults(contract, {}))}
        for feed, contract in load_contracts().items()
    }
    yield "## Row: each row of a delivery, by the contract of its feed\n"
    yield "| rule | level | severity | in the contracts of |\n|---|---|---|---|"
    for rule in RULES:
        feeds = [f"[{feed}](../docs/feeds/{feed}.md)" for feed, rules in broken.items() if rule in rules]
        level = 0 if rule in _FORM_RULES else 1
        yield f"| [`{rule}`](../docs/errors/{rule}.md) | {level} | row | {', '.join(feeds)} |"


def _table(rules: Iterable[Rule]) -> Iterator[str]:
    """A row for each rule."""
    yield "| rule | level | severity | says | declared in |\n|---|---|---|---|---|"
    for rule in sorted(rules, key=lambda rule: (rule.suite == "dbt", rule.check_id)):
        cells = (
            f"`{rule.check_id}`",
            str(rule.level),
            rule.severity,
            rule.says,
            f"[{rule.declared_in}](../{rule.declared_in})",
        )
        yield f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |"


def main() -> None:
    PAGE.write_text(page(declared_tests()), encoding="utf-8")


if __name__ == "__main__":
    main()
