-- In every quarter one row at most says what moves a division.
select
    a.division,
    a.valid_from,
    b.valid_from as valid_from_of_the_other
from {{ ref('value_added_indicator') }} as a
inner join {{ ref('value_added_indicator') }} as b
    on
        a.division = b.division
        and coalesce(a.valid_from, '0000') < coalesce(b.valid_from, '0000')
        and coalesce(a.valid_to, '9999') >= coalesce(b.valid_from, '0000')
union all
select
    division,
    valid_from,
    valid_from as valid_from_of_the_other
from {{ ref('value_added_indicator') }}
group by division, valid_from
having count(*) > 1
