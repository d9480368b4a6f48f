{{ config(materialized='table') }}

{{ versions(source('lake', 'fund_commitments'), ['change_id'], void='r.void') }}
