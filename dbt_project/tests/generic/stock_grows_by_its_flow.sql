{# In total, a stock at the end of a period is that of the period before plus the flow of the period, up to `tolerance`
   (in their unit). A stock without its flow, or the other way round, is a failure. #}
{% test stock_grows_by_its_flow(model, stock, flow, tolerance='0') %}
with series as (
    select
        frequency,
        period_end,
        sum(value) filter (where metric_id = '{{ stock }}') as stock,
        sum(value) filter (where metric_id = '{{ flow }}') as flow
    from {{ model }}
    where dimension = 'total' and metric_id in ('{{ stock }}', '{{ flow }}')
    group by frequency, period_end
)

select
    *,
    lag(stock, 1, 0) over (partition by frequency order by period_end) as stock_before
from series
qualify coalesce(abs(stock - stock_before - flow) > {{ tolerance }}, true)
{% endtest %}
