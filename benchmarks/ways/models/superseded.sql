-- The rows that a later delivery repeats, corrects or withdraws. Within one delivery a voucher stands once.
WITH suspect AS (
    SELECT hash(voucher_no) AS h FROM {{ ref('voucher') }} GROUP BY h HAVING count(*) > 1
)

SELECT *
FROM {{ ref('voucher') }}
WHERE hash(voucher_no) IN (SELECT s.h FROM suspect AS s)
QUALIFY row_number() OVER (PARTITION BY voucher_no ORDER BY published_on DESC) > 1
