{{ config(materialized='table') }}

{{ versions(source('lake', 'listing_pipeline'), ['record_id'], void='r.void') }}
