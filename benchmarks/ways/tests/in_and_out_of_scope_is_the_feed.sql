-- The whole feed is read again.
WITH feed AS (
    SELECT treasury_date, sum(amount_yuan) AS yuan FROM {{ ref('voucher') }} WHERE NOT void GROUP BY ALL
    UNION ALL
    SELECT treasury_date, -sum(amount_yuan) FROM {{ ref('superseded') }} WHERE NOT void GROUP BY ALL
),

of_feed AS (
    SELECT strftime(treasury_date, '%Y-%m') AS period, sum(yuan) * 0.00000001::DECIMAL(8, 8) AS value FROM feed GROUP BY ALL
),

of_metrics AS (
    SELECT period, sum(value) AS value
    FROM {{ ref('metric') }}
    WHERE metric_id IN ('financial_tax_revenue', 'tax_revenue_out_of_scope') AND dimension = 'total' AND frequency = 'M'
    GROUP BY ALL
)

SELECT * FROM of_feed FULL JOIN of_metrics USING (period) WHERE of_feed.value IS DISTINCT FROM of_metrics.value
