-- Floor space of the plan version in force at the end of every complete year, and of the report month. A version is
-- approved once the last of its parcels is, and then replaces the one before it whole; of two versions approved on one
-- day the one later in the order of text is in force.
with plan_version as (
    select
        plan_version,
        max(approved_on) as approved_on,
        sum(area) as total,
        coalesce(sum(area) filter (where kind = 'added'), 0) as added
    from {{ ref('stg_floor_space') }}
    group by plan_version
),

complete_year as (
    -- From the first version's year up to the last that is complete.
    select unnest(range(min(year(v.approved_on)), year(max(c.report_month) + interval 1 month)))::integer as plan_year
    from plan_version as v
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

in_force as (
    select
        p.frequency,
        p.period,
        p.last_month,
        arg_max(v.total, (v.approved_on, v.plan_version)) as floor_space_total,
        arg_max(v.added, (v.approved_on, v.plan_version)) as floor_space_added
    from period as p
    inner join plan_version as v on last_day(p.last_month) >= v.approved_on
    group by p.frequency, p.period, p.last_month
)

{% for metric_id in ['floor_space_total', 'floor_space_added'] %}
select
    '{{ metric_id }}' as metric_id,
    frequency,
    period,
    last_month,
    'total' as dimension,
    'total' as member,
    {{ metric_id }}::decimal(38, 24) as value,
    'A' as obs_status
from in_force
{{ 'union all' if not loop.last }}
{% endfor %}
