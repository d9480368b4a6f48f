{{ config(materialized='table') }}

{{ versions(source('lake', 'price_indices'), ['quarter', 'index_code'], void='r.void') }}
