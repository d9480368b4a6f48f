with metric_feed as (
    select
        metric_id,
        unnest(string_split(source_feeds, ' ')) as feed
    from {{ ref('metric') }}
),

metric_input as (
    select
        f.metric_id,
        min(s.last_loaded_on) as last_loaded_on,
        min(case
            when s.last_loaded_on is null then 'No delivery of the feed ' || f.feed || ' has been loaded.'
        end) as missing,
        min(case
            when s.is_rejected then 'The latest delivery of the feed ' || f.feed || ' was rejected.'
            when s.is_stale
                then 'The feed ' || f.feed || ' is stale: its latest delivery is of ' || s.last_loaded_on || '.'
        end) as interruption
    from metric_feed as f
    left join {{ ref('int_feed_status') }} as s on f.feed = s.feed
    group by f.metric_id
),

-- The years of the plan, each with the one before it; two years before the first.
milestone as (
    select
        t.year,
        coalesce(max(b.year), t.year - 2) as milestone_before
    from (select distinct year from {{ ref('plan_target') }}) as t
    left join {{ ref('plan_target') }} as b on t.year > b.year
    group by t.year
),

target as (
    select
        t.*,
        y.milestone_before,
        12 * (t.year - y.milestone_before) as months_between,
        m.computed,
        string_split(m.frequencies, ' ')[1] as finest,
        i.last_loaded_on,
        i.missing,
        i.interruption,
        c.as_of,
        c.report_month,
        c.report_month >= make_date(t.year, 12, 1) as is_over,
        year(c.report_month) >= t.year as is_begun,
        greatest(date_diff('month', c.report_month, make_date(t.year, 12, 1)), 0) as months_left
    from {{ ref('plan_target') }} as t
    inner join milestone as y on t.year = y.year
    inner join {{ ref('metric') }} as m on t.metric_id = m.metric_id
    inner join metric_input as i on t.metric_id = i.metric_id
    cross join {{ source('lake', 'context') }} as c
),

observed as (
    select
        metric_id,
        dimension,
        member,
        frequency,
        period,
        period_end,
        value
    from {{ ref('metric_observation') }}
    where value is not null
),

-- Everything of the metric's own observations that a target may need.
point as (
    select
        t.target_id,
        count(distinct o.period_end) as points,
        max(o.value) filter (where o.frequency = 'A' and year(o.period_end) = t.year) as year_value,
        max(o.period) filter (where o.frequency = 'A' and year(o.period_end) = t.year) as year_period,
        arg_max(o.value, (o.period_end, o.frequency = t.finest)) as latest_value,
        arg_max(o.period, (o.period_end, o.frequency = t.finest)) as latest_period,
        sum(o.value) filter (where o.frequency = t.finest and year(o.period_end) = t.year) as ytd_value,
        max(o.period) filter (where o.frequency = t.finest and year(o.period_end) = t.year) as ytd_period,
        max(month(o.period_end)) filter (where o.frequency = t.finest and year(o.period_end) = t.year) as ytd_month,
        max(o.value) filter (where o.frequency = 'A' and year(o.period_end) = t.milestone_before) as base_value
    from target as t
    left join observed as o
        on t.metric_id = o.metric_id and t.dimension = o.dimension and t.member = o.member
    group by t.target_id
),

-- Targets whose actual value would be, or add up, a value that is suppressed.
suppressed as (
    select distinct t.target_id
    from target as t
    inner join {{ ref('metric_observation') }} as o
        on
            t.metric_id = o.metric_id and t.dimension = o.dimension and t.member = o.member
            and t.year = year(o.period_end) and o.frequency = case when t.is_over then 'A' else t.finest end
    where o.conf_status != 'F'
),

last_year as (
    select
        t.target_id,
        sum(o.value) filter (where month(o.period_end) <= p.ytd_month) as ytd_value,
        sum(o.value) as year_value
    from target as t
    inner join point as p on t.target_id = p.target_id
    inner join observed as o
        on
            t.metric_id = o.metric_id and t.dimension = o.dimension and t.member = o.member
            and t.finest = o.frequency and t.year - 1 = year(o.period_end)
    group by t.target_id, t.finest
    -- A year the feed covers only in part has no share that could be carried over.
    having count(*) = case t.finest when 'M' then 12 when 'Q' then 4 else 1 end
),

actual as (
    select
        t.*,
        p.points,
        p.base_value,
        s.target_id is not null as is_suppressed,
        case
            when s.target_id is not null then null
            when t.is_over then p.year_value
            when t.measure != 'flow' then p.latest_value
            else p.ytd_value
        end::decimal(28, 10) as actual,
        case
            when s.target_id is not null then null
            when t.is_over then p.year_period
            when t.measure != 'flow' then p.latest_period
            else p.ytd_period
        end as actual_period,
        -- The share of last year reached by the same month, as a fraction: how far through the year, where unknown.
        case when l.year_value > 0 then l.ytd_value else p.ytd_month end as share_of_year,
        case when l.year_value > 0 then l.year_value else 12 end as whole_year
    from target as t
    inner join point as p on t.target_id = p.target_id
    left join suppressed as s on t.target_id = s.target_id
    left join last_year as l on t.target_id = l.target_id
),

expectation as (
    select
        *,
        case
            when actual is null then null
            when is_over or operator = '=' or measure = 'ratio' then low
            when measure = 'stock'
                then {{ decimal_ratio(
                    'base_value * months_left + low * (months_between - months_left)', 'months_between'
                ) }}
            else {{ decimal_ratio('low * share_of_year', 'whole_year') }}
        end::decimal(28, 10) as expected,
        case operator when '=' then actual <= low else actual >= low end as is_met
    from actual
),

judged as (
    select
        *,
        case
            when not computed then 'The warehouse does not compute this metric yet.'
            when missing is not null then missing
            -- Data that were complete stay so, whatever became of the feed since.
            when interruption is not null and not is_over then interruption
            when measure = 'flow' and not is_begun then 'The year of the target has not begun.'
            when is_suppressed then 'The actual value is suppressed, so that no single taxpayer can be told from it.'
            when actual is null then 'The metric has no observation for the period.'
            when points < 3 then 'The metric has fewer than three observations.'
            when is_over and last_loaded_on < make_date(year, 12, 31)
                then 'The year is over, but no delivery has been loaded since it ended.'
            when expected is null and not is_met
                then 'What to expect by now is unknown: there is no value for the end of ' || milestone_before || '.'
        end as obstacle
    from expectation
),

rated as (
    select
        *,
        case
            when obstacle is not null then 'no_data'
            when operator = '=' and not is_met then 'missed'
            when is_over and is_met then 'achieved'
            when is_over then 'missed'
            when operator = '=' then 'on_track'
            when is_met and measure = 'stock' then 'achieved'
            when is_met or actual >= expected then 'on_track'
            when actual >= 0.9::decimal(2, 1) * expected then 'at_risk'
            else 'off_track'
        end as status
    from judged
)

select
    target_id,
    metric_id,
    dimension,
    member,
    year,
    measure,
    operator,
    low,
    high,
    unit,
    actual,
    actual_period,
    expected,
    {{ decimal_ratio('(actual * 100)', 'low') }} as attainment_pct,
    (low - actual)::decimal(28, 10) as gap,
    case
        when actual is null or is_over or operator = '=' or measure = 'ratio' then null
        when is_met then 0
        else {{ decimal_ratio('(low - actual)::decimal(28, 10)', 'months_left') }}
    end::decimal(28, 10) as required_pace,
    status,
    case
        when obstacle is not null then obstacle
        when status = 'achieved' and is_over then 'The year is over and the target was met.'
        when status = 'achieved' then 'The target is already met.'
        when status = 'missed' and is_over then 'The year is over and the target was not met.'
        when status = 'missed' then 'The bound has been breached.'
        when status = 'on_track' and operator = '=' then 'The bound holds so far.'
        when status = 'on_track' then 'The actual value is at or above what is expected by now.'
        when status = 'at_risk' then 'The actual value is below what is expected by now, but at least 90 percent of it.'
        else 'The actual value is below 90 percent of what is expected by now.'
    end as reason,
    as_of
from rated
order by target_id
