-- Changes in subscribed and paid-in capital per month, and their running sums, in 100 million yuan, unrounded.
with delta as (
    select
        date_trunc('month', change_date)::date as month,
        {{ yuan_to_cny_100m('sum(subscribed_change_yuan)') }} as subscribed,
        {{ yuan_to_cny_100m('sum(paid_in_change_yuan)') }} as paid_in
    from {{ ref('stg_fund_commitments') }}
    group by all
)

select
    m.month,
    coalesce(d.subscribed, 0)::decimal(38, 24) as subscribed,
    coalesce(sum(d.subscribed) over so_far, 0)::decimal(38, 24) as subscribed_cumulative,
    coalesce(sum(d.paid_in) over so_far, 0)::decimal(38, 24) as paid_in_cumulative
from {{ ref('int_feed_month') }} as m
left join delta as d on m.month = d.month
where m.feed = 'fund_commitments'
window so_far as (order by m.month)
