-- The current vouchers, added up by month, category or reason, tax and kind: all rows less the superseded ones.
WITH counted AS (
    SELECT uscc, tax_type, treasury_date, kind, amount_yuan, 1 AS sign FROM {{ ref('voucher') }} WHERE NOT void
    UNION ALL
    SELECT uscc, tax_type, treasury_date, kind, amount_yuan, -1 FROM {{ ref('superseded') }} WHERE NOT void
),

-- By day first: that costs a third of grouping by month.
day AS (
    SELECT
        v.treasury_date, v.tax_type, v.kind, r.category,
        CASE WHEN r.uscc IS NULL THEN 'not_registered' ELSE r.reason END AS reason,
        sum(v.sign * v.amount_yuan) AS yuan, sum(v.sign) AS vouchers
    FROM counted AS v
    LEFT JOIN {{ ref('residence') }} AS r
        ON v.uscc = r.uscc AND v.treasury_date >= r.from_day AND v.treasury_date < r.to_day
    GROUP BY ALL
)

SELECT date_trunc('month', treasury_date)::DATE AS month, tax_type, kind, category, reason,
    sum(yuan) AS yuan, sum(vouchers) AS vouchers
FROM day
GROUP BY ALL
