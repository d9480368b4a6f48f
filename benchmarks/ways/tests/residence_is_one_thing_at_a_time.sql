SELECT uscc, from_day
FROM {{ ref('residence') }}
GROUP BY uscc, from_day
HAVING count(*) > 1 OR bool_or((category IS NULL) = (reason IS NULL) AND from_day < to_day)
