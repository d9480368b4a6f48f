-- Every reported measure of a duty, in the unit that the seed gives it, and what keeps it from being understood.
with reported as (
    select
        r.duty_no,
        r.measure_id,
        r.month,
        r.value as printed_value,
        r.unit as printed_unit,
        s.measure_id is not null as is_known,
        s.unit,
        {{ in_unit('r.value', 'u.factor') }} as value,
        u.factor is not null as is_convertible
    from {{ ref('stg_duty_measures') }} as r
    left join {{ ref('duty_measure') }} as s on r.duty_no = s.duty_no and r.measure_id = s.measure_id
    left join {{ ref('unit_spelling') }} as u on s.unit = u.unit and r.unit = u.printed
)

select
    duty_no,
    measure_id,
    month,
    value,
    unit,
    printed_value,
    printed_unit,
    is_known,
    case
        when not is_known then 'The project knows no such measure of the duty.'
        when not is_convertible then 'The reported unit cannot be brought to that of the measure.'
        when value is null then 'The reported number is larger than any measure.'
    end as issue
from reported
