-- The tax metrics by month, quarter and year, and financial tax revenue from January to each month. A sum over a month
-- without vouchers is missing, and so is one that begins before the feed does: those months have none either.
with monthly as (
    select
        *,
        count(value) over year_to_date = month(month) as is_whole_to_date,
        sum(value) over year_to_date as to_date
    from {{ ref('int_tax_metric_monthly') }}
    window year_to_date as (partition by metric_id, dimension, member, year(month) order by month)
),

rolled_up as (
    {% for frequency, months, period, last_month in [
        ('M', 1, "strftime(month, '%Y-%m')", 'month'),
        ('Q', 3, "year(month) || '-Q' || quarter(month)", "(date_trunc('quarter', month) + interval 2 month)::date"),
        ('A', 12, 'year(month)::varchar', 'make_date(year(month), 12, 1)'),
    ] %}
    select
        metric_id,
        '{{ frequency }}' as frequency,
        {{ period }} as period,
        {{ last_month }} as last_month,
        dimension,
        member,
        case when count(value) = {{ months }} then sum(value) end as value
    from monthly
    group by all
    union all
    {% endfor %}
    select
        metric_id || '_ytd' as metric_id,
        'M' as frequency,
        strftime(month, '%Y-%m') as period,
        month as last_month,
        dimension,
        member,
        case when is_whole_to_date then to_date end as value
    from monthly
    where metric_id = 'financial_tax_revenue'
)

select
    *,
    case when value is null then 'M' else 'A' end as obs_status
from rolled_up
