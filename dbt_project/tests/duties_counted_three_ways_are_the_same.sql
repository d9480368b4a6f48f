{{ config(meta={'level': 3}) }}
-- The published counts of duties done and overdue are those of the board, and those of the leading units together.
with board as (
    select
        month,
        count(*) filter (where status = 'done') as done,
        count(*) filter (where overdue_days > 0) as overdue
    from {{ ref('duty_board') }}
    group by month
),

scorecard as (
    select
        month,
        sum(lead_done) as done,
        sum(lead_overdue) as overdue
    from {{ ref('unit_scorecard') }}
    group by month
),

metric_value as (
    select
        period as month,
        max(value) filter (where metric_id = 'duties_done') as done,
        max(value) filter (where metric_id = 'duties_overdue') as overdue
    from {{ ref('metric_observation') }}
    where metric_id in ('duties_done', 'duties_overdue')
    group by period
)

select
    b.*,
    s.done as done_by_unit,
    s.overdue as overdue_by_unit,
    m.done as done_published,
    m.overdue as overdue_published
from board as b
full join scorecard as s on b.month = s.month
left join metric_value as m on b.month = m.month
where
    (b.done, b.overdue) is distinct from (s.done, s.overdue)
    or b.done != m.done
    or b.overdue != m.overdue
