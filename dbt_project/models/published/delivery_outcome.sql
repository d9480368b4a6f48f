select
    feed,
    file,
    sha256,
    bytes,
    published_on,
    rows_in,
    rows_accepted,
    rows_quarantined,
    rows_duplicate,
    outcome,
    reason,
    source_url,
    licence,
    note,
    synthetic
from {{ ref('int_delivery_outcome') }}
order by seq
