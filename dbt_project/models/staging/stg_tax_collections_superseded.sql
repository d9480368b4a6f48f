-- Rows that a later delivery repeats, corrects or withdraws: what has been delivered but is not current.
{{ config(materialized='table') }}

with in_force as ({{ current_versions(ref('stg_tax_collections_versions'), ['voucher_no'], void='void') }})

select v.*
from {{ ref('stg_tax_collections_versions') }} as v
anti join in_force as f
    on v.voucher_no = f.voucher_no and v.delivery_id = f.delivery_id
