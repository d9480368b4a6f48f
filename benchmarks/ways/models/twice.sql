-- The rows whose voucher stands twice in the delivery: two different ones are never chosen between, of equal ones the
-- first copy counts. Vouchers are compared by a 64-bit hash first, and then by themselves.
WITH suspect AS (
    SELECT hash(voucher_no) AS h FROM {{ ref('arrived') }} GROUP BY h HAVING count(*) > 1
),

content AS (
    SELECT
        *,
        {{ var('line') }} AS line,
        concat_ws(' ', uscc, tax_type, tax_period, treasury_date, kind, amount_yuan, cells::VARCHAR) AS content
    FROM {{ ref('arrived') }}
    WHERE hash(voucher_no) IN (SELECT s.h FROM suspect AS s)
)

SELECT
    *,
    min(content) OVER (PARTITION BY voucher_no) != max(content) OVER (PARTITION BY voucher_no) AS conflicts,
    row_number() OVER (PARTITION BY voucher_no, content) AS copy
FROM content
QUALIFY count(*) OVER (PARTITION BY voucher_no) > 1
