-- Deliveries with the rows that only repeat an earlier delivery moved from accepted to duplicate.
{% set feeds = [
    'activities', 'duty_measures', 'duty_reports', 'floor_space', 'fund_commitments', 'institution_register',
    'listing_pipeline', 'official_figures', 'price_indices', 'public_series', 'revision_notes', 'risk_leads',
    'tax_collections', 'value_added_accounts', 'value_added_indicators',
] %}
with repeated as (
    {% for feed in feeds %}
    select
        delivery_id,
        count(*) as rows_repeated
    from {{ ref('stg_' ~ feed ~ '_versions') }}
    where is_duplicate
    group by delivery_id
    {{ 'union all' if not loop.last }}
    {% endfor %}
)

select
    d.* exclude (rows_accepted, rows_duplicate),
    d.rows_accepted - coalesce(r.rows_repeated, 0) as rows_accepted,
    d.rows_duplicate + coalesce(r.rows_repeated, 0) as rows_duplicate
from {{ source('lake', 'delivery') }} as d
left join repeated as r on d.delivery_id = r.delivery_id
