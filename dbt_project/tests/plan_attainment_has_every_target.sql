-- Each target of the plan has its row, whatever is known about it.
select
    t.target_id,
    a.target_id as judged
from {{ ref('plan_target') }} as t
full join {{ ref('plan_attainment') }} as a on t.target_id = a.target_id
where t.target_id is null or a.target_id is null
