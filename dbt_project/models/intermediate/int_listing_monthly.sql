-- Fintech firms by their stage at the end of each month. The last record of a firm by then, by date and then by record
-- id as text, says both its stage and whether it is fintech.
{% set stages = {
    'fintech_listed_cumulative': ['listed'],
    'fintech_listing_candidates': ['reserve', 'tutoring', 'filed', 'potential_unicorn'],
} %}
with firm as (
    select
        m.month,
        r.uscc,
        arg_max(r.stage, (r.stage_date, r.record_id)) as current_stage,
        arg_max(r.is_fintech, (r.stage_date, r.record_id)) as is_fintech
    from {{ ref('int_feed_month') }} as m
    inner join {{ ref('stg_listing_pipeline') }} as r on last_day(m.month) >= r.stage_date
    where m.feed = 'listing_pipeline'
    group by m.month, r.uscc
)

{% for metric_id, counted in stages.items() %}
select
    '{{ metric_id }}' as metric_id,
    month,
    'total' as dimension,
    'total' as member,
    (
        count(*) filter (where is_fintech and current_stage in (
            {% for stage in counted %}
            '{{ stage }}'{{ ',' if not loop.last }}
            {% endfor %}
        ))
    )::decimal(38, 24) as value,
    'A' as obs_status
from firm
group by month
{{ 'union all' if not loop.last }}
{% endfor %}
