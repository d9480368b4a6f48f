"""The evidence for a release: the rows of the lake that were current in it.

Read from the immutable files of exactly the deliveries that the release's manifest names, whatever has arrived since.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb

from hfc.corrections import DELIVERY_ID, corrected_sql, in_force
from hfc.home import HfcError, Home
from hfc.warehouse import accepted
from ingest import shared
from ingest.archive import registered
from ingest.columns import lake_name
from ingest.contract import Contract, load_contracts
from ingest.lake import lake_file

PLACE = "delivery_id, sheet, line"


@dataclass(frozen=True)
class Evidence:
    """The deliveries of a release, by identifier, and a connection that shows the current rows of each feed in a view
    of its name."""

    connection: duckdb.DuckDBPyConnection
    home: Home
    deliveries: dict[str, dict[str, Any]]
    as_of: date

    def show(self, feed: str, first: date | None = None, last: date | None = None) -> None:
        """Make the view of a feed. With days, of the tax feed only the vouchers that any version dates in between.

        Raises:
            HfcError: the lake lacks a file of one of the deliveries.
        """
        contract = load_contracts()[feed]
        own = [delivery for delivery in self.deliveries.values() if delivery["feed"] == feed]
        if missing := [delivery["file"] for delivery in own if not lake_file(self.home, delivery).is_file()]:
            raise HfcError(f"The lake lacks the rows of {feed}/{missing[0]}: run hfc replay {feed}, then explain again")
        corrections = [correction for correction in in_force(self.as_of) if correction.feed == feed]
        rows = corrected_sql(corrections, accepted(self.home, contract, own))
        self.connection.execute(f"CREATE TEMP VIEW delivered_{feed} AS SELECT {DELIVERY_ID}, * FROM {rows}")
        dated = f"delivered_{feed}"
        if feed == "tax_collections" and first and last:
            days = f"treasury_date BETWEEN DATE '{first}' AND DATE '{last}'"
            dated += f" SEMI JOIN (SELECT voucher_no FROM delivered_{feed} WHERE {days}) USING (voucher_no)"
        self.connection.execute(f"CREATE TEMP VIEW {feed} AS {current(contract, dated)}")

    def records(self, sql: str, parameters: object = None) -> list[dict[str, Any]]:
        """The rows of a query by column name."""
        result = self.connection.execute(sql, parameters)
        names = [column[0] for column in result.description or []]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def evidence(home: Home, manifest: dict[str, Any], connection: duckdb.DuckDBPyConnection) -> Evidence:
    """The evidence for the release of a manifest.

    Raises:
        HfcError: a delivery of the release is not registered in this home.
    """
    loaded = {entry["delivery_id"]: entry for entry in manifest["inputs"] if entry["outcome"] == "loaded"}
    shared.pull(home, everything=True)
    known = {delivery["delivery_id"]: delivery for delivery in registered(home)}
    if missing := sorted(loaded.keys() - known.keys()):
        raise HfcError(
            f"Release {manifest['release_id']} used delivery {missing[0]}, which is not in {home.deliveries}"
        )
    deliveries = {identifier: {**known[identifier], **entry} for identifier, entry in loaded.items()}
    connection.register("delivery", arrow(("delivery_id", "seq", "published_on"), deliveries.values()))
    return Evidence(connection, home, deliveries, date.fromisoformat(manifest["as_of"]))


def arrow(names: tuple[str, ...], records: Iterable[dict[str, Any]]) -> Any:
    """Some fields of records as an Arrow table that DuckDB reads."""
    import pyarrow as pa

    found = list(records)
    return pa.table({name: [record[name] for record in found] for name in names})


def current(contract: Contract, rows: str) -> str:
    """SQL of a feed's current rows. Of one key's versions the last counts, by vintage and then by arrival, unless it
    withdraws the key; a repetition of the version before it is none."""
    key = ", ".join(lake_name(column) for column in contract.keys)
    names = [lake_name(column) for column in contract.columns]
    void = "AND NOT coalesce(void, false)" if "void" in names else ""
    order = "published_on {0}, seq {0}, line {0}"
    return f"""
        SELECT * FROM (
            SELECT *, row_number() OVER (PARTITION BY {key} ORDER BY {order.format("DESC")}) AS recency
            FROM (
                SELECT {PLACE}, {", ".join(names)}, published_on, seq, row({", ".join(names)}) AS content
                FROM ({rows}) INNER JOIN delivery USING (delivery_id)
                QUALIFY lag(content) OVER (PARTITION BY {key} ORDER BY {order.format("ASC")}) IS DISTINCT FROM content
            )
        )
        WHERE recency = 1 {void}"""
