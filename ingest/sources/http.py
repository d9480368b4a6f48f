"""Sources over HTTP: one answer, or the pages of one, each kept as the bytes the server sent.

asyncio gives what the deadline needs: it cuts off whatever is going on, be it a connection that never opens, headers
that drip, or a body that does. Compression is taken off here, piece by piece, because httpx unpacks a piece whole.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import ssl
import zlib
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import Any

import httpx
import tenacity

from hfc.credentials import Secret
from ingest.sources.config import HttpSource, PageCount, PageLink, PageNumber
from ingest.sources.landing import Batch, SourceFailed, Staged, vintage

BUSY = {429, 502, 503, 504}
REDIRECTS = {301, 302, 303, 307, 308}
CONNECTION_FAULTS = (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError, httpx.ProxyError)
IDLE_SECONDS = 30
CHUNK = 1024**2
GZIP = 31
PORTS = {"http": 80, "https": 443}
ADVICE = {
    401: "; check auth",
    403: "; check auth, and whether the account may read this",
    404: "; check url and params",
    410: "; check url and params",
}

log = logging.getLogger("hfc")


class Unavailable(SourceFailed):
    """No answer, or not a whole one, that another try may bring; `retry_after` is what the server asked to wait."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        asks = "" if retry_after is None else f", asks to wait {retry_after:.0f} s"
        super().__init__(message + asks)
        self.retry_after = retry_after


@dataclass(frozen=True)
class Answer:
    """One page on disk; `url` is without the secret, and `link` is where rel=next leads."""

    number: int
    url: httpx.URL
    link: httpx.URL | None
    headers: httpx.Headers
    path: Path
    sha256: str

    @property
    def modified(self) -> datetime | None:
        return http_date(self.headers.get("Last-Modified"))

    @property
    def content(self) -> Any:
        """The page as JSON."""
        try:
            return json.loads(self.path.read_bytes())
        except (ValueError, RecursionError):
            raise SourceFailed(f"page {self.number} is no JSON, which this paging style needs") from None

    @cached_property
    def place(self) -> tuple[int, int, int]:
        """`page`, `pages` and `total` of a counted answer."""
        try:
            head = self.content[0]
            return int(head["page"]), int(head["pages"]), int(head["total"])
        except (LookupError, TypeError, ValueError):
            raise SourceFailed(f"page {self.number} does not begin with page, pages and total: check params") from None


def collect(source: HttpSource, secret: Secret | None, remembered: dict[str, Any], place: Path) -> Batch:
    """Fetch the source into `place`; only pages with bytes that the last fetch did not bring are staged.

    Raises:
        SourceFailed: the answer, or one page of it, could not be had whole; then there is no batch at all.
    """
    for name in ("httpx", "httpcore"):  # they log whole addresses and headers
        logging.getLogger(name).setLevel(logging.WARNING)
    answers = asyncio.run(_fetch(source, secret, remembered, place))
    if answers is None:
        return Batch([], remembered)
    known = remembered.get("sha256", [])
    modified = max((answer.modified for answer in answers if answer.modified), default=None)
    published_on = vintage(source.published_on, modified)
    suffix = source.suffix or PurePosixPath(httpx.URL(source.url).path).suffix
    staged = []
    for answer in answers:
        page = f"__p{answer.number:04}" if source.paging else ""
        name = f"{source.name}{page}__{published_on:%Y%m%d}{suffix}"
        if answer.sha256 not in known:
            staged.append(Staged(answer.path, name, published_on, hidden(str(answer.url), secret)))
    facts: dict[str, Any] = {"sha256": [answer.sha256 for answer in answers]}
    if source.paging is None:
        facts |= {name: answers[0].headers[name] for name in ("ETag", "Last-Modified") if name in answers[0].headers}
    return Batch(staged, facts)


async def _fetch(
    source: HttpSource, secret: Secret | None, remembered: dict[str, Any], place: Path
) -> list[Answer] | None:
    """Every page of the answer, or `None` when the server says that nothing has changed."""
    limits = source.limits
    try:
        async with asyncio.timeout(limits.seconds) as deadline, _client(source) as client:
            visit = Visit(source, secret, client, place, deadline.when() or 0)
            url: httpx.URL | None = visit.start
            answers: list[Answer] = []
            while url is not None:
                if len(answers) == limits.pages:
                    raise SourceFailed(f"more than {limits.pages} pages: raise limits.pages if that is right")
                # Of a paged answer the first page's validators say nothing about the others.
                answer = await visit.page(url, len(answers) + 1, {} if source.paging else validators(remembered))
                if answer is None:
                    return None
                answers.append(answer)
                url = following(source, answers)
            return answers
    except TimeoutError:
        raise SourceFailed(f"not done after {limits.seconds:g} s: raise limits.seconds if that is right") from None


def _client(source: HttpSource) -> httpx.AsyncClient:
    verify: ssl.SSLContext | bool = True
    if source.ca_bundle:
        try:
            verify = ssl.create_default_context(cafile=source.ca_bundle)
        except OSError as error:
            raise SourceFailed(f"ca_bundle {source.ca_bundle} is not readable: {error.strerror}") from None
    headers = {"User-Agent": "hfc-metrics", "Accept": source.accept, "Accept-Encoding": "gzip"}
    return httpx.AsyncClient(verify=verify, headers=headers, timeout=IDLE_SECONDS, follow_redirects=False)


def validators(remembered: dict[str, Any]) -> dict[str, str]:
    """The headers that make a request conditional."""
    pairs = (("If-None-Match", "ETag"), ("If-Modified-Since", "Last-Modified"))
    return {header: remembered[name] for header, name in pairs if name in remembered}


class Visit:
    """One fetch of one source: its client, what it may send where, and what is left of its limits."""

    def __init__(
        self, source: HttpSource, secret: Secret | None, client: httpx.AsyncClient, place: Path, deadline: float
    ) -> None:
        self.source, self.secret, self.client, self.place, self.deadline = source, secret, client, place, deadline
        self.start = httpx.URL(source.url)
        if source.params:
            self.start = self.start.copy_merge_params({key: str(value) for key, value in source.params.items()})
        if isinstance(source.paging, PageNumber):
            self.start = self.start.copy_set_param(source.paging.parameter, source.paging.first)
        self.own = address(self.start)
        self.hosts = {self.own} | {address(httpx.URL(f"{self.start.scheme}://{host}")) for host in source.hosts}
        self.bytes_left = int(source.limits.bytes)

    async def page(self, url: httpx.URL, number: int, conditions: dict[str, str]) -> Answer | None:
        """A page, asked for again while the server is not up to it; `None` when the conditions still hold."""
        attempts = self.source.retry.attempts

        def tell(state: tenacity.RetryCallState) -> None:
            log.info(
                "%s: %s; try %d of %d in %.1f s",
                self.source.name, hidden(str(fault(state)), self.secret), state.attempt_number + 1, attempts,
                state.upcoming_sleep,
            )  # fmt: skip

        def enough(state: tenacity.RetryCallState) -> bool:
            next_try = asyncio.get_running_loop().time() + state.upcoming_sleep
            return state.attempt_number >= attempts or next_try >= self.deadline

        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(Unavailable),
            wait=self._pause,
            stop=enough,
            before_sleep=tell,
        )
        try:
            answer: Answer | None = await retrying(self._attempt, url, number, conditions)
        except tenacity.RetryError as error:
            tried = error.last_attempt
            raise SourceFailed(f"{url}: {tried.exception()} (try {tried.attempt_number} of {attempts})") from None
        except SourceFailed as error:
            raise SourceFailed(f"{url}: {error}") from None
        if answer:
            self.bytes_left -= answer.path.stat().st_size
        return answer

    def _pause(self, state: tenacity.RetryCallState) -> float:
        """What the server asked for, else exponential back-off with jitter; never more than the longest wait."""
        retry, asked = self.source.retry, fault(state).retry_after
        if asked is not None:
            return float(min(asked, retry.longest_wait))
        wait = tenacity.wait_exponential_jitter(
            multiplier=retry.first_wait, max=retry.longest_wait, jitter=retry.first_wait
        )
        return float(wait(state))

    async def _attempt(self, url: httpx.URL, number: int, conditions: dict[str, str]) -> Answer | None:
        path = self.place / f"{number:04}"
        try:
            async with aclosing(await self._send(url, conditions)) as response:
                status = response.status_code
                if status == HTTPStatus.NOT_MODIFIED and conditions:
                    return None
                if status != HTTPStatus.OK:
                    raise refusal(response)
                digest = await self._save(response, path)
                return Answer(number, url, self._link(response), response.headers, path, digest)
        except CONNECTION_FAULTS as error:
            detail = str(error) or type(error).__name__
            if "CERTIFICATE_VERIFY_FAILED" in detail:
                raise SourceFailed(f"{detail}; if the certificate is right, name its ca_bundle") from None
            raise Unavailable(detail) from None

    async def _send(self, url: httpx.URL, conditions: dict[str, str]) -> httpx.Response:
        """The response, its body unread, after the redirects that the source permits."""
        for _ in range(self.source.limits.redirects + 1):
            response = await self.client.send(self._request(url, conditions), stream=True)
            if response.status_code not in REDIRECTS:
                return response
            await response.aclose()
            url = self._permitted(response.url, response.headers.get("Location", ""))
        raise SourceFailed(f"more than {self.source.limits.redirects} redirects (limits.redirects)")

    def _link(self, response: httpx.Response) -> httpx.URL | None:
        """Where rel=next leads, if the source is paged so."""
        if not isinstance(self.source.paging, PageLink):
            return None
        link = response.links.get("next", {}).get("url")
        return self._permitted(response.url, link) if link else None

    def _permitted(self, base: httpx.URL, reference: str) -> httpx.URL:
        """Where the server leads to, without user, fragment and secret.

        Raises:
            SourceFailed: it is no address, or its scheme or its host is not the source's.
        """
        try:
            url = base.join(reference).copy_with(userinfo=b"", fragment=None)
        except (httpx.InvalidURL, ValueError):
            raise SourceFailed("the server leads to something that is no address") from None
        if url.scheme != self.start.scheme:
            raise SourceFailed(f"the server leads from {self.start.scheme} to {url.scheme}, which is not followed")
        if address(url) not in self.hosts:
            raise SourceFailed(f"the server leads to {url.netloc.decode()}: add it to hosts if that is right")
        auth = self.source.auth
        if auth and auth.sent_as == "query" and str(auth.name) in url.params:
            url = url.copy_remove_param(str(auth.name))
        return url

    def _request(self, url: httpx.URL, conditions: dict[str, str]) -> httpx.Request:
        """The request; the secret goes to the source's own address only."""
        headers, auth = dict(conditions), self.source.auth
        if auth and self.secret and address(url) == self.own:
            value = self.secret.value
            if auth.sent_as == "query":
                url = url.copy_set_param(str(auth.name), value)
            elif not (value.isascii() and value.isprintable()):
                raise SourceFailed("the secret (auth) holds a line break or another character that no header can carry")
            elif auth.sent_as == "header":
                headers[str(auth.name)] = value
            else:
                headers["Authorization"] = f"Bearer {value}"
        return self.client.build_request("GET", url, headers=headers)

    async def _save(self, response: httpx.Response, path: Path) -> str:
        """Write the body, unpacked, to `path`; gives its SHA-256.

        Raises:
            SourceFailed: it is larger than what is left of the limit, or packed in an unknown way.
            Unavailable: it breaks off.
        """
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in ("", "identity", "gzip", "x-gzip"):
            raise SourceFailed(f"the answer is packed as {encoding!a}; only gzip is understood")
        unpacked = Gunzip() if "gzip" in encoding else None
        received = written = 0
        digest = hashlib.sha256()
        with open(path, "wb") as target:
            async for raw in response.aiter_raw():
                received += len(raw)
                for piece in unpacked.feed(raw) if unpacked else (raw,):
                    written += len(piece)
                    if max(received, written) > self.bytes_left:
                        limit = self.source.limits.bytes.human_readable()
                        raise SourceFailed(f"more than {limit}: raise limits.bytes if that is right")
                    digest.update(piece)
                    target.write(piece)
        if unpacked and not unpacked.complete:
            raise Unavailable("the packed answer breaks off")
        return digest.hexdigest()


class Gunzip:
    """Unpacks gzip, one member or several, in pieces of bounded size."""

    def __init__(self) -> None:
        self.member = zlib.decompressobj(GZIP)

    @property
    def complete(self) -> bool:
        """Whether the last member has ended."""
        return self.member.eof

    def feed(self, raw: bytes) -> Iterator[bytes]:
        """What these bytes unpack to."""
        piece = b""
        while raw or len(piece) == CHUNK:
            if self.member.eof:
                self.member = zlib.decompressobj(GZIP)
            try:
                piece = self.member.decompress(raw, CHUNK)
            except zlib.error:
                raise Unavailable("the packed answer is damaged") from None
            raw = self.member.unconsumed_tail or self.member.unused_data
            yield piece


def following(source: HttpSource, answers: list[Answer]) -> httpx.URL | None:
    """The page after the last answer; `None` at the end, where an empty last page is dropped from the answers."""
    paging, answer = source.paging, answers[-1]
    match paging:
        case PageCount():
            return _counted(paging, answers)
        case PageLink():
            if answer.link in [page.url for page in answers]:
                raise SourceFailed(f"page {answer.number} leads back to a page before it")
            return answer.link
        case PageNumber():
            if _is_empty(paging, answer):
                answers.pop()
                if not answers:
                    raise SourceFailed("the first page is empty: check url, params and paging")
                return None
            if len(answers) > 1 and answers[-2].sha256 == answer.sha256:
                raise SourceFailed(f"page {answer.number} is the same as the one before: check paging.parameter")
            return answer.url.copy_set_param(paging.parameter, paging.first + len(answers))
    return None


def _counted(paging: PageCount, answers: list[Answer]) -> httpx.URL | None:
    answer = answers[-1]
    number, count, _ = answer.place
    if number != answer.number:
        raise SourceFailed(f"asked for page {answer.number}, the server gave page {number}: check paging.parameter")
    if answer.place[1:] != answers[0].place[1:]:
        raise SourceFailed("the data changed while its pages were read; the next fetch reads them anew")
    return answer.url.copy_set_param(paging.parameter, number + 1) if number < count else None


def _is_empty(paging: PageNumber, answer: Answer) -> bool:
    """Whether a numbered page holds nothing: no text, or an empty JSON value where the records should be."""
    if paging.records is None:
        text = answer.path.read_bytes().strip()
        return len(text) < 16 and b"".join(text.split()) in (b"", b"[]", b"{}", b"null")
    content = answer.content
    for key in paging.records.split("."):
        if not isinstance(content, dict) or key not in content:
            raise SourceFailed(f"page {answer.number} has no {paging.records}: check paging.records")
        content = content[key]
    return not content


def refusal(response: httpx.Response) -> SourceFailed:
    """An answer that is none, as an error: to be tried again when the server is busy, else final."""
    status = response.status_code
    known = status in set(HTTPStatus)
    message = f"answered {status}{f' {HTTPStatus(status).phrase}' if known else ''}"
    if status in BUSY:
        return Unavailable(message, retry_after(response.headers.get("Retry-After"), datetime.now(UTC)))
    return SourceFailed(message + ADVICE.get(status, ""))


def retry_after(value: str | None, now: datetime) -> float | None:
    """The seconds that Retry-After asks for, given as a number or as a date; `None` if it is neither."""
    if value is None:
        return None
    if value.strip().isdecimal() and len(value) < 10:
        return float(value)
    moment = http_date(value)
    return max((moment - now).total_seconds(), 0.0) if moment else None


def http_date(value: str | None) -> datetime | None:
    """A date of an HTTP header; `None` if it is none."""
    try:
        moment = parsedate_to_datetime(value or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def address(url: httpx.URL) -> tuple[str, int | None]:
    """Host and port."""
    return url.host.lower(), url.port or PORTS.get(url.scheme)


def fault(state: tenacity.RetryCallState) -> Any:
    """What the last attempt failed with."""
    return state.outcome.exception() if state.outcome else None


def hidden(text: str, secret: Secret | None) -> str:
    """The text without the secret."""
    return secret.hide(text) if secret else text
