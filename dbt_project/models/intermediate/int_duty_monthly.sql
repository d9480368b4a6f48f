-- Duties done and overdue at the end of each month from the feed's first on; missing in a month without any report.
{% set series = {'duties_done': "s.status = 'done'", 'duties_overdue': 's.overdue_days > 0'} %}
{% for metric_id, condition in series.items() %}
select
    '{{ metric_id }}' as metric_id,
    s.month,
    'total' as dimension,
    'total' as member,
    case when not s.is_silent then count(*) filter (where {{ condition }}) end::decimal(38, 24) as value,
    case when s.is_silent then 'M' else 'A' end as obs_status
from {{ ref('int_duty_state') }} as s
where strftime(s.month, '%Y-%m') >= (select min(r.month) from {{ ref('stg_duty_reports') }} as r)
group by s.month, s.is_silent
{{ 'union all' if not loop.last }}
{% endfor %}
