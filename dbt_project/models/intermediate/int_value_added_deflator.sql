-- The deflator of each quarter (same quarter of last year = 100), where every price it weighs is known.
with quarter as (
    select distinct quarter
    from {{ ref('stg_price_indices') }}
)

select
    {{ quarter_no('q.quarter') }} as quarter_no,
    sum(w.weight * p.yoy_index) as deflator
from quarter as q
inner join {{ ref('value_added_deflator') }} as w
    on q.quarter between coalesce(w.valid_from, '0000') and coalesce(w.valid_to, '9999')
left join {{ ref('stg_price_indices') }} as p
    on q.quarter = p.quarter and w.index_code = p.index_code
group by q.quarter
having count(p.yoy_index) = count(*)
