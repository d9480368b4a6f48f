"""What tests of any folder can ask for."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

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


@pytest.fixture(scope="session")
def bucket() -> Iterator[tuple[Any, str]]:
    """A client of an S3 server on loopback, and the server's address; the bucket is called `bucket`."""
    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    client = boto3.client(
        "s3", endpoint_url=endpoint, aws_access_key_id="k", aws_secret_access_key="s", region_name="us-east-1"
    )
    client.create_bucket(Bucket="bucket")
    yield client, endpoint
    server.stop()
