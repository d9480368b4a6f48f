-- From every change on, the weights in force add up to 1: a change ends some rows and starts others.
with change as (
    select coalesce(valid_from, '0000') as changed_in
    from {{ ref('value_added_deflator') }}
    union
    select valid_to || '+' as changed_in
    from {{ ref('value_added_deflator') }}
    where valid_to is not null
)

select
    c.changed_in,
    sum(w.weight) as weights
from change as c
inner join {{ ref('value_added_deflator') }} as w
    on c.changed_in between coalesce(w.valid_from, '0000') and coalesce(w.valid_to, '9999')
group by c.changed_in
having sum(w.weight) != 1
