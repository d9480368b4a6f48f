-- Unrounded, the categories, the taxes and the levels of government each add up to financial tax revenue, and the
-- reasons to what is out of scope; missing parts make a missing total and the other way round.
select
    p.metric_id,
    p.frequency,
    p.period,
    p.dimension,
    sum(p.value) as of_parts,
    any_value(t.value) as total
from {{ ref('int_tax_metric_period') }} as p
inner join {{ ref('int_tax_metric_period') }} as t
    on p.metric_id = t.metric_id and p.frequency = t.frequency and p.period = t.period and t.dimension = 'total'
where p.dimension != 'total'
group by p.metric_id, p.frequency, p.period, p.dimension
having of_parts is distinct from total or bool_or(p.obs_status != t.obs_status)
