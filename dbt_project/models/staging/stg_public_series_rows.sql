select
    s.*,
    a.area_code,
    -- An area the seed does not know keeps its printed name as its identity.
    coalesce(a.area_code, s.area, '') as area_key
from {{ source('lake', 'public_series') }} as s
left join {{ ref('area') }} as a
    on s.area in (a.name_zh, a.short_name_zh)
