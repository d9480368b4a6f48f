-- Indicators of value-added by quarter, in 100 million yuan: stocks at its end, flows of the quarter itself. A row that
-- can't be used says why and has no value, as if it had not been delivered.
{% set stocks = "('deposits', 'loans')" %}
with delivered as (
    select
        i.quarter,
        {{ quarter_no('i.quarter') }} as quarter_no,
        i.indicator,
        -- In the first quarter the quarter and the year to date are the same.
        case when i.basis = 'flow' and i.quarter like '%-Q1' then 'ytd' else i.basis end as basis,
        try(i.value * u.cny_100m)::decimal(38, 24) as value,
        case
            when u.unit is null then 'unknown_unit'
            when (i.basis = 'end_stock') != (i.indicator in {{ stocks }}) then 'wrong_basis'
            when try(i.value * u.cny_100m) is null then 'too_large'
        end as fault
    from {{ ref('stg_value_added_indicators') }} as i
    left join {{ ref('money_unit') }} as u on i.unit = u.unit
)

select
    d.quarter,
    d.quarter_no,
    d.indicator,
    d.fault,
    case
        when d.fault is not null then null
        when d.basis != 'ytd' or d.quarter like '%-Q1' then d.value
        else d.value - p.value
    end as value
from delivered as d
left join delivered as p
    on d.indicator = p.indicator and d.quarter_no = p.quarter_no + 1 and p.basis = 'ytd' and p.fault is null
