{{ wide_mart({
    'institutions_admitted_cumulative': none,
    'institutions_admitted': none,
    'institutions_resident': none,
    'institutions_departed': none,
}) }}
