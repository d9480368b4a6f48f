SELECT p.metric_id, p.frequency, p.period, p.dimension
FROM {{ ref('metric') }} AS p
INNER JOIN {{ ref('metric') }} AS t
    ON p.metric_id = t.metric_id AND p.frequency = t.frequency AND p.period = t.period AND t.dimension = 'total'
WHERE p.dimension != 'total'
GROUP BY ALL
HAVING sum(p.value) IS DISTINCT FROM any_value(t.value)
