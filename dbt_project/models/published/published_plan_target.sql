{{ config(alias='plan_target') }}

select
    target_id,
    metric_id,
    dimension,
    member,
    year,
    measure,
    operator,
    low,
    high,
    unit,
    scope,
    label_zh,
    label_en,
    quote,
    assumption
from {{ ref('plan_target') }}
order by target_id
