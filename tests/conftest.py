"""What tests of any folder can ask for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from postgres import Database, Server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server."""
    with Server() as server:
        yield server


@pytest.fixture
def database(postgres: Server) -> Database:
    """An empty database."""
    return postgres.database()
