{{ config(materialized='table') }}

{{ versions(source('lake', 'duty_measures'), ['duty_no', 'measure_id', 'month'], void='r.void') }}
