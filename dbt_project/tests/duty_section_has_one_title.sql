-- The duties of a section print the same title of it, and no two sections share one.
select section
from {{ ref('duty') }}
group by section
having count(distinct section_title_zh) > 1
union all
select section_title_zh
from {{ ref('duty') }}
group by section_title_zh
having count(distinct section) > 1
