-- The accepted rows with their lines, which are added to those of the deliveries before; what is wrong in the code of a
-- taxpayer is noted.
{% set columns = 'published_on, voucher_no, uscc, tax_type, tax_period, treasury_date, kind, amount_yuan, void' %}
SELECT {{ columns }}, line, uscc IN (SELECT m.uscc FROM {{ ref('miswritten') }} AS m) AS uscc_check
FROM (
    SELECT {{ columns }}, {{ var('line') }} AS line
    FROM {{ ref('arrived') }}
    WHERE rule IS NULL
        AND voucher_no NOT IN (SELECT t.voucher_no FROM {{ ref('twice') }} AS t WHERE t.voucher_no IS NOT NULL)
    UNION ALL
    SELECT {{ columns }}, line
    FROM {{ ref('twice') }}
    WHERE rule IS NULL AND NOT conflicts AND copy = 1
) AS accepted
