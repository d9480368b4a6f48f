-- The duties of a plan are numbered from 1 without a gap: deliveries are held against the largest number.
select duty_no
from {{ ref('duty') }}
qualify duty_no != row_number() over (order by duty_no)
