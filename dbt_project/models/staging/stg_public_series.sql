{{ current_versions(
    ref('stg_public_series_versions'),
    ['provider', 'dataset', 'series_key', 'period']
) }}
