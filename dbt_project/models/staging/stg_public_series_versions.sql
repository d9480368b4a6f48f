{{ config(materialized='table') }}

{{ versions(ref('stg_public_series_rows'), ['provider', 'dataset', 'series_key', 'period']) }}
