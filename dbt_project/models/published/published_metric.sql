{{ config(alias='metric') }}

select
    metric_id,
    label_zh,
    label_en,
    definition_zh,
    definition_en,
    unit,
    measure,
    frequencies,
    dimensions,
    source_feeds,
    warnings_zh,
    warnings_en,
    decimals,
    tolerance,
    plausible_low,
    plausible_high,
    computed
from {{ ref('metric') }}
order by metric_id
