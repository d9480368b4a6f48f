-- Institutions ever admitted never become fewer, and grow by exactly those first admitted in the period.
with series as (
    select
        frequency,
        period_end,
        sum(value) filter (where metric_id = 'institutions_admitted_cumulative') as cumulative,
        sum(value) filter (where metric_id = 'institutions_admitted') as admitted
    from {{ ref('metric_observation') }}
    where dimension = 'total' and metric_id in ('institutions_admitted', 'institutions_admitted_cumulative')
    group by frequency, period_end
)

select
    *,
    lag(cumulative, 1, 0) over (partition by frequency order by period_end) as before
from series
qualify cumulative < before or cumulative != before + admitted
