{{ config(materialized='table') }}

{{ versions(source('lake', 'risk_leads'), ['lead_id'], void='r.void') }}
