-- How concentrated each tax cell is, month, quarter, year and year to date: what it comes to, how many taxpayers stand
-- behind it, the largest contribution, and what all but the two largest come to. Of cells that their size proves safe
-- (int_tax_measured_series) it is told how many taxpayers there are at least, how large the largest contribution is at
-- most, and how much is left at least.
with largest as ({{ largest_turnovers() }}),

cell as (
    select
        p.metric_id,
        p.frequency,
        p.period,
        p.last_month,
        p.dimension,
        p.member,
        p.value::decimal(28, 10) * 100000000 as published_yuan
    from {{ ref('int_tax_metric_period') }} as p
    cross join {{ source('lake', 'context') }} as c
    where p.value is not null and p.last_month <= c.report_month
),

-- What is never published, but can be computed.
derived as (
    select distinct
        s.metric_id,
        s.dimension,
        s.member
    from {{ ref('int_tax_series') }} as s
    cross join {{ source('lake', 'context') }} as c
    where
        s.frequency = 'M' and s.last_month <= c.report_month
        and (s.metric_id = 'financial_tax_revenue_refunds' or s.dimension = 'scheme')
),

complete as (
    select * from cell
    union all
    select
        d.metric_id,
        c.frequency,
        c.period,
        c.last_month,
        d.dimension,
        d.member,
        null as published_yuan
    from derived as d
    inner join cell as c on c.metric_id = 'financial_tax_revenue' and c.dimension = 'total'
),

known as (
    select
        c.metric_id,
        c.frequency,
        c.period,
        c.dimension,
        c.member,
        coalesce(c.published_yuan, s.amount_yuan, 0) as value_yuan,
        abs(s.amount_yuan) as at_least_yuan,
        case when s.metric_id is not null then l.turnover_yuan end as at_most_yuan,
        m.taxpayers,
        m.largest_yuan,
        m.rest_yuan
    from complete as c
    left join {{ ref('int_tax_series') }} as s
        on
            c.metric_id = s.metric_id and c.frequency = s.frequency and c.last_month = s.last_month
            and c.dimension = s.dimension and c.member = s.member
    left join largest as l on year(c.last_month) = l.calendar_year
    left join {{ ref('int_tax_measured') }} as m
        on
            c.metric_id = m.metric_id and c.frequency = m.frequency and c.last_month = m.last_month
            and c.dimension = m.dimension and c.member = m.member
)

select
    metric_id,
    frequency,
    period,
    dimension,
    member,
    value_yuan,
    coalesce(taxpayers, ceil(at_least_yuan::double / nullif(at_most_yuan, 0)::double)::bigint, 0) as taxpayers,
    coalesce(largest_yuan, at_most_yuan, 0) as largest_yuan,
    coalesce(rest_yuan, at_least_yuan - 2 * at_most_yuan, 0) as rest_yuan
from known
