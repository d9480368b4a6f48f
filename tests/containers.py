"""The services of docker-compose.yml without Docker: their very commands, settings and health checks, on this machine."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from postgres import PASSWORD, Server

from hfc.airflow import end_session, end_with_parent

REPOSITORY = Path(__file__).resolve().parents[1]
COMPOSE = (REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8")
# What Compose takes from the environment or from `.env`.
VALUES = {
    "HFC_AIRFLOW_JWT_SECRET": "0123456789" * 7,
    "HFC_AIRFLOW_PASSWORD": "airflow's password",
    "HFC_BROKER_PASSWORD": "0123456789abcdef",
    "HFC_LANDING": "landing",
    "HFC_POSTGRES_PASSWORD": PASSWORD,
    "HFC_SUPERSET_ADMIN_PASSWORD": "superset's password",
    "HFC_SUPERSET_POSTGRES_PASSWORD": "an'other p@ss:word",
    "HFC_SUPERSET_SECRET_KEY": "0123456789" * 5,
}
# Where the images have their programs.
PROGRAMS = (Path(sys.executable).parent, REPOSITORY / ".venv-superset/bin")
PATIENCE_SECONDS = 300


def filled(value: Any, values: Mapping[str, str]) -> Any:
    """What Compose makes of a value: variables from outside, with their default or not at all; `$$` is a dollar."""
    if isinstance(value, dict):
        return {name: filled(each, values) for name, each in value.items()}
    if isinstance(value, list):
        return [filled(each, values) for each in value]
    if not isinstance(value, str):
        return value
    return re.sub(
        r"\$\$|\$\{(\w+):(?:-(.*?)|\?.*?)\}",
        lambda found: "$" if found[1] is None else values[found[1]] if found[2] is None else found[2],
        value,
    )


def inline_files() -> list[dict[str, str]]:
    """Which file of `configs` is put where."""
    return [file for service in yaml.safe_load(COMPOSE)["services"].values() for file in service.get("configs", ())]


# What is somewhere else on one machine.
HERE = {
    "0.0.0.0": "127.0.0.1",
    "listen ": "listen 127.0.0.1:",
    "//api-server:": "//127.0.0.1:",
    "@postgres/": "@127.0.0.1/",
    "@broker:": "@127.0.0.1:",
    "--host, postgres,": "--host, 127.0.0.1,",
    "PGHOST: postgres": "PGHOST: 127.0.0.1",
}


@dataclass
class Services:
    """The services, with `places` of this machine instead of their own, free ports, and other `settings` where a test would
    wait too long for those in the file; ended, none of them runs."""

    folder: Path
    postgres: Server
    places: dict[str, Path]
    settings: dict[str, str] = field(default_factory=dict)
    ports: dict[int, int] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __enter__(self) -> Services:
        """Make the superuser of the service `postgres`, and the inline files."""
        self.postgres.run(f"CREATE ROLE airflow SUPERUSER LOGIN PASSWORD '{PASSWORD}'", "CREATE DATABASE airflow")
        files = {file["target"]: self.folder / f"{file['source']}.config" for file in inline_files()}
        text = COMPOSE
        for container, here in {**HERE, **self.places, **files}.items():
            assert container in text, container
            text = text.replace(container, str(here))
        text = re.sub(
            r'(127\.0\.0\.1:|PORT: "|  port )(\d+)', lambda found: f"{found[1]}{self.port(int(found[2]))}", text
        )
        self.document = filled(yaml.safe_load(text), VALUES)
        for name, file in self.document["configs"].items():
            (self.folder / f"{name}.config").write_text(file["content"], encoding="utf-8")
        return self

    def port(self, container: int) -> int:
        """The port here instead of one of a container."""
        if container not in self.ports:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.ports[container] = probe.getsockname()[1]
        return self.ports[container]

    def __exit__(self, *_: object) -> None:
        for process in reversed(self.processes.values()):
            end_session(process, grace=3)

    def environment(self, name: str) -> dict[str, str]:
        """The variables of a service, beside those of this machine that are none of its."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "HFC_"))}
        path = os.pathsep.join([*map(str, PROGRAMS), os.environ["PATH"]])
        port = {"PGPORT": str(self.postgres.port)}
        return {**ours, "PATH": path, **port, **self.document["services"][name].get("environment", {}), **self.settings}

    def start(self, name: str, another: str = "", **options: Any) -> None:
        """Start a service, or `another` worker; `options` are those of `subprocess`."""
        # Containers have a name each, by which Celery knows them.
        called = ["--celery-hostname", f"{another}@here"] if another else []
        with open(self.log(another or name), "wb") as log:
            self.processes[another or name] = subprocess.Popen(
                [*self.document["services"][name]["command"], *called],
                cwd=self.folder,
                env=self.environment(name),
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=end_with_parent,
                **options,
            )

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def said(self, name: str) -> str:
        return self.log(name).read_text(encoding="utf-8", errors="replace")

    def finish(self, name: str) -> None:
        """Wait for a service that ends when it is done."""
        assert self.processes[name].wait(PATIENCE_SECONDS) == 0, self.said(name)

    def is_healthy(self, name: str) -> bool:
        """What the service's own health check says."""
        check = self.document["services"][name]["healthcheck"]["test"][1:]
        return not subprocess.run(check, env=self.environment(name), cwd=self.folder, capture_output=True).returncode

    def await_health(self, name: str) -> None:
        """Wait until the service is healthy."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.is_healthy(name):
            assert self.processes[name].poll() is None and time.monotonic() < deadline, self.said(name)
            time.sleep(0.5)
