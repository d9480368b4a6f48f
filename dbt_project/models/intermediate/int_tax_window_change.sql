-- Where taxpayers with counted vouchers count as something else than when the carried cells were added up.
with windows as (
    select
        *,
        'before' as build
    from {{ source('carried', 'int_tax_window') }}
    union all
    select
        *,
        'now' as build
    from {{ ref('int_tax_window') }}
),

-- A taxpayer without windows is not registered, for all time.
complete as (
    select * from windows
    union all
    select
        uscc,
        '0001-01-01'::date as valid_from,
        '9999-12-31'::date as valid_to,
        null as category,
        'not_registered' as reason,
        case when min(build) = 'now' then 'before' else 'now' end as build
    from windows
    group by uscc
    having count(distinct build) = 1
)

select
    n.uscc,
    greatest(b.valid_from, n.valid_from) as valid_from,
    least(b.valid_to, n.valid_to) as valid_to,
    b.category as category_before,
    b.reason as reason_before,
    n.category,
    n.reason
from complete as b
inner join complete as n
    on b.uscc = n.uscc and b.valid_from < n.valid_to and b.valid_to > n.valid_from
semi join {{ source('carried', 'int_tax_taxpayer') }} as t
    on
        n.uscc = t.uscc and t.first_day < least(b.valid_to, n.valid_to)
        and t.last_day >= greatest(b.valid_from, n.valid_from)
where
    b.build = 'before' and n.build = 'now'
    and (b.category, b.reason) is distinct from (n.category, n.reason)
