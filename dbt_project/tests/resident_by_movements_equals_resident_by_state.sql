{{ config(meta={'level': 3}) }}
-- resident(t) = resident(t-1) + (re)admissions - departures + reclassified in - out, by category: the published stock
-- grows from movements, here the institutions in residence at the end of each month are counted from their states.
-- The same for the institutions ever admitted.
with month_end as (
    select distinct period_end
    from {{ ref('metric_observation') }}
    where metric_id = 'institutions_resident' and frequency = 'M'
),

counted as (
    select
        m.period_end,
        s.category as member,
        count(*) filter (where s.resident) as resident,
        count(*) as ever_admitted
    from month_end as m
    inner join {{ ref('int_institution_state') }} as s
        on m.period_end >= s.valid_from and (s.valid_to is null or m.period_end < s.valid_to)
    where s.category is not null
    group by m.period_end, s.category
),

published as (
    select
        period_end,
        member,
        sum(value) filter (where metric_id = 'institutions_resident') as resident,
        sum(value) filter (where metric_id = 'institutions_admitted_cumulative') as ever_admitted
    from {{ ref('metric_observation') }}
    where
        frequency = 'M' and dimension = 'category'
        and metric_id in ('institutions_resident', 'institutions_admitted_cumulative')
    group by period_end, member
)

select
    p.period_end,
    p.member,
    p.resident,
    p.ever_admitted,
    c.resident as resident_counted,
    c.ever_admitted as ever_admitted_counted
from published as p
full join counted as c on p.period_end = c.period_end and p.member = c.member
where
    p.resident is distinct from coalesce(c.resident, 0)
    or p.ever_admitted is distinct from coalesce(c.ever_admitted, 0)
