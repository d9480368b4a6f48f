-- Every metric of financial value-added by period. Each part is cast: a union of decimals keeps the fewest places.
with measured as (
    select
        'financial_value_added' as metric_id,
        frequency,
        quarter_no,
        dimension,
        member,
        value::decimal(38, 24) as value,
        obs_status
    from {{ ref('int_value_added_level') }}
    union all
    select
        'financial_value_added_ytd' as metric_id,
        frequency,
        quarter_no,
        dimension,
        member,
        (sum(value) over year_to_date)::decimal(38, 24) as value,
        ['A', 'P', 'E'][max(array_position(['A', 'P', 'E'], obs_status)) over year_to_date] as obs_status
    from {{ ref('int_value_added_level') }}
    where frequency = 'Q'
    window year_to_date as (partition by dimension, member, quarter_no // 4 order by quarter_no)
    {% for metric in ['production', 'discrepancy'] %}
    union all
    select
        'financial_value_added_{{ metric }}' as metric_id,
        'A' as frequency,
        4 * account_year + 3 as quarter_no,
        dimension,
        member,
        {{ metric }}::decimal(38, 24) as value,
        obs_status
    from {{ ref('int_value_added_approach') }}
    {% endfor %}
    {% for metric in ['volume_growth', 'volume_growth_ytd'] %}
    union all
    select
        'financial_value_added_{{ metric }}' as metric_id,
        l.frequency,
        l.quarter_no,
        l.dimension,
        l.member,
        q.{{ metric }}::decimal(38, 24) as value,
        l.obs_status
    from {{ ref('int_value_added_quarter') }} as q
    inner join {{ ref('int_value_added_level') }} as l
        on q.dimension = l.dimension and q.member = l.member and q.quarter_no = l.quarter_no and l.frequency = 'Q'
    -- In the first year there is nothing to grow from.
    semi join {{ ref('int_value_added_quarter') }} as b
        on q.dimension = b.dimension and q.member = b.member and q.quarter_no = b.quarter_no + 4
    {% endfor %}
)

select
    metric_id,
    frequency,
    case frequency
        when 'A' then (quarter_no // 4)::varchar
        else quarter_no // 4 || '-Q' || (quarter_no % 4 + 1)
    end as period,
    {{ last_month_of_quarter('quarter_no') }} as last_month,
    dimension,
    member,
    value,
    case when value is null then 'M' else obs_status end as obs_status
from measured
