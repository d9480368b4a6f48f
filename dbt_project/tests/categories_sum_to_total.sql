-- Wherever a metric is published by category, the categories of a period add up to its total.
select
    metric_id,
    frequency,
    period,
    sum(value) filter (where dimension = 'category') as of_categories,
    sum(value) filter (where dimension = 'total') as total
from {{ ref('metric_observation') }}
group by metric_id, frequency, period
having
    count(*) filter (where dimension = 'category') > 0
    and (of_categories is distinct from total or count(*) filter (where dimension = 'category') != 4)
