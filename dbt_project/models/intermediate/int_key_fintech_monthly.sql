-- Leading fintech firms recruited, as reported by the month: missing in a month without any measure, and where the
-- report cannot be understood; zero in one that reports other measures only.
with reported as (
    select
        (month || '-01')::date as month,
        count(*) filter (where is_key and issue is not null) as unreadable,
        coalesce(sum(value) filter (where is_key), 0) as value
    from (
        select
            *,
            measure_id = 'key_fintech_firms_admitted' and is_known as is_key
        from {{ ref('int_duty_measure') }}
    ) as m
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
)

select
    'key_fintech_firms_admitted' as metric_id,
    c.month,
    'total' as dimension,
    'total' as member,
    case when r.unreadable = 0 then r.value end::decimal(38, 24) as value,
    case when r.unreadable = 0 then 'A' else 'M' end as obs_status
from calendar as c
left join reported as r on c.month = r.month
