-- Metrics whose quarters and years are not rolled up from months, at the frequency of each period: ratios, growth, and
-- what is known by quarter or year only. `last_month` is the first day of a period's last month; values are unrounded.
{% set models = [
    'int_value_added',
    'int_activity_coverage',
    'int_floor_space_period',
    'int_key_fintech_period',
    'int_tax_metric_period',
] %}
{% for model in models %}
select
    metric_id,
    frequency,
    period,
    last_month,
    dimension,
    member,
    value::decimal(38, 24) as value,
    obs_status
from {{ ref(model) }}
{{ 'union all' if not loop.last }}
{% endfor %}
