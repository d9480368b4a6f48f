{{ wide_mart({
    'financial_tax_revenue': 'cny_100m',
    'financial_tax_revenue_ytd': 'cny_100m',
    'financial_tax_revenue_gross': 'cny_100m',
    'tax_revenue_out_of_scope': 'cny_100m',
}) }}
