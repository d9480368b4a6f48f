{% set statuses = ['done', 'in_progress', 'not_started', 'blocked', 'not_reported'] %}
select
    u.unit_name,
    strftime(s.month, '%Y-%m') as month,
    {% for role, name in {'lead': 'leads', 'support': 'supports'}.items() %}
    (count(*) filter (where u.role = '{{ role }}'))::integer as {{ name }},
    {% for status in statuses %}
    (count(*) filter (where u.role = '{{ role }}' and s.status = '{{ status }}'))::integer as {{ role }}_{{ status }},
    {% endfor %}
    (count(*) filter (where u.role = '{{ role }}' and s.overdue_days > 0))::integer as {{ role }}_overdue,
    {% endfor %}
    c.as_of
from {{ ref('duty_unit') }} as u
inner join {{ ref('int_duty_state') }} as s on u.duty_no = s.duty_no
cross join {{ source('lake', 'context') }} as c
group by u.unit_name, s.month, c.as_of
order by u.unit_name, s.month
