{# The first and the last month of a period: 2024-03, 2024-Q1 or 2024. #}
{% macro first_month_of(period) -%}
case
    when length({{ period }}) = 4 then make_date({{ period }}::integer, 1, 1)
    when contains({{ period }}, 'Q')
        then make_date(left({{ period }}, 4)::integer, 3 * right({{ period }}, 1)::integer - 2, 1)
    else ({{ period }} || '-01')::date
end
{%- endmacro %}

{% macro last_month_of(period) -%}
case
    when length({{ period }}) = 4 then make_date({{ period }}::integer, 12, 1)
    when contains({{ period }}, 'Q')
        then make_date(left({{ period }}, 4)::integer, 3 * right({{ period }}, 1)::integer, 1)
    else ({{ period }} || '-01')::date
end
{%- endmacro %}
