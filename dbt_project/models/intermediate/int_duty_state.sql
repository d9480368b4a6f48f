-- What the latest report up to a month says of each of the 25 duties, from the first month reported on (the report
-- month, if none is): silence neither finishes a duty nor ends its delay. A month without any report is silent.
with report as (
    select
        duty_no,
        (month || '-01')::date as reported_month,
        status,
        progress_pct,
        -- The last one stated: a report that leaves it out says nothing new of it.
        last_value(due_date ignore nulls) over (
            partition by duty_no
            order by month
            rows between unbounded preceding and current row
        ) as due_date,
        evidence,
        reporting_unit
    from {{ ref('stg_duty_reports') }}
),

span as (
    select
        c.report_month,
        coalesce(min(r.reported_month), c.report_month) as first_month
    from {{ source('lake', 'context') }} as c
    left join report as r on c.report_month >= r.reported_month
    group by c.report_month
),

calendar as (
    select unnest(generate_series(first_month::timestamp, report_month::timestamp, interval 1 month))::date as month
    from span
),

by_month as (
    select
        c.month,
        count(r.duty_no) = 0 as is_silent
    from calendar as c
    left join report as r on c.month = r.reported_month
    group by c.month
),

latest as (
    select
        d.duty_no,
        m.month,
        m.is_silent,
        last_day(m.month) as month_end,
        r.reported_month,
        r.status,
        r.progress_pct,
        r.due_date,
        r.evidence,
        r.reporting_unit
    from {{ ref('duty') }} as d
    cross join by_month as m
    left join report as r on d.duty_no = r.duty_no and m.month >= r.reported_month
    qualify row_number() over (partition by d.duty_no, m.month order by r.reported_month desc nulls last) = 1
)

select
    duty_no,
    month,
    is_silent,
    reported_month,
    coalesce(status, 'not_reported') as status,
    progress_pct,
    due_date,
    evidence,
    reporting_unit,
    -- The due date itself is not overdue yet.
    case
        when status is not null and status != 'done' and due_date is not null
            then greatest(date_diff('day', due_date, month_end), 0)
    end as overdue_days
from latest
