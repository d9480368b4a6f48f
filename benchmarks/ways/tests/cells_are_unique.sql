SELECT month, tax_type, kind, category, reason
FROM {{ ref('cell') }}
GROUP BY ALL
HAVING count(*) > 1 OR month IS NULL
