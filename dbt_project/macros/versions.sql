{# Every version of every key of a feed, in the order in which they took effect: by vintage, then by arrival. A version
   with the content of the one before it (the one current at that vintage) is a duplicate of an earlier delivery. #}
{% macro versions(rows, key, void='false') %}
select
    r.*,
    d.published_on,
    d.seq,
    row_number() over versions_of_key as version_no,
    coalesce(
        lag(r.content_hash) over versions_of_key = r.content_hash
        and lag({{ void }}) over versions_of_key = {{ void }},
        false
    ) as is_duplicate
from {{ rows }} as r
inner join {{ source('lake', 'delivery') }} as d
    on r.delivery_id = d.delivery_id and d.outcome = 'loaded'
window versions_of_key as (
    partition by {% for column in key %}r.{{ column }}{{ ', ' if not loop.last }}{% endfor %}
    order by d.published_on, d.seq, r.line
)
{% endmacro %}

{# The version of every key that is current: the last that changed anything, unless it withdraws the key. #}
{% macro current_versions(versions, key, void='false') %}
select * exclude (is_duplicate, is_current)
from (
    select
        v.*,
        row_number() over (
            partition by {% for column in key %}v.{{ column }}{{ ', ' if not loop.last }}{% endfor %}
            order by v.version_no desc
        ) = 1 as is_current
    from {{ versions }} as v
    where not v.is_duplicate
)
where is_current and not coalesce({{ void }}, false)
{% endmacro %}
