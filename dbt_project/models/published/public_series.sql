select
    provider,
    dataset,
    series_key,
    indicator,
    area_code,
    period,
    value::decimal(28, 10) as value,
    unit,
    case when value is null then 'M' else 'A' end as obs_status,
    published_on
from {{ ref('stg_public_series') }}
order by provider, dataset, series_key, indicator, area_key, period
