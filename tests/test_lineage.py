"""OpenLineage events: a receiver that is a file gets them from a whole run, and without a receiver there are none."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import accounts
import pytest

from hfc import lineage, pipeline
from hfc.home import GateFailed, Home


@pytest.fixture
def receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that gets one event a line."""
    file = tmp_path / "events.jsonl"
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "file")
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__LOG_FILE_PATH", str(file))
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__APPEND", "true")
    return file


def received(file: Path) -> list[dict[str, Any]]:
    """The events, in order."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def names(datasets: list[dict[str, Any]]) -> set[str]:
    return {dataset["name"] for dataset in datasets}


def test_a_run_tells_what_it_read_and_what_it_published(tmp_path: Path, receiver: Path) -> None:
    home, landing = Home(tmp_path / "home"), tmp_path / "landing"
    accounts.land_reference(landing)
    release = pipeline.run(home, landing).release
    assert release
    events = received(receiver)
    steps = [("build", "START"), ("build", "COMPLETE"), ("gate", "START"), ("gate", "COMPLETE"),
             ("publish", "START"), ("publish", "COMPLETE")]  # fmt: skip
    assert [(event["job"]["name"], event["eventType"]) for event in events] == steps
    assert {event["job"]["namespace"] for event in events} == {"hfc"}
    assert all(
        start["run"]["runId"] == end["run"]["runId"] for start, end in zip(events[::2], events[1::2], strict=True)
    )

    feeds = {"lake.value_added_accounts", "lake.value_added_indicators", "lake.price_indices"}
    built, published = events[1], events[5]
    assert names(built["inputs"]) == feeds and names(built["outputs"]) == {"warehouse.candidate"}
    assert names(published["inputs"]) == feeds | {"warehouse.candidate"}
    manifest = json.loads((release.path / "manifest.json").read_text(encoding="utf-8"))
    rows = {
        d["name"].removeprefix("published."): d["outputFacets"]["outputStatistics"]["rowCount"]
        for d in published["outputs"]
    }
    assert rows == {name: table["rows"] for name, table in manifest["tables"].items()}
    assert {d["facets"]["version"]["datasetVersion"] for d in published["outputs"]} == {release.release_id}
    assert "made_up" not in receiver.read_text(encoding="utf-8"), "the name of a delivery's file"


def test_a_feeds_version_follows_from_the_bytes_of_what_was_loaded() -> None:
    first, second = ({"feed": "f", "sha256": digest, "outcome": "loaded"} for digest in ("1", "2"))
    rejected = {"feed": "f", "sha256": "3", "outcome": "rejected"}
    (dataset,) = lineage.feeds([first, second])
    assert dataset.files == 2
    assert lineage.feeds([rejected, second, first]) == [dataset]
    assert lineage.feeds([first]) != [dataset]


def test_a_failure_tells_its_kind_and_not_its_words(receiver: Path) -> None:
    with pytest.raises(GateFailed), lineage.step("gate") as step:
        step.reads += lineage.candidate("r1")
        raise GateFailed("voucher 12345 was seen twice")
    assert [event["eventType"] for event in received(receiver)] == ["START", "FAIL"]
    text = receiver.read_text(encoding="utf-8")
    assert "GateFailed" in text and "12345" not in text


def test_a_receiver_out_of_reach_is_a_warning(
    receiver: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__LOG_FILE_PATH", str(receiver.parent))  # a folder, not a file
    with caplog.at_level(logging.WARNING), lineage.step("build") as step:
        step.writes += lineage.candidate("r1")
    assert "An OpenLineage event about build was not sent" in caplog.text


def test_without_a_receiver_there_are_no_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def refuse(*_: object) -> None:
        raise AssertionError("an event")

    monkeypatch.setattr(lineage, "send", refuse)
    with lineage.step("build") as step:
        step.reads += lineage.candidate("r1")
    assert not list(tmp_path.iterdir())
