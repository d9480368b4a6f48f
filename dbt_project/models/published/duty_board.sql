with responsible as (
    select
        duty_no,
        string_agg(unit_name, '、' order by position) filter (where role = 'lead') as lead_unit,
        string_agg(unit_name, '、' order by position) filter (where role = 'support') as supporting_units
    from {{ ref('duty_unit') }}
    group by duty_no
),

duty_state as (
    select
        *,
        strftime(month, '%Y-%m') as period
    from {{ ref('int_duty_state') }}
),

-- The measures of a duty in a month: those that the project proposes, and whatever else is reported.
listed as (
    select
        s.duty_no,
        s.period,
        m.measure_id
    from duty_state as s
    inner join {{ ref('duty_measure') }} as m on s.duty_no = m.duty_no
    union
    select
        duty_no,
        month as period,
        measure_id
    from {{ ref('int_duty_measure') }}
),

worded as (
    select
        l.duty_no,
        l.period,
        l.measure_id,
        coalesce(m.label_zh, l.measure_id || '（未登记）') as label_zh,
        coalesce(m.label_en, l.measure_id || ' (unknown)') as label_en,
        case when r.issue is null then u.label_zh else r.printed_unit end as unit_zh,
        case when r.issue is null then u.label_en else r.printed_unit end as unit_en,
        rtrim(rtrim(coalesce(r.value, r.printed_value)::varchar, '0'), '.') as number,
        r.issue is not null as has_issue
    from listed as l
    left join {{ ref('duty_measure') }} as m on l.duty_no = m.duty_no and l.measure_id = m.measure_id
    left join {{ ref('unit') }} as u on m.unit = u.unit
    left join {{ ref('int_duty_measure') }} as r
        on l.duty_no = r.duty_no and l.measure_id = r.measure_id and l.period = r.month
),

measures as (
    select
        duty_no,
        period,
        string_agg(label_zh || ' ' || coalesce(number || unit_zh, '—'), '；' order by measure_id) as measures_zh,
        string_agg(
            label_en || ': ' || coalesce(number || ' ' || unit_en, '—'), '; ' order by measure_id
        ) as measures_en,
        count(*) filter (where has_issue) as measure_issues
    from worded
    group by duty_no, period
)

select
    s.duty_no,
    s.period as month,
    d.task_title_zh as title_zh,
    d.title_en,
    d.section_title_zh as section_zh,
    s.status,
    n.label_zh as status_zh,
    n.label_en as status_en,
    s.progress_pct::decimal(28, 10) as progress_pct,
    s.due_date,
    s.overdue_days::integer as overdue_days,
    s.evidence,
    s.reporting_unit,
    strftime(s.reported_month, '%Y-%m') as reported_month,
    r.lead_unit,
    r.supporting_units,
    m.measures_zh,
    m.measures_en,
    m.measure_issues::integer as measure_issues,
    c.as_of
from duty_state as s
cross join {{ source('lake', 'context') }} as c
inner join {{ ref('duty') }} as d on s.duty_no = d.duty_no
inner join responsible as r on s.duty_no = r.duty_no
inner join {{ ref('duty_status') }} as n on s.status = n.status
left join measures as m on s.duty_no = m.duty_no and s.period = m.period
order by s.duty_no, s.period
