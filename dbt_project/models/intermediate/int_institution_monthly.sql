-- Every category in every month of the register: flows of the month, stocks as running sums, and the totals.
with delta as (
    select
        category,
        date_trunc('month', event_date)::date as month,
        sum(delta) filter (where series = 'admitted') as admitted,
        sum(delta) filter (where series = 'ever_admitted') as ever_admitted,
        sum(delta) filter (where series = 'resident') as resident,
        sum(delta) filter (where series = 'departed') as departed
    from {{ ref('int_institution_delta') }}
    group by all
),

by_category as (
    select
        m.month,
        c.dimension,
        c.member,
        coalesce(d.admitted, 0) as admitted,
        coalesce(sum(d.ever_admitted) over so_far, 0) as ever_admitted,
        coalesce(sum(d.resident) over so_far, 0) as resident,
        coalesce(d.departed, 0) as departed
    from {{ ref('int_feed_month') }} as m
    cross join {{ ref('dimension_member') }} as c
    left join delta as d on m.month = d.month and c.member = d.category
    where m.feed = 'institution_register' and c.dimension = 'category'
    window so_far as (partition by c.member order by m.month)
)

select
    month,
    dimension,
    member,
    admitted,
    ever_admitted,
    resident,
    departed
from by_category
union all
select
    month,
    'total' as dimension,
    'total' as member,
    sum(admitted) as admitted,
    sum(ever_admitted) as ever_admitted,
    sum(resident) as resident,
    sum(departed) as departed
from by_category
group by month
