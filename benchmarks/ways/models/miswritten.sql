-- The taxpayers of the delivery at hand whose codes end in a wrong check character (GB 32100-2015).
WITH code AS (
    SELECT DISTINCT uscc FROM {{ ref('arrived') }} WHERE rule IS NULL
),

added_up AS (
    SELECT c.uscc, sum(w.weight * (strpos('0123456789ABCDEFGHJKLMNPQRTUWXY', c.uscc[w.place]) - 1)) AS total
    FROM code AS c
    CROSS JOIN (
        SELECT unnest(range(1, 18)) AS place,
            unnest([1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28]) AS weight
    ) AS w
    GROUP BY c.uscc
)

SELECT uscc
FROM added_up
WHERE (31 - total % 31) % 31 != strpos('0123456789ABCDEFGHJKLMNPQRTUWXY', uscc[18]) - 1
