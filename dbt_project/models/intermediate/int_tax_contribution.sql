-- What each taxpayer's current vouchers add up to, cell by cell, of the series that have to be measured now.
-- Taxpayer-level, confidential.
with series as ({{ tax_series(ref('int_tax_cell'), ['category', 'reason', 'tax_type', 'scheme', 'kind']) }}),

cell as (
    select distinct
        s.month,
        s.category,
        s.reason,
        s.tax_type,
        s.scheme,
        s.kind
    from series as s
    inner join {{ ref('int_tax_measured_series') }} as m
        on
            s.metric_id = m.metric_id and s.dimension = m.dimension and s.member = m.member
            and year(s.month) = m.calendar_year
    where not m.is_carried
),

voucher as (
    {% for delivered in ['tax_counted', 'tax_uncounted'] %}
    select
        uscc,
        tax_type,
        treasury_date,
        kind,
        amount_yuan,
        1 as vouchers
    from {{ source('carried', delivered) }}
    where not void
    union all
    {% endfor %}
    select
        uscc,
        tax_type,
        treasury_date,
        kind,
        -amount_yuan as amount_yuan,
        -1 as vouchers
    from {{ ref('stg_tax_collections_superseded') }}
    where not void
),

-- Most rows fall by these columns, which need no look at who paid.
needed as (
    select v.*
    from voucher as v
    semi join cell as n
        on
            date_trunc('month', v.treasury_date)::date = n.month
            and v.tax_type = n.tax_type and v.kind = n.kind
),

counted as (
    select
        date_trunc('month', r.treasury_date)::date as month,
        r.uscc,
        {{ counted_as() }},
        r.vouchers,
        r.amount_yuan
    from needed as r
    {{ join_counted_as(ref('int_tax_window')) }}
)

select
    c.month,
    c.uscc,
    c.category,
    c.reason,
    c.tax_type,
    c.scheme,
    c.kind,
    sum(c.vouchers)::bigint as vouchers,
    sum(c.amount_yuan) as amount_yuan
from counted as c
inner join cell as n
    on
        c.month = n.month and c.category is not distinct from n.category and c.reason is not distinct from n.reason
        and c.tax_type = n.tax_type and c.scheme = n.scheme and c.kind = n.kind
group by all
having sum(c.vouchers) != 0
