{{ config(meta={'level': 5}) }}
-- Every figure of the authorities has its row in the reconciliation, and every row there is one of theirs.
select coalesce(f.metric_id, r.metric_id) as metric_id
from {{ ref('stg_official_figures') }} as f
full join {{ ref('official_reconciliation') }} as r on f.metric_id = r.metric_id and f.period = r.period
where f.metric_id is null or r.metric_id is null
