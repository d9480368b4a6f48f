{{ config(meta={'level': 2, 'point': 'release'}) }}
-- What holds by the history is what the release says, key by key.
with held as (
    select *
    from {{ ref('metric_vintage') }}
    where realtime_end is null
)

select coalesce(h.metric_id, o.metric_id) as metric_id
from held as h
full join {{ ref('metric_observation') }} as o
    on
        h.metric_id = o.metric_id and h.frequency = o.frequency and h.period = o.period
        and h.dimension = o.dimension and h.member = o.member
where
    h.value is distinct from o.value
    or h.obs_status is distinct from o.obs_status
    or h.conf_status is distinct from o.conf_status
