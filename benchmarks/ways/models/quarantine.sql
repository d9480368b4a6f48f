-- The refused rows of the delivery at hand, with the lines where they stand.
SELECT published_on, {{ var('line') }} AS line, voucher_no, rule, cells
FROM {{ ref('arrived') }}
WHERE rule IS NOT NULL
UNION ALL
SELECT
    published_on,
    line,
    voucher_no,
    'conflicting_key' AS rule,
    [voucher_no, uscc, tax_type, tax_period, treasury_date::VARCHAR, kind, amount_yuan::VARCHAR] AS cells
FROM {{ ref('twice') }}
WHERE conflicts AND rule IS NULL
