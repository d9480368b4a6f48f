# The tax cells that are not published, and why: sensitive, or withheld to protect one that is; see hfc.suppression.
import pyarrow

from hfc.suppression import withheld_rows

KEY = "metric_id, frequency, period, dimension, member"
SCHEMA = pyarrow.schema([(name, pyarrow.string()) for name in [*KEY.split(", "), "conf_status"]])


def model(dbt, session):
    dbt.config(materialized="table")
    rules = dbt.ref("disclosure_rule")
    cells = dbt.ref("int_tax_concentration").order(KEY)
    sharing = dbt.ref("tax_sharing")
    released = dbt.source("lake", "released_observation").filter("metric_id like '%tax_revenue%'")
    rows = withheld_rows(
        rules.select("taxpayers, percent").fetchall(),
        cells.select(f"{KEY}, value_yuan, taxpayers, largest_yuan, rest_yuan").fetchall(),
        sharing.select("scheme, tax_type, valid_from, central, province, city_district").fetchall(),
        released.order(f"as_of, {KEY}").select(f"as_of, {KEY}, value, conf_status").fetchall(),
    )
    return pyarrow.Table.from_pylist(rows, schema=SCHEMA)
