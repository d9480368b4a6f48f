{{ config(materialized='table') }}

{{ versions(source('lake', 'institution_register'), ['event_id'], void='r.void') }}
