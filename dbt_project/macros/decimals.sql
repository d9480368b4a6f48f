{# a / b as DECIMAL(28, 10), halves away from zero, never through binary floating point; NULL where b is zero.
   a and b are DECIMAL(28, 10) or whole numbers. #}
{% macro decimal_ratio(a, b) -%}
{%- if target.type == 'spark' -%}
{{ decimal_ratio_on_spark(a, b) }}
{%- else -%}
(
    (
        (2 * abs({{ unscaled(a) }}) * 10000000000::hugeint + abs({{ unscaled(b) }}))
        // nullif(2 * abs({{ unscaled(b) }}), 0)
        * case when ({{ a }} < 0) != ({{ b }} < 0) then -1 else 1 end
    )::decimal(38, 0) * 0.0000000001::decimal(10, 10)
)::decimal(28, 10)
{%- endif -%}
{%- endmacro %}

{# Spark divides whole numbers to a bigint alone: the digits before the point and those after it come apart. #}
{% macro decimal_ratio_on_spark(a, b) -%}
{%- set dividend, divisor = 'abs(' ~ unscaled(a) ~ ')', 'nullif(abs(' ~ unscaled(b) ~ '), 0)' -%}
(
    (
        ({{ dividend }} // {{ divisor }})::decimal(18, 0)
        + ((2 * ({{ dividend }} % {{ divisor }}) * 10000000000 + {{ divisor }}) // (2 * {{ divisor }}))::decimal(28, 0)
        * 0.0000000001::decimal(10, 10)
    ) * case when ({{ a }} < 0) != ({{ b }} < 0) then -1 else 1 end
)::decimal(28, 10)
{%- endmacro %}

{% macro unscaled(a) -%}
(({{ a }})::decimal(28, 10) * 10000000000::decimal(11, 0))::hugeint
{%- endmacro %}

{# Yuan to 100 million yuan, exactly: 16 decimals become 24. #}
{% macro yuan_to_cny_100m(yuan) -%}
(coalesce({{ yuan }}, 0)::decimal(38, 16) * 0.00000001::decimal(8, 8))::decimal(38, 24)
{%- endmacro %}
