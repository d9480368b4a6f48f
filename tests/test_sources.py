"""Sources against real servers on loopback: each demand has a server that breaks it."""

from __future__ import annotations

import gzip
import json
import logging
import os
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from sites import Reply, Request, SftpSite, Site, certificate, sftp_site, site

from hfc import pipeline
from hfc.home import Home, UsageError
from ingest.sources import Fetched, fetch
from ingest.sources.config import Sources, load_sources
from ingest.sources.http import retry_after
from ingest.sources.landing import SHANGHAI, only_one, vintage

REPOSITORY = Path(__file__).resolve().parents[1]
FEED = "public_series"
MODIFIED = "Mon, 08 Apr 2024 17:30:00 GMT"  # the ninth in Shanghai
SECRET = "s3cret/with+signs="
IMPATIENT = {"attempts": 3, "first_wait": 0.001, "longest_wait": 0.002}


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def web() -> Iterator[Site]:
    with site() as running:
        yield running


class Bench:
    """A home, a landing folder, and a source to fetch."""

    def __init__(self, root: Path) -> None:
        self.home, self.landing = Home(root / "home"), root / "landing"

    def fetch(self, source: dict[str, Any]) -> Fetched:
        entry = {"name": "series", "feed": FEED, "retry": IMPATIENT, **source}
        if entry["kind"] == "folder":
            del entry["retry"]
        return fetch(self.home, self.landing, Sources.model_validate({"sources": [entry]}).sources[0])

    def http(self, url: str, **settings: Any) -> Fetched:
        return self.fetch({"kind": "http", "url": url, **settings})

    def folder(self, url: str, **settings: Any) -> Fetched:
        return self.fetch({"kind": "folder", "url": url, **settings})

    @property
    def landed(self) -> dict[str, bytes]:
        """What lies in the landing folder without the sidecars, hidden files and all."""
        paths = sorted(path for path in self.landing.rglob("*") if path.is_file())
        return {path.name: path.read_bytes() for path in paths if not path.name.endswith(".meta.yaml")}

    def sidecar(self, name: str) -> dict[str, Any]:
        path = self.landing / FEED / f"{name}.meta.yaml"
        return {key: str(value) for key, value in yaml.safe_load(path.read_text(encoding="utf-8")).items()}

    @property
    def written(self) -> str:
        """Everything that was written, as text."""
        roots = (self.home.root, self.landing)
        paths = [path for root in roots for path in root.rglob("*") if path.is_file()]
        return "\n".join(f"{path}\n{path.read_bytes().decode('utf-8', 'replace')}" for path in paths)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def always(*args: Any, **settings: Any) -> Callable[[Request], Reply]:
    return lambda _: Reply(*args, **settings)


def in_turn(*replies: Reply) -> Callable[[Request], Reply]:
    """One after the other; the last one for ever."""
    waiting = list(replies)
    return lambda _: waiting.pop(0) if len(waiting) > 1 else waiting[0]


# --- what lands -------------------------------------------------------------------------------------------------------


def test_an_answer_lands_with_its_sidecar(bench: Bench, web: Site) -> None:
    web.answer = always("年份,值\n".encode(), headers={"Last-Modified": MODIFIED})
    result = bench.http(f"{web.url}/data/export.csv?b=2", params={"a": 1}, licence="CC BY 4.0", note="每月")
    assert result == Fetched("series", FEED, "landed", ["series__20240409.csv"])
    assert bench.landed == {"series__20240409.csv": "年份,值\n".encode()}
    assert bench.sidecar("series__20240409.csv") == {
        "published_on": "2024-04-09",
        "source_url": f"{web.url}/data/export.csv?b=2&a=1",
        "licence": "CC BY 4.0",
        "note": "每月",
    }


def test_what_landed_is_ingested_under_its_vintage(bench: Bench, web: Site) -> None:
    register = (
        "事件编号,事件日期,事件类型,统一社会信用代码,机构名称,机构类别\n"
        "E1,2024-01-02,引进,91430100MA4L2XPT07,甲,基金机构\n"
    )
    web.answer = always(register.encode(), headers={"Last-Modified": MODIFIED})
    bench.http(f"{web.url}/register.csv", feed="institution_register")
    (outcome,) = pipeline.ingest(bench.home, bench.landing)
    assert (outcome.outcome, outcome.published_on) == ("loaded", "2024-04-09")
    (delivery,) = bench.home.deliveries.glob("*.json")
    assert json.loads(delivery.read_text(encoding="utf-8"))["source_url"] == f"{web.url}/register.csv"


def test_the_vintage_is_the_modification_day_in_shanghai_and_never_in_the_future() -> None:
    before = datetime.now(SHANGHAI).date()
    evening, future = datetime(2024, 4, 8, 17, 30, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC)
    assert vintage("last_modified", evening).isoformat() == "2024-04-09"
    days = {vintage("last_modified", future), vintage("last_modified", None), vintage("fetch_day", evening)}
    assert days <= {before, datetime.now(SHANGHAI).date()}


def test_a_name_from_the_server_is_not_used(bench: Bench, web: Site) -> None:
    disposition = 'attachment; filename="../../../evil.csv"'
    web.answer = always(b"x", headers={"Content-Disposition": disposition, "Last-Modified": MODIFIED})
    assert bench.http(f"{web.url}/..%2F..%2Fevil.csv", suffix=".csv").files == ["series__20240409.csv"]
    assert not list(bench.home.root.parent.rglob("evil*"))


# --- nothing new ------------------------------------------------------------------------------------------------------


def test_identical_bytes_are_nothing_new(bench: Bench, web: Site) -> None:
    days = iter(range(1, 9))
    bodies = iter([b"one", b"one", b"two", b"one"])
    web.answer = lambda _: Reply(next(bodies), headers={"Last-Modified": f"Mon, 0{next(days)} Apr 2024 08:00:00 GMT"})
    assert [bench.http(web.url).outcome for _ in range(4)] == ["landed", "unchanged", "landed", "landed"]
    assert bench.landed == {"series__20240401": b"one", "series__20240403": b"two", "series__20240404": b"one"}


def test_a_landed_file_is_never_overwritten(bench: Bench, web: Site) -> None:
    web.answer = in_turn(*(Reply(body, headers={"Last-Modified": MODIFIED}) for body in (b"one", b"two", b"three")))
    for _ in range(3):
        bench.http(f"{web.url}/a.csv")
    assert bench.landed == {
        "series__20240409.csv": b"one",
        "series__20240409~02.csv": b"two",
        "series__20240409~03.csv": b"three",
    }
    outcomes = pipeline.ingest(bench.home, bench.landing)
    assert [(o.file[16:], o.published_on) for o in outcomes] == [
        (".csv", "2024-04-09"),
        ("~02.csv", "2024-04-09"),
        ("~03.csv", "2024-04-09"),
    ]


def test_a_conditional_request_that_still_holds_lands_nothing(bench: Bench, web: Site) -> None:
    def answer(request: Request) -> Reply:
        if request.headers.get("If-None-Match") == '"v1"':
            return Reply(status=304)
        return Reply(b"one", headers={"ETag": '"v1"', "Last-Modified": MODIFIED})

    web.answer = answer
    assert [bench.http(web.url).outcome for _ in range(3)] == ["landed", "unchanged", "unchanged"]
    assert [request.headers.get("If-Modified-Since") for request in web.requests] == [None, MODIFIED, MODIFIED]


def test_a_changed_entry_or_another_landing_folder_is_fetched_unconditionally(bench: Bench, web: Site) -> None:
    web.answer = always(b"one", headers={"ETag": '"v1"'})
    bench.http(web.url)
    bench.http(web.url, params={"year": 2024})
    bench.landing = bench.landing.with_name("elsewhere")
    bench.http(web.url, params={"year": 2024})
    assert [request.headers.get("If-None-Match") for request in web.requests] == [None, None, None]
    assert list(bench.landed.values()) == [b"one"]


def test_an_unasked_304_is_no_answer(bench: Bench, web: Site) -> None:
    web.answer = always(status=304)
    result = bench.http(web.url)
    assert result.outcome == "failed" and "304" in (result.reason or "")


def test_a_fetch_killed_before_it_remembered_lands_nothing_twice(bench: Bench, web: Site) -> None:
    web.answer = always(b"one", headers={"Last-Modified": MODIFIED, "ETag": '"v1"'})
    bench.http(web.url)
    (state,) = (bench.home.root / "sources" / "state").iterdir()
    state.unlink()
    (bench.landing / FEED / ".fetch-series").mkdir()
    (bench.landing / FEED / ".fetch-series" / "0001").write_bytes(b"left by the kill")
    assert bench.http(web.url).outcome == "unchanged"
    assert list(bench.landed.values()) == [b"one"]
    assert state.exists()


def test_a_damaged_state_says_how_to_mend_it(bench: Bench, web: Site) -> None:
    bench.http(web.url)
    (state,) = (bench.home.root / "sources" / "state").iterdir()
    state.write_text("{", encoding="utf-8")
    result = bench.http(web.url)
    assert result.outcome == "failed" and f"{state} is damaged: delete it" in (result.reason or "")


def test_two_processes_do_not_fetch_one_source_at_once(bench: Bench, web: Site) -> None:
    with only_one(bench.home, "series"):
        assert "another process is fetching" in (bench.http(web.url).reason or "")
    assert bench.http(web.url).outcome == "landed"


# --- pages ------------------------------------------------------------------------------------------------------------


def counted(page: int, pages: int, total: int = 5) -> Reply:
    head = {"page": page, "pages": pages, "per_page": "2", "total": total}
    return Reply(json.dumps([head, [{"value": page}]]).encode(), headers={"Last-Modified": MODIFIED})


def test_counted_pages_each_land_as_they_came(bench: Bench, web: Site) -> None:
    web.answer = lambda request: counted(int(request.query.get("page", 1)), 3)
    paging = {"style": "page_count"}
    result = bench.http(f"{web.url}/v2", paging=paging, params={"format": "json"}, suffix=".json")
    assert result.files == [f"series__p000{page}__20240409.json" for page in (1, 2, 3)]
    assert bench.landed == {name: counted(page, 3).body for page, name in enumerate(result.files, start=1)}
    assert bench.sidecar(result.files[2])["source_url"] == f"{web.url}/v2?format=json&page=3"
    web.answer = lambda request: (
        counted(page, 3)
        if (page := int(request.query.get("page", 1))) != 2
        else Reply(counted(2, 3).body.replace(b"value", b"mended"))
    )
    again = bench.http(f"{web.url}/v2", paging=paging, params={"format": "json"}, suffix=".json")
    assert again.files == ["series__p0002__20240409~02.json"]


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (Reply(status=500), "answered 500 Internal Server Error"),
        (Reply(status=503), "answered 503 Service Unavailable (try 3 of 3)"),
        (counted(1, 3), "asked for page 2, the server gave page 1"),
        (counted(2, 3, total=6), "the data changed while its pages were read"),
        (Reply(b"<html>"), "page 2 is no JSON"),
        (Reply(b'[{"message": "Invalid value"}]'), "does not begin with page, pages and total"),
    ],
)
def test_when_a_page_fails_no_page_lands(bench: Bench, web: Site, second: Reply, reason: str) -> None:
    web.answer = lambda request: second if request.query.get("page") == "2" else counted(1, 3)
    result = bench.http(web.url, paging={"style": "page_count"})
    assert result.outcome == "failed" and reason in (result.reason or "")
    assert bench.landed == {}


def test_pages_that_link_on(bench: Bench, web: Site) -> None:
    def answer(request: Request) -> Reply:
        link = {"/": "more?cursor=b", "/more": f"{web.url}/last"}.get(request.path)
        return Reply(request.path.encode(), headers={"Link": f'<{link}>; rel="next"'} if link else {})

    web.answer = answer
    assert bench.http(f"{web.url}/", paging={"style": "link"}).outcome == "landed"
    assert list(bench.landed.values()) == [b"/", b"/more", b"/last"]


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        ("/", "page 1 leads back to a page before it"),
        ("http://localhost:1/", "leads to localhost:1: add it to hosts"),
        ("ftp://127.0.0.1/", "leads from http to ftp"),
        ("http://a:b/", "leads to something that is no address"),
    ],
)
def test_a_link_is_followed_only_where_the_source_permits(bench: Bench, web: Site, link: str, reason: str) -> None:
    web.answer = always(b"x", headers={"Link": f"<{link}>; rel=next"})
    result = bench.http(f"{web.url}/", paging={"style": "link"})
    assert reason in (result.reason or "") and bench.landed == {}
    assert bench.http(f"{web.url}/").outcome == "landed"  # not asked to follow, a link does no harm


@pytest.mark.parametrize("empty", [b" \n", b"[ ]", b"null"])
def test_numbered_pages_until_an_empty_one(bench: Bench, web: Site, empty: bytes) -> None:
    pages = {"0": b"[1]", "1": b"[2]"}
    web.answer = lambda request: Reply(pages.get(request.query["p"], empty))
    assert bench.http(web.url, paging={"style": "page_number", "parameter": "p", "first": 0}).outcome == "landed"
    assert list(bench.landed.values()) == [b"[1]", b"[2]"]


def test_numbered_pages_with_records_inside(bench: Bench, web: Site) -> None:
    def answer(request: Request) -> Reply:
        number = int(request.query["page"])
        return Reply(json.dumps({"page": number, "data": {"items": [1] if number < 3 else []}}).encode())

    web.answer = answer
    paging = {"style": "page_number", "records": "data.items"}
    assert len(bench.http(web.url, paging=paging).files) == 2
    assert "has no rows: check paging.records" in (
        bench.http(web.url, paging=paging | {"records": "rows"}).reason or ""
    )


def test_numbered_pages_that_do_not_move_on(bench: Bench, web: Site) -> None:
    web.answer = always(b"[1]")
    reason = bench.http(web.url, paging={"style": "page_number", "parameter": "seite"}).reason
    assert "page 2 is the same as the one before: check paging.parameter" in (reason or "")
    web.answer = always(b"[]")
    assert "the first page is empty" in (bench.http(web.url, paging={"style": "page_number"}).reason or "")
    assert bench.landed == {}


def test_pages_are_bounded(bench: Bench, web: Site) -> None:
    web.answer = lambda request: Reply(request.query["page"].encode())
    result = bench.http(web.url, paging={"style": "page_number"}, limits={"pages": 4})
    assert "more than 4 pages: raise limits.pages" in (result.reason or "")
    assert len(web.requests) == 4 and bench.landed == {}


# --- a server that is not up to it ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_server_is_asked_again(bench: Bench, web: Site, status: int) -> None:
    web.answer = in_turn(Reply(status=status), Reply(status=status), Reply(b"x"))
    assert bench.http(web.url).outcome == "landed"
    assert len(web.requests) == 3


def test_the_tries_are_bounded(bench: Bench, web: Site) -> None:
    web.answer = always(status=503)
    assert bench.http(web.url).reason == f"{web.url}: answered 503 Service Unavailable (try 3 of 3)"
    assert len(web.requests) == 3


@pytest.mark.parametrize(
    ("status", "advice"),
    [(400, ""), (401, "check auth"), (403, "check auth"), (404, "check url"), (500, ""), (204, ""), (299, "")],
)
def test_any_other_answer_fails_at_once(bench: Bench, web: Site, status: int, advice: str) -> None:
    web.answer = always(status=status)
    result = bench.http(web.url)
    assert result.outcome == "failed"
    assert f"answered {status}" in (result.reason or "") and advice in (result.reason or "")
    assert len(web.requests) == 1


def test_a_refused_connection_is_tried_again(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    result = bench.http(f"http://127.0.0.1:{port}/")
    assert "(try 3 of 3)" in (result.reason or "")
    assert [record.getMessage().split("; ")[-1] for record in caplog.records if record.name == "hfc"] == [
        "try 2 of 3 in 0.0 s",
        "try 3 of 3 in 0.0 s",
    ]


def test_back_off_doubles_with_jitter_up_to_the_longest_wait(
    bench: Bench, web: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    web.answer = always(status=503)
    bench.http(web.url, retry={"attempts": 5, "first_wait": 0.01, "longest_wait": 0.05})
    waits = [record.args[-1] for record in caplog.records if record.name == "hfc" and isinstance(record.args, tuple)]
    assert len(waits) == 4 and waits[3] == 0.05
    for wait, least in zip(waits[:3], (0.01, 0.02, 0.04), strict=True):
        assert isinstance(wait, float) and least < wait <= least + 0.01


def test_a_connection_that_breaks_is_tried_again(bench: Bench, web: Site) -> None:
    web.answer = in_turn(Reply(script=lambda handler: handler.connection.close()), Reply(b"whole"))
    assert bench.http(web.url).outcome == "landed"


@pytest.mark.parametrize(
    "broken",
    [
        Reply(b"half of", headers={"Content-Length": "14"}),
        Reply(gzip.compress(b"half of it")[:-6], headers={"Content-Encoding": "gzip"}),
        Reply(b"not gzip", headers={"Content-Encoding": "gzip"}),
    ],
)
def test_a_truncated_answer_is_refused_and_tried_again(bench: Bench, web: Site, broken: Reply) -> None:
    web.answer = in_turn(broken, Reply(b"half of it all"))
    assert bench.http(web.url).outcome == "landed"
    assert list(bench.landed.values()) == [b"half of it all"]
    web.answer = always(broken.body, headers=broken.headers)
    assert bench.http(web.url).outcome == "failed"
    assert list(bench.landed.values()) == [b"half of it all"]


def test_retry_after_is_obeyed(bench: Bench, web: Site) -> None:
    """Back-off alone would wait an hour, which the time limit does not allow."""
    patient = {"attempts": 3, "first_wait": 3600, "longest_wait": 7200}
    web.answer = in_turn(Reply(status=503, headers={"Retry-After": "0"}), Reply(b"x"))
    assert bench.http(web.url, retry=patient).outcome == "landed"
    past = format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True)
    web.answer = in_turn(Reply(status=429, headers={"Retry-After": past}), Reply(b"y"))
    assert bench.http(web.url, retry=patient).outcome == "landed"
    web.answer = always(status=503)
    assert "(try 1 of 3)" in (bench.http(web.url, retry=patient).reason or "")


def test_retry_after_is_capped_and_never_outlasts_the_time_limit(bench: Bench, web: Site) -> None:
    hour = Reply(status=429, headers={"Retry-After": "3600"})
    web.answer = in_turn(hour, Reply(b"x"))
    assert bench.http(web.url, retry={"longest_wait": 0.001}).outcome == "landed"
    web.answer = in_turn(hour, Reply(b"x"))
    result = bench.http(web.url, retry={"longest_wait": 7200})
    assert "answered 429 Too Many Requests, asks to wait 3600 s (try 1 of 5)" in (result.reason or "")


def test_retry_after_as_number_as_date_and_as_nonsense() -> None:
    now = datetime(2024, 4, 8, 17, 30, tzinfo=UTC)
    values = ("120", "Mon, 08 Apr 2024 17:31:30 GMT", "Mon, 08 Apr 2024 17:00:00 GMT", "soon", "-5", "9" * 5000, None)
    assert [retry_after(value, now) for value in values] == [120, 90, 0, None, None, None, None]


# --- limits -----------------------------------------------------------------------------------------------------------


def packed(body: bytes) -> Reply:
    return Reply(gzip.compress(body), headers={"Content-Encoding": "gzip"})


def test_gzip_of_the_transport_is_taken_off(bench: Bench, web: Site) -> None:
    body = os.urandom(3_000_000) + bytes(3_000_000)
    web.answer = in_turn(packed(body), Reply(gzip.compress(b"a") + gzip.compress(b"b"), headers=packed(b"").headers))
    assert bench.http(web.url, published_on="fetch_day").outcome == "landed"
    assert bench.http(web.url, published_on="fetch_day").outcome == "landed"
    assert sorted(bench.landed.values(), key=len) == [b"ab", body]
    assert web.requests[0].headers["Accept-Encoding"] == "gzip"


@pytest.mark.parametrize(
    "large",
    [
        Reply(bytes(1_000_001)),
        packed(bytes(50_000_000)),
        Reply(gzip.compress(b"") * 60_000, headers={"Content-Encoding": "gzip"}),
    ],
)
def test_bytes_are_capped_packed_and_unpacked(bench: Bench, web: Site, large: Reply) -> None:
    web.answer = always(large.body, headers=large.headers)
    result = bench.http(web.url, limits={"bytes": "1MB"})
    assert "more than 976.6KiB: raise limits.bytes" in (result.reason or "")
    assert bench.landed == {} and len(web.requests) == 1
    web.answer = always(bytes(1_000_000))
    assert bench.http(web.url, limits={"bytes": "1MB"}).outcome == "landed"


def test_an_endless_answer_is_capped(bench: Bench, web: Site) -> None:
    sent = []

    def flood(handler: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while len(sent) < 10_000:
            try:
                handler.wfile.write(bytes(100_000))
            except OSError:
                return
            sent.append(1)

    web.answer = always(script=flood)
    assert "raise limits.bytes" in (bench.http(web.url, limits={"bytes": "1MB"}).reason or "")
    assert len(sent) < 10_000


def test_the_pages_of_an_answer_share_one_cap(bench: Bench, web: Site) -> None:
    web.answer = lambda request: Reply(request.query["page"].encode() * 400)
    result = bench.http(web.url, paging={"style": "page_number"}, limits={"bytes": 1000})
    assert "raise limits.bytes" in (result.reason or "") and len(web.requests) == 3


def test_an_unknown_packing_is_refused(bench: Bench, web: Site) -> None:
    web.answer = always(gzip.compress(gzip.compress(b"x")), headers={"Content-Encoding": "gzip, gzip"})
    assert "packed as 'gzip, gzip'; only gzip" in (bench.http(web.url).reason or "")


@pytest.mark.parametrize("start", [b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: "])
def test_a_server_that_drips_is_stopped(bench: Bench, web: Site, start: bytes) -> None:
    """Body or headers: each byte comes in time, the whole of it in ten seconds."""

    def drip(handler: Any) -> None:
        handler.wfile.write(start)
        web.drip(handler, b"x")

    web.answer = always(script=drip)
    result = bench.http(web.url, limits={"seconds": 0.4})
    assert result.reason == "not done after 0.4 s: raise limits.seconds if that is right"


def test_the_time_limit_holds_across_pages_and_tries(bench: Bench, web: Site) -> None:
    web.answer = always(status=503)
    endless = {"attempts": 20_000, "first_wait": 0, "longest_wait": 0}
    result = bench.http(web.url, retry=endless, limits={"seconds": 0.4})
    assert result.outcome == "failed" and "try 20000" not in (result.reason or "")
    assert len(web.requests) < 20_000
    web.answer = lambda request: Reply(request.query["page"].encode())
    result = bench.http(web.url, paging={"style": "page_number"}, limits={"seconds": 0.4, "pages": 20_000})
    assert "not done after 0.4 s" in (result.reason or "")


# --- where it may lead ------------------------------------------------------------------------------------------------


def test_a_redirect_to_its_own_host_is_followed(bench: Bench, web: Site) -> None:
    web.answer = lambda request: Reply(b"x") if request.path == "/b" else Reply(status=302, headers={"Location": "/b"})
    assert bench.http(f"{web.url}/a").outcome == "landed"


def test_a_redirect_to_another_host_needs_permission(bench: Bench, web: Site) -> None:
    with site(always(b"x")) as other:
        web.answer = always(status=307, headers={"Location": f"{other.url}/b"})
        host = other.url.removeprefix("http://")
        assert f"leads to {host}: add it to hosts" in (bench.http(web.url).reason or "")
        assert other.requests == []
        assert bench.http(web.url, hosts=[host]).outcome == "landed"


def test_redirects_are_bounded(bench: Bench, web: Site) -> None:
    web.answer = always(status=301, headers={"Location": "/"})
    assert "more than 2 redirects" in (bench.http(web.url, limits={"redirects": 2}).reason or "")
    assert len(web.requests) == 3


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[Site, Path]]:
    """A TLS server and its certificate."""
    pem = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with site(always(b"x"), context) as running:
        yield running, pem


def test_a_certificate_is_always_verified(bench: Bench, secure: tuple[Site, Path]) -> None:
    running, pem = secure
    result = bench.http(running.url)
    assert "self-signed certificate" in (result.reason or "") and "ca_bundle" in (result.reason or "")
    assert "try" not in (result.reason or "") and running.requests == []
    assert bench.http(running.url, ca_bundle=str(pem)).outcome == "landed"
    assert "nowhere.pem is not readable" in (bench.http(running.url, ca_bundle="/nowhere.pem").reason or "")


def test_no_redirect_to_another_scheme(bench: Bench, secure: tuple[Site, Path], web: Site) -> None:
    running, pem = secure
    running.answer = always(status=302, headers={"Location": web.url})
    hosts = [web.url.removeprefix("http://")]
    assert "leads from https to http" in (bench.http(running.url, ca_bundle=str(pem), hosts=hosts).reason or "")
    web.answer = always(status=302, headers={"Location": running.url})
    assert "leads from http to https" in (bench.http(web.url).reason or "")


# --- secrets ----------------------------------------------------------------------------------------------------------

PLACES = [
    {"as": "bearer"},
    {"as": "header", "name": "X-Api-Key"},
    {"as": "query", "name": "api_key"},
]


def sent(request: Request) -> str | None:
    """The secret as the server got it."""
    bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
    return bearer or request.headers.get("X-Api-Key") or request.query.get("api_key")


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "paramiko", "botocore", "s3fs", "fsspec"):
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


@pytest.mark.parametrize("where", PLACES, ids=lambda where: where["as"])
def test_a_secret_goes_to_the_server_and_nowhere_else(
    bench: Bench, web: Site, where: dict[str, str], monkeypatch: pytest.MonkeyPatch,
    everything_logged: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """With a busy answer, a broken one, a redirect and links that echo it, and a refusal at the end."""
    monkeypatch.setenv("PORTAL_TOKEN", SECRET)
    settings = {"auth": {"env": "PORTAL_TOKEN", **where}, "paging": {"style": "link"}}

    def answer(request: Request) -> Reply:
        query = f"?session={quote(SECRET, safe='')}" + (f"&api_key={quote(SECRET)}" if where["as"] == "query" else "")
        first = Reply(b"1", headers={"Link": f"</next{query}>; rel=next", "ETag": '"a"'})
        replies = [
            Reply(status=503),
            Reply(script=lambda handler: handler.wfile.write(f"{SECRET} begins no answer\r\n\r\n".encode())),
            Reply(status=302, headers={"Location": f"/moved{query}"}),
            first,
            Reply(b"2"),
            first,
            Reply(status=403),
        ]
        return replies[len(web.requests) - 1]

    web.answer = answer
    landed, refused = bench.http(f"{web.url}/start", **settings), bench.http(f"{web.url}/start", **settings)
    assert (landed.outcome, refused.outcome) == ("landed", "failed")
    assert [sent(request) for request in web.requests] == [SECRET] * 7
    assert bench.sidecar(landed.files[1])["source_url"] == f"{web.url}/next?session=***"
    assert f"{web.url}/next?session=***: answered 403" in (refused.reason or "")
    printed = "".join(capfd.readouterr())
    logged = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in everything_logged.records)
    assert "try 2 of 3" in logged
    for text in (bench.written, printed, logged, repr(landed), repr(refused)):
        assert "s3cret" not in text


def test_a_secret_is_not_sent_to_another_host(bench: Bench, web: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTAL_TOKEN", SECRET)
    with site(always(b"x")) as other:
        web.answer = always(status=302, headers={"Location": other.url})
        for where in PLACES:
            auth = {"env": "PORTAL_TOKEN", **where}
            bench.http(web.url, auth=auth, hosts=[other.url.removeprefix("http://")])
        assert len(other.requests) == 3
        assert [sent(request) for request in other.requests] == [None] * 3


def test_a_user_in_a_redirect_is_not_sent(bench: Bench, web: Site) -> None:
    host = web.url.removeprefix("http://")
    web.answer = in_turn(Reply(status=302, headers={"Location": f"http://user:word@{host}/b"}), Reply(b"x"))
    assert bench.http(web.url).outcome == "landed"
    assert "Authorization" not in web.requests[1].headers


def test_a_missing_or_unsendable_secret_is_named_not_shown(
    bench: Bench, web: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PORTAL_TOKEN", raising=False)
    reason = bench.http(web.url, auth={"env": "PORTAL_TOKEN"}).reason
    assert reason == "the environment variable PORTAL_TOKEN (auth.env) is not set"
    monkeypatch.setenv("PORTAL_TOKEN", f"{SECRET}\nX: y")
    reason = bench.http(web.url, auth={"env": "PORTAL_TOKEN"}).reason
    assert "holds a line break" in (reason or "") and "s3cret" not in (reason or "")
    assert web.requests == []


def test_a_secret_of_an_airflow_connection(bench: Bench, web: Site, tmp_path: Path) -> None:
    """In a process of its own: Airflow reads its settings when it is imported, and makes its home."""
    home = tmp_path / "home"
    home.mkdir()
    source = {"name": "series", "feed": FEED, "kind": "http", "url": web.url}
    entries = [
        source | {"auth": {"airflow_connection": "portal"}},
        source | {"name": "other", "auth": {"airflow_connection": "nowhere"}},
    ]
    (home / "sources.yaml").write_text(yaml.safe_dump({"sources": entries}), encoding="utf-8")
    settings = {"AIRFLOW_CONN_PORTAL": json.dumps({"conn_type": "http", "password": SECRET}), "HOME": str(tmp_path)}
    done = hfc("fetch", "--home", str(home), "--json", **settings)
    results = {result["source"]: result for result in json.loads(done.stdout)["sources"]}
    assert results["series"]["outcome"] == "landed" and sent(web.requests[0]) == SECRET
    assert "no Airflow connection nowhere" in results["other"]["reason"]
    assert SECRET not in done.stdout + done.stderr + bench.written
    assert {path.name for path in tmp_path.iterdir()} == {"home"}  # nothing is written anywhere else


# --- folders ----------------------------------------------------------------------------------------------------------


def put(folder: Path, name: str, text: str, modified: datetime = datetime(2024, 4, 8, 17, 30, tzinfo=UTC)) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    os.utime(path, (modified.timestamp(), modified.timestamp()))
    return path


def test_new_and_changed_files_of_a_folder_land(bench: Bench, tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    put(drop, "台账 a.csv", "one")
    put(drop, "b__20240131.csv", "two")
    for ignored in ("c.txt", ".hidden.csv", "~$lock.csv", "b.csv.meta.yaml"):
        put(drop, ignored, "no")
    put(drop / "sub.csv", "inner.csv", "no")
    result = bench.folder(f"{drop}/*", licence="internal")
    assert sorted(result.files) == ["b__20240131.csv", "c.txt", "台账 a.csv"]
    assert bench.sidecar("台账 a.csv") == {
        "published_on": "2024-04-09",
        "source_url": f"file://{drop}/台账 a.csv",
        "licence": "internal",
    }
    assert bench.folder(f"{drop}/*").outcome == "unchanged"
    put(drop, "台账 a.csv", "one, corrected")
    assert bench.folder(f"{drop}/*").files == ["台账 a~02.csv"]
    assert bench.landed["台账 a.csv"] == b"one"
    (drop / "b__20240131.csv").unlink()
    bench.folder(f"{drop}/*")
    (state,) = (bench.home.root / "sources" / "state").iterdir()
    assert "c.txt" in state.read_text(encoding="utf-8") and "b__20240131.csv" not in state.read_text(encoding="utf-8")


def test_the_same_bytes_under_a_new_date_are_nothing_new(bench: Bench, tmp_path: Path) -> None:
    put(tmp_path / "drop", "a.csv", "one")
    bench.folder(f"{tmp_path}/drop/*.csv")
    put(tmp_path / "drop", "a.csv", "one", datetime(2024, 5, 1, tzinfo=UTC))
    assert bench.folder(f"{tmp_path}/drop/*.csv") == Fetched("series", FEED, "unchanged")


def test_a_file_that_cannot_be_had_holds_up_no_other(bench: Bench, tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    put(drop, "a.csv", "x" * 101)
    put(drop, "b\x1b[2J.csv", "x")
    put(drop, "c\\d.csv", "x")
    put(drop, "e.csv", "fine")
    (drop / "link.csv").symlink_to(put(tmp_path, "outside.csv", "secret"))
    result = bench.folder(f"{drop}/*.csv", limits={"bytes": 100})
    assert (result.outcome, result.files) == ("failed", ["e.csv"])
    reason = result.reason or ""
    assert "'a.csv': more than 100B: raise limits.bytes" in reason
    assert "'link.csv': not a plain file; links are not followed" in reason
    assert reason.count("not a file name") == 2 and "\x1b" not in reason
    assert bench.landed == {"e.csv": b"fine"}
    again = bench.folder(f"{drop}/*.csv", limits={"bytes": 101})
    assert again.files == ["a.csv"] and again.outcome == "failed"


@pytest.mark.parametrize(
    ("url", "reason"),
    [("drop/*.csv", "there is no folder file://"), ("here/a.csv", "there is no file a.csv in file://")],
)
def test_a_missing_folder_or_file_is_no_empty_one(bench: Bench, tmp_path: Path, url: str, reason: str) -> None:
    (tmp_path / "here").mkdir()
    assert reason in (bench.folder(f"{tmp_path}/{url}").reason or "")
    assert bench.folder(f"{tmp_path}/here/*.csv") == Fetched(
        "series", FEED, "unchanged", reason="no file matches *.csv"
    )


def test_the_rest_of_a_folder_waits_when_time_is_up(bench: Bench, tmp_path: Path) -> None:
    put(tmp_path / "drop", "a.csv", "x")
    result = bench.folder(f"{tmp_path}/drop/*.csv", limits={"seconds": 1e-9})
    assert result.outcome == "failed" and "not done after 1e-09 s" in (result.reason or "")
    assert bench.folder(f"{tmp_path}/drop/*.csv").files == ["a.csv"]


def test_objects_of_a_bucket_land(
    bench: Bench, bucket: tuple[Any, str], monkeypatch: pytest.MonkeyPatch,
    everything_logged: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    client, endpoint = bucket
    monkeypatch.setenv("BUCKET_KEY", "s3cret-of-the-bucket")
    settings = {"endpoint": endpoint, "auth": {"env": "BUCKET_KEY", "login": "AKIDEXAMPLE"}, "limits": {"bytes": "6MB"}}
    large = os.urandom(5_000_000)
    client.put_object(Bucket="bucket", Key="in/", Body=b"")
    client.put_object(Bucket="bucket", Key="in/a__20240131.csv", Body=large)
    client.put_object(Bucket="bucket", Key="in/台账.csv", Body=b"one")
    client.put_object(Bucket="bucket", Key="in/deeper/b.csv", Body=b"no")
    result = bench.folder("s3://bucket/in/*", **settings)
    assert result == Fetched("series", FEED, "landed", ["a__20240131.csv", "台账.csv"])
    assert bench.landed == {"a__20240131.csv": large, "台账.csv": b"one"}
    assert bench.sidecar("台账.csv")["source_url"] == "s3://bucket/in/台账.csv"
    assert bench.folder("s3://bucket/in/*", **settings).outcome == "unchanged"
    client.put_object(Bucket="bucket", Key="in/台账.csv", Body=b"two")
    assert bench.folder("s3://bucket/in/*", **settings).files == ["台账~02.csv"]
    logged = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in everything_logged.records)
    assert "s3cret" not in logged + bench.written
    assert "there is no folder s3://nobucket/in" in (bench.folder("s3://nobucket/in/*", **settings).reason or "")
    bare = settings | {"auth": {"env": "BUCKET_KEY"}}
    assert "the access key id is missing" in (bench.folder("s3://bucket/in/*", **bare).reason or "")


@pytest.fixture
def sftp(tmp_path: Path) -> Iterator[SftpSite]:
    """An SFTP server whose root is `<tmp_path>/remote`."""
    (tmp_path / "remote").mkdir()
    with sftp_site(tmp_path / "remote", tmp_path) as running:
        yield running


def test_files_behind_sftp_land(
    bench: Bench, sftp: SftpSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    everything_logged: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    url = f"sftp://{sftp.user}@127.0.0.1:{sftp.port}/out/*.csv"
    settings = {"known_hosts": str(sftp.known_hosts), "auth": {"env": "SFTP_SECRET"}}
    put(tmp_path / "remote" / "out", "台账.csv", "one" * 100_000)
    (tmp_path / "remote" / "out" / "link.csv").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setenv("SFTP_SECRET", sftp.password)
    first = bench.folder(url, **settings)
    assert first.files == ["台账.csv"] and "links are not followed" in (first.reason or "")
    assert bench.landed == {"台账.csv": b"one" * 100_000}
    assert bench.sidecar("台账.csv") == {
        "published_on": "2024-04-09",
        "source_url": f"sftp://127.0.0.1:{sftp.port}/out/台账.csv",
    }
    (tmp_path / "remote" / "out" / "link.csv").unlink()
    monkeypatch.setenv("SFTP_SECRET", sftp.private_key)
    assert bench.folder(url, **settings).outcome == "unchanged"
    monkeypatch.setenv("SFTP_SECRET", "s3cret but wrong")
    refused = bench.folder(url, **settings)
    assert f"does not accept {sftp.user} with this secret" in (refused.reason or "")
    logged = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in everything_logged.records)
    for text in (logged, bench.written, repr(first), repr(refused)):
        assert "s3cret" not in text and "PRIVATE KEY" not in text


def test_an_sftp_server_must_be_known(bench: Bench, sftp: SftpSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SFTP_SECRET", sftp.password)
    url, auth = f"sftp://127.0.0.1:{sftp.port}/*", {"env": "SFTP_SECRET", "login": sftp.user}
    line = sftp.known_hosts.read_text(encoding="utf-8")
    sftp.known_hosts.write_text("", encoding="utf-8")
    reason = bench.folder(url, auth=auth, known_hosts=str(sftp.known_hosts)).reason
    assert "not found in known_hosts" in (reason or "")
    import paramiko

    other = paramiko.ECDSAKey.generate()
    sftp.known_hosts.write_text(line.replace(line.split()[2], other.get_base64()), encoding="utf-8")
    reason = bench.folder(url, auth=auth, known_hosts=str(sftp.known_hosts)).reason
    assert "shows another key than known_hosts has" in (reason or "")
    assert bench.landed == {}


def test_a_file_that_changes_while_it_is_read_is_left(
    bench: Bench, sftp: SftpSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SFTP_SECRET", sftp.password)
    url = f"sftp://{sftp.user}@127.0.0.1:{sftp.port}/*.csv"
    settings = {"known_hosts": str(sftp.known_hosts), "auth": {"env": "SFTP_SECRET"}}
    put(tmp_path / "remote", "a.csv", "half")
    for text in ("half and more", "even", "same"):  # longer, then with another time only
        sftp.when_opened = lambda path, text=text: put(path.parent, path.name, text, datetime.now(UTC))
        result = bench.folder(url, **settings)
        assert result == Fetched(
            "series", FEED, "unchanged", reason="'a.csv' is still changing: left for the next time"
        )
        put(tmp_path / "remote", "a.csv", "half")
    assert bench.landed == {}
    sftp.when_opened = lambda path: None
    assert bench.folder(url, **settings).files == ["a.csv"]


def test_a_file_that_is_known_or_too_large_is_not_read(
    bench: Bench, sftp: SftpSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SFTP_SECRET", sftp.password)
    url, limits = f"sftp://{sftp.user}@127.0.0.1:{sftp.port}/*.csv", {"bytes": 100}
    settings = {"known_hosts": str(sftp.known_hosts), "auth": {"env": "SFTP_SECRET"}, "limits": limits}
    opened: list[str] = []
    sftp.when_opened = lambda path: opened.append(path.name)
    put(tmp_path / "remote", "known.csv", "x" * 100)
    put(tmp_path / "remote", "large.csv", "x" * 101)
    results = [bench.folder(url, **settings) for _ in range(2)]
    assert [result.files for result in results] == [["known.csv"], []]
    assert opened == ["known.csv"]
    (tmp_path / "remote" / "large.csv").unlink()
    put(tmp_path / "remote", "growing.csv", "x")
    sftp.when_opened = lambda path: path.write_bytes(bytes(101))
    assert "'growing.csv': more than 100B" in (bench.folder(url, **settings).reason or "")


def test_names_from_an_sftp_server_are_never_paths(
    bench: Bench, sftp: SftpSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SFTP_SECRET", sftp.password)
    put(tmp_path, "evil.csv", "x")
    put(tmp_path / "remote" / "out", "good.csv", "fine")
    sftp.planted += ["../../evil.csv", "../evil.csv", "/evil.csv", "sub/evil.csv"]
    result = bench.folder(
        f"sftp://{sftp.user}@127.0.0.1:{sftp.port}/out/*.csv",
        auth={"env": "SFTP_SECRET"},
        known_hosts=str(sftp.known_hosts),
    )
    assert (result.outcome, result.files) == ("failed", ["good.csv"])
    assert (result.reason or "").count("not a file name") == 4
    assert [path for path in tmp_path.rglob("evil.csv")] == [tmp_path / "evil.csv"]


# --- the file of sources, and the command -----------------------------------------------------------------------------


def test_the_documented_example_is_valid(tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "sources.md").read_text(encoding="utf-8")
    file = tmp_path / "sources.yaml"
    file.write_text(page.partition("```yaml\n")[2].partition("```")[0], encoding="utf-8")
    sources = load_sources(file)
    assert {source.kind for source in sources.values()} == {"http", "folder"}
    hosts = re.findall(r"(?:https?|sftp)://(?:\w+@)?([\w.]+)", page)
    assert len(hosts) >= 4 and all(host.endswith(".example") for host in hosts)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"feed": "weather"}, "sources.0.http.feed: Value error, there is no contract for this feed"),
        ({"name": "../x"}, "sources.0.http.name: String should match pattern"),
        ({"url": "ftp://a.example/"}, "url: Value error, must be an http:// or https:// address"),
        ({"url": "https://me:s3cret@a.example/"}, "must hold no user or password"),
        ({"auth": {"env": "A", "airflow_connection": "b"}}, "name either env or airflow_connection"),
        ({"auth": {}}, "name either env or airflow_connection"),
        ({"auth": {"token": "s3cret"}}, "auth.token: Extra inputs are not permitted"),
        ({"auth": {"env": "A", "as": "query"}}, "name belongs to `as: header` and `as: query`"),
        ({"hosts": ["https://a.example"]}, "sources.0.http.hosts.0: String should match pattern"),
        ({"suffix": "/x"}, "suffix: String should match pattern"),
        ({"verify": False}, "verify: Extra inputs are not permitted"),
        ({"kind": "folder", "url": "/drop/*/x.csv"}, "may hold wildcards in its last part only"),
        ({"kind": "folder", "url": "drop/x.csv"}, "must be an absolute path"),
        ({"kind": "folder", "url": "s3://bucket"}, "must end with the name or the pattern"),
        ({"kind": "folder", "url": "sftp://a.example/x.csv"}, "sftp:// needs auth"),
        ({"kind": "folder", "url": "sftp://me:s3cret@a.example/x"}, "must hold no password"),
        (
            {"kind": "folder", "url": "/drop/x", "endpoint": "http://a"},
            "endpoint, region and ca_bundle belong to s3://",
        ),
        ({"kind": "folder", "url": "/drop/x", "auth": {"env": "A"}}, "auth belongs to s3:// and sftp://"),
        ({"kind": "folder", "url": "s3://b/x", "known_hosts": "/x"}, "known_hosts belongs to sftp://"),
    ],
)
def test_a_wrong_entry_is_named_but_not_quoted(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    file = tmp_path / "sources.yaml"
    entry = {"name": "a", "feed": FEED, "kind": "http", "url": "https://a.example/"} | change
    file.write_text(yaml.safe_dump({"sources": [entry]}), encoding="utf-8")
    with pytest.raises(UsageError) as error:
        load_sources(file)
    assert reason in str(error.value) and str(file) in str(error.value)
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("sources: [{name: a", "is not readable as YAML: line 1"),
        ("", "the file: Input should be"),
        ("sources: []", "at least 1 item"),
        (None, "docs/sources.md shows how to write it"),
    ],
)
def test_an_unreadable_file_of_sources(tmp_path: Path, text: str | None, reason: str) -> None:
    file = tmp_path / "sources.yaml"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=reason):
        load_sources(file)


def test_a_name_stands_once(tmp_path: Path) -> None:
    entry = {"name": "a", "feed": FEED, "kind": "http", "url": "https://a.example/"}
    (tmp_path / "sources.yaml").write_text(yaml.safe_dump({"sources": [entry, entry]}), encoding="utf-8")
    with pytest.raises(UsageError, match="a name stands twice: a"):
        load_sources(tmp_path / "sources.yaml")


def hfc(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "hfc"), *arguments]
    outer = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "HFC_"))}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=outer | environment, check=False)


def test_the_command_lands_what_it_can_and_says_what_failed(tmp_path: Path, web: Site) -> None:
    web.answer = lambda request: Reply(
        b"x", headers={"Last-Modified": MODIFIED}, status=200 if request.path == "/a" else 404
    )
    home, other = tmp_path / "home", tmp_path / "other"
    home.mkdir()
    entries = [{"name": name, "feed": FEED, "kind": "http", "url": f"{web.url}/{name}"} for name in ("b", "a")]
    (home / "sources.yaml").write_text(yaml.safe_dump({"sources": entries}), encoding="utf-8")
    done = hfc("fetch", "--home", str(home))
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        f"b: failed ({web.url}/b: answered 404 Not Found; check url and params)",
        "a: landed, 1 landed",
        "Sources: 1 failed, 1 landed",
    ]
    done = hfc("fetch", "a", "--home", str(home), "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout) == {
        "sources": [{"source": "a", "feed": FEED, "outcome": "unchanged", "files": [], "reason": None}]
    }
    other.mkdir()
    done = hfc(
        "fetch", "a", "--home", str(tmp_path / "new"), "--sources", str(home / "sources.yaml"), "--landing", str(other)
    )
    assert (done.returncode, [path.name for path in (other / FEED).iterdir() if path.suffix != ".yaml"]) == (
        0,
        ["a__20240409"],
    )
    assert {path.name for path in tmp_path.iterdir()} == {"home", "other", "new"}
    assert hfc("fetch", "c", "--home", str(home)).returncode == 2
    assert hfc("fetch", "--home", str(home), "--landing", str(tmp_path / "typo")).returncode == 2
