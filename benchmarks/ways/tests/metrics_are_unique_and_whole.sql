SELECT metric_id, frequency, period, dimension, member
FROM {{ ref('metric') }}
GROUP BY ALL
HAVING count(*) > 1 OR count(value) = 0 OR NOT regexp_full_match(period, '[0-9]{4}(-(0[1-9]|1[0-2])|-Q[1-4])?')
