-- Subscribed capital at the end of a period is that of the period before plus the subscriptions of the period, up to
-- the last decimal, in which each of the three values is rounded.
with series as (
    select
        frequency,
        period_end,
        sum(value) filter (where metric_id = 'fund_subscribed_cumulative') as stock,
        sum(value) filter (where metric_id = 'fund_subscribed') as flow
    from {{ ref('metric_observation') }}
    where metric_id in ('fund_subscribed', 'fund_subscribed_cumulative')
    group by frequency, period_end
)

select
    *,
    lag(stock, 1, 0) over (partition by frequency order by period_end) as before
from series
qualify abs(stock - before - flow) > 0.0000000002
