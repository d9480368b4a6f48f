-- What every event did to its institution. Residence after an event is decided by the last admit, leave or deregister
-- up to it: one that has no effect leaves the very state it would have brought about.
with residence as (
    select
        event_id,
        event_date,
        uscc,
        event_type,
        category,
        row_number() over events_of_institution as event_no,
        coalesce(
            last_value(
                case when event_type in ('admit', 'leave', 'deregister') then event_type = 'admit' end ignore nulls
            ) over events_of_institution,
            false
        ) as resident_after
    from {{ ref('stg_institution_register') }}
    window events_of_institution as (
        partition by uscc order by event_date, event_id
        rows between unbounded preceding and current row
    )
),

before as (
    select
        *,
        coalesce(lag(resident_after) over (partition by uscc order by event_no), false) as resident_before
    from residence
),

in_force as (
    select
        *,
        last_value(
            case
                when event_type = 'admit' and not resident_before then category
                when event_type = 'recategorise' and resident_before then category
            end ignore nulls
        ) over (
            partition by uscc order by event_no rows between unbounded preceding and current row
        ) as category_after
    from before
),

changed as (
    select
        *,
        lag(category_after) over (partition by uscc order by event_no) as category_before
    from in_force
)

select
    event_id,
    event_date,
    uscc,
    event_no,
    event_type,
    resident_before,
    resident_after,
    category_before,
    category_after,
    event_type = 'admit' and category_before is null as is_first_admission,
    event_type = 'admit' and not resident_before and category_before is not null as is_readmission,
    event_type in ('leave', 'deregister') and resident_before as is_departure,
    event_type = 'recategorise' and resident_before and category_before != category_after as is_reclassification,
    case
        when event_type = 'admit' and resident_before then 'admit_while_resident'
        when event_type in ('leave', 'deregister') and not resident_before then 'leave_while_not_resident'
        when event_type = 'recategorise' and not resident_before then 'recategorise_while_not_resident'
    end as no_effect
from changed
