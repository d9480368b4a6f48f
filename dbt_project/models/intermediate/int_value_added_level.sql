-- Value-added by quarter and year at six decimals. The last quarter of an account's year takes the rounding of the
-- others, so that quarters add up to the year and divisions to the total, exactly. `quarter_no` of a year is its last
-- quarter.
with quarter as (
    select
        member as division,
        quarter_no,
        quarter_no // 4 as account_year,
        value::decimal(38, 6) as rounded
    from {{ ref('int_value_added_quarter') }}
    where dimension = 'division'
),

whole_year as (
    select
        division,
        account_year,
        sum(rounded) as value
    from quarter
    group by division, account_year
    having count(*) = 4
),

-- A year without an account is the sum of its quarters.
division_year as (
    select
        coalesce(a.division, w.division) as division,
        coalesce(a.account_year, w.account_year) as account_year,
        coalesce(a.income::decimal(38, 6), w.value) as value,
        coalesce(a.obs_status, 'E') as obs_status
    from {{ ref('int_value_added_account') }} as a
    full join whole_year as w on a.division = w.division and a.account_year = w.account_year
),

division_level as (
    select
        division,
        'A' as frequency,
        4 * account_year + 3 as quarter_no,
        value,
        obs_status
    from division_year
    union all
    select
        q.division,
        'Q' as frequency,
        q.quarter_no,
        case
            when q.quarter_no % 4 < 3 then q.rounded
            else y.value - sum(q.rounded) over (
                partition by q.division, q.account_year
                order by q.quarter_no
                rows between unbounded preceding and 1 preceding
            )
        end as value,
        case when w.account_year is null then 'E' else y.obs_status end as obs_status
    from quarter as q
    left join whole_year as w on q.division = w.division and q.account_year = w.account_year
    left join division_year as y on q.division = y.division and q.account_year = y.account_year
)

select
    'division' as dimension,
    division as member,
    frequency,
    quarter_no,
    value::decimal(38, 6) as value,
    obs_status
from division_level
union all
select
    'total' as dimension,
    'total' as member,
    frequency,
    quarter_no,
    sum(value)::decimal(38, 6) as value,
    ['A', 'P', 'E'][max(array_position(['A', 'P', 'E'], obs_status))] as obs_status
from division_level
group by frequency, quarter_no
having count(*) = 4
