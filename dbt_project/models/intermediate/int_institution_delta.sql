-- What the events add to and take from each series, by category.
select 'admitted' as series, event_date, uscc, category_after as category, 1 as delta
from {{ ref('int_institution_event') }}
where is_first_admission
union all
select 'ever_admitted' as series, event_date, uscc, category_after as category, 1 as delta
from {{ ref('int_institution_event') }}
where is_first_admission or (is_readmission and category_before != category_after) or is_reclassification
union all
select 'ever_admitted' as series, event_date, uscc, category_before as category, -1 as delta
from {{ ref('int_institution_event') }}
where (is_readmission and category_before != category_after) or is_reclassification
union all
select 'resident' as series, event_date, uscc, category_after as category, 1 as delta
from {{ ref('int_institution_event') }}
where is_first_admission or is_readmission or is_reclassification
union all
select 'resident' as series, event_date, uscc, category_before as category, -1 as delta
from {{ ref('int_institution_event') }}
where is_departure or is_reclassification
union all
select 'departed' as series, event_date, uscc, category_before as category, 1 as delta
from {{ ref('int_institution_event') }}
where is_departure
