# Value-added of each division and in total by quarter, unrounded, with its volume growth; the method is hfc.value_added.
import pyarrow

from hfc.value_added import quarterly

NUMBER = pyarrow.decimal128(38, 24)
SCHEMA = pyarrow.schema(
    {
        "dimension": pyarrow.string(),
        "member": pyarrow.string(),
        "quarter_no": pyarrow.int32(),
        "value": NUMBER,
        "volume_growth": NUMBER,
        "volume_growth_ytd": NUMBER,
    }
)


def model(dbt, session):
    dbt.config(materialized="table")
    components = dbt.ref("int_value_added_component").order("division, quarter_no, indicator")
    accounts = dbt.ref("int_value_added_account")
    deflators = dbt.ref("int_value_added_deflator")
    rows = quarterly(
        components.select("division, quarter_no, growth_of, coefficient, value, value_before").fetchall(),
        accounts.select("division, account_year, income").fetchall(),
        dict(deflators.select("quarter_no, deflator").fetchall()),
    )
    return pyarrow.Table.from_pylist(rows, schema=SCHEMA)
