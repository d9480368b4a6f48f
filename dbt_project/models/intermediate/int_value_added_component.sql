-- What each division's indicator consists of in each quarter, by the seed row in force, with the same a year before.
with component as (
    select
        division,
        coalesce(valid_from, '0000') as valid_from,
        coalesce(valid_to, '9999') as valid_to,
        growth_of,
        coefficient,
        unnest(string_split(indicators, ' ')) as indicator
    from {{ ref('value_added_indicator') }}
),

quarter as (
    select distinct
        quarter,
        quarter_no
    from {{ ref('int_value_added_indicator') }}
)

select
    c.division,
    q.quarter_no,
    c.growth_of,
    c.coefficient,
    c.indicator,
    n.value,
    b.value as value_before
from quarter as q
inner join component as c on q.quarter between c.valid_from and c.valid_to
left join {{ ref('int_value_added_indicator') }} as n
    on q.quarter_no = n.quarter_no and c.indicator = n.indicator
left join {{ ref('int_value_added_indicator') }} as b
    on q.quarter_no = b.quarter_no + 4 and c.indicator = b.indicator
