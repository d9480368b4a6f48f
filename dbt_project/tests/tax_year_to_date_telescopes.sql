-- The year to date less that of the month before is the month, and January's is January's, unrounded; December's, as
-- published, is the year's.
with cumulated as (
    select
        m.month as last_month,
        m.dimension,
        m.member,
        m.value,
        y.value - lag(y.value, 1, 0) over year_to_date as difference,
        coalesce(y.obs_status, 'none') as obs_status,
        count(m.value) over year_to_date < month(m.month) as misses_a_month
    from {{ ref('int_tax_metric_monthly') }} as m
    left join {{ ref('int_tax_metric_period') }} as y
        on
            m.month = y.last_month and m.dimension = y.dimension and m.member = y.member
            and y.metric_id = 'financial_tax_revenue_ytd'
    where m.metric_id = 'financial_tax_revenue'
    window year_to_date as (partition by m.dimension, m.member, year(m.month) order by m.month)
),

december as (
    select
        y.period_end as last_month,
        y.dimension,
        y.member,
        d.value as difference,
        y.value
    from {{ ref('metric_observation') }} as y
    left join {{ ref('metric_observation') }} as d
        on
            y.period_end = d.period_end and y.dimension = d.dimension and y.member = d.member
            and d.metric_id = 'financial_tax_revenue_ytd'
    where y.metric_id = 'financial_tax_revenue' and y.frequency = 'A'
)

select
    last_month,
    dimension,
    member
from cumulated
where
    obs_status != case when misses_a_month then 'M' else 'A' end
    or (difference is distinct from value and not misses_a_month)
union all
select
    last_month,
    dimension,
    member
from december
where difference is distinct from value
