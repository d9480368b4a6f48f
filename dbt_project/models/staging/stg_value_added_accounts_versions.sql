{{ config(materialized='table') }}

{{ versions(source('lake', 'value_added_accounts'), ['year', 'division'], void='r.void') }}
