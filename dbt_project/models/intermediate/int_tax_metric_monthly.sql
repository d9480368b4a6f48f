-- The tax metrics by month, in 100 million yuan, unrounded: a row for every member of every month that the feed speaks
-- for, zero for a member without vouchers, missing where the whole month is.
with scope as ({{ dated(ref('metric_scope'), ['category']) }}),

amount as (
    select
        month,
        'financial_tax_revenue' as metric_id,
        'fiscal_level' as dimension,
        fiscal_level as member,
        amount_yuan
    from {{ ref('int_tax_level') }}
    union all
    select
        c.month,
        s.metric_id,
        s.dimension,
        s.member,
        c.amount_yuan
    from {{ ref('int_tax_cell') }} as c
    cross join (
        values
        ('financial_tax_revenue', 'total', 'total', c.category is not null),
        ('financial_tax_revenue', 'category', c.category, c.category is not null),
        ('financial_tax_revenue', 'tax_type', c.tax_type, c.category is not null),
        ('financial_tax_revenue_gross', 'total', 'total', c.category is not null and c.kind = 'collection'),
        ('tax_revenue_out_of_scope', 'total', 'total', c.reason is not null),
        ('tax_revenue_out_of_scope', 'reason', c.reason, c.reason is not null)
    ) as s (metric_id, dimension, member, applies)
    where s.applies
),

summed as (
    select
        month,
        metric_id,
        dimension,
        member,
        {{ yuan_to_cny_100m('sum(amount_yuan)') }} as value
    from amount
    group by month, metric_id, dimension, member
),

series as (
    select
        m.metric_id,
        d.dimension,
        d.member
    from {{ ref('metric') }} as m
    inner join {{ ref('dimension_member') }} as d
        on list_contains(string_split(m.dimensions, ' '), d.dimension)
    where
        m.metric_id in ('financial_tax_revenue', 'financial_tax_revenue_gross', 'tax_revenue_out_of_scope')
        and (
            d.dimension != 'category'
            or d.member in (
                select s.category
                from scope as s
                inner join {{ source('lake', 'context') }} as c on s.valid_from <= last_day(c.report_month)
                where s.in_scope
            )
        )
)

select
    s.metric_id,
    m.month,
    s.dimension,
    s.member,
    case when not m.is_missing then coalesce(v.value, 0) end as value,
    case when m.is_missing then 'M' else 'A' end as obs_status
from {{ ref('int_tax_month') }} as m
cross join series as s
left join summed as v
    on m.month = v.month and s.metric_id = v.metric_id and s.dimension = v.dimension and s.member = v.member
