-- The current vouchers by cell: all that was delivered, less what a later delivery superseded.
with cell as (
    select * from {{ ref('int_tax_delivered_cell') }}
    union all
    ({{ tax_cells(ref('stg_tax_collections_superseded'), ref('int_tax_window'), sign='-') }})
)

{{ tax_cells_added_up('cell') }}
