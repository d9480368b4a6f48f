-- The months that the tax feed speaks for, from that of its first current voucher on. One without any is missing: tax
-- comes in every month, so silence is no zero.
with voucher_month as (
    select distinct month from {{ ref('int_tax_cell') }}
)

select
    m.month,
    v.month is null as is_missing
from (
    select
        unnest(generate_series(
            (select min(month) from voucher_month)::timestamp, c.report_month::timestamp, interval 1 month
        ))::date as month
    from {{ source('lake', 'context') }} as c
) as m
left join voucher_month as v on m.month = v.month
