{{ config(materialized='table') }}

{{ versions(source('lake', 'activities'), ['activity_id'], void='r.void') }}
