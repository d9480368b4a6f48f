{# Observations of a subject side by side: a row per frequency, period, dimension and member, a column per metric with
   its unit in the name, and for levels the growth over the same period of the year before. `levels` and `rates` map a
   metric to its unit; statuses are those of the first metric that has a value or a gap there, levels first. #}
{% macro wide_mart(levels, rates={}) %}
{% set units = dict(levels, **rates) %}
{% set metrics = units.keys() | list %}
with observation as (
    select *
    from {{ ref('metric_observation') }}
    where metric_id in ('{{ metrics | join("', '") }}')
),

compared as (
    select
        o.*,
        {{ decimal_ratio('((o.value - b.value) * 100)', 'b.value') }} as growth
    from observation as o
    left join observation as b
        on
            o.metric_id = b.metric_id
            and o.frequency = b.frequency
            and o.dimension = b.dimension
            and o.member = b.member
            and (left(o.period, 4)::integer - 1) || substring(o.period, 5) = b.period
),

side_by_side as (
    select
        frequency,
        period,
        period_end,
        dimension,
        member,
        {% for metric, unit in units.items() %}
        max(value) filter (where metric_id = '{{ metric }}') as {{ mart_column(metric, unit) }},
        {% endfor %}
        arg_min(obs_status, array_position(['{{ metrics | join("', '") }}'], metric_id)) as obs_status,
        arg_min(conf_status, array_position(['{{ metrics | join("', '") }}'], metric_id)) as conf_status,
        {% for metric in levels %}
        max(growth) filter (where metric_id = '{{ metric }}') as {{ metric }}_growth_percent,
        {% endfor %}
        as_of
    from compared
    group by frequency, period, period_end, dimension, member, as_of
)

select
    s.*,
    m.label_zh as member_zh,
    m.label_en as member_en
from side_by_side as s
inner join {{ ref('dimension_member') }} as m on s.dimension = m.dimension and s.member = m.member
order by s.frequency, s.period, s.dimension, s.member
{% endmacro %}

{# The column of a metric: an amount or a rate says its unit, a count needs none. #}
{% macro mart_column(metric, unit) %}{{ metric }}{{ '_' ~ unit if unit }}{% endmacro %}
