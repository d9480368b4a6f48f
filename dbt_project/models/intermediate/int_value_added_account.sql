-- Value-added of each division in each complete year by both approaches, in 100 million yuan, by the account in force.
select
    a.division,
    a.year::integer as account_year,
    {{ yuan_to_cny_100m('a.compensation_yuan') }}
    + {{ yuan_to_cny_100m('a.net_taxes_on_production_yuan') }}
    + {{ yuan_to_cny_100m('a.depreciation_yuan') }}
    + {{ yuan_to_cny_100m('a.operating_surplus_yuan') }} as income,
    {{ yuan_to_cny_100m('a.gross_output_yuan') }}
    - {{ yuan_to_cny_100m('a.intermediate_consumption_yuan') }} as production,
    case a.stage when 'preliminary' then 'P' else 'A' end as obs_status
from {{ ref('stg_value_added_accounts') }} as a
cross join {{ source('lake', 'context') }} as c
where make_date(a.year::integer, 12, 1) <= c.report_month
