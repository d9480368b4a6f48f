{{ config(meta={'level': 3}) }}
-- Financial tax revenue and what is out of scope add up to the feed, month by month, to the last decimal: here the
-- whole feed is read, whatever the build carried over, and no taxpayer is looked up.
with feed as (
    select
        date_trunc('month', treasury_date)::date as month,
        sum(amount_yuan) as amount_yuan
    from (
        select
            treasury_date,
            sum(amount_yuan) as amount_yuan
        from {{ source('lake', 'tax_collections') }}
        where not void
        group by treasury_date
        union all
        select
            treasury_date,
            -sum(amount_yuan) as amount_yuan
        from {{ ref('stg_tax_collections_superseded') }}
        where not void
        group by treasury_date
    )
    group by all
),

metric as (
    select
        month,
        sum(value) as value
    from {{ ref('int_tax_metric_monthly') }}
    where metric_id in ('financial_tax_revenue', 'tax_revenue_out_of_scope') and dimension = 'total'
    group by month
)

select
    f.month,
    f.amount_yuan,
    m.value
from feed as f
full join metric as m on f.month = m.month
cross join {{ source('lake', 'context') }} as c
where
    coalesce(f.month, m.month) <= c.report_month
    and coalesce(m.value, 0) != {{ yuan_to_cny_100m('f.amount_yuan') }}
