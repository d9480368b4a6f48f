"""Secrets, kept out of everything that is written, and the connections of Airflow that hold them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

from hfc.home import Home

if TYPE_CHECKING:
    from airflow.sdk import Connection

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


def airflow_connection(home: Home, name: str) -> Connection | None:
    """The connection of this name in Airflow, or in the variable `AIRFLOW_CONN_<NAME>`, if there is one."""
    # Importing Airflow makes its home directory: by hand, outside of Airflow, let that be the one of `make airflow`.
    os.environ.setdefault("AIRFLOW_HOME", str(home.root / "airflow"))
    from airflow.sdk import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        found: Connection = Connection.get(name)
    except AirflowNotFoundException:
        return None
    return found
