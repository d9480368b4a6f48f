"""The way from a feed to a published metric through dbt's models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hfc import carried

TARGET = "published.metric_observation"
LAYERS = ("lake", "staging", "intermediate", "published")


def model_path(parents: Mapping[str, list[str]], model: str, feeds: Iterable[str]) -> list[str]:
    """The sources and models between feeds and the published table that go through `model`, in the order of layers.

    `parents` says what each model reads directly (the lineage of a release's manifest).
    """
    children: dict[str, list[str]] = {}
    for name, read in parents.items():
        for parent in read:
            children.setdefault(parent, []).append(name)
    above = {model} | reached(parents, [model])
    below = {model} | reached(children, [model])
    sources = {f"lake.{feed}" for feed in feeds}
    # The models read the tax feed in parts: what the build before has counted, and the rest.
    parts = {name for name in parents if name.startswith("carried.") and f"lake.{carried.FEED}" in sources}
    from_feeds = sources | parts | reached(children, [*sources, *parts])
    to_target = {TARGET} | reached(parents, [TARGET])
    path = (sources | (above & from_feeds) | (below & to_target)) - parts
    depth = {name: len(reached(parents, [name]) & path) for name in path}
    return sorted(path, key=lambda name: (_layer(name), depth[name], name))


def _layer(name: str) -> int:
    schema = name.partition(".")[0]
    return LAYERS.index(schema) if schema in LAYERS else 0


def reached(edges: Mapping[str, list[str]], starts: Iterable[str]) -> set[str]:
    """What can be reached from some names."""
    found: set[str] = set()
    waiting = list(starts)
    while waiting:
        for name in edges.get(waiting.pop(), ()):
            if name not in found:
                found.add(name)
                waiting.append(name)
    return found
