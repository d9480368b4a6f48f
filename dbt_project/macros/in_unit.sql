{# A printed number times the factor that brings it to a unit, as DECIMAL(28, 10); NULL without a factor, and where the
   number has more than 15 digits before the point: no honest one has, and sums and ratios of it would not fit. #}
{% macro in_unit(value, factor) -%}
case
    when abs({{ value }}) < 1000000000000000
        then ({{ value }}::decimal(28, 10) * {{ factor }}::decimal(9, 8))::decimal(28, 10)
end
{%- endmacro %}
