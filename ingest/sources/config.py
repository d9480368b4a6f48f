"""What `sources.yaml` may hold: one entry for each source, validated as a whole before anything is fetched.

No field holds a secret: `auth` names the environment variable or the Airflow connection that does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import (
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from hfc.home import UsageError
from ingest.contract import load_contracts

NAME = r"^[a-z][a-z0-9_]{0,59}$"
WILDCARDS = "*?["


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Auth(_Strict):
    """Where the secret is: exactly one of an environment variable and an Airflow connection."""

    env: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    airflow_connection: str | None = Field(None, pattern=r"^[A-Za-z0-9_.-]+$")

    @model_validator(mode="after")
    def _one_place(self) -> Auth:
        if (self.env is None) == (self.airflow_connection is None):
            raise ValueError("name either env or airflow_connection")
        return self


class HttpAuth(Auth):
    """How the secret is sent: as a bearer token, or as the header or query parameter `name`."""

    sent_as: Literal["bearer", "header", "query"] = Field("bearer", alias="as")
    name: str | None = Field(None, pattern=r"^[A-Za-z0-9_.-]+$")

    @model_validator(mode="after")
    def _named(self) -> HttpAuth:
        if (self.sent_as == "bearer") != (self.name is None):
            raise ValueError("name belongs to `as: header` and `as: query`, and is needed there")
        return self


class FolderAuth(Auth):
    """`login` is the user of sftp or the access key id of S3; else the URL's user, else the Airflow connection's."""

    login: str | None = None


class PageCount(_Strict):
    """A JSON answer whose first element says `page` of `pages`, as the World Bank's."""

    style: Literal["page_count"]
    parameter: str = "page"


class PageLink(_Strict):
    """The header `Link: <…>; rel=next` leads on."""

    style: Literal["link"]


class PageNumber(_Strict):
    """Numbered pages until an empty one; `records` is the path (`data.items`) of what must not be empty."""

    style: Literal["page_number"]
    parameter: str = "page"
    first: int = 1
    records: str | None = None


class Limits(_Strict):
    """Where a fetch stops: bytes (unpacked, all pages of an answer, or one file of a folder) and seconds in all."""

    bytes: ByteSize = ByteSize(256 * 1024**2)
    seconds: PositiveFloat = 600
    pages: PositiveInt = 1000
    redirects: int = Field(default=5, ge=0)


class Retry(_Strict):
    """How often an answer is asked for, and the waits between in seconds; `longest_wait` also caps Retry-After."""

    attempts: PositiveInt = 5
    first_wait: float = Field(default=1, ge=0)
    longest_wait: float = Field(default=60, ge=0)


class _Source(_Strict):
    name: str = Field(pattern=NAME)
    feed: str = Field(pattern=NAME)
    published_on: Literal["last_modified", "fetch_day"] = "last_modified"
    licence: str | None = None
    note: str | None = None
    limits: Limits = Limits()
    ca_bundle: Path | None = None

    @field_validator("feed")
    @classmethod
    def _has_a_contract(cls, feed: str) -> str:
        if feed not in load_contracts():
            raise ValueError(f"there is no contract for this feed; known feeds: {', '.join(load_contracts())}")
        return feed


class HttpSource(_Source):
    """An answer, or the pages of one, at an address."""

    kind: Literal["http"]
    url: str
    params: dict[str, str | int] = {}
    accept: str = "*/*"
    suffix: str = Field("", pattern=r"^(\.[A-Za-z0-9.]{1,12})?$")
    hosts: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+(:[0-9]+)?$")]] = []
    auth: HttpAuth | None = None
    paging: Annotated[PageCount | PageLink | PageNumber, Field(discriminator="style")] | None = None
    retry: Retry = Retry()

    @field_validator("url")
    @classmethod
    def _plain_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an http:// or https:// address")
        if "@" in parts.netloc:
            raise ValueError("must hold no user or password: they belong in auth")
        return url


class FolderSource(_Source):
    """The files of one folder that match the last part of the URL."""

    kind: Literal["folder"]
    url: str
    auth: FolderAuth | None = None
    endpoint: str | None = None
    region: str | None = None
    known_hosts: Path | None = None

    @field_validator("url")
    @classmethod
    def _one_folder(cls, url: str) -> str:
        if "://" not in url and url.startswith("/"):
            url = f"file://{url}"
        scheme, _, rest = url.partition("://")
        if scheme not in ("file", "s3", "sftp") or (scheme == "file" and not rest.startswith("/")):
            raise ValueError("must be an absolute path, s3://bucket/… or sftp://user@host/…")
        folder, _, pattern = rest.rpartition("/")
        if not pattern or (not folder and scheme != "file"):
            raise ValueError("must end with the name or the pattern of the files, as in …/*.csv")
        if any(character in folder for character in WILDCARDS):
            raise ValueError("may hold wildcards in its last part only: make each folder a source")
        if ":" in folder.partition("/")[0].rpartition("@")[0]:
            raise ValueError("must hold no password: it belongs in auth")
        return url

    @property
    def scheme(self) -> str:
        """`file`, `s3` or `sftp`."""
        return self.url.partition("://")[0]

    @property
    def pattern(self) -> str:
        """What the files are called; may hold wildcards."""
        return self.url.rpartition("/")[2]

    @model_validator(mode="after")
    def _fitting(self) -> FolderSource:
        if self.scheme != "s3" and (self.endpoint or self.region or self.ca_bundle):
            raise ValueError("endpoint, region and ca_bundle belong to s3://")
        if self.scheme != "sftp" and self.known_hosts:
            raise ValueError("known_hosts belongs to sftp://")
        if self.scheme == "sftp" and self.auth is None:
            raise ValueError("sftp:// needs auth")
        if self.scheme == "file" and self.auth:
            raise ValueError("auth belongs to s3:// and sftp://")
        return self


Source = Annotated[HttpSource | FolderSource, Field(discriminator="kind")]


class Sources(_Strict):
    """The whole file."""

    sources: list[Source] = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> Sources:
        names = [source.name for source in self.sources]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"a name stands twice: {', '.join(twice)}")
        return self


def load_sources(path: Path) -> dict[str, HttpSource | FolderSource]:
    """The sources of a file, by name and in its order.

    Raises:
        UsageError: there is no such file, or it is not valid; the message names each place and what is wrong there,
            never the value, which might be a secret put into the wrong field.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"No sources at {path} ({error.strerror}): docs/sources.md shows how to write it") from None
    except (yaml.YAMLError, ValueError) as error:
        raise UsageError(f"{path} is not readable as YAML: {_place(error)}") from None
    try:
        sources = Sources.model_validate(content).sources
    except ValidationError as error:
        faults = [(".".join(map(str, fault["loc"])) or "the file", fault["msg"]) for fault in error.errors()]
        lines = [f"  {place}: {message}" for place, message in faults]
        raise UsageError("\n".join([f"{path} is not valid:", *lines])) from None
    return {source.name: source for source in sources}


def _place(error: Exception) -> str:
    """Where YAML stopped; its own message quotes the line."""
    mark: Any = getattr(error, "problem_mark", None)
    return f"line {mark.line + 1}, column {mark.column + 1}" if mark else type(error).__name__
