"""Which releases may be removed, and what stays of them."""

from __future__ import annotations

import json
import os
from datetime import date
from pathlib import Path

import duckdb
import pytest

from hfc import pipeline
from hfc.home import Home, sha256_of
from publish import release as releases
from publish import retention
from publish.diff import difference
from tests.test_publish import make_candidate, pass_gate, published


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Three releases of one day and two of another; the day before's were published in between, `c` is current."""
    home = Home(tmp_path)
    for release_id, as_of in (("a", "2025-01-20"), ("b", "2025-01-20"), ("x", "2025-01-19"), ("y", "2025-01-19")):
        published(home, release_id, as_of)
    make_candidate(home, "c")
    build = json.loads((home.warehouse / "build.json").read_text(encoding="utf-8"))
    (home.warehouse / "build.json").write_text(json.dumps({**build, "previous_release_id": "b"}), encoding="utf-8")
    pass_gate(home)
    releases.publish(home)
    return home


def went(planned: list[retention.Retention]) -> list[str]:
    return sorted(entry.release_id for entry in planned if not entry.stays)


def test_only_replaced_releases_go_the_latest_of_them_last(home: Home) -> None:
    # c is current and the last of its day, y the last of its, b is what c replaced.
    assert went(retention.plan(home, 0)) == ["a", "x"]
    assert went(retention.plan(home, 1)) == ["a"]
    assert went(retention.plan(home, 2)) == []
    reasons = {entry.release_id: entry.reason for entry in retention.plan(home, 1)}
    assert reasons["c"] == "current" and reasons["y"].startswith("the last of 2025-01-19")
    assert reasons["b"] == "replaced by the current one" and reasons["a"] == "replaced by a later release of 2025-01-20"


def test_the_release_that_is_current_after_a_rollback_stays(home: Home) -> None:
    releases.rollback(home, "a")
    assert went(retention.plan(home, 0)) == ["b", "x"]


def test_a_plan_removes_nothing_and_what_goes_leaves_its_numbers(home: Home) -> None:
    before = releases.vintages(home)
    removed = {name: home.releases / name for name in ("a", "x")}
    digests = {name: sha256_of(releases.table_file(path, "metric_observation")) for name, path in removed.items()}
    retention.plan(home, 0)
    assert releases.release_ids(home) == ["a", "b", "c", "x", "y"]
    assert went(pipeline.retain(home, 0)) == ["a", "x"]
    assert releases.release_ids(home) == ["b", "c", "y"] and releases.vintages(home) == before
    for name in removed:
        record = retention.record_of(home, name)
        assert json.loads((record / "manifest.json").read_text(encoding="utf-8"))["release_id"] == name
        assert sha256_of(record / "metric_observation.parquet") == digests[name]
        assert json.loads((record / "removed.json").read_text(encoding="utf-8"))["reason"].startswith("replaced by")
    assert list(before) == [date(2025, 1, 19), date(2025, 1, 20)]
    assert releases.current_release(home) == (home.releases / "c").resolve()
    assert went(pipeline.retain(home, 0)) == []


@pytest.mark.parametrize("step", ["rename", "rmtree"])
def test_a_removal_that_is_cut_short_is_ended_by_the_next(
    home: Home, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(*((os, "rename") if step == "rename" else (retention.shutil, "rmtree")), killed)
        with pytest.raises(KeyboardInterrupt):
            pipeline.retain(home, 0)
    assert releases.current_release(home) == (home.releases / "c").resolve()
    assert {"b", "c", "y"} <= {*releases.release_ids(home)}
    pipeline.retain(home, 0)
    assert releases.release_ids(home) == ["b", "c", "y"]
    assert sorted(entry.name for entry in home.releases.iterdir()) == ["b", "c", "y"]
    assert sorted(entry.name for entry in (home.published / "removed").iterdir()) == ["a", "x"]


def test_the_release_before_is_found_by_name(home: Home) -> None:
    assert releases.named_release(home, "previous").name == "b"
    assert releases.named_release(home, "current").name == "c"
    releases.rollback(home, "previous")
    with pytest.raises(releases.UsageError, match="Release b has replaced none"):
        releases.named_release(home, "previous")


def test_a_difference_names_cells_tables_and_columns(tmp_path: Path) -> None:
    home = Home(tmp_path)
    old = published(home, "a").path
    make_candidate(home, "b", extra="""
        DELETE FROM published.metric_observation WHERE period = '2024-01';
        UPDATE published.metric_observation SET value = value + 0.5 WHERE period = '2024-02';
        UPDATE published.metric_observation SET conf_status = 'C', value = NULL WHERE period = '2024-04';
        INSERT INTO published.metric_observation
        SELECT * REPLACE ('2025-01' AS period, 1 AS value) FROM published.metric_observation WHERE period = '2024-12';
        ALTER TABLE published.unit_scorecard ADD COLUMN note VARCHAR;
        UPDATE published.duty_board SET status = 'done' WHERE duty_no <= 3;
        DROP TABLE published.public_series;
    """)  # fmt: skip
    pass_gate(home)
    new = releases.publish(home).path
    found = difference(old, new)
    told = [(cell["period"], cell["difference"], cell["change"]) for cell in found.cells]
    assert [(period, word) for period, word, _ in told] == [
        ("2024-01", "removed"), ("2024-02", "changed"), ("2024-04", "changed"), ("2025-01", "added"),
    ]  # fmt: skip
    assert [str(change) for _, _, change in told] == ["None", "0.5000000000", "None", "None"]
    assert (found.cells[2]["old_conf_status"], found.cells[2]["new_conf_status"]) == ("F", "C")
    tables = {table.table: table for table in found.tables}
    assert sorted(tables) == ["duty_board", "public_series", "unit_scorecard"]
    assert (tables["duty_board"].only_old, tables["duty_board"].only_new) == (3, 3)
    assert (tables["unit_scorecard"].columns, tables["unit_scorecard"].only_new) == (["note"], 0)
    assert (tables["public_series"].old_rows, tables["public_series"].new_rows) == (1, None)
    assert difference(old, old).is_none and not found.is_none
    with duckdb.connect(str(new / releases.DATABASE), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM published.metric_observation").fetchall() == [(12,)]
