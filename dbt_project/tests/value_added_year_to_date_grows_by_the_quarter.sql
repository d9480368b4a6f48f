-- The year to date is that of the quarter before plus the quarter, and begins anew each year.
with quarter as (
    select
        dimension,
        member,
        period_end,
        sum(value) filter (where metric_id = 'financial_value_added') as value,
        sum(value) filter (where metric_id = 'financial_value_added_ytd') as year_to_date
    from {{ ref('metric_observation') }}
    where metric_id in ('financial_value_added', 'financial_value_added_ytd') and frequency = 'Q'
    group by dimension, member, period_end
)

select
    *,
    lag(year_to_date, 1, 0) over (partition by dimension, member, year(period_end) order by period_end) as ytd_before
from quarter
qualify year_to_date is distinct from ytd_before + value
