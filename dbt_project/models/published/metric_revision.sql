-- Every value that the release of the greatest as_of before this one published, and that this one publishes otherwise
-- or not at all, with the latest note that explains it. A value that is suppressed now was not revised, nor was one
-- from before the first period of its metric: some are published for the latest month alone.
with previous as (
    select *
    from {{ source('lake', 'released_observation') }}
    where as_of = (select max(p.as_of) from {{ source('lake', 'released_observation') }} as p)
),

-- Until a metric's every feed has been delivered after a period, the number of the period is not settled: an event feed
-- that is silent yet counts as zero.
delivered as (
    select
        d.feed,
        max(d.published_on) as latest
    from {{ source('lake', 'delivery') }} as d
    where d.outcome = 'loaded' and d.published_on <= (select max(p.as_of) from previous as p)
    group by d.feed
),

settled as (
    select
        f.metric_id,
        min(coalesce(d.latest, '0001-01-01'::date)) as settled_until
    from (
        select
            m.metric_id,
            unnest(string_split(m.source_feeds, ' ')) as feed
        from {{ ref('metric') }} as m
    ) as f
    left join delivered as d on f.feed = d.feed
    group by f.metric_id
),

published as (
    select
        o.metric_id,
        o.frequency,
        min(o.period_end) as begins_on
    from {{ ref('metric_observation') }} as o
    group by o.metric_id, o.frequency
),

moved as (
    select
        p.metric_id,
        p.frequency,
        p.period,
        p.dimension,
        p.member,
        p.value as previous_value,
        p.obs_status as previous_obs_status,
        p.as_of as previous_as_of,
        o.value,
        (o.value - p.value)::decimal(28, 10) as difference,
        greatest(
            m.revision_absolute, (m.revision_relative::decimal(9, 8) * abs(p.value)::decimal(28, 10))::decimal(28, 10)
        )::decimal(28, 10) as tolerance,
        coalesce(last_day({{ last_month_of('p.period') }}) <= s.settled_until, true) as was_settled
    from previous as p
    left join {{ ref('metric_observation') }} as o
        on
            p.metric_id = o.metric_id and p.frequency = o.frequency and p.period = o.period
            and p.dimension = o.dimension and p.member = o.member
    left join {{ ref('metric') }} as m on p.metric_id = m.metric_id
    left join settled as s on p.metric_id = s.metric_id
    left join published as b on p.metric_id = b.metric_id and p.frequency = b.frequency
    where
        p.value is not null and p.value is distinct from o.value and coalesce(o.conf_status, 'F') = 'F'
        and coalesce(last_day({{ last_month_of('p.period') }}) >= b.begins_on, true)
),

-- A note explains a value from the day on which that was first known; one on a month also explains what became of the
-- quarter and the year of the month.
explanation as (
    select
        r.metric_id,
        r.frequency,
        r.period,
        r.dimension,
        r.member,
        n.note_id,
        n.stage,
        n.reason
    from moved as r
    cross join {{ source('lake', 'context') }} as c
    inner join {{ ref('metric_vintage') }} as k
        on
            r.metric_id = k.metric_id and r.frequency = k.frequency and r.period = k.period
            and r.dimension = k.dimension and r.member = k.member and c.as_of = k.realtime_end
    inner join {{ ref('revision_note') }} as n
        on
            r.metric_id = n.metric_id and k.realtime_start <= n.published_on
            and {{ first_month_of('n.from_period') }} <= {{ last_month_of('r.period') }}
            and {{ first_month_of('r.period') }} <= {{ last_month_of('n.to_period') }}
    qualify
        row_number() over (
            partition by r.metric_id, r.frequency, r.period, r.dimension, r.member
            order by n.published_on desc, n.note_id desc
        ) = 1
)

select
    r.metric_id,
    r.frequency,
    r.period,
    r.dimension,
    r.member,
    r.previous_value,
    r.previous_obs_status,
    r.value,
    r.difference,
    r.tolerance,
    e.stage,
    e.reason,
    e.note_id,
    r.previous_as_of,
    r.was_settled,
    (
        not r.was_settled or r.previous_obs_status = 'E' or e.note_id is not null
        or coalesce(abs(r.difference) <= r.tolerance, false)
    ) as is_explained,
    c.as_of
from moved as r
cross join {{ source('lake', 'context') }} as c
left join explanation as e
    on
        r.metric_id = e.metric_id and r.frequency = e.frequency and r.period = e.period
        and r.dimension = e.dimension and r.member = e.member
order by r.metric_id, r.frequency, r.period, r.dimension, r.member
