-- Risk incidents by the month they were found, and the leads found but not closed by each month's end.
{% set series = {
    'risk_incidents': "r.is_incident and m.month = date_trunc('month', r.found_on)",
    'systemic_risk_incidents': "r.is_systemic and m.month = date_trunc('month', r.found_on)",
    'risk_leads_open': 'r.closed_on is null or r.closed_on > last_day(m.month)',
} %}
{% for metric_id, condition in series.items() %}
select
    '{{ metric_id }}' as metric_id,
    m.month,
    'total' as dimension,
    'total' as member,
    (count(*) filter (where {{ condition }}))::decimal(38, 24) as value,
    'A' as obs_status
from {{ ref('int_feed_month') }} as m
inner join {{ ref('stg_risk_leads') }} as r on last_day(m.month) >= r.found_on
where m.feed = 'risk_leads'
group by m.month
{{ 'union all' if not loop.last }}
{% endfor %}
