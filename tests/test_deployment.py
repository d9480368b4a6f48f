"""The start in containers, proved without Docker: the schema of Compose, rules of our own, and the real commands.

Beside them: the runbook names every variable that the code, the containers and the tests read.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from hfc.airflow import AirflowLocal
from hfc.home import Home

REPOSITORY = Path(__file__).resolve().parents[1]
COMPOSE = (REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8")
IMAGES = {name: (REPOSITORY / name / "Dockerfile").read_text(encoding="utf-8") for name in (".", "./superset")}
DOCKERFILE = IMAGES["."]
RUNBOOK = (REPOSITORY / "docs/runbook.md").read_text(encoding="utf-8")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE)["services"]

PINNED = re.compile(r":(?!latest$)[\w.-]+$|@sha256:[0-9a-f]{64}$")
NAMED_VOLUME = re.compile(r"[A-Za-z0-9][\w.-]*")
SECRET_NAME = re.compile(r"(PASSWORD|SECRET|TOKEN|KEY)$")
SECRET_IN_ADDRESS = re.compile(r"://[^/@:]*:(?!\$\{\w+:\?)[^/@]*@")
ONE_SHOT = "service_completed_successfully"
IN_CONTAINERS = re.compile(r"\| `(HFC_\w+)` \|[^|]*\| [^|]*\bcontainers only\b")


# --- rules that the schema of Compose does not know -------------------------------------------------------------------


def faults(compose: str, images: dict[str, str], runbook: str) -> list[str]:
    """What a stranger could stumble over: dangling references, secrets, floating images, root, silent deaths."""
    try:
        document = yaml.safe_load(compose)
    except yaml.YAMLError as error:
        return [f"YAML: {error}"]
    found = [*variable_faults(compose), *(fault for folder in images for fault in dockerfile_faults(folder, images))]
    found += [f"{name} is not in the runbook" for name in undocumented(compose, runbook)]
    found += [f"{name} of the runbook is not here" for name in IN_CONTAINERS.findall(runbook) if name not in compose]
    for name, service in document["services"].items():
        each = [*dangling(document, service), *secret_faults(service), *care_faults(document, name, service)]
        user = service.get("user") or (user_of(images[service["build"]]) if "build" in service else "root")
        if user.split(":")[0] in ("root", "0"):
            each.append("runs as root")
        found += [f"{name}: {fault}" for fault in each]
    return found


def variable_faults(compose: str) -> Iterator[str]:
    """Each variable has a default or a message; `$$` is a dollar."""
    for dollar in re.finditer(r"\$(\$|\{?(\w+)(:[-?].)?)", compose):
        if dollar[2] and not dollar[3]:
            yield f"${dollar[2]} has neither a default nor a message"


def undocumented(text: str, runbook: str) -> list[str]:
    """The variables of ours that the runbook has no row for."""
    return sorted(name for name in set(re.findall(r"\bHFC_[A-Z_]*[A-Z]\b", text)) if f"| `{name}` |" not in runbook)


def dangling(document: dict[str, Any], service: dict[str, Any]) -> Iterator[str]:
    """References to what the file does not define, or the repository does not hold."""
    for kind in ("networks", "secrets", "configs"):
        for used in service.get(kind, ()):
            name = used["source"] if isinstance(used, dict) else used
            if name not in (document.get(kind) or {}):
                yield f"{kind} has no {name}"
    for name, wait in service.get("depends_on", {}).items():
        if name not in document["services"]:
            yield f"services has no {name}"
        elif wait["condition"] == "service_healthy" and "healthcheck" not in document["services"][name]:
            yield f"waits for the health of {name}, which has no health check"
    for source, _ in mounts(service):
        if NAMED_VOLUME.fullmatch(source) and source not in (document.get("volumes") or {}):
            yield f"volumes has no {source}"
    for path in repository_paths(service):
        if not (REPOSITORY / path).exists():
            yield f"the repository has no {path}"


def repository_paths(service: dict[str, Any]) -> Iterator[str]:
    """The paths below the repository that a service needs."""
    if build := service.get("build"):
        build = {"context": build} if isinstance(build, str) else build
        yield os.path.join(build["context"], build.get("dockerfile", "Dockerfile"))
    files = service.get("env_file", ())
    yield from [files] if isinstance(files, str) else files
    yield from (source for source, _ in mounts(service) if source.startswith("."))


def mounts(service: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What is mounted, and where."""
    for volume in service.get("volumes", ()):
        yield (volume["source"], volume["target"]) if isinstance(volume, dict) else tuple(volume.split(":")[:2])


def secret_faults(service: dict[str, Any]) -> Iterator[str]:
    """A secret comes from the environment, and its absence is told."""
    for name, value in service.get("environment", {}).items():
        written = SECRET_NAME.search(name) and not re.fullmatch(r"\$\{\w+:\?.+\}", value)
        if written or SECRET_IN_ADDRESS.search(value):
            yield f"{name} is a secret that does not come from the environment alone"


def care_faults(document: dict[str, Any], name: str, service: dict[str, Any]) -> Iterator[str]:
    """An image that stays what it is; no port beyond this machine; a health check, unless others wait for the end."""
    if not PINNED.search(service["image"]):
        yield f"image {service['image']} is not pinned"
    for port in service.get("ports", ()):
        if not port.startswith("127.0.0.1:"):
            yield f"port {port} is open to other machines"
    waits = [other.get("depends_on", {}) for other in document["services"].values()]
    ends = any(wait.get(name, {}).get("condition") == ONE_SHOT for wait in waits)
    if not ends and "healthcheck" not in service:
        yield "has no health check"


def dockerfile_faults(folder: str, images: dict[str, str]) -> Iterator[str]:
    """Pinned base; what is copied exists; everything that the project runs is copied."""
    name = os.path.normpath(f"{folder}/Dockerfile")
    for image in re.findall(r"^FROM (\S+)", images[folder], re.MULTILINE):
        if not PINNED.search(image):
            yield f"{name}: image {image} is not pinned"
    copied = {path for line in re.findall(r"^COPY (.+) \S+$", images[folder], re.MULTILINE) for path in line.split()}
    for path in sorted(copied):
        if not (REPOSITORY / folder / path).exists():
            yield f"{name}: the repository has no {os.path.normpath(f'{folder}/{path}')}"
    if folder != ".":
        return
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    for path in (*packages, "dags", "dbt_project", "requirements.lock"):
        if path not in copied:
            yield f"{name}: {path} is not copied"


def user_of(dockerfile: str) -> str:
    """As whom the image runs."""
    users: list[str] = re.findall(r"^USER (\S+)", dockerfile, re.MULTILINE)
    return users[-1] if users else "root"


def test_nothing_is_dangling_floating_or_root() -> None:
    assert faults(COMPOSE, IMAGES, RUNBOOK) == []


POSTGRES_USER = "    user: postgres\n"
BROKER = "redis://:${HFC_BROKER_PASSWORD:?set a password of letters and digits}@"
POSTGRES_HEALTH = "    healthcheck:\n      test: [CMD, pg_isready"
BAD_COMPOSE = [
    ("environment: *environment", "environment: *settings", "undefined alias 'settings'"),
    ("      postgres: {condition", "      database: {condition", "databases: services has no database"),
    ("  metadata:\n", "", "postgres: volumes has no metadata"),
    (POSTGRES_USER, f"{POSTGRES_USER}    networks: [back]\n", "postgres: networks has no back"),
    (POSTGRES_USER, f"{POSTGRES_USER}    secrets: [password]\n", "postgres: secrets has no password"),
    (POSTGRES_USER, f"{POSTGRES_USER}    configs: [{{source: tuning}}]\n", "postgres: configs has no tuning"),
    (POSTGRES_USER, f"{POSTGRES_USER}    env_file: postgres.env\n", "postgres: the repository has no postgres.env"),
    ('["home:/var/lib/hfc",', '["./settings:/var/lib/hfc",', "the repository has no ./settings"),
    ("[{source: board,", "[{source: pages,", "board: configs has no pages"),
    (POSTGRES_HEALTH, f"    x-{POSTGRES_HEALTH.strip()}", "databases: waits for the health of postgres, which has no"),
    ("${HFC_INGEST_CRON:-}", "${HFC_INGEST_CLOCK:-}", "HFC_INGEST_CLOCK is not in the runbook"),
    ("${HFC_INGEST_CRON:-}", "${HFC_INGEST_CRON}", "$HFC_INGEST_CRON has neither a default nor a message"),
    ("${HFC_INGEST_CRON:-}", "$HFC_INGEST_CRON", "$HFC_INGEST_CRON has neither a default nor a message"),
    ("?set at least 64 random characters", "-secret", "AIRFLOW__API_AUTH__JWT_SECRET is a secret"),
    ("?set a password for our own roles in PostgreSQL", "-airflow", "postgres: POSTGRES_PASSWORD is a secret"),
    ("airflow@postgres", "airflow:airflow@postgres", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN is a secret"),
    (BROKER, "redis://:airflow@", "AIRFLOW__CELERY__BROKER_URL is a secret"),
    (BROKER, BROKER.replace(":?", ":-"), "AIRFLOW__CELERY__BROKER_URL is a secret"),
    ("postgres:15.14-bookworm", "postgres:latest", "postgres: image postgres:latest is not pinned"),
    ("postgres:15.14-bookworm", "registry:5000/postgres", "postgres: image registry:5000/postgres is not pinned"),
    ("nginx:1.28.0-bookworm", "nginx", "board: image nginx is not pinned"),
    ("redis:7.2.11-bookworm", "redis", "broker: image redis is not pinned"),
    (
        "    user: redis\n",
        "    user: redis\n    ports: [6379:6379]\n",
        "broker: port 6379:6379 is open to other machines",
    ),
    ("    user: redis\n", "", "broker: runs as root"),
    (POSTGRES_USER, "", "postgres: runs as root"),
    ("    user: nginx\n", "", "board: runs as root"),
    (POSTGRES_USER, '    user: "0:0"\n', "postgres: runs as root"),
    ("    healthcheck: &beating\n", "    x-healthcheck: &beating\n", "dag-processor: has no health check"),
    (f"init: {{condition: {ONE_SHOT}}}", "init: {condition: service_started}", "init: has no health check"),
]
BAD_DOCKERFILE = [
    (".", "python:3.11.14-slim-bookworm", "python", "Dockerfile: image python is not pinned"),
    (".", "USER hfc", "", "scheduler: runs as root"),
    (".", "COPY demo demo/", "COPY examples examples/", "Dockerfile: the repository has no examples"),
    (".", "COPY expectations expectations/", "", "Dockerfile: expectations is not copied"),
    ("./superset", "USER superset", "", "superset-init: runs as root"),
    (
        "./superset",
        "COPY bundle bundle/",
        "COPY charts charts/",
        "superset/Dockerfile: the repository has no superset/charts",
    ),
]
BAD_RUNBOOK = [
    ("| `HFC_SUPERSET_PORT` |", "| `HFC_SUPERSET_ADDRESS` |", "HFC_SUPERSET_PORT is not in the runbook"),
    ("| `HFC_SUPERSET_SECRET_KEY` |", "| `HFC_SECRET_KEY` |", "HFC_SECRET_KEY of the runbook is not here"),
]


@pytest.mark.parametrize(("good", "bad", "fault"), BAD_COMPOSE)
def test_a_bad_composition_is_refused(good: str, bad: str, fault: str) -> None:
    assert good in COMPOSE
    found = faults(COMPOSE.replace(good, bad), IMAGES, RUNBOOK)
    assert any(fault in each for each in found), found


@pytest.mark.parametrize(("folder", "good", "bad", "fault"), BAD_DOCKERFILE)
def test_a_bad_image_is_refused(folder: str, good: str, bad: str, fault: str) -> None:
    assert good in IMAGES[folder]
    assert fault in faults(COMPOSE, IMAGES | {folder: IMAGES[folder].replace(good, bad)}, RUNBOOK)


@pytest.mark.parametrize(("good", "bad", "fault"), BAD_RUNBOOK)
def test_a_runbook_of_another_composition_is_refused(good: str, bad: str, fault: str) -> None:
    assert good in RUNBOOK
    assert fault in faults(COMPOSE, IMAGES, RUNBOOK.replace(good, bad))


# --- the schema, and Airflow itself -----------------------------------------------------------------------------------


def check_schema(path: Path) -> subprocess.CompletedProcess[str]:
    """Check a file against the schema of Compose that the checker ships."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_schema_accepts_it_and_refuses_a_slip(tmp_path: Path) -> None:
    good = check_schema(REPOSITORY / "docker-compose.yml")
    assert good.returncode == 0, good.stdout
    slip = tmp_path / "docker-compose.yml"
    slip.write_text(COMPOSE.replace("    healthcheck:", "    heathcheck:"), encoding="utf-8")
    bad = check_schema(slip)
    assert bad.returncode == 1 and "heathcheck" in bad.stdout


PARSE = """
import json, sys
from airflow.cli.cli_parser import get_parser
for command in json.loads(sys.argv[1]):
    get_parser().parse_args(command)
"""


def parsed_by_airflow(commands: list[list[str]], root: Path) -> subprocess.CompletedProcess[str]:
    """Let Airflow read command lines, without carrying them out."""
    command = [sys.executable, "-c", PARSE, json.dumps(commands)]
    executor = SERVICES["worker"]["environment"]["AIRFLOW__CORE__EXECUTOR"]  # without it, no command `celery`
    environment = {**os.environ, "AIRFLOW_HOME": str(root), "AIRFLOW__CORE__EXECUTOR": executor}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def commands_of_ours() -> list[list[str]]:
    """What the containers of Airflow run: their commands and their health checks."""
    ours = [service for service in SERVICES.values() if service.get("build") == "."]
    checks = [service["healthcheck"]["test"] for service in ours if "healthcheck" in service]
    assert {check[0] for check in checks} == {"CMD"}
    return [service["command"] for service in ours] + [check[1:] for check in checks]


def test_the_commands_are_airflows(tmp_path: Path) -> None:
    commands = commands_of_ours()
    assert {command[0] for command in commands} == {"airflow", "python", "sh"}  # the others have tests of their own
    assert (Path(sys.executable).parent / "airflow").exists()
    of_airflow = [command[1:] for command in commands if command[0] == "airflow"]
    assert [command[0] for command in of_airflow] == [
        "api-server",
        "dag-processor",
        "triggerer",
        "scheduler",
        "celery",
        "jobs",
        "jobs",
        "jobs",
    ]
    good = parsed_by_airflow(of_airflow, tmp_path)
    assert good.returncode == 0, good.stderr
    for bad in (
        ["scheduler", "--no-such-option"],
        ["webserver"],
        ["celery", "work"],
        ["jobs", "check", "--job-type", "Scheduler"],
    ):
        assert parsed_by_airflow([bad], tmp_path).returncode == 2, bad


def settings_apart(launcher: dict[str, str], compose: dict[str, str]) -> set[str]:
    """The settings of Airflow that are not the same in both, or stand in one only."""
    names = {name for name in launcher | compose if name.startswith("AIRFLOW__")}
    return {name.removeprefix("AIRFLOW__") for name in names if launcher.get(name) != compose.get(name)}


def test_the_settings_are_the_launchers(tmp_path: Path) -> None:
    airflow = AirflowLocal(Home(tmp_path))
    airflow.root.mkdir()
    (airflow.root / "jwt_secret").write_text("secret")
    launcher, compose = airflow.environment(), SERVICES["worker"]["environment"]
    expected = {
        "API__BASE_URL",
        "API__HOST",  # the port of the container is published on 127.0.0.1
        "API_AUTH__JWT_SECRET",
        "CELERY__BROKER_URL",
        "CELERY__WORKER_CONCURRENCY",
        "CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT",
        "CORE__DAGS_FOLDER",
        "CORE__EXECUTION_API_SERVER_URL",  # not where a browser finds the API
        "CORE__EXECUTOR",
        "CORE__MAX_ACTIVE_TASKS_PER_DAG",
        "CORE__PARALLELISM",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE",
        "DATABASE__SQL_ALCHEMY_CONN",
        "DATABASE__SQL_ALCHEMY_POOL_ENABLED",  # SQLite is better off without
    }
    launcher["AIRFLOW__CORE__PARALLELISM"] = "of this machine"
    assert settings_apart(launcher, compose) == expected
    changed = {**compose, "AIRFLOW__CORE__LOAD_EXAMPLES": "True", "AIRFLOW__CORE__TYPO": "1"}
    assert settings_apart(launcher, changed) == expected | {"CORE__LOAD_EXAMPLES", "CORE__TYPO"}


def test_home_landing_and_dags_are_where_the_settings_say() -> None:
    environment = SERVICES["worker"]["environment"]
    places = [environment["HFC_HOME"], "/var/lib/board", environment["HFC_LANDING"]]
    assert [target for _, target in mounts(SERVICES["worker"])] == places
    assert environment["AIRFLOW_HOME"] == f"{environment['HFC_HOME']}/airflow"
    assert f"WORKDIR {Path(environment['AIRFLOW__CORE__DAGS_FOLDER']).parent}\n" in DOCKERFILE
    assert f"--owner hfc --group hfc --mode 750 {environment['HFC_HOME']} " in DOCKERFILE
    assert [target for _, target in mounts(SERVICES["board"])] == ["/var/lib/board"]


def prepared(home: Path, database: Path) -> subprocess.CompletedProcess[str]:
    """Run the command of the service `init`, on SQLite."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW__")},
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{database}",
        "HFC_HOME": str(home),
        "HFC_AIRFLOW_PASSWORD": 'with a "quote"',
    }
    program, *arguments = SERVICES["init"]["command"]
    assert program == "python"
    return subprocess.run(
        [sys.executable, *arguments], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )


def test_init_prepares_login_preload_metadata_and_pool(tmp_path: Path) -> None:
    done = prepared(tmp_path, tmp_path / "metadata.db")
    assert done.returncode == 0, done.stderr
    in_container = SERVICES["scheduler"]["environment"]["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"]
    passwords = tmp_path / Path(in_container).relative_to(SERVICES["init"]["environment"]["HFC_HOME"])
    assert json.loads(passwords.read_text(encoding="utf-8")) == {"admin": 'with a "quote"'}
    assert stat.S_IMODE(passwords.stat().st_mode) == 0o600
    assert "great_expectations" in (tmp_path / "airflow/config/airflow_local_settings.py").read_text(encoding="utf-8")
    connection = sqlite3.connect(tmp_path / "metadata.db")
    assert connection.execute("SELECT slots FROM slot_pool WHERE pool = 'warehouse'").fetchall() == [(1,)]
    connection.close()


def test_init_fails_when_the_database_is_not_there(tmp_path: Path) -> None:
    assert prepared(tmp_path, tmp_path / "no such folder" / "metadata.db").returncode != 0


class Healthy(BaseHTTPRequestHandler):
    """Answers the one address that the health check asks for."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/api/v2/monitor/health" else 404)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


def test_the_health_check_of_the_api_server_sees_whether_it_answers() -> None:
    *command, code = SERVICES["api-server"]["healthcheck"]["test"]
    assert command == ["CMD", "python", "-c"]
    with HTTPServer(("127.0.0.1", 0), Healthy) as server:
        here = code.replace(":8080", f":{server.server_port}")
        Thread(target=server.serve_forever, daemon=True).start()
        healthy = subprocess.run([sys.executable, "-c", here], cwd=REPOSITORY, check=False)
        server.shutdown()
    dead = subprocess.run([sys.executable, "-c", here], cwd=REPOSITORY, stderr=subprocess.DEVNULL, check=False)
    assert (healthy.returncode, dead.returncode) == (0, 1)


# --- the runbook ------------------------------------------------------------------------------------------------------


def test_the_runbook_names_every_variable() -> None:
    rooms = ("hfc", "ingest", "expectations", "publish", "dags", "dbt_project", "tests")
    sources = [path for room in rooms for path in (REPOSITORY / room).rglob("*") if path.suffix in (".py", ".yml")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources if path != Path(__file__))
    assert "HFC_HOME" in text and undocumented(text, RUNBOOK) == []
    assert undocumented(text, RUNBOOK.replace("| `HFC_KILLS` |", "")) == ["HFC_KILLS"]
