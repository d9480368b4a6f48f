-- Annual value-added of each division by both approaches, in 100 million yuan, from the account in force.
select
    division,
    year::integer as account_year,
    {{ yuan_to_cny_100m('compensation_yuan') }}
    + {{ yuan_to_cny_100m('net_taxes_on_production_yuan') }}
    + {{ yuan_to_cny_100m('depreciation_yuan') }}
    + {{ yuan_to_cny_100m('operating_surplus_yuan') }} as income,
    {{ yuan_to_cny_100m('gross_output_yuan') }} - {{ yuan_to_cny_100m('intermediate_consumption_yuan') }} as production,
    case stage when 'preliminary' then 'P' else 'A' end as obs_status
from {{ ref('stg_value_added_accounts') }}
