-- The tax metrics from the lake in one script, as somebody would write it who needs them once: what the project's build
-- is measured against. $tax and $register are lists of lake files, $seeds the folder of the seeds, $report_month a day;
-- table delivery (delivery_id, published_on, seq) is there already.
CREATE TEMP TABLE event AS
SELECT uscc, event_date, event_id, event_type, category
FROM (
    SELECT r.*, row_number() OVER (PARTITION BY event_id ORDER BY d.published_on DESC, d.seq DESC) AS newest
    FROM read_parquet($register, filename = true) AS r
    INNER JOIN delivery AS d ON d.delivery_id = parse_filename(r.filename, true)
)
WHERE newest = 1 AND NOT void;

CREATE TEMP TABLE residence AS
WITH after_event AS (
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
LEFT JOIN read_csv($seeds || '/metric_scope.csv') AS s USING (category);

-- Vouchers that stand in several deliveries, and of these the rows that are not current.
CREATE TEMP TABLE suspect AS
SELECT hash(voucher_no) AS h FROM read_parquet($tax) GROUP BY h HAVING count(*) > 1;

CREATE TEMP TABLE old AS
SELECT uscc, tax_type, treasury_date, kind, amount_yuan
FROM (
    SELECT r.*, row_number() OVER (PARTITION BY voucher_no ORDER BY d.published_on DESC, d.seq DESC) AS newest
    FROM (SELECT * FROM read_parquet($tax, filename = true) WHERE hash(voucher_no) IN (FROM suspect)) AS r
    INNER JOIN delivery AS d ON d.delivery_id = parse_filename(r.filename, true)
)
WHERE newest > 1 AND NOT void;

CREATE TEMP TABLE cell AS
WITH voucher AS (
    SELECT uscc, tax_type, treasury_date, kind, amount_yuan, 1 AS sign FROM read_parquet($tax) WHERE NOT void
    UNION ALL
    SELECT *, -1 FROM old
),
day AS (
    SELECT
        treasury_date, tax_type, kind, r.category,
        CASE WHEN r.uscc IS NULL THEN 'not_registered' ELSE r.reason END AS reason,
        sum(sign * amount_yuan) AS yuan, sum(sign) AS vouchers
    FROM voucher AS v
    LEFT JOIN residence AS r ON v.uscc = r.uscc AND v.treasury_date >= r.from_day AND v.treasury_date < r.to_day
    GROUP BY ALL
)
SELECT date_trunc('month', treasury_date)::DATE AS month, * EXCLUDE (treasury_date, yuan, vouchers),
    sum(yuan) AS yuan, sum(vouchers) AS vouchers
FROM day
GROUP BY ALL;

CREATE TABLE metric AS
WITH share AS (
    UNPIVOT (SELECT tax_type, central, province, city_district FROM read_csv($seeds || '/tax_sharing.csv', types =
        {'central': 'DECIMAL(7,4)', 'province': 'DECIMAL(7,4)', 'city_district': 'DECIMAL(7,4)'})
        WHERE scheme = 'standard') ON central, province, city_district INTO NAME level VALUE percent
),
ranked AS (
    SELECT *, row_number() OVER (
        PARTITION BY tax_type ORDER BY percent DESC, list_position(['central', 'province', 'city_district'], level)
    ) = 1 AS takes_the_rest
    FROM share
),
revenue AS (SELECT month, tax_type, sum(yuan) AS yuan FROM cell WHERE category IS NOT NULL GROUP BY ALL),
split AS (
    SELECT month, tax_type, level, takes_the_rest, yuan, (yuan::DECIMAL(28, 6) * percent)::DECIMAL(38, 0) * 0.01::DECIMAL(2, 2) AS part
    FROM revenue INNER JOIN ranked USING (tax_type)
),
amount AS (
    SELECT 'financial_tax_revenue' AS metric_id, month, 'fiscal_level' AS dimension, level AS member,
        CASE WHEN takes_the_rest THEN yuan - sum(part) FILTER (NOT takes_the_rest) OVER (PARTITION BY month, tax_type)
        ELSE part END AS yuan
    FROM split
    UNION ALL SELECT 'financial_tax_revenue', month, 'total', 'total', yuan FROM cell WHERE category IS NOT NULL
    UNION ALL SELECT 'financial_tax_revenue', month, 'category', category, yuan FROM cell WHERE category IS NOT NULL
    UNION ALL SELECT 'financial_tax_revenue', month, 'tax_type', tax_type, yuan FROM cell WHERE category IS NOT NULL
    UNION ALL SELECT 'financial_tax_revenue_gross', month, 'total', 'total', yuan FROM cell
        WHERE category IS NOT NULL AND kind = 'collection'
    UNION ALL SELECT 'tax_revenue_out_of_scope', month, 'total', 'total', yuan FROM cell WHERE reason IS NOT NULL
    UNION ALL SELECT 'tax_revenue_out_of_scope', month, 'reason', reason, yuan FROM cell WHERE reason IS NOT NULL
),
summed AS (SELECT metric_id, month, dimension, member, sum(yuan) AS yuan FROM amount GROUP BY ALL),
complete AS (
    SELECT s.metric_id, m.month, s.dimension, s.member, coalesce(v.yuan, 0) * 0.00000001::DECIMAL(8, 8) AS value
    FROM (
        SELECT m.metric_id, d.dimension, d.member
        FROM read_csv($seeds || '/dimension_member.csv', all_varchar = true) AS d
        INNER JOIN read_csv($seeds || '/metric.csv', all_varchar = true) AS m
            ON list_contains(string_split(m.dimensions, ' '), d.dimension)
        WHERE m.metric_id IN ('financial_tax_revenue', 'financial_tax_revenue_gross', 'tax_revenue_out_of_scope')
            AND (d.dimension != 'category' OR d.member IN (
                SELECT category FROM read_csv($seeds || '/metric_scope.csv') WHERE in_scope
            ))
    ) AS s
    CROSS JOIN (SELECT DISTINCT month FROM cell WHERE vouchers > 0 AND month <= $report_month) AS m
    LEFT JOIN summed AS v USING (metric_id, month, dimension, member)
)
SELECT metric_id, 'M' AS frequency, month AS first_month, dimension, member, value FROM complete
UNION ALL
SELECT metric_id, 'Q', date_trunc('quarter', month), dimension, member, sum(value) FROM complete
GROUP BY ALL HAVING count(*) = 3
UNION ALL
SELECT metric_id, 'A', date_trunc('year', month), dimension, member, sum(value) FROM complete
GROUP BY ALL HAVING count(*) = 12
UNION ALL
SELECT metric_id || '_ytd', 'M', month, dimension, member,
    sum(value) OVER (PARTITION BY dimension, member, year(month) ORDER BY month)
FROM complete WHERE metric_id = 'financial_tax_revenue';
