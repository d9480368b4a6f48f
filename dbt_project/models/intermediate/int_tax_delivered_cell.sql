-- Everything that was ever delivered, superseded or not, by cell: what the build before had counted, the deliveries
-- that it had not, and the vouchers that move to another cell because the register has changed. A cell is a sum over
-- rows, so this is exactly what counting every row afresh gives.
with change as (
    select * from {{ ref('int_tax_window_change') }}
),

moved as (
    select c.*
    from {{ source('carried', 'tax_counted') }} as c
    inner join change as w
        on c.uscc = w.uscc and c.treasury_date >= w.valid_from and c.treasury_date < w.valid_to
),

before as (
    select
        uscc,
        valid_from,
        valid_to,
        category_before as category,
        reason_before as reason
    from change
),

cell as (
    select * from {{ source('carried', 'int_tax_delivered_cell') }}
    union all
    ({{ tax_cells(source('carried', 'tax_uncounted'), ref('int_tax_window')) }})
    union all
    ({{ tax_cells('moved', 'change') }})
    union all
    ({{ tax_cells('moved', 'before', sign='-') }})
)

{{ tax_cells_added_up('cell') }}
