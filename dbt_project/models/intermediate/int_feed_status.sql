-- How fresh each feed is on the as-of date.
select
    f.feed,
    max(d.published_on) filter (where d.outcome = 'loaded') as last_loaded_on,
    coalesce(arg_max(d.outcome = 'rejected', (d.published_on, d.seq)), false) as is_rejected,
    coalesce(
        date_diff('day', max(d.published_on) filter (where d.outcome = 'loaded'), max(c.as_of)) >= f.stale_after_days,
        false
    ) as is_stale
from {{ source('lake', 'feed') }} as f
cross join {{ source('lake', 'context') }} as c
-- The same bytes again are no news: they neither refresh a feed nor mend a rejection.
left join {{ source('lake', 'delivery') }} as d
    on f.feed = d.feed and d.outcome in ('loaded', 'rejected')
group by f.feed, f.stale_after_days
