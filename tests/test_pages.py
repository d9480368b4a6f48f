"""The pages for readers say what the code says: the feeds' pages are generated, the errors' pages are complete."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest import pages
from ingest.contract import RULES, load_contracts

ROOT = Path(__file__).parent.parent
ERRORS = ROOT / "docs" / "errors"
RAISED = ("Unreadable", "UsageError")


def test_the_feeds_pages_are_what_the_contracts_give() -> None:
    generated = pages.pages()
    differing = [path.name for path, text in generated.items() if path.read_text(encoding="utf-8") != text]
    assert differing == [], "run make docs"
    assert set(generated) == set(pages.FOLDER.glob("*.md")), "a page of no feed"


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("due_date", {"header": "完成日期"}),
        ("due_date", {"aliases": ["完成期限"]}),
        ("due_date", {"optional": False}),
        ("due_date", {"not_after_publication": True}),
        ("status", {"values": {"done": "办结"}}),
        ("progress_pct", {"unit": "‰"}),
        ("progress_pct", {"maximum": 120}),
        ("progress_pct", {"type": "integer"}),
        ("evidence", {"required_when": {"status": ["blocked"]}}),
        ("evidence", {"pattern": "[0-9]+"}),
    ],
)
def test_a_page_shows_a_change_of_its_contract(column: str, change: dict[str, object]) -> None:
    contract = load_contracts()["duty_reports"]
    columns = [c.model_copy(update=change) if c.id == column else c for c in contract.columns]
    changed = contract.model_copy(update={"columns": columns})
    assert pages.page(changed, pages.FOLDER) != pages.page(contract, pages.FOLDER)


def links(page: Path) -> Iterator[Path]:
    without_code = re.sub("`[^`]*`", "", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)#:]+)\)", without_code):
        yield page.parent / target


@pytest.mark.parametrize("folder", ["docs/feeds", "docs/errors"])
def test_links_lead_somewhere(folder: str) -> None:
    assert [
        target for page in sorted((ROOT / folder).glob("*.md")) for target in links(page) if not target.exists()
    ] == []


def test_every_error_page_is_in_the_index() -> None:
    listed = {target.name for target in links(ERRORS / "README.md")}
    assert {page.name for page in ERRORS.glob("*.md")} - {"README.md"} <= listed


def template(node: ast.AST) -> str | None:
    """A text of the source, … where a value is filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    return None


def texts(node: ast.AST) -> Iterator[str]:
    """Every text below a node, those that f-strings and subscripts consist of left out."""
    if (text := template(node)) is not None:
        yield text.strip()
    elif not isinstance(node, ast.Subscript):
        for child in ast.iter_child_nodes(node):
            yield from texts(child)


def messages(source: str) -> set[str]:
    """What a module can refuse a delivery or a command with."""
    tree = ast.parse(source)
    found = {text for text in texts(tree) if re.match("(unreadable|empty|missing)[: ]", text)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in RAISED:
            found |= {text for argument in node.args for text in texts(argument)}
    return {text for text in found if re.sub("^unreadable: |…", "", text)}


def explained() -> set[str]:
    """The messages that the pages quote, each in a list item of its own."""
    found = (re.findall(r"^- `(.*)`$", page.read_text(encoding="utf-8"), re.MULTILINE) for page in ERRORS.glob("*.md"))
    return {message for quoted in found for message in quoted}


def test_every_rule_and_every_message_has_a_page() -> None:
    assert {rule for rule in (*RULES, "rejected_delivery") if not (ERRORS / f"{rule}.md").exists()} == set()
    sources = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "ingest").rglob("*.py"))]
    assert set().union(*map(messages, sources)) - explained() == set()
    everything = {text for source in sources for text in texts(ast.parse(source))}
    assert explained() - everything == set(), "a page quotes what nothing says any more"


def test_a_message_without_a_page_is_noticed() -> None:
    source = 'def f(x):\n    raise Unreadable(f"unreadable: the {x} is gone" if x else "unreadable: gone")\n'
    assert messages(source) - explained() == {"unreadable: the … is gone", "unreadable: gone"}
