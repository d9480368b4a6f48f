{{ config(meta={'level': 4}) }}
-- Nobody's tax counts as financial, from any day on, but that of an institution that the register has in residence that
-- day, in the same category.
select
    w.category,
    w.valid_from
from {{ ref('int_tax_window') }} as w
left join {{ ref('int_institution_state') }} as s
    on
        w.uscc = s.uscc and w.category = s.category and s.resident
        and w.valid_from >= s.valid_from and w.valid_from < coalesce(s.valid_to, '9999-12-31'::date)
where w.category is not null and s.uscc is null
