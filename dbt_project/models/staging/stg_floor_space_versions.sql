{{ config(materialized='table') }}

{{ versions(source('lake', 'floor_space'), ['plan_version', 'parcel'], void='r.void') }}
