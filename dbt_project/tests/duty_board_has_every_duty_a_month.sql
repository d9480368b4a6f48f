-- The board has every duty of the plan in every month it covers, and it covers the report month.
select
    month,
    count(*) as duties
from {{ ref('duty_board') }}
group by month
having count(*) != (select count(*) from {{ ref('duty') }})
union all
select
    strftime(c.report_month, '%Y-%m') as month,
    count(b.duty_no) as duties
from {{ source('lake', 'context') }} as c
left join {{ ref('duty_board') }} as b on b.month = strftime(c.report_month, '%Y-%m')
group by c.report_month
having count(b.duty_no) = 0
