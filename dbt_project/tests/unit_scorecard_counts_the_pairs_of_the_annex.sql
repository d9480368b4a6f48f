-- Every month has all pairs of a duty and a unit, and each unit leads and supports what the plan says.
with pair as (
    select
        unit_name,
        count(*) filter (where role = 'lead') as leads,
        count(*) filter (where role = 'support') as supports
    from {{ ref('duty_unit') }}
    group by unit_name
),

month as (
    select distinct month
    from {{ ref('unit_scorecard') }}
)

select
    m.month,
    p.unit_name,
    s.leads,
    s.supports
from month as m
cross join pair as p
full join {{ ref('unit_scorecard') }} as s on m.month = s.month and p.unit_name = s.unit_name
where (s.leads, s.supports) is distinct from (p.leads, p.supports)
