select
    provider,
    dataset,
    series_key,
    indicator,
    area_code,
    period,
    case when not is_missing then value::decimal(28, 10) end as value,
    unit,
    case when is_missing then 'M' else coalesce(obs_status, 'A') end as obs_status,
    published_on
from {{ ref('stg_public_series') }}
order by provider, dataset, series_key, period
