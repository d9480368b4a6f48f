-- Wherever a metric is published by category, tax, level of government or reason, every member has a row in each
-- period, and they add up to the total, but for the rounding of each to the published decimals. Tax by category has the
-- categories in scope only. What is suppressed adds up unseen: tax_parts_add_up_to_the_total holds that.
with scope as ({{ dated(ref('metric_scope'), ['category']) }}),

member as (
    select
        dimension,
        member,
        dimension != 'category' or member in (
            select s.category
            from scope as s
            inner join {{ source('lake', 'context') }} as c on s.valid_from <= last_day(c.report_month)
            where s.in_scope
        ) as bears_tax
    from {{ ref('dimension_member') }}
    where dimension in ('category', 'tax_type', 'fiscal_level', 'reason')
),

total as (
    select
        metric_id,
        frequency,
        period,
        value,
        conf_status != 'F' as is_suppressed
    from {{ ref('metric_observation') }}
    where dimension = 'total'
),

part as (
    select
        o.metric_id,
        o.frequency,
        o.period,
        o.dimension,
        count(*) as members,
        sum(o.value) as of_members,
        bool_or(o.conf_status != 'F') as is_suppressed
    from {{ ref('metric_observation') }} as o
    inner join member as m on o.dimension = m.dimension and o.member = m.member
    group by all
)

select
    p.*,
    t.value as total
from part as p
inner join {{ ref('metric') }} as d on p.metric_id = d.metric_id
left join total as t on p.metric_id = t.metric_id and p.frequency = t.frequency and p.period = t.period
where
    (
        not (p.is_suppressed or coalesce(t.is_suppressed, false))
        and ((p.of_members is null) != (t.value is null) or abs(p.of_members - t.value) > p.members * 0.00000000005)
    )
    or p.members != (
        select count(*)
        from member as m
        where m.dimension = p.dimension and (m.bears_tax or not contains(d.source_feeds, 'tax_collections'))
    )
