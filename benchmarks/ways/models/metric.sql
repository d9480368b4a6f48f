-- The tax metrics by month, quarter and year and the year to date, in 100 million yuan, unrounded.
WITH report AS (
    SELECT date_trunc('month', max(published_on) + INTERVAL 1 DAY) - INTERVAL 1 MONTH AS last_month
    FROM {{ ref('voucher') }}
),

share AS (
    SELECT
        tax_type,
        unnest(['central', 'province', 'city_district']) AS level,
        unnest([central, province, city_district]) AS percent
    FROM read_csv('seeds/tax_sharing.csv', types =
        {'central': 'DECIMAL(7,4)', 'province': 'DECIMAL(7,4)', 'city_district': 'DECIMAL(7,4)'})
    WHERE scheme = 'standard'
),

ranked AS (
    SELECT *, row_number() OVER (
        PARTITION BY tax_type ORDER BY percent DESC, list_position(['central', 'province', 'city_district'], level)
    ) = 1 AS takes_the_rest
    FROM share
),

revenue AS (SELECT month, tax_type, sum(yuan) AS yuan FROM {{ ref('cell') }} WHERE category IS NOT NULL GROUP BY ALL),

split AS (
    SELECT month, tax_type, level, takes_the_rest, yuan, (yuan::DECIMAL(28, 6) * percent)::DECIMAL(38, 0) * 0.01::DECIMAL(2, 2) AS part
    FROM revenue INNER JOIN ranked USING (tax_type)
),

amount AS (
    SELECT 'financial_tax_revenue' AS metric_id, month, 'fiscal_level' AS dimension, level AS member,
        CASE WHEN takes_the_rest THEN yuan - sum(part) FILTER (NOT takes_the_rest) OVER (PARTITION BY month, tax_type)
        ELSE part END AS yuan
    FROM split
    UNION ALL SELECT 'financial_tax_revenue', month, 'total', 'total', yuan FROM {{ ref('cell') }} WHERE category IS NOT NULL
    UNION ALL SELECT 'financial_tax_revenue', month, 'category', category, yuan FROM {{ ref('cell') }} WHERE category IS NOT NULL
    UNION ALL SELECT 'financial_tax_revenue', month, 'tax_type', tax_type, yuan FROM {{ ref('cell') }} WHERE category IS NOT NULL
    UNION ALL SELECT 'financial_tax_revenue_gross', month, 'total', 'total', yuan FROM {{ ref('cell') }}
        WHERE category IS NOT NULL AND kind = 'collection'
    UNION ALL SELECT 'tax_revenue_out_of_scope', month, 'total', 'total', yuan FROM {{ ref('cell') }} WHERE reason IS NOT NULL
    UNION ALL SELECT 'tax_revenue_out_of_scope', month, 'reason', reason, yuan FROM {{ ref('cell') }} WHERE reason IS NOT NULL
),

summed AS (SELECT metric_id, month, dimension, member, sum(yuan) AS yuan FROM amount GROUP BY ALL),

complete AS (
    SELECT s.metric_id, m.month, s.dimension, s.member, coalesce(v.yuan, 0) * 0.00000001::DECIMAL(8, 8) AS value
    FROM (
        SELECT m.metric_id, d.dimension, d.member
        FROM read_csv('seeds/dimension_member.csv', all_varchar = true) AS d
        INNER JOIN read_csv('seeds/metric.csv', all_varchar = true) AS m
            ON list_contains(string_split(m.dimensions, ' '), d.dimension)
        WHERE m.metric_id IN ('financial_tax_revenue', 'financial_tax_revenue_gross', 'tax_revenue_out_of_scope')
            AND (d.dimension != 'category' OR d.member IN (
                SELECT category FROM read_csv('seeds/metric_scope.csv') WHERE in_scope
            ))
    ) AS s
    CROSS JOIN (SELECT DISTINCT month FROM {{ ref('cell') }} 
        WHERE vouchers > 0 AND month <= (SELECT last_month FROM report)) AS m
    LEFT JOIN summed AS v USING (metric_id, month, dimension, member)
)

SELECT metric_id, 'M' AS frequency, strftime(month, '%Y-%m') AS period, dimension, member, value FROM complete
UNION ALL
SELECT metric_id, 'Q', year(month) || '-Q' || quarter(month) AS period, dimension, member, sum(value) FROM complete
GROUP BY ALL HAVING count(*) = 3
UNION ALL
SELECT metric_id, 'A', year(month)::VARCHAR AS period, dimension, member, sum(value) FROM complete
GROUP BY ALL HAVING count(*) = 12
UNION ALL
SELECT metric_id || '_ytd', 'M', strftime(month, '%Y-%m'), dimension, member,
    sum(value) OVER (PARTITION BY dimension, member, year(month) ORDER BY month)
FROM complete WHERE metric_id = 'financial_tax_revenue'
