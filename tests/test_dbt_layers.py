"""How the models hang together: layers, names, descriptions, keys, exposures (the rules of dbt-project-evaluator)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest

from hfc.warehouse import PROJECT

LAYERS = ("staging", "intermediate", "published")
PREFIXES = {"staging": "stg_", "intermediate": "int_", "published": ""}
# What every layer may read: the release being built, its deliveries, what a contract says of its feed, and the past.
OPEN_SOURCES = {"context", "delivery", "feed", "released_observation"}
# What a build carries over of the one before, and the rows that this leaves to be counted.
CARRIED_SOURCES = {
    "tax_counted",
    "tax_uncounted",
    "stg_tax_collections_repeated",
    "int_tax_window",
    "int_tax_taxpayer",
    "int_tax_delivered_cell",
    "int_tax_measured",
}
# The raw rows of public series have no key of their own; a table of one row is held by one_release; a key of ten million
# vouchers is held where it can break, by the vouchers that stand in several deliveries.
KEYLESS = {"stg_public_series_rows", "release", "stg_tax_collections"}
# Growth of a quarter is joined with the levels that were made of the same quarters; tax that moved or was superseded
# with what its taxpayer counts as; its months and levels with the cells that they were made of, and contributions with
# the series that they were made for; what was revised with the notes that explain it, which are published for their own
# sake.
REJOINING = {
    "int_value_added",
    "int_tax_delivered_cell",
    "int_tax_cell",
    "int_tax_measured",
    "int_tax_metric_monthly",
    "metric_revision",
}


@dataclass(frozen=True)
class Model:
    """What the rules look at."""

    name: str
    layer: str
    models: set[str] = field(default_factory=set)
    sources: set[str] = field(default_factory=set)
    described: bool = True
    keyed: bool = True


Project = dict[str, Model]


def reads_sources_above_staging(project: Project) -> Iterator[str]:
    return (m.name for m in project.values() if m.layer != "staging" and m.sources - OPEN_SOURCES - CARRIED_SOURCES)


def depends_on_a_higher_layer(project: Project) -> Iterator[str]:
    rank = LAYERS.index
    return (m.name for m in project.values() for p in m.models if rank(project[p].layer) > rank(m.layer))


def is_named_unlike_its_layer(project: Project) -> Iterator[str]:
    others = tuple(prefix for prefix in PREFIXES.values() if prefix)
    for model in project.values():
        prefix = PREFIXES[model.layer]
        if not model.name.startswith(prefix) or (not prefix and model.name.startswith(others)):
            yield model.name


def lacks_a_description(project: Project) -> Iterator[str]:
    return (m.name for m in project.values() if not m.described)


def lacks_a_test_of_its_key(project: Project) -> Iterator[str]:
    """Of what readers see, and of the rows that everything is computed from; versions are numbered within their key."""
    for model in project.values():
        exempt = model.name in KEYLESS or model.name.endswith("_versions") or model.layer == "intermediate"
        if not model.keyed and not exempt:
            yield model.name


def rejoins_what_only_it_uses(project: Project) -> Iterator[str]:
    """A model that joins a parent with that parent's own parent, where nobody else uses the one between."""
    for model in project.values():
        for between in model.models:
            users = [m for m in project.values() if between in m.models]
            if model.models & project[between].models and len(users) == 1 and model.name not in REJOINING:
                yield model.name


RULES: tuple[Callable[[Project], Iterator[str]], ...] = (
    reads_sources_above_staging,
    depends_on_a_higher_layer,
    is_named_unlike_its_layer,
    lacks_a_description,
    lacks_a_test_of_its_key,
    rejoins_what_only_it_uses,
)
STAGED = Model("stg_a", "staging", sources={"a"})
SOUND = {
    "stg_a": STAGED,
    "int_b": Model("int_b", "intermediate", models={"stg_a"}, sources={"context"}),
    "int_c": Model("int_c", "intermediate", models={"int_b", "stg_a"}),
    "d": Model("d", "published", models={"int_c"}),
    "e": Model("e", "published", models={"int_b", "int_c"}),
}
FAULTS = {
    "reads_sources_above_staging": {"d": replace(SOUND["d"], sources={"a"})},
    "depends_on_a_higher_layer": {"stg_a": replace(STAGED, models={"int_b"})},
    "is_named_unlike_its_layer": {"d": replace(SOUND["d"], name="int_d")},
    "lacks_a_description": {"d": replace(SOUND["d"], described=False)},
    "lacks_a_test_of_its_key": {"d": replace(SOUND["d"], keyed=False)},
    "rejoins_what_only_it_uses": {"d": replace(SOUND["d"], models={"int_b"})},
}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    target = str(tmp_path_factory.mktemp("parsed"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HFC_CANDIDATE", f"{target}/none.duckdb")
        options = ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
        parsed = dbtRunner().invoke(["--quiet", "parse", *options, "--target-path", target, "--log-path", target])
    assert isinstance(parsed.result, Manifest)
    return parsed.result


@pytest.fixture(scope="module")
def project(manifest: Manifest) -> Project:
    tests = [node for node in manifest.nodes.values() if node.resource_type == "test"]
    generic = [test for test in tests if getattr(test, "test_metadata", None)]
    keyed = {test.attached_node for test in generic if test.test_metadata.name in ("unique", "unique_each")}
    return {
        node.name: Model(
            node.name,
            Path(node.path).parts[0],
            {manifest.nodes[p].name for p in node.depends_on.nodes if p.startswith("model.")},
            {manifest.sources[p].name for p in node.depends_on.nodes if p.startswith("source.")},
            bool(node.description.strip()),
            node.unique_id in keyed,
        )
        for node in manifest.nodes.values()
        if node.resource_type == "model"
    }


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_no_model_breaks_the_rule(project: Project, rule: Callable[[Project], Iterator[str]]) -> None:
    assert len(project) > 30 and sorted(rule(project)) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_finds_its_fault(rule: Callable[[Project], Iterator[str]]) -> None:
    assert list(rule(SOUND)) == []
    assert list(rule(SOUND | FAULTS[rule.__name__])) != []


def test_every_seed_source_and_published_column_is_described(manifest: Manifest) -> None:
    nodes = [*manifest.nodes.values(), *manifest.sources.values()]
    kinds = ("model", "seed", "source")
    assert [node.name for node in nodes if node.resource_type in kinds and not node.description] == []
    published = [n for n in manifest.nodes.values() if n.resource_type == "model" and n.schema == "published"]
    assert [f"{n.name}.{c.name}" for n in published for c in n.columns.values() if not c.description] == []
    assert published and all(node.contract.enforced for node in published)


def test_every_published_table_is_in_the_release_files(manifest: Manifest) -> None:
    published = {n.unique_id for n in manifest.nodes.values() if n.resource_type == "model" and n.schema == "published"}
    exposed = {exposure.name: set(exposure.depends_on.nodes) for exposure in manifest.exposures.values()}
    assert exposed["release_files"] == published
    assert set.union(*exposed.values()) == published
