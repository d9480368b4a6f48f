{{ wide_mart(
    {
        'financial_value_added': 'cny_100m',
        'financial_value_added_ytd': 'cny_100m',
        'financial_value_added_production': 'cny_100m',
    },
    {
        'financial_value_added_discrepancy': 'percent',
        'financial_value_added_volume_growth': 'percent',
        'financial_value_added_volume_growth_ytd': 'percent',
    }
) }}
