-- The plan has 38 numeric targets, and each has its row, whatever is known about it.
select count(*) as targets
from {{ ref('plan_attainment') }}
having count(*) != 38
