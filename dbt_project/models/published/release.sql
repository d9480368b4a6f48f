select
    c.release_id,
    c.as_of,
    -- The clock of the inputs, not of the machine: equal inputs give an equal release.
    c.as_of::timestamp as created_at,
    c.inputs_sha256,
    c.code_version,
    c.previous_release_id,
    exists(
        select 1
        from {{ source('lake', 'delivery') }} as d
        where d.outcome = 'loaded' and d.synthetic
    ) as synthetic
from {{ source('lake', 'context') }} as c
