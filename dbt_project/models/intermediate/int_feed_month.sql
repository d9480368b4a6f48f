-- The months an event feed speaks for: from that of its first current event on, silence is zero.
with first_event as (
    select
        'institution_register' as feed,
        min(event_date) as event_date
    from {{ ref('stg_institution_register') }}
    union all
    select
        'fund_commitments' as feed,
        min(change_date) as event_date
    from {{ ref('stg_fund_commitments') }}
    union all
    select
        'listing_pipeline' as feed,
        min(stage_date) as event_date
    from {{ ref('stg_listing_pipeline') }}
    union all
    select
        'activities' as feed,
        min(held_on) as event_date
    from {{ ref('stg_activities') }}
    union all
    select
        'risk_leads' as feed,
        min(found_on) as event_date
    from {{ ref('stg_risk_leads') }}
)

select
    e.feed,
    unnest(generate_series(
        date_trunc('month', e.event_date)::timestamp, c.report_month::timestamp, interval 1 month
    ))::date as month
from first_event as e
cross join {{ source('lake', 'context') }} as c
where e.event_date is not null
