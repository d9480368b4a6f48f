-- What the offices say about revisions, and about numbers that need a word, as it holds on as_of.
select
    n.note_id,
    n.metric_id,
    n.from_period,
    n.to_period,
    n.stage,
    n.reason,
    n.published_on,
    c.as_of
from {{ ref('stg_revision_notes') }} as n
cross join {{ source('lake', 'context') }} as c
order by n.note_id
