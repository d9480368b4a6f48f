SELECT m.metric_id, m.period, m.value
FROM {{ ref('metric') }} AS m
LEFT JOIN read_csv('seeds/metric.csv') AS d USING (metric_id)
WHERE d.metric_id IS NULL OR NOT m.value BETWEEN d.plausible_low AND d.plausible_high
