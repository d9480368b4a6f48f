"""Each kind of check at each point stops a whole run, and `current` keeps its bytes; warnings and revisions pass with a
reason. That every single rule can fail is held by test_gate and test_dbt_project, and that
each of the suites then stops a publication by test_rules_bite."""

from __future__ import annotations

import io
import json
import shutil
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import duckdb
import pytest

from hfc.cli import main
from hfc.home import PROJECT, Home, sha256_of
from publish.release import manifest_of
from tests.e2e.test_run import hfc

FUNDS = "变动编号,基金编码,管理人代码,变动日期,认缴变动额(亿元),实缴变动额(亿元)"
ACCOUNTS = "年份,行业,劳动者报酬,生产税净额,固定资产折旧,营业盈余,总产出,中间投入,核算阶段\n2023,66,40,10,10,40,150,40,初步核算"
NOTES = "说明编号,指标,起始期,截止期,阶段,原因"
# Files of the project, what is right there and wrong; what then ends the run, and with which status.
SABOTAGE = {
    "a value and a constraint of published tables": (
        {
            "models/published/metric_observation.sql": ("coalesce(s.conf_status, 'F')", "coalesce(s.conf_status, 'X')"),
            "models/published/delivery_outcome.sql": ("    sha256,", "    nullif(sha256, sha256) as sha256,"),
        },
        ("accepted_values_metric_observation", "delivery_outcome"),
        3,
    ),
    "a seed, in each kind of test": (
        {
            "seeds/unit_spelling.csv": (
                "institution,institution,1\n",
                "institution,institution,1\n" * 2 + "nowhere,nowhere,1\ninstitution,empty,\n",
            )
        },
        (
            "relationships_unit_spelling",
            "unique_unit_spelling_key",
            "never_null_unit_spelling",
            "unit_spelling_factor_is_positive",
        ),
        3,
    ),
    "the history": (
        {
            "models/published/metric_vintage.sql": (
                "any_value(value) as value",
                "(any_value(value) + 1)::decimal(28, 10) as value",
            )
        },
        ("metric_vintage_ends_with_the_present",),
        3,
    ),
    "a test that cannot run": (
        {"tests/one_release.sql": ("count(*) != 1", "count(no_such_column) != 1")},
        ("test one_release could not be run", "no_such_column"),
        1,
    ),
}


def deliver(home: Home, feed: str, day: str, *lines: str) -> None:
    """Put a delivery into the landing folder."""
    file = home.landing / feed / f"{feed}__{day}.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def command(*arguments: str, home: Home) -> tuple[int, str, str]:
    """A command in this process, where the libraries are loaded already: exit status, output, messages."""
    told, messages = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(told), redirect_stderr(messages):
        patch.setattr(sys, "argv", ["hfc", *arguments, "--home", str(home.root)])
        with pytest.raises(SystemExit) as ended:
            main()
    return int(ended.value.code or 0), told.getvalue(), messages.getvalue()


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home that has published what two funds reported."""
    home = Home(tmp_path_factory.mktemp("first"))
    rows = ("F1,SAB123,68501913-3,2024-01-15,20,1", "F2,SAB124,68501913-3,2023-11-15,9,1")
    deliver(home, "fund_commitments", "20240210", FUNDS, *rows)
    status, _, messages = command("run", home=home)
    assert status == 0, messages
    return home


@pytest.fixture
def home(first: Home, tmp_path: Path) -> Home:
    """A copy of that home."""
    shutil.copytree(first.root, tmp_path / "home", symlinks=True)
    return Home(tmp_path / "home")


def released(home: Home) -> dict[Path, str]:
    """The files of the current release, and their hashes."""
    return {path: sha256_of(path) for path in home.current.resolve().rglob("*") if path.is_file()}


def refused(home: Home, *told: str) -> None:
    """A run is stopped by the gate, says why, and leaves what is published as it was."""
    before = released(home)
    status, output, messages = command("run", home=home)
    assert status == 3, output + messages
    assert all(text in messages for text in told), messages
    assert released(home) == before


def test_a_revision_without_a_note_is_refused_and_with_one_is_published_with_its_reason(home: Home) -> None:
    deliver(home, "fund_commitments", "20240305", FUNDS, "F1,SAB123,68501913-3,2024-01-15,50,1")
    refused(home, "metric_revision", "fund_subscribed 2024-01 total total: 20.0000000000 became 50.0000000000")
    notes = [
        f"N-{n},{metric},2023-11,2024-02,更正,漏报"
        for n, metric in enumerate(("fund_subscribed", "fund_subscribed_cumulative"))
    ]
    deliver(home, "revision_notes", "20240306", NOTES, *notes)
    status, _, messages = command("run", home=home)
    assert status == 0, messages
    found = duckdb.sql(
        f"SELECT period, previous_value, value, stage, reason, note_id FROM '{home.current}/parquet/metric_revision.parquet' "
        "WHERE metric_id = 'fund_subscribed'"
    ).fetchall()
    assert found == [("2024-01", 20, 50, "更正", "漏报", "N-0")]


def test_a_warning_is_held_and_published_with_the_reason_of_who_approves(home: Home) -> None:
    deliver(home, "value_added_accounts", "20240226", ACCOUNTS)
    refused(home, "holds candidate", "2023 division 66: 10.0000 %")
    status, output, messages = command("run", "--approve", "checked with the statisticians", "--json", home=home)
    assert status == 0, messages
    (entry,) = manifest_of(home.current.resolve())["approvals"]
    assert entry["reason"] == "checked with the statisticians" and "2023 division 66" in entry["observed"]
    assert json.loads(output)["release"]["created"]


def test_a_delivery_out_of_all_proportion_is_held_and_published_with_the_reason(home: Home) -> None:
    for month in range(3, 10):
        count = 25 if month < 9 else 10_001
        rows = (f"{month}-{n},SAB123,68501913-3,2024-{month:02}-15,0.01,0.01" for n in range(count))
        deliver(home, "fund_commitments", f"2024{month + 1:02}10", FUNDS, *rows)
    refused(home, "holds candidate", "size_fault", "1 of 1 rows: fund_commitments/fund_commitments__20241010")
    before = released(home)
    assert command("publish", "--approve", "", home=home)[0] == 2
    assert released(home) == before
    status, _, messages = command("publish", "--approve", "all funds once more", home=home)
    assert status == 0, messages
    (entry,) = manifest_of(home.current.resolve())["approvals"]
    quality = f"FROM '{home.current}/parquet/data_quality.parquet' SELECT check_id, reason WHERE outcome = 'warned'"
    assert duckdb.sql(quality).fetchall() == [(entry["check_id"], "all funds once more")]
    assert entry["reason"] == "all funds once more" and entry["check_id"].endswith("size_fault")


def test_a_lake_that_lost_rows_is_refused(home: Home) -> None:
    deliver(home, "fund_commitments", "20240305", FUNDS, "F3,SAB123,68501913-3,2024-02-15,2,1")
    assert command("ingest", home=home)[0] == 0
    outcome = max(home.outcomes.glob("*.json"))
    said = json.loads(outcome.read_text(encoding="utf-8"))
    outcome.write_text(json.dumps(said | {"rows_in": 2, "rows_accepted": 2}), encoding="utf-8")
    refused(home, "batch.mirror", "fund_commitments/fund_commitments__20240305.csv")


def test_a_lake_with_a_row_that_no_contract_lets_in_is_refused(home: Home) -> None:
    deliver(home, "fund_commitments", "20240305", FUNDS, "F3,SAB123,68501913-3,2024-02-15,2,1")
    assert command("ingest", home=home)[0] == 0
    file = str(max((home.lake / "fund_commitments").glob("*.parquet")))
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE kept AS SELECT * REPLACE (NULL::VARCHAR AS change_id) FROM '{file}'")
        connection.execute(f"COPY kept TO '{file}' (FORMAT parquet)")
    refused(home, "source_never_null_lake_fund_commitments_delivery_id__change_id")


@pytest.mark.parametrize("sabotage", SABOTAGE)
def test_a_project_that_is_wrong_publishes_nothing(home: Home, tmp_path: Path, sabotage: str) -> None:
    edits, told, status = SABOTAGE[sabotage]
    project = tmp_path / "project"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("target", "logs"))
    for name, (right, wrong) in edits.items():
        text = (project / name).read_text(encoding="utf-8")
        assert right in text
        (project / name).write_text(text.replace(right, wrong), encoding="utf-8")
    before = released(home)
    done = hfc("run", home=home.root, HFC_PROJECT=str(project))
    assert done.returncode == status and all(text in done.stderr for text in told), done.stderr
    assert released(home) == before
