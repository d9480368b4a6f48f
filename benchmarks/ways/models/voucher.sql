-- The accepted rows, which are added to those of the deliveries before.
{% set columns = 'published_on, voucher_no, uscc, tax_type, tax_period, treasury_date, kind, amount_yuan, void' %}
SELECT {{ columns }}
FROM {{ ref('arrived') }}
WHERE rule IS NULL AND voucher_no NOT IN (SELECT t.voucher_no FROM {{ ref('twice') }} AS t WHERE t.voucher_no IS NOT NULL)
UNION ALL
SELECT {{ columns }}
FROM {{ ref('twice') }}
WHERE rule IS NULL AND NOT conflicts AND copy = 1
