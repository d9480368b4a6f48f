-- Every version of the vouchers that stand in several deliveries, in the order of vintages. All others have one.
{{ config(materialized='table') }}

with content as (
    select
        *,
        -- Codes, dates and numbers, all of them there unless the voucher is withdrawn; of that only the key counts.
        concat_ws(' ', uscc, tax_type, tax_period, treasury_date, kind, amount_yuan) as content_hash
    from {{ ref('stg_tax_collections_repeated') }}
)

{{ versions('content', ['voucher_no'], void='r.void') }}
