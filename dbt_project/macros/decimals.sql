{# a / b as DECIMAL(28, 10), halves away from zero, never through binary floating point; NULL where b is zero.
   a and b are DECIMAL(28, 10) or whole numbers. #}
{% macro decimal_ratio(a, b) -%}
(
    (
        (2 * abs({{ unscaled(a) }}) * 10000000000::hugeint + abs({{ unscaled(b) }}))
        // nullif(2 * abs({{ unscaled(b) }}), 0)
        * case when ({{ a }} < 0) != ({{ b }} < 0) then -1 else 1 end
    )::decimal(38, 0) * 0.0000000001::decimal(10, 10)
)::decimal(28, 10)
{%- endmacro %}

{% macro unscaled(a) -%}
(({{ a }})::decimal(28, 10) * 10000000000::decimal(11, 0))::hugeint
{%- endmacro %}

{# Yuan to 100 million yuan, exactly: 16 decimals become 24. #}
{% macro yuan_to_cny_100m(yuan) -%}
(coalesce({{ yuan }}, 0)::decimal(38, 16) * 0.00000001::decimal(8, 8))::decimal(38, 24)
{%- endmacro %}
