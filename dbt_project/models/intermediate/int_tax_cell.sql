-- The current vouchers by cell: all that was delivered, less what a later delivery superseded.
with part as (
    select * from {{ ref('int_tax_delivered_cell') }}
    union all
    select * replace (-vouchers as vouchers, -amount_yuan as amount_yuan)
    from ({{ tax_cells(ref('stg_tax_collections_superseded'), ref('int_tax_window')) }})
)

select
    month,
    category,
    reason,
    tax_type,
    scheme,
    kind,
    sum(vouchers)::bigint as vouchers,
    sum(amount_yuan) as amount_yuan
from part
group by all
having sum(vouchers) != 0
