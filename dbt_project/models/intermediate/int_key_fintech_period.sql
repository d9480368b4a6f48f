-- Leading fintech firms recruited, as the duties that have the measure report them. From its first month on, a month
-- without a readable report of it is missing, and so is every year that lacks one of its twelve.
with reported as (
    select
        (month || '-01')::date as month,
        case when bool_and(issue is null) then sum(value) end as value
    from {{ ref('int_duty_measure') }}
    where measure_id = 'key_fintech_firms_admitted' and is_known
    group by month
),

calendar as (
    select
        unnest(generate_series(
            min(r.month)::timestamp, c.report_month::timestamp, interval 1 month
        ))::date as month
    from reported as r
    cross join {{ source('lake', 'context') }} as c
    group by c.report_month
),

period as (
    select
        'M' as frequency,
        strftime(c.month, '%Y-%m') as period,
        c.month as last_month,
        r.value
    from calendar as c
    left join reported as r on c.month = r.month
    union all
    select
        'A' as frequency,
        year(c.month)::varchar as period,
        max(c.month) as last_month,
        case when count(r.value) = 12 then sum(r.value) end as value
    from calendar as c
    left join reported as r on c.month = r.month
    group by year(c.month)
    having month(max(c.month)) = 12
)

select
    'key_fintech_firms_admitted' as metric_id,
    frequency,
    period,
    last_month,
    'total' as dimension,
    'total' as member,
    value::decimal(38, 24) as value,
    case when value is null then 'M' else 'A' end as obs_status
from period
