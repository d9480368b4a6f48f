"""What a release says of its own making, for its manifest: the seeds, the releases of the past, the models."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from hfc.home import SEEDS, sha256_of

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest


def seed_digests() -> dict[str, str]:
    """SHA-256 of every seed by its name."""
    return {path.stem: sha256_of(path) for path in sorted(SEEDS.glob("*.csv"))}


def history(released: Mapping[date, Path], as_of: date) -> list[dict[str, str]]:
    """The releases whose observations are the past of a release for `as_of`, oldest first."""
    return [
        {"as_of": day.isoformat(), "release_id": path.parents[1].name, "sha256": sha256_of(path)}
        for day, path in sorted(released.items())
        if day < as_of
    ]


def lineage(manifest: Manifest) -> dict[str, list[str]]:
    """What each model, seed and source reads directly, as `schema.name`, by dbt's manifest."""
    nodes = {**manifest.nodes, **manifest.sources}
    names = {
        identifier: f"{node.schema}.{getattr(node, 'alias', node.name)}"
        for identifier, node in nodes.items()
        if node.resource_type in ("model", "seed", "source")
    }
    found = {}
    for identifier, name in sorted(names.items(), key=lambda item: item[1]):
        read = getattr(nodes[identifier], "depends_on_nodes", [])
        found[name] = sorted({names[parent] for parent in read})
    return found
