{{ config(materialized='table') }}

{{ versions(source('lake', 'official_figures'), ['metric_id', 'period'], void='r.void') }}
