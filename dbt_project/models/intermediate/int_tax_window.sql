-- What a registered taxpayer's vouchers count as, day by day, in half-open windows over all time: financial, by
-- category, or out of scope, for a reason. Before its first event a taxpayer in the register is not resident.
with scope as ({{ dated(ref('metric_scope'), ['category']) }}),

state as (
    select
        uscc,
        valid_from,
        coalesce(valid_to, '9999-12-31'::date) as valid_to,
        case when resident then category end as category
    from {{ ref('int_institution_state') }}
    union all
    select
        uscc,
        '0001-01-01'::date as valid_from,
        min(valid_from) as valid_to,
        null as category
    from {{ ref('int_institution_state') }}
    group by uscc
),

counted_as as (
    select
        t.uscc,
        greatest(t.valid_from, coalesce(s.valid_from, '0001-01-01'::date)) as valid_from,
        case when s.in_scope then t.category end as category,
        case
            when t.category is null then 'not_resident'
            when not coalesce(s.in_scope, false) then 'category'
        end as reason
    from state as t
    left join scope as s
        on t.category = s.category and t.valid_from < s.valid_to and t.valid_to > s.valid_from
),

-- Windows that only a change of name or the like parts are one.
change as (
    select *
    from counted_as
    qualify
        lag((category, reason)) over (partition by uscc order by valid_from) is distinct from (category, reason)
)

select
    uscc,
    valid_from,
    lead(valid_from, 1, '9999-12-31'::date) over (partition by uscc order by valid_from) as valid_to,
    category,
    reason
from change
