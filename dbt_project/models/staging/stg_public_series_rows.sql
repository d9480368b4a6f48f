select
    s.*,
    -- Providers print a name or a code of GB/T 2260; a code stands for itself, known to the seed or not.
    coalesce(a.area_code, case when regexp_full_match(s.area, '\d{6}') then s.area end) as area_code,
    -- The codes of CL_OBS_STATUS for a missing value; a number printed beside one of them is none.
    s.value is null or coalesce(s.obs_status in ('H', 'L', 'M', 'O', 'Q'), false) as is_missing
from {{ source('lake', 'public_series') }} as s
left join {{ ref('area') }} as a
    on s.area in (a.name_zh, a.short_name_zh)
