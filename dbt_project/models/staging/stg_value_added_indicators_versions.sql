{{ config(materialized='table') }}

{{ versions(source('lake', 'value_added_indicators'), ['quarter', 'indicator'], void='r.void') }}
