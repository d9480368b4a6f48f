-- Indicators of value-added by complete quarter, in 100 million yuan: stocks at its end, flows of the quarter itself. A
-- row that can't be used says why and has no value, as if it had not been delivered.
with delivered as (
    select
        i.quarter,
        {{ quarter_no('i.quarter') }} as quarter_no,
        i.indicator,
        i.basis,
        try(i.value * u.factor)::decimal(38, 24) as value,
        case
            when u.printed is null then 'unknown_unit'
            when (i.basis = 'end_stock') != (i.indicator in ('deposits', 'loans')) then 'wrong_basis'
            when try(i.value * u.factor) is null then 'too_large'
        end as fault
    from {{ ref('stg_value_added_indicators') }} as i
    left join {{ ref('unit_spelling') }} as u on u.unit = 'cny_100m' and i.unit = u.printed
    cross join {{ source('lake', 'context') }} as c
    where {{ last_month_of_quarter(quarter_no('i.quarter')) }} <= c.report_month
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
