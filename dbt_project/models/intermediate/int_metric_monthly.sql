-- Every computed metric by month, unrounded; quarters and years are rolled up from here.
{% set institution_series = {
    'institutions_admitted': 'admitted',
    'institutions_admitted_cumulative': 'ever_admitted',
    'institutions_resident': 'resident',
    'institutions_departed': 'departed',
} %}
{% set fund_series = {
    'fund_subscribed': 'subscribed',
    'fund_subscribed_cumulative': 'subscribed_cumulative',
    'fund_paid_in_cumulative': 'paid_in_cumulative',
} %}
{% set models = [
    'int_activity_monthly',
    'int_duty_monthly',
    'int_listing_monthly',
    'int_risk_monthly',
] %}
{% for model in models %}
select
    metric_id,
    month,
    dimension,
    member,
    value::decimal(38, 24) as value,
    obs_status
from {{ ref(model) }}
union all
{% endfor %}
{% for metric_id, column in institution_series.items() %}
select
    '{{ metric_id }}' as metric_id,
    month,
    dimension,
    member,
    {{ column }}::decimal(38, 24) as value,
    'A' as obs_status
from {{ ref('int_institution_monthly') }}
union all
{% endfor %}
{% for metric_id, column in fund_series.items() %}
select
    '{{ metric_id }}' as metric_id,
    month,
    'total' as dimension,
    'total' as member,
    {{ column }} as value,
    'A' as obs_status
from {{ ref('int_fund_monthly') }}
{{ 'union all' if not loop.last }}
{% endfor %}
