SELECT published_on FROM {{ ref('voucher') }} GROUP BY published_on HAVING max(treasury_date) > published_on
