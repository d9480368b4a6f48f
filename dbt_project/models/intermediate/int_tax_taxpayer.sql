-- Between which days each taxpayer has vouchers in any delivery, year by year: what the register says of other days
-- moves no money. And their amounts without their signs, which nothing that the taxpayer adds to a cell of the year
-- exceeds.
with taxpayer as (
    select * from {{ source('carried', 'int_tax_taxpayer') }}
    union all
    select
        uscc,
        year(treasury_date)::integer as calendar_year,
        min(treasury_date) as first_day,
        max(treasury_date) as last_day,
        sum(abs(amount_yuan)) as turnover_yuan
    from {{ source('carried', 'tax_uncounted') }}
    where not void
    group by all
)

select
    uscc,
    calendar_year,
    min(first_day) as first_day,
    max(last_day) as last_day,
    sum(turnover_yuan) as turnover_yuan
from taxpayer
group by uscc, calendar_year
