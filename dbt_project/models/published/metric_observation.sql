-- Metrics by month are rolled up to quarters and years; those that do not add up come at the frequency of each period.
with monthly as (
    select
        o.metric_id,
        o.month,
        o.dimension,
        o.member,
        o.value,
        o.obs_status,
        m.measure,
        m.unit,
        string_split(m.frequencies, ' ') as frequencies,
        c.report_month,
        c.as_of
    from {{ ref('int_metric_monthly') }} as o
    inner join {{ ref('metric') }} as m on o.metric_id = m.metric_id
    cross join {{ source('lake', 'context') }} as c
),

by_frequency as (
    select
        *,
        'M' as frequency,
        strftime(month, '%Y-%m') as period,
        month as last_month
    from monthly
    union all
    select
        *,
        'Q' as frequency,
        year(month) || '-Q' || quarter(month) as period,
        (date_trunc('quarter', month) + interval 2 month)::date as last_month
    from monthly
    union all
    select
        *,
        'A' as frequency,
        year(month)::varchar as period,
        make_date(year(month), 12, 1) as last_month
    from monthly
),

rolled_up as (
    select
        metric_id,
        frequency,
        period,
        last_month,
        dimension,
        member,
        unit,
        as_of,
        case
            when bool_or(obs_status = 'M' and (measure = 'flow' or month = last_month)) then null
            when measure = 'flow' then sum(value)
            else max(value) filter (where month = last_month)
        end as value,
        case measure
            when 'flow' then ['A', 'P', 'E', 'M'][max(array_position(['A', 'P', 'E', 'M'], obs_status))]
            else max(obs_status) filter (where month = last_month)
        end as obs_status
    from by_frequency
    where list_contains(frequencies, frequency) and last_month <= report_month
    group by metric_id, frequency, period, last_month, dimension, member, unit, as_of, measure
),

observed as (
    select * from rolled_up
    union all
    select
        o.metric_id,
        o.frequency,
        o.period,
        o.last_month,
        o.dimension,
        o.member,
        m.unit,
        c.as_of,
        o.value,
        o.obs_status
    from {{ ref('int_metric_period') }} as o
    inner join {{ ref('metric') }} as m on o.metric_id = m.metric_id
    cross join {{ source('lake', 'context') }} as c
    where o.last_month <= c.report_month
)

select
    o.metric_id,
    o.frequency,
    o.period,
    last_day(o.last_month) as period_end,
    o.dimension,
    o.member,
    case when s.conf_status is null then o.value::decimal(28, 10) end as value,
    o.unit,
    o.obs_status,
    coalesce(s.conf_status, 'F') as conf_status,
    o.as_of
from observed as o
left join {{ ref('int_tax_suppression') }} as s
    on
        o.metric_id = s.metric_id and o.frequency = s.frequency and o.period = s.period
        and o.dimension = s.dimension and o.member = s.member
order by o.metric_id, o.frequency, o.period, o.dimension, o.member
