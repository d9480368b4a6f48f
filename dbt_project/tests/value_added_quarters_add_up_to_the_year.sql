-- Where all four quarters of a member are published, they are its year, exactly.
select
    dimension,
    member,
    year(period_end) as of_year,
    sum(value) filter (where frequency = 'Q') as of_quarters,
    sum(value) filter (where frequency = 'A') as of_account
from {{ ref('metric_observation') }}
where metric_id = 'financial_value_added'
group by dimension, member, year(period_end)
having count(*) filter (where frequency = 'Q') = 4 and of_quarters is distinct from of_account
