-- Every category is judged financial or not, and every tax has a standard way of being shared.
select
    d.dimension,
    d.member
from {{ ref('dimension_member') }} as d
left join {{ ref('metric_scope') }} as s on d.dimension = 'category' and d.member = s.category
left join {{ ref('tax_sharing') }} as h
    on d.dimension = 'tax_type' and d.member = h.tax_type and h.scheme = 'standard'
where d.dimension in ('category', 'tax_type') and s.category is null and h.tax_type is null
