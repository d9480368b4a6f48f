{# Vouchers added up by month, by what they count as, and by how they are shared: the cells of which all tax metrics are
   sums. `windows` says what a taxpayer counts as on a day (int_tax_window); one without windows is not registered. By
   day first: that costs a third of grouping by month. `sign` is '-' for vouchers that are to be taken off. #}
{% macro tax_cells(rows, windows, sign='') %}
select
    date_trunc('month', treasury_date)::date as month,
    category,
    reason,
    tax_type,
    scheme,
    kind,
    {{ sign }}sum(vouchers)::bigint as vouchers,
    {{ sign }}sum(amount_yuan) as amount_yuan
from (
    select
        r.treasury_date,
        {{ counted_as() }},
        count(*) as vouchers,
        sum(r.amount_yuan) as amount_yuan
    from {{ rows }} as r
    {{ join_counted_as(windows) }}
    where not r.void
    group by all
)
group by all
{% endmacro %}

{# Cells of several origins added up; one whose vouchers are all taken off is gone. #}
{% macro tax_cells_added_up(cells) %}
select
    month,
    category,
    reason,
    tax_type,
    scheme,
    kind,
    sum(vouchers)::bigint as vouchers,
    sum(amount_yuan) as amount_yuan
from {{ cells }}
group by all
having sum(vouchers) != 0
{% endmacro %}

{# What a voucher of `r` counts as, and how it is shared. #}
{% macro counted_as() -%}
w.category,
case when w.uscc is null then 'not_registered' else w.reason end as reason,
r.tax_type,
coalesce(o.scheme, 'standard') as scheme,
r.kind
{%- endmacro %}

{% macro join_counted_as(windows) -%}
left join {{ windows }} as w
    on r.uscc = w.uscc and r.treasury_date >= w.valid_from and r.treasury_date < w.valid_to
left join {{ ref('tax_sharing_override') }} as o
    on r.uscc = o.uscc and r.tax_type = o.tax_type
{%- endmacro %}

{# What readers see of tax, or can compute of what they see, by month, in yuan, not rounded: of cells, or of what each
   taxpayer adds to them. Refunds are gross less net, and what another scheme of sharing makes of a tax is what the
   levels have less or more than by the standard one. `by` names columns of the cells to keep apart. #}
{% macro tax_series(cells, by=[]) %}
select
    s.metric_id,
    s.dimension,
    s.member,
    c.month,
    {% for column in by %}
    c.{{ column }},
    {% endfor %}
    sum(c.amount_yuan::decimal(28, 6) * s.percent) * 0.01::decimal(2, 2) as amount_yuan
from {{ cells }} as c
left join ({{ dated(ref('tax_sharing'), ['scheme', 'tax_type']) }}) as h
    on
        c.tax_type = h.tax_type and c.scheme = h.scheme
        and c.month >= h.valid_from and c.month < h.valid_to
cross join (
    values
    ('financial_tax_revenue', 'total', 'total', c.category is not null, 100::decimal(7, 4)),
    ('financial_tax_revenue', 'category', c.category, c.category is not null, 100),
    ('financial_tax_revenue', 'tax_type', c.tax_type, c.category is not null, 100),
    {% for level in ['central', 'province', 'city_district'] %}
    ('financial_tax_revenue', 'fiscal_level', '{{ level }}', c.category is not null, h.{{ level }}),
    {% endfor %}
    (
        'financial_tax_revenue', 'scheme', c.tax_type || '/' || c.scheme,
        c.category is not null and c.scheme != 'standard', 100
    ),
    ('financial_tax_revenue_gross', 'total', 'total', c.category is not null and c.kind = 'collection', 100),
    ('financial_tax_revenue_refunds', 'total', 'total', c.category is not null and c.kind != 'collection', -100),
    ('tax_revenue_out_of_scope', 'total', 'total', c.reason is not null, 100),
    ('tax_revenue_out_of_scope', 'reason', c.reason, c.reason is not null, 100)
) as s (metric_id, dimension, member, applies, percent)
where s.applies and s.percent != 0
group by all
{% endmacro %}

{# CTEs that follow on one called monthly, with the rows of tax_series: `by_period` has them by month, quarter and year,
   and financial tax revenue from January to each month. #}
{% macro tax_by_period(by=[]) %}
{% set series = (['dimension', 'member'] + by) | join(',\n        ') %}
cumulated as (
    select
        *,
        sum(amount_yuan) over year_to_date as to_date,
        lead(month, 1, make_date(year(month) + 1, 1, 1)) over year_to_date as next_month
    from monthly
    window year_to_date as (
        partition by metric_id, {{ (['dimension', 'member'] + by) | join(', ') }}, year(month) order by month
    )
),

by_period as (
    select
        'M' as frequency,
        metric_id,
        month as last_month,
        {{ series }},
        amount_yuan
    from monthly
    union all
    select
        'Q' as frequency,
        metric_id,
        (date_trunc('quarter', month) + interval 2 month)::date as last_month,
        {{ series }},
        sum(amount_yuan) as amount_yuan
    from monthly
    group by all
    union all
    select
        'A' as frequency,
        metric_id,
        make_date(year(month), 12, 1) as last_month,
        {{ series }},
        to_date as amount_yuan
    from cumulated
    where year(next_month) > year(month)
    union all
    select
        'M' as frequency,
        metric_id || '_ytd' as metric_id,
        unnest(
            generate_series(month::timestamp, next_month::timestamp - interval 1 month, interval 1 month)
        )::date as last_month,
        {{ series }},
        to_date as amount_yuan
    from cumulated
    where metric_id = 'financial_tax_revenue' and dimension != 'scheme'
)
{% endmacro %}

{# The largest sum that one taxpayer's vouchers of a calendar year come to, without their signs. #}
{% macro largest_turnovers() %}
select
    calendar_year,
    max(turnover_yuan) as turnover_yuan
from {{ ref('int_tax_taxpayer') }}
group by calendar_year
{% endmacro %}

{# Lines of a seed that hold from `valid_from` until the next line of their key, the first one for all time before, as
   half-open windows. #}
{% macro dated(seed, key) %}
select
    * exclude (valid_from),
    case when lag(valid_from) over lines_of_key is null then '0001-01-01'::date else valid_from end as valid_from,
    lead(valid_from, 1, '9999-12-31'::date) over lines_of_key as valid_to
from {{ seed }}
window lines_of_key as (
    partition by {{ key | join(', ') }}
    order by valid_from
)
{% endmacro %}
