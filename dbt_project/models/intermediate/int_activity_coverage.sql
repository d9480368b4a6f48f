-- Days with a roadshow and ISO weeks with any activity, in percent of all days and weeks of the period. A year is
-- complete with its December, but its ISO weeks are whole: days of the neighbouring years count in them, once known.
with roadshow_day as (
    select distinct held_on
    from {{ ref('stg_activities') }}
    where kind = 'roadshow'
),

iso_year as (
    -- From the year of the first activity up to the last that is complete.
    select unnest(range(min(year(a.held_on)), year(max(c.report_month) + interval 1 month)))::integer as iso_year
    from {{ ref('stg_activities') }} as a
    cross join {{ source('lake', 'context') }} as c
),

coverage as (
    select
        'roadshow_day_coverage' as metric_id,
        'M' as frequency,
        strftime(m.month, '%Y-%m') as period,
        m.month as last_month,
        count(d.held_on) as covered,
        day(last_day(m.month)) as whole
    from {{ ref('int_feed_month') }} as m
    left join roadshow_day as d on m.month = date_trunc('month', d.held_on)
    where m.feed = 'activities'
    group by m.month
    union all
    select
        'roadshow_day_coverage' as metric_id,
        'A' as frequency,
        year(m.month)::varchar as period,
        max(m.month) as last_month,
        count(d.held_on) as covered,
        dayofyear(last_day(max(m.month))) as whole
    from {{ ref('int_feed_month') }} as m
    left join roadshow_day as d on m.month = date_trunc('month', d.held_on)
    where m.feed = 'activities'
    group by year(m.month)
    having month(max(m.month)) = 12
    union all
    select
        'activity_week_coverage' as metric_id,
        'A' as frequency,
        y.iso_year::varchar as period,
        make_date(y.iso_year, 12, 1) as last_month,
        count(distinct weekofyear(a.held_on)) as covered,
        -- 28 December lies in the last week of its ISO year, the 52nd or 53rd.
        weekofyear(make_date(y.iso_year, 12, 28)) as whole
    from iso_year as y
    left join {{ ref('stg_activities') }} as a on y.iso_year = isoyear(a.held_on)
    group by y.iso_year
)

select
    metric_id,
    frequency,
    period,
    last_month,
    'total' as dimension,
    'total' as member,
    {{ decimal_ratio('covered * 100', 'whole') }} as value,
    'A' as obs_status
from coverage
