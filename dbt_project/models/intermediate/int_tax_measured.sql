-- What the taxpayers add to each cell of the series that have to be measured: how many they are, the largest
-- contribution, and what all but the two largest come to. A contribution is what a taxpayer's vouchers in the cell come
-- to, without its sign, in yuan; of a level of government it is the share, not rounded.
with series as (
    select * from {{ ref('int_tax_measured_series') }}
),

contributed as ({{ tax_series(ref('int_tax_contribution'), ['uscc']) }}),

monthly as (
    select c.*
    from contributed as c
    inner join series as s
        on
            c.metric_id = s.metric_id and c.dimension = s.dimension and c.member = s.member
            and year(c.month) = s.calendar_year
    where not s.is_carried
),

{{ tax_by_period(['uscc']) }},

concentration as (
    select
        metric_id,
        frequency,
        last_month,
        dimension,
        member,
        count(*) as taxpayers,
        sum(abs(amount_yuan)) as contributions_yuan,
        max(abs(amount_yuan), 2) as two_largest
    from by_period
    group by all
)

select
    metric_id,
    frequency,
    last_month,
    dimension,
    member,
    taxpayers,
    two_largest[1] as largest_yuan,
    contributions_yuan - two_largest[1] - coalesce(two_largest[2], 0) as rest_yuan
from concentration
union all
select c.*
from {{ source('carried', 'int_tax_measured') }} as c
inner join series as s
    on
        replace(c.metric_id, '_ytd', '') = s.metric_id and c.dimension = s.dimension and c.member = s.member
        and year(c.last_month) = s.calendar_year
where s.is_carried
