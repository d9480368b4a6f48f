-- The production approach beside the income approach, and how far they are apart in percent of the latter, by year.
with member as (
    select
        'division' as dimension,
        division as member,
        account_year,
        income,
        production,
        obs_status
    from {{ ref('int_value_added_account') }}
    union all
    select
        'total' as dimension,
        'total' as member,
        account_year,
        sum(income) as income,
        sum(production) as production,
        ['A', 'P'][max(array_position(['A', 'P'], obs_status))] as obs_status
    from {{ ref('int_value_added_account') }}
    group by account_year
    having count(*) = 4
)

select
    dimension,
    member,
    account_year,
    production,
    {{ decimal_ratio('((production - income) * 100)', 'income') }} as discrepancy,
    obs_status
from member
