{# A wide mart holds every observation of its metrics with its value, and no value that is not observed. `columns` maps
   a metric to its column. #}
{% test repeats_the_observations(model, columns) %}
with wide as (
    {% for metric, column in columns.items() %}
    select
        '{{ metric }}' as metric_id,
        frequency,
        period,
        dimension,
        member,
        {{ column }} as value
    from {{ model }}
    where {{ column }} is not null
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

observed as (
    select
        metric_id,
        frequency,
        period,
        dimension,
        member,
        value
    from {{ ref('metric_observation') }}
    where metric_id in ('{{ columns.keys() | join("', '") }}') and value is not null
)

(select * from wide except all select * from observed)
union all
(select * from observed except all select * from wide)
{% endtest %}
