-- State windows, half-open: the state of an institution on a day is the one after the day's last event.
with day_state as (
    select
        uscc,
        event_date as valid_from,
        arg_max(resident_after, event_no) as resident,
        arg_max_null(category_after, event_no) as category
    from {{ ref('int_institution_event') }}
    group by uscc, event_date
)

select
    uscc,
    valid_from,
    lead(valid_from) over (partition by uscc order by valid_from) as valid_to,
    resident,
    category
from day_state
