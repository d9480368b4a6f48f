{{ config(materialized='table') }}

{{ versions(source('lake', 'duty_reports'), ['duty_no', 'month'], void='r.void') }}
