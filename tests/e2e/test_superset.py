"""The bundle in a real Superset, on a real PostgreSQL, as docker-compose.yml starts them: a browser sees what is published.

Superset is in an environment of its own, `.venv-superset`.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from datetime import time as midnight
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import duckdb
import psycopg2
import pytest
import yaml
from browser import chromium
from containers import REPOSITORY, VALUES, Services
from playwright.sync_api import Browser, Request, Response
from postgres import Database, Server, asked

from hfc.home import Home
from hfc.simulate import simulate
from publish.release import BANNER, DATABASE
from tests.e2e.test_run import hfc

BUNDLE = REPOSITORY / "superset/bundle"
TITLES = {path.stem: yaml.safe_load(path.read_text("utf-8"))["slice_name"] for path in BUNDLE.glob("charts/*.yaml")}
PATIENCE_SECONDS = 120
SUPPRESSED, NO_DATA, PUBLISHED, MADE_UP = "保密 suppressed", "无数据 no data", "已发布 published", "模拟 synthetic"
STATE = f"""
CASE WHEN o.conf_status <> 'F' THEN '{SUPPRESSED}' WHEN o.value IS NULL THEN '{NO_DATA}' ELSE '{PUBLISHED}' END
"""
OBSERVATIONS = """
published.metric_observation AS o LEFT JOIN published.metric AS m USING (metric_id)
LEFT JOIN dictionary.dimension_member AS d USING (dimension, member) LEFT JOIN dictionary.unit AS u ON u.unit = o.unit
"""
TAX_BY_LEVEL = "metric_id = 'financial_tax_revenue' AND frequency = 'Q' AND dimension = 'fiscal_level'"
RESIDENT = "metric_id = 'institutions_resident' AND frequency = 'M' AND dimension = 'category'"
FUNDS = (
    "metric_id IN ('fund_subscribed_cumulative', 'fund_paid_in_cumulative') AND frequency = 'M' AND dimension = 'total'"
)
VALUE_ADDED = "metric_id = 'financial_value_added' AND frequency = 'Q' AND dimension = 'division'"
# The rows of each table, from the release itself.
TABLES = {
    "release": f"SELECT '{BANNER}', release_id, as_of FROM published.release",
    "plan_attainment": f"""
        SELECT t.label_zh, t.label_en, a.year, a.operator, a.low, a.high, u.label_zh, u.label_en, a.actual,
            a.actual_period, a.expected, a.attainment_pct, s.symbol || ' ' || s.label_zh, s.label_en, a.reason,
            '{MADE_UP}'
        FROM published.plan_attainment AS a LEFT JOIN published.plan_target AS t USING (target_id)
        LEFT JOIN dictionary.attainment_status AS s USING (status) LEFT JOIN dictionary.unit AS u ON u.unit = a.unit
        ORDER BY a.year, target_id""",
    "tax_by_type": f"""
        SELECT period, d.label_zh, d.label_en, o.value, u.label_zh, u.label_en, {STATE}, '{MADE_UP}' FROM {OBSERVATIONS}
        WHERE metric_id = 'financial_tax_revenue_ytd' AND dimension IN ('fiscal_level', 'tax_type')
        ORDER BY period DESC, dimension, d.sort""",
    "without_a_number": f"""
        SELECT m.label_zh, m.label_en, period, d.label_zh, d.label_en, {STATE}, '{MADE_UP}' FROM {OBSERVATIONS}
        WHERE o.value IS NULL AND ({RESIDENT} OR {FUNDS} OR {TAX_BY_LEVEL} OR {VALUE_ADDED})
        ORDER BY metric_id, period DESC, d.sort""",
    "duty_board": f"""
        SELECT duty_no, title_zh, title_en, status_zh, status_en, progress_pct, due_date, overdue_days, lead_unit,
            supporting_units, month, '{MADE_UP}'
        FROM published.duty_board WHERE month = (SELECT max(month) FROM published.duty_board) ORDER BY duty_no""",
}
# Which observations each chart draws, and what names its lines or bars.
DRAWN = {
    "institutions_resident": (RESIDENT, "d"),
    "fund_capital": (FUNDS, "m"),
    "tax_by_level": (TAX_BY_LEVEL, "d"),
    "value_added": (VALUE_ADDED, "d"),
}


@dataclass
class Seen:
    """What a browser saw of the dashboard: the data of each chart, and where its requests went."""

    data: dict[str, Any]
    answered: set[str]
    failed: set[tuple[str, str]]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def services(server: Server, home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Superset, with the bundle imported, and a release that is published to PostgreSQL meanwhile."""
    subprocess.run(["make", ".venv-superset/.installed"], cwd=REPOSITORY, check=True, capture_output=True)
    places = {"/opt/superset": REPOSITORY / "superset"}
    with Services(tmp_path_factory.mktemp("services"), server, places) as running:
        running.start("databases")
        running.finish("databases")
        running.start("superset-init")
        simulate(home.landing, months=8)
        settings = running.environment("scheduler")
        there = {name: settings[name] for name in ("HFC_POSTGRES_DSN", "PGPASSWORD", "PGPORT")}
        done = hfc("run", "--as-of", "2022-09-15", "--quiet", home=home.root, **there)
        assert done.returncode == 0, done.stderr
        running.finish("superset-init")
        running.start("superset")
        running.await_health("superset")
        yield running


@pytest.fixture(scope="module")
def seen(services: Services) -> Seen:
    """The dashboard, once every chart has its data."""
    with chromium() as browser:
        return look(browser, services)


def address_of(services: Services) -> str:
    return f"127.0.0.1:{services.port(8088)}"


def look(browser: Browser, services: Services) -> Seen:
    """Log in and open the dashboard."""
    address = address_of(services)
    titles = dict(asked(reader(services.postgres, "superset", "superset"), "SELECT id, slice_name FROM slices"))
    page = browser.new_page(viewport={"width": 1440, "height": 4000})  # charts out of sight ask for nothing
    page.set_default_timeout(PATIENCE_SECONDS * 1000)
    page.goto(f"http://{address}/login/")
    page.locator("input:visible").first.fill("admin")
    page.locator("input[type=password]").fill(VALUES["HFC_SUPERSET_ADMIN_PASSWORD"])
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "login" not in url)
    seen = Seen({}, set(), set())

    def answered(response: Response) -> None:
        seen.answered.add(urlsplit(response.url).netloc)
        if "/chart/data?" in response.url:
            (asking,) = parse_qs(urlsplit(response.url).query)["form_data"]
            result = response.json()["result"][0]["data"] if response.ok else response.text()
            seen.data[titles[json.loads(asking)["slice_id"]]] = result

    def failed(request: Request) -> None:
        seen.failed.add((urlsplit(request.url).netloc, request.failure or ""))

    page.on("response", answered)
    page.on("requestfailed", failed)
    page.goto(f"http://{address}/superset/dashboard/plan/")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(seen.data) < len(TITLES) and time.monotonic() < deadline:
        page.wait_for_timeout(100)
    page.get_by_text(BANNER).wait_for()
    return seen


def reader(server: Server, role: str, database: str) -> Any:
    """A connection of one of Superset's roles."""
    return Database(server.port, database).connect(role, VALUES["HFC_SUPERSET_POSTGRES_PASSWORD"])


def ask(home: Home, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(home.current / DATABASE), read_only=True) as release:
        return release.sql(query).fetchall()


def as_sent(value: Any) -> Any:
    """A value as Superset sends it: floating point, days as milliseconds."""
    if isinstance(value, date):
        return datetime.combine(value, midnight(), UTC).timestamp() * 1000
    return float(value) if isinstance(value, Decimal) else value


@pytest.mark.parametrize("name", TABLES)
def test_a_table_shows_what_is_published(name: str, seen: Seen, home: Home) -> None:
    expected = [tuple(map(as_sent, row)) for row in ask(home, TABLES[name])]
    assert expected or name == "without_a_number"
    assert [tuple(row.values()) for row in seen.data[TITLES[name]]] == expected


@pytest.mark.parametrize("name", DRAWN)
def test_a_chart_draws_what_is_published(name: str, seen: Seen, home: Home) -> None:
    which, named = DRAWN[name]
    label = f"{named}.label_zh || ' ' || {named}.label_en || ' ({MADE_UP})'"
    query = f"SELECT period, {label}, o.value FROM {OBSERVATIONS} WHERE ({which}) AND o.value IS NOT NULL"
    expected = {(period, label): float(value) for period, label, value in ask(home, query)}
    rows = seen.data[TITLES[name]]
    cells = {(row["period"], label): value for row in rows for label, value in row.items() if label != "period"}
    assert expected and {cell: value for cell, value in cells.items() if value is not None} == expected


def test_every_chart_is_compared() -> None:
    assert {*TABLES, *DRAWN} == set(TITLES)


def test_what_is_suppressed_is_shown_as_such(seen: Seen) -> None:
    assert {PUBLISHED, SUPPRESSED} <= {row["state"] for row in seen.data[TITLES["tax_by_type"]]}


def test_no_other_site_is_asked(seen: Seen, services: Services) -> None:
    address = address_of(services)
    assert seen.answered - {""} == {address}
    assert {reason for site, reason in seen.failed if site != address} <= {"csp"}


def test_superset_can_only_read_what_is_published(services: Services) -> None:
    def refused(role: str, database: str, statement: str) -> bool:
        try:
            asked(reader(services.postgres, role, database), statement)
        except (
            psycopg2.errors.InsufficientPrivilege,
            psycopg2.errors.ReadOnlySqlTransaction,
            psycopg2.OperationalError,
        ):
            return True
        return False

    assert not refused("hfc_superset", "hfc", "SELECT count(*) FROM published.metric_observation")
    assert refused("hfc_superset", "hfc", "SELECT * FROM releases.metric_observation")
    assert refused("hfc_superset", "hfc", "UPDATE published.metric SET unit = 'none'")
    assert refused("hfc_superset", "superset", "SELECT 1") and refused("superset", "airflow", "SELECT 1")


def test_importing_again_changes_the_charts_that_are_there(services: Services) -> None:
    count = (
        "SELECT count(*) FROM slices UNION ALL SELECT count(*) FROM tables UNION ALL SELECT count(*) FROM dashboards"
    )
    connection = reader(services.postgres, "superset", "superset")
    before = asked(connection, count)
    asked(connection, "UPDATE slices SET slice_name = 'old'")
    command = ["superset", "import-directory", "--overwrite", str(BUNDLE)]
    assert " ".join(command[:3]) in (REPOSITORY / "superset/prepare.sh").read_text("utf-8")
    subprocess.run(command, env=services.environment("superset"), check=True, capture_output=True)
    assert asked(connection, count) == before
    assert {title for (title,) in asked(connection, "SELECT slice_name FROM slices")} == set(TITLES.values())
