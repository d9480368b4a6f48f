WITH refused AS (SELECT published_on, count(*) AS of_rows FROM {{ ref('quarantine') }} GROUP BY published_on)

SELECT published_on
FROM refused
WHERE of_rows > 0.25 * (SELECT count(*) FROM {{ ref('voucher') }} AS v WHERE v.published_on = refused.published_on)
