{# Quarters as numbers that can be counted: '2024-Q1' is 4 * 2024 + 0. #}
{% macro quarter_no(quarter) -%}
(4 * left({{ quarter }}, 4)::integer + right({{ quarter }}, 1)::integer - 1)
{%- endmacro %}

{# The first day of the last month of a numbered quarter. #}
{% macro last_month_of_quarter(quarter_no) -%}
make_date({{ quarter_no }} // 4, 3 * ({{ quarter_no }} % 4) + 3, 1)
{%- endmacro %}
