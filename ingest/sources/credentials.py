"""The secret of a source: read from the environment or from an Airflow connection."""

from __future__ import annotations

import os

from hfc.credentials import Secret, airflow_connection
from hfc.home import Home
from ingest.sources.config import Auth
from ingest.sources.landing import SourceFailed


def secret_of(home: Home, auth: Auth) -> Secret:
    """The secret that `auth` names.

    Raises:
        SourceFailed: it is not there, or empty; the message names the variable or connection.
    """
    if auth.env is not None:
        value = os.environ.get(auth.env)
        if not value:
            raise SourceFailed(f"the environment variable {auth.env} (auth.env) is not set")
        return Secret(value)
    return _of_connection(home, str(auth.airflow_connection))


def _of_connection(home: Home, name: str) -> Secret:
    connection = airflow_connection(home, name)
    if connection is None:
        raise SourceFailed(
            f"there is no Airflow connection {name} (auth.airflow_connection): add it in Airflow, "
            f"or outside of Airflow set AIRFLOW_CONN_{name.upper()}"
        )
    if not connection.password:
        raise SourceFailed(f"the Airflow connection {name} (auth.airflow_connection) has no password")
    return Secret(connection.password, connection.login)
