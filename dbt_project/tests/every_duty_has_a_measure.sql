-- Every duty of the annex is followed by at least one measure.
select d.duty_no
from {{ ref('duty') }} as d
left join {{ ref('duty_measure') }} as m on d.duty_no = m.duty_no
where m.duty_no is null
