{{ config(severity='warn') }}
-- A production approach more than 2 percent off the income approach needs a note on it that covers the year.
select
    o.period,
    o.dimension,
    o.member,
    o.value
from {{ ref('metric_observation') }} as o
anti join {{ ref('stg_revision_notes') }} as n
    on o.metric_id = n.metric_id and o.period between left(n.from_period, 4) and left(n.to_period, 4)
where o.metric_id = 'financial_value_added_discrepancy' and abs(o.value) > 2
