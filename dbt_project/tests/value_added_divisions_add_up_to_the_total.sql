-- A total of value-added is the sum of four divisions, and stands wherever all four do.
select
    metric_id,
    frequency,
    period,
    sum(value) filter (where dimension = 'division') as of_divisions,
    sum(value) filter (where dimension = 'total') as total
from {{ ref('metric_observation') }}
where metric_id in ('financial_value_added', 'financial_value_added_ytd')
group by metric_id, frequency, period
having
    (count(*) filter (where dimension = 'division') = 4) != (count(*) filter (where dimension = 'total') = 1)
    or (count(*) filter (where dimension = 'total') = 1 and of_divisions is distinct from total)
