-- Figures the authorities published, each beside what the warehouse computes for the same metric and period. The
-- official figure is never used for anything else.
with figure as (
    select
        o.metric_id,
        o.period,
        o.value as printed_value,
        o.unit as printed_unit,
        o.citation,
        o.published_on,
        m.metric_id is not null as is_known,
        m.unit,
        m.tolerance,
        m.computed,
        u.factor is not null as is_convertible,
        {{ in_unit('o.value', 'u.factor') }} as official_value
    from {{ ref('stg_official_figures') }} as o
    left join {{ ref('metric') }} as m on o.metric_id = m.metric_id
    left join {{ ref('unit_spelling') }} as u on m.unit = u.unit and o.unit = u.printed
),

compared as (
    select
        f.*,
        v.value as computed_value,
        v.obs_status,
        v.conf_status,
        v.metric_id is not null as is_observed,
        (v.value - f.official_value)::decimal(28, 10) as difference
    from figure as f
    left join {{ ref('metric_observation') }} as v
        on f.metric_id = v.metric_id and f.period = v.period and v.dimension = 'total'
)

select
    r.metric_id,
    r.period,
    r.official_value,
    r.unit,
    r.computed_value,
    r.obs_status,
    r.difference,
    {{ decimal_ratio('(r.difference * 100)', 'abs(r.official_value)') }} as difference_pct,
    r.tolerance,
    abs(r.difference) <= r.tolerance * abs(r.official_value) as is_within_tolerance,
    case
        when not r.is_known then 'The dictionary has no such metric.'
        when not r.is_convertible then 'The printed unit cannot be brought to that of the metric.'
        when r.official_value is null then 'The printed number is too large to be compared.'
        when not r.is_observed and not r.computed then 'The warehouse does not compute this metric yet.'
        when not r.is_observed then 'The warehouse has no value of the metric for this period.'
        when r.conf_status in ('C', 'D') then 'The computed value is suppressed.'
        when r.computed_value is null then 'The computed value is missing.'
    end as reason,
    r.printed_value,
    r.printed_unit,
    r.citation,
    r.published_on,
    c.as_of
from compared as r
cross join {{ source('lake', 'context') }} as c
order by r.metric_id, r.period
