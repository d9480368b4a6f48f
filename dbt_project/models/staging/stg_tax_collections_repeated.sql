-- Every row of the vouchers that stand in several deliveries: the only ones whose versions have to be told apart.
-- Within one delivery a voucher stands once. Vouchers are compared by a 64-bit hash first, and then by themselves.
{{ config(materialized='table') }}
{% set columns = [
    'delivery_id', 'line', 'voucher_no', 'uscc', 'tax_type', 'tax_period', 'treasury_date', 'kind', 'amount_yuan',
    'void',
] %}
with again as (
    -- In deliveries that the build before has counted: vouchers that come again now. Of files, only the pieces with
    -- vouchers in between are read.
    select {{ columns | join(', ') }}
    from {{ source('carried', 'tax_counted_near') }}
    where
        voucher_no >= (select min(n.voucher_no) from {{ source('carried', 'tax_uncounted_near') }} as n)
        and voucher_no <= (select max(n.voucher_no) from {{ source('carried', 'tax_uncounted_near') }} as n)
        and voucher_no in (select n.voucher_no from {{ source('carried', 'tax_uncounted_near') }} as n)
),

suspect as (
    select hash(voucher_no) as voucher_hash
    from {{ source('carried', 'tax_uncounted_near') }}
    group by voucher_hash
    having count(*) > 1
    union
    select hash(voucher_no) as voucher_hash
    from again
),

candidate as (
    select {{ columns | join(', ') }}
    from {{ source('carried', 'tax_uncounted_near') }}
    where hash(voucher_no) in (select s.voucher_hash from suspect as s)
    union all
    select * from again
    union all
    select *
    from {{ source('carried', 'stg_tax_collections_repeated') }}
    where voucher_no not in (select a.voucher_no from again as a)
)

select *
from candidate
qualify count(*) over (partition by voucher_no) > 1
