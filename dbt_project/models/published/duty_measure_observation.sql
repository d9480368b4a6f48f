select
    m.duty_no::integer as duty_no,
    m.measure_id,
    m.month,
    s.label_zh,
    s.label_en,
    m.value,
    m.unit,
    m.printed_value,
    m.printed_unit,
    s.low,
    s.high,
    s.year as target_year,
    s.status as measure_status,
    m.issue,
    c.as_of
from {{ ref('int_duty_measure') }} as m
cross join {{ source('lake', 'context') }} as c
left join {{ ref('duty_measure') }} as s on m.duty_no = s.duty_no and m.measure_id = s.measure_id
where m.month <= strftime(c.report_month, '%Y-%m')
order by m.duty_no, m.measure_id, m.month
