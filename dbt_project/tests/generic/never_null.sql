{# None of the columns is ever empty: one test for a table, where one for each column would take as long each. #}
{% test never_null(model, columns) %}
select *
from {{ model }}
where {% for column in columns %}{{ column }} is null{{ ' or ' if not loop.last }}{% endfor %}
{% endtest %}
