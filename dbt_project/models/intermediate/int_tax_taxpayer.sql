-- Between which days each taxpayer has vouchers in any delivery: what the register says of other days moves no money.
with taxpayer as (
    select
        uscc,
        first_day,
        last_day
    from {{ source('carried', 'int_tax_taxpayer') }}
    union all
    select
        uscc,
        min(treasury_date) as first_day,
        max(treasury_date) as last_day
    from {{ source('carried', 'tax_uncounted') }}
    where not void
    group by uscc
)

select
    uscc,
    min(first_day) as first_day,
    max(last_day) as last_day
from taxpayer
group by uscc
