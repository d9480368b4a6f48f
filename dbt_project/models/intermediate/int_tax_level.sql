-- Financial tax revenue by level of government, per month, tax and scheme of sharing, in yuan. Each level's part is
-- rounded to the fen, halves away from zero; the level with the largest share (of equal ones the first of central,
-- province, city_district) takes the rest, so the levels always add up to the revenue.
{% set levels = ['central', 'province', 'city_district'] %}
with sharing as ({{ dated(ref('tax_sharing'), ['scheme', 'tax_type']) }}),

revenue as (
    select
        month,
        tax_type,
        scheme,
        sum(amount_yuan) as amount_yuan
    from {{ ref('int_tax_cell') }}
    where category is not null
    group by all
),

part as (
    select
        r.month,
        r.tax_type,
        r.scheme,
        r.amount_yuan,
        l.fiscal_level,
        row_number() over (
            partition by r.month, r.tax_type, r.scheme order by l.share desc, l.position asc
        ) = 1 as takes_the_rest,
        -- Yuan times percent is fen.
        (r.amount_yuan::decimal(28, 6) * l.share)::decimal(38, 0) * 0.01::decimal(2, 2) as rounded_yuan
    from revenue as r
    inner join sharing as s
        on
            r.tax_type = s.tax_type and r.scheme = s.scheme
            and r.month >= s.valid_from and r.month < s.valid_to
    cross join (
        values
        {% for level in levels %}
        ('{{ level }}', {{ loop.index }}, s.{{ level }}){{ ',' if not loop.last }}
        {% endfor %}
    ) as l (fiscal_level, position, share)
)

select
    month,
    tax_type,
    scheme,
    fiscal_level,
    case
        when takes_the_rest
            then amount_yuan - coalesce(
                sum(case when not takes_the_rest then rounded_yuan end) over (partition by month, tax_type, scheme), 0
            )
        else rounded_yuan
    end as amount_yuan
from part
