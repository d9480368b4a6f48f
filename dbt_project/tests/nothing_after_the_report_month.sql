-- Nothing later than the last month that ended by the as-of date is published.
select o.*
from {{ ref('metric_observation') }} as o
cross join {{ source('lake', 'context') }} as c
where o.period_end > last_day(c.report_month)
