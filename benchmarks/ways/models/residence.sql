-- What each registered taxpayer counts as, in half-open windows over all time.
WITH event AS (
    SELECT uscc, event_date, event_id, event_type, category
    FROM (
        SELECT *, row_number() OVER (PARTITION BY event_id ORDER BY published_on DESC) AS newest
        FROM {{ ref('register') }}
    )
    WHERE newest = 1 AND NOT void
),

after_event AS (
    SELECT *, coalesce(last_value(
        CASE WHEN event_type IN ('admit', 'leave', 'deregister') THEN event_type = 'admit' END IGNORE NULLS
    ) OVER so_far, false) AS resident
    FROM event
    WINDOW so_far AS (PARTITION BY uscc ORDER BY event_date, event_id)
),

before_event AS (
    SELECT *, coalesce(lag(resident) OVER (PARTITION BY uscc ORDER BY event_date, event_id), false) AS was_resident
    FROM after_event
),

state AS (
    SELECT *, last_value(CASE
        WHEN event_type = 'admit' AND NOT was_resident OR event_type = 'recategorise' AND was_resident THEN category
    END IGNORE NULLS) OVER (PARTITION BY uscc ORDER BY event_date, event_id) AS in_force
    FROM before_event
),

day AS (
    SELECT uscc, event_date, arg_max(resident, event_id) AS resident, arg_max_null(in_force, event_id) AS category
    FROM state
    GROUP BY ALL
),

span AS (
    SELECT uscc, event_date AS from_day, lead(event_date, 1, 'infinity'::DATE) OVER (PARTITION BY uscc ORDER BY event_date)
        AS to_day, resident, category
    FROM day
    UNION ALL
    SELECT uscc, '-infinity'::DATE, min(event_date), false, NULL FROM day GROUP BY uscc
)
SELECT
    p.uscc, p.from_day, p.to_day,
    CASE WHEN p.resident AND s.in_scope THEN p.category END AS category,
    CASE WHEN NOT p.resident THEN 'not_resident' WHEN NOT s.in_scope THEN 'category' END AS reason
FROM span AS p
LEFT JOIN read_csv('seeds/metric_scope.csv') AS s USING (category)
