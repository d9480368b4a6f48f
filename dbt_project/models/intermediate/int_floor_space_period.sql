-- Floor space of the latest approved plan version at the end of every complete year, and of the report month: the
-- version whose parcel was approved last by then (on one day, the version later as text), its parcels approved by then.
with complete_year as (
    -- From the year of the first approval up to the last that is complete.
    select unnest(range(min(year(s.approved_on)), year(max(c.report_month) + interval 1 month)))::integer as plan_year
    from {{ ref('stg_floor_space') }} as s
    cross join {{ source('lake', 'context') }} as c
),

period as (
    select
        'M' as frequency,
        strftime(report_month, '%Y-%m') as period,
        report_month as last_month
    from {{ source('lake', 'context') }}
    union all
    select
        'A' as frequency,
        plan_year::varchar as period,
        make_date(plan_year, 12, 1) as last_month
    from complete_year
),

approved as (
    select
        p.frequency,
        p.period,
        p.last_month,
        s.area,
        s.kind,
        s.plan_version,
        first_value(s.plan_version) over (
            partition by p.frequency, p.period
            order by s.approved_on desc, s.plan_version desc
        ) as latest_version
    from period as p
    inner join {{ ref('stg_floor_space') }} as s on last_day(p.last_month) >= s.approved_on
)

{% for metric_id, condition in {'floor_space_total': 'true', 'floor_space_added': "kind = 'added'"}.items() %}
select
    '{{ metric_id }}' as metric_id,
    frequency,
    period,
    last_month,
    'total' as dimension,
    'total' as member,
    coalesce(sum(area) filter (where {{ condition }}), 0)::decimal(38, 24) as value,
    'A' as obs_status
from approved
where plan_version = latest_version
group by frequency, period, last_month
{{ 'union all' if not loop.last }}
{% endfor %}
