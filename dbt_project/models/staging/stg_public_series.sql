{{ current_versions(
    ref('stg_public_series_versions'),
    ['provider', 'dataset', 'series_key', 'indicator', 'area_key', 'period']
) }}
