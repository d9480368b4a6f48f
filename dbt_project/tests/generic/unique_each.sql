{# Each of the columns has no value twice: one test for a table, where one for each column would take as long each. #}
{% test unique_each(model, columns) %}
{% for column in columns %}
select
    '{{ column }}' as column_name,
    cast({{ column }} as varchar) as repeated_value
from {{ model }}
where {{ column }} is not null
group by {{ column }}
having count(*) > 1
{{ 'union all' if not loop.last }}
{% endfor %}
{% endtest %}
