"""Secrets: read from the environment or from an Airflow connection, and kept out of everything that is written."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from urllib.parse import quote, quote_plus

from hfc.home import Home
from ingest.sources.config import Auth
from ingest.sources.landing import SourceFailed

HIDDEN = "***"


@dataclass(frozen=True)
class Secret:
    """A secret and the login it belongs to, if there is one."""

    value: str = field(repr=False)
    login: str | None = None

    def hide(self, text: str) -> str:
        """The text without the secret, in any of the forms an address may give it."""
        for form in (self.value, quote(self.value), quote(self.value, safe=""), quote_plus(self.value)):
            text = text.replace(form, HIDDEN)
        return text


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
    # Importing Airflow makes its home directory: by hand, outside of Airflow, let that be the one of `make airflow`.
    os.environ.setdefault("AIRFLOW_HOME", str(home.root / "airflow"))
    from airflow.sdk import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        connection = Connection.get(name)
    except AirflowNotFoundException:
        raise SourceFailed(
            f"there is no Airflow connection {name} (auth.airflow_connection): add it in Airflow, "
            f"or outside of Airflow set AIRFLOW_CONN_{name.upper()}"
        ) from None
    if not connection.password:
        raise SourceFailed(f"the Airflow connection {name} (auth.airflow_connection) has no password")
    return Secret(connection.password, connection.login)
