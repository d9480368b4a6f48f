-- Highlights held in each month.
{% set kinds = {'quarterly_highlights': 'quarterly_highlight', 'annual_highlights': 'annual_highlight'} %}
{% for metric_id, kind in kinds.items() %}
select
    '{{ metric_id }}' as metric_id,
    m.month,
    'total' as dimension,
    'total' as member,
    count(a.activity_id)::decimal(38, 24) as value,
    'A' as obs_status
from {{ ref('int_feed_month') }} as m
left join {{ ref('stg_activities') }} as a
    on m.month = date_trunc('month', a.held_on) and a.kind = '{{ kind }}'
where m.feed = 'activities'
group by m.month
{{ 'union all' if not loop.last }}
{% endfor %}
