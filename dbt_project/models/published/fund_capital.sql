{{ wide_mart({
    'fund_subscribed_cumulative': 'cny_100m',
    'fund_subscribed': 'cny_100m',
    'fund_paid_in_cumulative': 'cny_100m',
}) }}
