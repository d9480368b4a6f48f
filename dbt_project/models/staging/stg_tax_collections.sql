-- The current version of every voucher that is not withdrawn. A view: the metrics add up what was delivered and take
-- off what was superseded, and so never read this.
select r.*
from {{ source('lake', 'tax_collections') }} as r
anti join {{ ref('stg_tax_collections_superseded') }} as s
    on r.voucher_no = s.voucher_no and r.delivery_id = s.delivery_id
where not r.void
