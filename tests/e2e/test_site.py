"""The board in a real browser, on a wide screen and on a phone, in both languages, from files alone."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import duckdb
import pytest
from browser import chromium
from lxml import html
from playwright.sync_api import Browser, BrowserContext, Page

from hfc import pipeline
from hfc.home import PROJECT, HfcError, Home, UsageError
from hfc.simulate import simulate
from publish.release import current_release
from publish.site import ASSETS, make_site
from publish.site.language import LANGUAGES, load_words, reason_pattern
from publish.site.pages import PAGES
from tests.e2e.test_run import hfc

AXE = Path(__file__).parents[1] / "fixtures" / "axe" / "axe.min.js"
SCREENS = {"desktop": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}
NAMES = [page.name for page in PAGES]
SYNTHETIC = {"zh": "模拟数据", "en": "Synthetic data"}
# What a reader sees of each card; `values` are those that the page holds behind the shown numbers.
CARDS = """cards => cards.map(card => ({
    id: card.id, visible: card.checkVisibility(), label: card.querySelector('h3').innerText,
    status: card.querySelector('.status').innerText, reason: card.querySelector('.reason').innerText,
    actual: card.querySelector('.actual').innerText, href: card.querySelector('.actual a').href,
    facts: card.querySelector('dl').innerText, values: [...card.querySelectorAll('data')].map(one => one.value),
}))"""
VALUES = ("actual", "expected", "attainment_pct", "required_pace")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with two releases: what was known in October 2022, and in March 2023."""
    home = Home(tmp_path_factory.mktemp("home"))
    simulate(home.landing, months=14)
    pipeline.run(home, home.landing, date(2022, 10, 15))
    pipeline.run(home, home.landing, date(2023, 3, 15))
    return home


@pytest.fixture(scope="module")
def site(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The board of the newer release."""
    out = tmp_path_factory.mktemp("site") / "board"
    done = hfc("site", "--out", out, home=home.root)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module", params=SCREENS)
def screen(browser: Browser, request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport=SCREENS[request.param], reduced_motion="reduce")
    yield context
    context.close()


@pytest.fixture
def tab(screen: BrowserContext) -> Iterator[Page]:
    page = screen.new_page()
    yield page
    page.close()


def address(site: Path, name: str, language: str) -> str:
    return (site / (f"{name}.html" if language == "zh" else f"{name}.{language}.html")).as_uri()


def ask(home: Home, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(home.current / "hfc.duckdb"), read_only=True) as release:
        return release.sql(sql).fetchall()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_opens_without_an_error_a_request_or_a_page_wider_than_the_screen(
    site: Path, tab: Page, language: str
) -> None:
    said: list[str] = []
    asked: list[str] = []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("requestfailed", lambda request: said.append(request.url))
    tab.on("request", lambda request: asked.append(request.url))
    for name in NAMES:
        tab.goto(address(site, name, language))
        assert tab.locator("html").get_attribute("lang") == {"zh": "zh-CN", "en": "en"}[language]
        assert tab.locator(".banner").is_visible() and SYNTHETIC[language] in tab.title()
        assert tab.locator(".banner").inner_text().startswith(SYNTHETIC[language])
        assert tab.evaluate("document.documentElement.scrollWidth") <= tab.viewport_size["width"], name
        if tab.locator(".plot").count():
            tab.locator(".plot svg").first.wait_for(state="attached")
            tab.evaluate("dispatchEvent(new Event('beforeprint'))")  # which draws those that are not in sight, too
            assert tab.locator(".plot:not(:has(svg path))").count() == 0, f"{name} has charts that are not drawn"
    assert said == []
    assert {urlsplit(url).scheme for url in asked} <= {"file", "data"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_target_shows_what_the_release_says(home: Home, site: Path, tab: Page, language: str) -> None:
    tab.goto(address(site, "index", language))
    published = ask(
        home,
        f"SELECT a.target_id, t.label_{language}, s.label_{language}, a.reason, m.decimals, "
        f"[{', '.join(f'CAST(a.{name} AS VARCHAR)' for name in VALUES)}], a.metric_id, a.actual_period "
        "FROM published.plan_attainment a JOIN published.plan_target t USING (target_id) "
        "JOIN published.metric m ON m.metric_id = a.metric_id JOIN dictionary.attainment_status s USING (status)",
    )
    assert len(published) == 38 == tab.locator(".card").count()
    cards = {card.pop("id"): card for card in tab.locator(".card").evaluate_all(CARDS)}
    for target, label, status, reason, decimals, values, metric, period in published:
        actual, expected, reached, pace = values
        card = cards[target]
        assert card["visible"] and card["label"] == label and card["status"].endswith(status)
        if language == "en":
            assert card["reason"] == reason
        else:
            assert re.search("[一-鿿]", card["reason"]) and card["reason"] != reason
        if pace is not None and Decimal(pace) <= 0:
            pace = None
        assert card["values"] == [value for value in (actual, reached, expected, pace) if value is not None], target
        assert card["href"].endswith(f"#{metric}")
        if actual is None:
            assert card["actual"] == load_words()["words"]["missing"][language]
        else:
            text = card["actual"].split()[0]
            assert abs(Decimal(text.replace(",", "").replace("−", "-")) - Decimal(actual)) * 2 <= 10**-decimals
            assert len(text.partition(".")[2]) == decimals
            assert period in card["facts"]


def test_paper_gets_the_tables_and_the_charts_to_its_width(site: Path, tab: Page) -> None:
    tab.goto(address(site, "tax", "en"))
    closed = tab.locator("details:not([open])").count()
    assert closed and not tab.locator("#gross table").is_visible()
    tab.emulate_media(media="print")
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    tab.set_viewport_size({"width": 700, "height": 900})
    assert tab.locator("#gross table").is_visible() and not tab.locator("header nav").is_visible()
    assert tab.locator(".plot svg").evaluate_all("all => all.every(one => one.viewBox.baseVal.width > 0)")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 700
    tab.evaluate("dispatchEvent(new Event('afterprint'))")
    assert tab.locator("details:not([open])").count() == closed


@pytest.mark.parametrize("language", LANGUAGES)
def test_missing_and_withheld_values_are_shown_as_such_and_told_apart(
    home: Home, site: Path, tab: Page, language: str
) -> None:
    words = load_words()["words"]
    tab.goto(address(site, "index", language))
    assert tab.locator(".card.no_data .missing").first.inner_text() == words["missing"][language]
    tab.goto(address(site, "tax", language))
    cells = tab.locator("#type-months tbody td")
    texts, exact, classes = (
        cells.evaluate_all(f"found => found.map(one => {js})")
        for js in (
            "one.innerText.trim()",
            "(one.querySelector('data') || {}).value",
            "(one.firstElementChild || {}).className",
        )
    )
    published = ask(
        home,
        "SELECT CAST(o.value AS VARCHAR), o.conf_status FROM published.metric_observation o "
        "JOIN dictionary.dimension_member d ON (o.dimension, o.member) = (d.dimension, d.member) "
        "WHERE metric_id = 'financial_tax_revenue' AND frequency = 'M' AND o.dimension IN ('tax_type', 'total') "
        "ORDER BY o.period DESC, o.dimension = 'total', d.sort",
    )
    assert exact == [value for value, _ in published]
    for text, name, (value, status) in zip(texts, classes, published, strict=True):
        if status != "F":
            assert (text, name) == (f"{words['suppressed'][language]} {status}", "suppressed")
        elif value is None:
            assert (text, name) == (words["missing"][language], "missing")
    assert Counter(classes)["suppressed"] > 5
    assert tab.locator("#type-months .suppressed").first.is_visible()


def test_a_target_whose_value_is_withheld_says_so(home: Home, tmp_path: Path) -> None:
    release = current_release(home)
    assert release
    copy = shutil.copytree(release, tmp_path / release.name)
    (copy / "hfc.duckdb").chmod(0o644)
    with duckdb.connect(str(copy / "hfc.duckdb")) as connection:
        connection.execute(
            "UPDATE published.metric_observation SET value = NULL, conf_status = 'C' WHERE member = 'total' "
            "AND metric_id = 'financial_tax_revenue' AND frequency = 'A' AND period = '2022'"
        )
        connection.execute("UPDATE published.plan_attainment SET actual = NULL WHERE target_id = '2022_tax'")
    make_site(copy, tmp_path / "board", {})
    page = html.fromstring((tmp_path / "board" / "index.html").read_bytes())
    (told,) = page.xpath("//*[@id='2022_tax']//p[@class='actual']//span")
    assert (told.get("class"), told.text_content()) == ("suppressed", load_words()["words"]["suppressed"]["zh"])


def test_the_table_under_a_chart_holds_the_published_values(home: Home, site: Path, tab: Page) -> None:
    tab.goto(address(site, "institutions", "en"))
    figure = tab.locator("#resident")
    assert not figure.locator("table").is_visible()
    figure.locator("summary").press("Enter")
    assert figure.locator("table").is_visible()
    published = ask(
        home,
        "SELECT CAST(value AS VARCHAR) FROM published.metric_observation o "
        "JOIN dictionary.dimension_member d ON (o.dimension, o.member) = (d.dimension, d.member) "
        "WHERE metric_id = 'institutions_resident' AND frequency = 'M' ORDER BY period DESC, d.dimension = 'total', sort",
    )
    assert figure.locator("td data").evaluate_all("found => found.map(one => one.value)") == [v for (v,) in published]


def test_earlier_values_stand_beside_what_replaced_them(home: Home, site: Path, tab: Page) -> None:
    tab.goto(address(site, "targets", "zh"))
    section = tab.locator("[id=financial_tax_revenue-total-total]")
    section.locator("summary").last.press("Enter")
    rows = section.locator("details").last.locator("tbody tr")
    assert rows.first.is_visible()
    shown = rows.evaluate_all(
        "found => found.map(row => [row.cells[0].innerText, row.cells[1].innerText, row.cells[2].innerText, "
        "row.cells[3].querySelector('data')?.value ?? null, row.cells[4].querySelector('data')?.value ?? null])"
    )
    assert shown and [tuple(row) for row in shown] == ask(
        home,
        "SELECT v.period, CAST(realtime_start AS VARCHAR), CAST(realtime_end AS VARCHAR), CAST(v.value AS VARCHAR), "
        "CAST(o.value AS VARCHAR) FROM published.metric_vintage v "
        "JOIN published.metric_observation o USING (metric_id, frequency, period, dimension, member) "
        "WHERE metric_id = 'financial_tax_revenue' AND dimension = 'total' AND realtime_end IS NOT NULL "
        "ORDER BY frequency, v.period, realtime_start",
    )


def test_readers_filter_targets_and_checks_and_change_the_language(home: Home, site: Path, tab: Page) -> None:
    tab.goto(address(site, "index", "zh"))
    no_data = tab.locator(".counts li[data-status=no_data] button")
    no_data.press("Enter")
    ((count,),) = ask(home, "SELECT count(*) FROM published.plan_attainment WHERE status = 'no_data'")
    assert tab.locator(".card:visible").count() == count > 0
    no_data.press("Enter")
    assert tab.locator(".card:visible").count() == 38
    tab.goto(address(site, "metrics", "zh") + "#financial_value_added")
    tab.locator(".switch a").click()
    assert tab.url == address(site, "metrics", "en") + "#financial_value_added"
    tab.goto(address(site, "quality", "en"))
    tab.locator(".filter input").fill("discrepancy")
    found = tab.locator("#all-checks tbody tr:visible")
    assert 0 < found.count() < 10 and "discrepancy" in found.first.inner_text()


def test_nothing_keeps_a_reader_out(site: Path, tab: Page) -> None:
    """By axe-core: contrast, names, landmarks, headings, tables and what else can be judged by a program.

    Five rows of each table are enough for it.
    """
    language = "zh" if tab.viewport_size == SCREENS["desktop"] else "en"
    found = []
    for name in NAMES:
        tab.goto(address(site, name, language))
        tab.evaluate("document.querySelectorAll('tbody tr:nth-child(n+6)').forEach(row => row.remove())")
        tab.add_script_tag(path=AXE)
        result = tab.evaluate("axe.run(document, {resultTypes: ['violations']})")
        found += [(name, one["id"], node["target"]) for one in result["violations"] for node in one["nodes"][:3]]
    assert found == []


def test_every_link_leads_somewhere_and_nothing_is_outside(site: Path) -> None:
    pages = {path.name: html.fromstring(path.read_bytes()) for path in site.glob("*.html")}
    assert len(pages) == 2 * len(NAMES)
    ids = {name: set(page.xpath("//@id")) for name, page in pages.items()}
    assert all(len(ids[name]) == len(page.xpath("//@id")) for name, page in pages.items()), "an id stands twice"
    followed = 0
    for name, page in pages.items():
        for link in page.xpath("//@href | //@src"):
            if link == "data:,":
                continue
            parts = urlsplit(link)
            assert (parts.scheme, parts.netloc) == ("", ""), link
            target = unquote(parts.path) or name
            assert (site / target).is_file(), f"{name} leads to {target}"
            assert not parts.fragment or parts.fragment in ids[target], f"{name} leads to {link}"
            followed += 1
    assert followed > 2_000


def test_every_number_of_an_observation_leads_to_its_explanation(site: Path) -> None:
    for path in site.glob("*.html"):
        page = html.fromstring(path.read_bytes())
        loose = [data.get("value") for data in page.xpath("//td//data") if data.getparent().tag != "a"]
        assert not loose or path.name.startswith(("quality", "revisions")), (path.name, loose[:3])


def test_explanations_name_definition_models_deliveries_and_licence(home: Home, site: Path) -> None:
    metrics = html.fromstring((site / "metrics.en.html").read_bytes())
    for metric, definition, feeds in ask(home, "SELECT metric_id, definition_en, source_feeds FROM published.metric"):
        (section,) = metrics.xpath(f"//section[@id='{metric}']")
        text = section.text_content()
        assert definition in text and "published.metric_observation" in text
        assert all(f"lake.{feed}" in text for feed in feeds.split())
        assert {f"sources.en.html#{feed}" for feed in feeds.split()} <= set(section.xpath(".//a/@href"))
    sources = html.fromstring((site / "sources.en.html").read_bytes())
    for feed, sha256, licence in ask(home, "SELECT feed, sha256, licence FROM published.delivery_outcome"):
        (row,) = sources.xpath(f"//section[@id='{feed}']//tr[contains(., '{sha256}')]")[:1]
        assert (licence or "") in row.text_content()


def test_no_page_holds_anything_of_a_taxpayer(home: Home, site: Path) -> None:
    codes = duckdb.sql(
        f"SELECT uscc FROM '{home.lake}/institution_register/*.parquet' UNION "
        f"SELECT uscc FROM '{home.lake}/tax_collections/*.parquet' UNION "
        f"SELECT voucher_no FROM '{home.lake}/tax_collections/*.parquet'"
    ).fetchall()
    secrets = {code.encode() for (code,) in codes if code}
    assert len(secrets) > 1000
    for path in site.glob("*.html"):
        words = set(re.findall(rb"[0-9A-Za-z]+", path.read_bytes()))
        assert not secrets & words, path.name


def test_the_same_release_gives_the_same_bytes(home: Home, site: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    done = hfc("site", "--out", again, home=home.root, TZ="America/New_York", PYTHONHASHSEED="7")
    assert done.returncode == 0, done.stderr
    files = {path.relative_to(site): path.read_bytes() for path in site.rglob("*") if path.is_file()}
    assert {path.relative_to(again): path.read_bytes() for path in again.rglob("*") if path.is_file()} == files
    release = current_release(home)
    assert release and json.loads(files[Path("site.json")])["release_id"] == release.name


def test_a_board_is_replaced_as_a_whole_and_nothing_else_is(home: Home, site: Path, tmp_path: Path) -> None:
    release = current_release(home)
    assert release
    out = tmp_path / "board"
    shutil.copytree(site, out)
    before = {path: path.read_bytes() for path in out.rglob("*.html")}

    damaged = shutil.copytree(release, tmp_path / "damaged" / release.name)
    (damaged / "parquet" / "metric.parquet").chmod(0o644)
    (damaged / "parquet" / "metric.parquet").write_bytes(b"PAR1")
    with pytest.raises(HfcError, match="metric.parquet is not what the manifest"):
        make_site(damaged, out, {})
    assert {path: path.read_bytes() for path in out.rglob("*.html")} == before
    (out / "left-over.html").touch()
    make_site(release, out, {})
    assert not (out / "left-over.html").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["board", "damaged"]

    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("mine")
    done = hfc("site", "--out", foreign, home=home.root)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{foreign} is not a board" in done.stderr and "--out" in done.stderr
    assert [path.name for path in foreign.iterdir()] == ["thesis.txt"]


def test_a_release_without_the_names_that_a_board_needs_has_none(home: Home, tmp_path: Path) -> None:
    release = current_release(home)
    assert release
    copy = shutil.copytree(release, tmp_path / release.name)
    (copy / "hfc.duckdb").chmod(0o644)
    with duckdb.connect(str(copy / "hfc.duckdb")) as connection:
        connection.execute("DROP TABLE dictionary.feed")
    with pytest.raises(UsageError, match=f"{release.name} has no table dictionary.feed"):
        make_site(copy, tmp_path / "board", {})
    assert not (tmp_path / "board").exists()


def test_pages_weigh_little(site: Path) -> None:
    """What a reader loads before any data, and with the largest page."""
    assets = sum(path.stat().st_size for path in ASSETS.iterdir())
    assert assets < 2_000_000
    assert assets + max(path.stat().st_size for path in site.glob("*.html")) < 2_000_000


def test_every_reason_of_a_status_has_its_chinese() -> None:
    sql = (PROJECT / "models" / "published" / "plan_attainment.sql").read_text(encoding="utf-8")
    sentences = re.findall(r"'([A-Z][^']+)'", sql.partition("judged as (")[2])
    sentences += re.findall(r"'([A-Z][^']+)'", sql.partition("target as (")[0])
    patterns = [known["en"] for known in load_words()["reasons"]]
    assert len(sentences) == len(patterns) == 18
    for sentence in sentences:
        whole = sentence if sentence.endswith(".") else f"{sentence}x{'.' if sentence[-1] == ' ' else ''}"
        assert any(re.match(reason_pattern(pattern.split("{")[0]), whole) for pattern in patterns), sentence
