"""Sources that are folders: on this machine, in an S3 bucket, or behind SFTP."""

from __future__ import annotations

import fnmatch
import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from hfc.credentials import Secret
from ingest.shared import version_of
from ingest.sources.config import WILDCARDS, FolderSource
from ingest.sources.landing import SIDECAR, Batch, SourceFailed, Staged, vintage

CHUNK = 4 * 1024**2
IDLE_SECONDS = 30
LONGEST_NAME = 200


def collect(source: FolderSource, secret: Secret | None, remembered: dict[str, Any], place: Path) -> Batch:
    """Copy the folder's new and changed files into `place`. A file that cannot be had holds up no other.

    Raises:
        SourceFailed: the folder cannot be listed.
    """
    deadline = time.monotonic() + source.limits.seconds
    staged: list[Staged] = []
    failures: list[str] = []
    with _opened(source, secret) as system:
        matching = _matching(system, source)
        remarks = [] if matching else [f"no file matches {source.pattern}"]
        files = {name: version for name, version in remembered.get("files", {}).items() if name in matching}
        for name, info in matching.items():
            if files.get(name) == version_of(info):
                continue
            if time.monotonic() > deadline:
                failures.append(f"not done after {source.limits.seconds:g} s: the rest is left for the next time")
                break
            path = place / f"{len(staged):06}"
            try:
                _check(name, info)
                whole = _copy(system, source, info, path, deadline)
            except Exception as error:
                failures.append(f"{name!r}: {str(error) or type(error).__name__}")
                continue
            if not whole:
                remarks.append(f"{name!r} is still changing: left for the next time")
                continue
            files[name] = version_of(info)
            published_on = vintage(source.published_on, _modified(info))
            staged.append(Staged(path, name, published_on, f"{_shown(source)}/{name}"))
    return Batch(staged, {"files": files}, failures, remarks)


@contextmanager
def _opened(source: FolderSource, secret: Secret | None) -> Iterator[AbstractFileSystem]:
    if source.scheme == "sftp":
        system = _sftp(source, secret)
        try:
            yield system
        finally:
            system.client.close()
    else:
        yield _s3(source, secret) if source.scheme == "s3" else LocalFileSystem(skip_instance_cache=True)


def _s3(source: FolderSource, secret: Secret | None) -> AbstractFileSystem:
    """S3 with the source's own key and nothing that this machine may hold besides; without auth, anonymously."""
    from s3fs import S3FileSystem

    login = source.auth.login if source.auth and source.auth.login else secret.login if secret else None
    if secret and not login:
        raise SourceFailed("the access key id is missing: name it as auth.login, or in the Airflow connection")
    client = {"verify": str(source.ca_bundle) if source.ca_bundle else None, "region_name": source.region}
    return S3FileSystem(
        anon=secret is None,
        key=login,
        secret=secret.value if secret else None,
        endpoint_url=source.endpoint,
        client_kwargs={name: value for name, value in client.items() if value is not None},
        config_kwargs={"connect_timeout": IDLE_SECONDS, "read_timeout": IDLE_SECONDS, "retries": {"max_attempts": 2}},
        default_block_size=CHUNK,
        default_cache_type="none",
        use_listings_cache=False,
        skip_instance_cache=True,
    )


def _sftp(source: FolderSource, secret: Secret | None) -> AbstractFileSystem:
    """SFTP to a server whose key stands in known_hosts, with the source's own password or private key."""
    import paramiko
    from fsspec.implementations.sftp import SFTPFileSystem

    class KnownHostsOnly(SFTPFileSystem):  # type: ignore[misc]  # fsspec ships no types
        """fsspec's own accepts any server."""

        def _connect(self) -> None:
            self.client = paramiko.SSHClient()
            self.client.load_system_host_keys(str(source.known_hosts) if source.known_hosts else None)
            self.client.set_missing_host_key_policy(paramiko.RejectPolicy())
            self.client.connect(self.host, **self.ssh_kwargs)
            self.ftp = self.client.open_sftp()
            self.ftp.get_channel().settimeout(IDLE_SECONDS)

    assert secret and source.auth  # the configuration demands it
    place = source.url.removeprefix("sftp://").partition("/")[0]
    user, _, server = place.rpartition("@")
    host, _, port = server.partition(":")
    login = source.auth.login or user or secret.login
    is_key = secret.value.lstrip().startswith("-----BEGIN")
    try:
        return KnownHostsOnly(
            host,
            port=int(port or 22),
            username=login,
            **({"pkey": _private_key(secret.value)} if is_key else {"password": secret.value}),
            allow_agent=False,
            look_for_keys=False,
            timeout=IDLE_SECONDS,
            banner_timeout=IDLE_SECONDS,
            auth_timeout=IDLE_SECONDS,
            channel_timeout=IDLE_SECONDS,
            skip_instance_cache=True,
        )
    except paramiko.AuthenticationException:
        raise SourceFailed(f"{server} does not accept {login} with this secret: check auth") from None
    except paramiko.BadHostKeyException:
        raise SourceFailed(f"{server} shows another key than known_hosts has: ask whoever runs it") from None
    except paramiko.SSHException as error:
        raise SourceFailed(f"{server}: {error}; a server has to stand in known_hosts") from None


def _private_key(text: str) -> Any:
    """The private key in a secret."""
    import paramiko

    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key(io.StringIO(text))
        except (paramiko.SSHException, ValueError):
            continue
    raise SourceFailed("the private key (auth) is damaged, needs a passphrase, or is of an unknown kind")


def _folder(source: FolderSource) -> str:
    """The folder as its file system calls it."""
    rest = source.url.partition("://")[2].rpartition("/")[0]
    return ("/" + rest.partition("/")[2] if source.scheme == "sftp" else rest) or "/"


def _shown(source: FolderSource) -> str:
    """The folder's address without the user."""
    server, slash, path = source.url.partition("://")[2].rpartition("/")[0].partition("/")
    return f"{source.scheme}://{server.rpartition('@')[2]}{slash}{path}"


def _matching(system: AbstractFileSystem, source: FolderSource) -> dict[str, dict[str, Any]]:
    """What the file system says of each matching file, by name, in the order of the names.

    fsspec's glob would take a folder that is missing or closed for an empty one.
    """
    folder = _folder(source)
    try:
        listed = system.ls(folder, detail=True)
    except FileNotFoundError:
        raise SourceFailed(f"there is no folder {_shown(source)}, or nothing in it") from None
    except PermissionError:
        raise SourceFailed(f"{_shown(source)} may not be listed: check auth and its rights") from None
    inside = folder.rstrip("/") + "/"
    files = [info for info in listed if info["type"] != "directory" and info["name"].startswith(inside)]
    named = {info["name"].removeprefix(inside): info for info in files}
    matching = {name: named[name] for name in sorted(named) if _is_wanted(name, source.pattern)}
    if not matching and not any(character in source.pattern for character in WILDCARDS):
        raise SourceFailed(f"there is no file {source.pattern} in {_shown(source)}")
    return matching


def _is_wanted(name: str, pattern: str) -> bool:
    """Whether a name fits the pattern, and is no sidecar, hidden or lock file, which ingest would not see."""
    unseen = not name or ("/" not in name and (name.startswith((".", "~$")) or name.endswith(SIDECAR)))
    return fnmatch.fnmatchcase(name, pattern) and not unseen


def _check(name: str, info: dict[str, Any]) -> None:
    """Refuse what is no plain file with a plain name: a name becomes a path in the landing folder."""
    if "/" in name or "\\" in name or not name.isprintable() or len(name.encode()) > LONGEST_NAME:
        raise SourceFailed(f"not a file name: no slashes, no control characters, at most {LONGEST_NAME} bytes")
    if info["type"] != "file":
        raise SourceFailed("not a plain file; links are not followed")


def _copy(
    system: AbstractFileSystem, source: FolderSource, info: dict[str, Any], target: Path, deadline: float
) -> bool:
    """Copy one file; `False` if it was written to in the meantime."""
    limit = source.limits.bytes
    too_large = SourceFailed(f"more than {limit.human_readable()}: raise limits.bytes if that is right")
    if info["size"] > limit:
        raise too_large
    written = 0
    with system.open(info["name"], "rb") as remote, open(target, "wb") as local:
        while piece := remote.read(CHUNK):
            written += len(piece)
            if written > limit:
                raise too_large
            if time.monotonic() > deadline:
                raise SourceFailed(f"not done after {source.limits.seconds:g} s: raise limits.seconds if that is right")
            local.write(piece)
    return written == info["size"] and version_of(system.info(info["name"])) == version_of(info)


def _modified(info: dict[str, Any]) -> datetime:
    moment = info.get("LastModified") or info["mtime"]
    return moment if isinstance(moment, datetime) else datetime.fromtimestamp(moment, UTC)
