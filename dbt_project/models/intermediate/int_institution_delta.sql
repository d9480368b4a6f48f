-- What the events add to and take from each series, by category.
with event as (
    select
        *,
        is_reclassification or (is_readmission and category_before != category_after) as changes_category
    from {{ ref('int_institution_event') }}
)

select
    d.series,
    e.event_date,
    e.uscc,
    d.category,
    d.delta
from event as e
cross join (
    values
    ('admitted', e.category_after, 1, e.is_first_admission),
    ('ever_admitted', e.category_after, 1, e.is_first_admission or e.changes_category),
    ('ever_admitted', e.category_before, -1, e.changes_category),
    ('resident', e.category_after, 1, e.is_first_admission or e.is_readmission or e.is_reclassification),
    ('resident', e.category_before, -1, e.is_departure or e.is_reclassification),
    ('departed', e.category_before, 1, e.is_departure)
) as d (series, category, delta, applies)
where d.applies
