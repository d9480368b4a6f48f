WITH cumulated AS (
    SELECT m.value, y.value - lag(y.value, 1, 0) OVER (
        PARTITION BY m.dimension, m.member, m.period[:4] ORDER BY m.period
    ) AS difference
    FROM {{ ref('metric') }} AS m
    LEFT JOIN {{ ref('metric') }} AS y
        ON m.period = y.period AND m.dimension = y.dimension AND m.member = y.member
        AND y.metric_id = 'financial_tax_revenue_ytd'
    WHERE m.metric_id = 'financial_tax_revenue' AND m.frequency = 'M'
)

SELECT * FROM cumulated WHERE difference IS DISTINCT FROM value
