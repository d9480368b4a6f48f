{# Vouchers added up by month, by what they count as, and by how they are shared: the cells of which all tax metrics
   are sums. `windows` says what a taxpayer counts as on a day (int_tax_window); one without windows is not registered.
   Days first and months of them afterwards: a date costs less to group by than its month to compute, row by row. #}
{% macro tax_cells(rows, windows) %}
select
    date_trunc('month', treasury_date)::date as month,
    category,
    reason,
    tax_type,
    scheme,
    kind,
    sum(vouchers)::bigint as vouchers,
    sum(amount_yuan) as amount_yuan
from (
    select
        r.treasury_date,
        w.category,
        case when w.uscc is null then 'not_registered' else w.reason end as reason,
        r.tax_type,
        coalesce(o.scheme, 'standard') as scheme,
        r.kind,
        count(*) as vouchers,
        sum(r.amount_yuan) as amount_yuan
    from {{ rows }} as r
    left join {{ windows }} as w
        on r.uscc = w.uscc and r.treasury_date >= w.valid_from and r.treasury_date < w.valid_to
    left join {{ ref('tax_sharing_override') }} as o
        on r.uscc = o.uscc and r.tax_type = o.tax_type
    where not r.void
    group by all
)
group by all
{% endmacro %}

{# Lines of a seed that hold from `valid_from` until the next line of their key, the first one for all time before, as
   half-open windows. #}
{% macro dated(seed, key) %}
select
    * exclude (valid_from),
    case when lag(valid_from) over lines_of_key is null then '-infinity'::date else valid_from end as valid_from,
    lead(valid_from, 1, 'infinity'::date) over lines_of_key as valid_to
from {{ seed }}
window lines_of_key as (
    partition by {{ key | join(', ') }}
    order by valid_from
)
{% endmacro %}
